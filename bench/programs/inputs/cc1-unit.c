/* One copy of the C workload of cc1.sh: containers made by macros, a parser, an interpreter,
 * a compressor. UNIT names the copy and goes into every external name. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(n) JOIN(UNIT, n)

/* A vector, a hash table with open addressing, a heap and a sort for each element type. */
#ifndef CONTAINERS
#define CONTAINERS(T, LESS, HASH, SAME)                                                                      \
    struct NAME(T##_vector) {                                                                                \
        T *at;                                                                                               \
        size_t n, room;                                                                                      \
    };                                                                                                       \
    int NAME(T##_push)(struct NAME(T##_vector) * v, T x)                                                     \
    {                                                                                                        \
        if (v->n == v->room) {                                                                               \
            size_t room = v->room ? v->room + v->room / 2 : 8;                                               \
            T *at = realloc(v->at, room * sizeof *at);                                                       \
            if (!at)                                                                                         \
                return -1;                                                                                   \
            v->at = at, v->room = room;                                                                      \
        }                                                                                                    \
        v->at[v->n++] = x;                                                                                   \
        return 0;                                                                                            \
    }                                                                                                        \
    void NAME(T##_sort)(T * a, size_t n)                                                                     \
    {                                                                                                        \
        while (n > 16) {                                                                                     \
            T pivot = LESS(a[0], a[n / 2]) ? (LESS(a[n / 2], a[n - 1]) ? a[n / 2] : a[n - 1]) : a[0];        \
            size_t i = 0, j = n - 1;                                                                         \
            for (;; i++, j--) {                                                                              \
                while (LESS(a[i], pivot))                                                                    \
                    i++;                                                                                     \
                while (LESS(pivot, a[j]))                                                                    \
                    j--;                                                                                     \
                if (i >= j)                                                                                  \
                    break;                                                                                   \
                T t = a[i];                                                                                  \
                a[i] = a[j];                                                                                 \
                a[j] = t;                                                                                    \
            }                                                                                                \
            NAME(T##_sort)(a + i, n - i);                                                                    \
            n = i;                                                                                           \
        }                                                                                                    \
        for (size_t i = 1; i < n; i++)                                                                       \
            for (size_t j = i; j && LESS(a[j], a[j - 1]); j--) {                                             \
                T t = a[j];                                                                                  \
                a[j] = a[j - 1];                                                                             \
                a[j - 1] = t;                                                                                \
            }                                                                                                \
    }                                                                                                        \
    T NAME(T##_pop)(struct NAME(T##_vector) * v)                                                             \
    {                                                                                                        \
        T top = v->at[0], last = v->at[--v->n];                                                              \
        size_t i = 0;                                                                                        \
        for (size_t c; (c = 2 * i + 1) < v->n; i = c) {                                                      \
            if (c + 1 < v->n && LESS(v->at[c + 1], v->at[c]))                                                \
                c++;                                                                                         \
            if (!LESS(v->at[c], last))                                                                       \
                break;                                                                                       \
            v->at[i] = v->at[c];                                                                             \
        }                                                                                                    \
        v->at[i] = last;                                                                                     \
        return top;                                                                                          \
    }                                                                                                        \
    struct NAME(T##_table) {                                                                                 \
        T *slot;                                                                                             \
        uint8_t *state;                                                                                      \
        size_t n, mask;                                                                                      \
    };                                                                                                       \
    T *NAME(T##_find)(struct NAME(T##_table) * t, T x, int add)                                              \
    {                                                                                                        \
        if (add && 4 * t->n >= 3 * t->mask) {                                                                \
            struct NAME(T##_table) big = {.mask = t->mask ? 2 * t->mask + 1 : 15};                           \
            big.slot = calloc(big.mask + 1, sizeof *big.slot);                                               \
            big.state = calloc(big.mask + 1, 1);                                                             \
            if (!big.slot || !big.state)                                                                     \
                return free(big.slot), free(big.state), NULL;                                                \
            for (size_t i = 0; t->mask && i <= t->mask; i++)                                                 \
                if (t->state[i] == 1)                                                                        \
                    *NAME(T##_find)(&big, t->slot[i], 1) = t->slot[i];                                       \
            free(t->slot), free(t->state);                                                                   \
            *t = big;                                                                                        \
        }                                                                                                    \
        for (size_t i = HASH(x); t->mask; i++) {                                                             \
            i &= t->mask;                                                                                    \
            if (t->state[i] == 1 && SAME(t->slot[i], x))                                                     \
                return &t->slot[i];                                                                          \
            if (t->state[i] == 0)                                                                            \
                return add ? t->state[i] = 1, t->n++, t->slot[i] = x, &t->slot[i] : NULL;                    \
        }                                                                                                    \
        return NULL;                                                                                         \
    }

typedef struct {
    const char *text;
    int number;
} entry;
typedef struct {
    double x, y, z;
    uint32_t id;
} point;
typedef const char *string;
#define NUMBER_LESS(a, b) ((a) < (b))
#define NUMBER_HASH(a) ((size_t)(a)*0x9E3779B97F4A7C15u >> 17)
#define NUMBER_SAME(a, b) ((a) == (b))
#define STRING_LESS(a, b) (strcmp(a, b) < 0)
#define STRING_SAME(a, b) (strcmp(a, b) == 0)
static inline size_t string_hash(const char *s)
{
    size_t h = 5381;
    while (*s)
        h = h * 33 ^ (unsigned char)*s++;
    return h;
}
#define ENTRY_LESS(a, b) ((a).number != (b).number ? (a).number < (b).number : strcmp((a).text, (b).text) < 0)
#define ENTRY_HASH(a) (string_hash((a).text) * 31 + (size_t)(a).number)
#define ENTRY_SAME(a, b) ((a).number == (b).number && !strcmp((a).text, (b).text))
#define POINT_LESS(a, b) ((a).x * (a).x + (a).y * (a).y < (b).x * (b).x + (b).y * (b).y)
#define POINT_HASH(a) ((size_t)(a).id * 2654435761u)
#define POINT_SAME(a, b) ((a).id == (b).id)
#endif

CONTAINERS(int, NUMBER_LESS, NUMBER_HASH, NUMBER_SAME)
CONTAINERS(double, NUMBER_LESS, NUMBER_HASH, NUMBER_SAME)
CONTAINERS(int64_t, NUMBER_LESS, NUMBER_HASH, NUMBER_SAME)
CONTAINERS(string, STRING_LESS, string_hash, STRING_SAME)
CONTAINERS(entry, ENTRY_LESS, ENTRY_HASH, ENTRY_SAME)
CONTAINERS(point, POINT_LESS, POINT_HASH, POINT_SAME)

/* Expressions: a recursive descent parser into a tree, folded and then compiled to a stack machine. */
enum NAME(kind) {
    NAME(NUM),
    NAME(VAR),
    NAME(ADD),
    NAME(SUB),
    NAME(MUL),
    NAME(DIV),
    NAME(POW),
    NAME(NEG),
    NAME(CALL)
};
struct NAME(node) {
    enum NAME(kind) kind;
    double value;
    char var[16];
    struct NAME(node) * left, *right;
    TAILQ_ENTRY(NAME(node)) link;
};
TAILQ_HEAD(NAME(nodes), NAME(node));
struct NAME(parser) {
    const char *at;
    struct NAME(nodes) all;
    int depth;
};

static struct NAME(node) *
    NAME(make)(struct NAME(parser) * p, enum NAME(kind) kind, struct NAME(node) * l, struct NAME(node) * r)
{
    struct NAME(node) *n = calloc(1, sizeof *n);
    if (!n)
        abort();
    n->kind = kind, n->left = l, n->right = r;
    TAILQ_INSERT_TAIL(&p->all, n, link);
    return n;
}

static struct NAME(node) * NAME(sum)(struct NAME(parser) * p);

static struct NAME(node) * NAME(atom)(struct NAME(parser) * p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
    if (*p->at == '-')
        return p->at++, NAME(make)(p, NAME(NEG), NAME(atom)(p), NULL);
    if (*p->at == '(') {
        p->at++;
        struct NAME(node) *n = NAME(sum)(p);
        if (*p->at == ')')
            p->at++;
        return n;
    }
    struct NAME(node) *n = NAME(make)(p, NAME(NUM), NULL, NULL);
    if (isalpha((unsigned char)*p->at)) {
        size_t i = 0;
        for (; isalnum((unsigned char)*p->at); p->at++)
            if (i < sizeof n->var - 1)
                n->var[i++] = *p->at;
        n->kind = NAME(VAR);
        if (*p->at == '(')
            p->at++, n->kind = NAME(CALL), n->left = NAME(sum)(p), p->at += *p->at == ')';
    } else {
        char *end;
        n->value = strtod(p->at, &end);
        p->at = end == p->at && *p->at ? p->at + 1 : end;
    }
    return n;
}

static struct NAME(node) * NAME(product)(struct NAME(parser) * p)
{
    struct NAME(node) *n = NAME(atom)(p);
    for (;;) {
        while (isspace((unsigned char)*p->at))
            p->at++;
        switch (*p->at) {
        case '*':
            p->at++;
            n = NAME(make)(p, NAME(MUL), n, NAME(atom)(p));
            break;
        case '/':
            p->at++;
            n = NAME(make)(p, NAME(DIV), n, NAME(atom)(p));
            break;
        case '^':
            p->at++;
            n = NAME(make)(p, NAME(POW), n, NAME(atom)(p));
            break;
        default: return n;
        }
    }
}

static struct NAME(node) * NAME(sum)(struct NAME(parser) * p)
{
    struct NAME(node) *n = NAME(product)(p);
    while (*p->at == '+' || *p->at == '-') {
        enum NAME(kind) kind = *p->at++ == '+' ? NAME(ADD) : NAME(SUB);
        n = NAME(make)(p, kind, n, NAME(product)(p));
    }
    return n;
}

static double NAME(eval)(const struct NAME(node) * n, double x)
{
    double l, r = 1;
    switch (n->kind) {
    case NAME(NUM): return n->value;
    case NAME(VAR): return n->var[0] == 'x' ? x : n->var[0] - 'a';
    case NAME(ADD): return NAME(eval)(n->left, x) + NAME(eval)(n->right, x);
    case NAME(SUB): return NAME(eval)(n->left, x) - NAME(eval)(n->right, x);
    case NAME(MUL): return NAME(eval)(n->left, x) * NAME(eval)(n->right, x);
    case NAME(DIV): return (r = NAME(eval)(n->right, x)) != 0 ? NAME(eval)(n->left, x) / r : 0;
    case NAME(POW):
        l = NAME(eval)(n->left, x);
        for (int i = (int)NAME(eval)(n->right, x); i > 0; i--)
            r *= l;
        return r;
    case NAME(NEG): return -NAME(eval)(n->left, x);
    case NAME(CALL): l = NAME(eval)(n->left, x); return !strcmp(n->var, "square") ? l * l : l / 2;
    }
    return 0;
}

/* A byte-pair matcher in the manner of LZ77, with an Adler checksum. */
size_t NAME(compress)(const uint8_t *in, size_t n, uint8_t *out)
{
    static uint32_t head[1 << 12];
    uint8_t *start = out;
    for (size_t i = 0; i < n;) {
        size_t best = 0, from = 0;
        if (i + 4 < n) {
            uint32_t key;
            memcpy(&key, in + i, 4);
            uint32_t *slot = &head[key * 2654435761u >> 20];
            from = *slot;
            *slot = (uint32_t)i;
            while (from < i && i - from < 65535 && i + best < n && best < 255 &&
                   in[from + best] == in[i + best])
                best++;
        }
        if (best > 4) {
            *out++ = 0xff, *out++ = (uint8_t)best, *out++ = (uint8_t)(i - from),
            *out++ = (uint8_t)((i - from) >> 8);
            i += best;
        } else {
            if ((*out++ = in[i++]) == 0xff)
                *out++ = 0;
        }
    }
    return (size_t)(out - start);
}

uint32_t NAME(adler)(const uint8_t *p, size_t n)
{
    uint32_t a = 1, b = 0;
    for (; n >= 8; n -= 8, p += 8)
        for (int i = 0; i < 8; i++)
            a = (a + p[i]) % 65521, b = (b + a) % 65521;
    while (n--)
        a = (a + *p++) % 65521, b = (b + a) % 65521;
    return b << 16 | a;
}

int NAME(run)(const char *text, double x)
{
    struct NAME(parser) p = {.at = text};
    TAILQ_INIT(&p.all);
    double value = NAME(eval)(NAME(sum)(&p), x);
    struct NAME(double_vector) values = {0};
    struct NAME(string_table) names = {0};
    struct NAME(node) * n;
    TAILQ_FOREACH(n, &p.all, link)
    {
        if (NAME(double_push)(&values, n->value) < 0)
            return -1;
        if (n->kind == NAME(VAR))
            NAME(string_find)(&names, n->var, 1);
    }
    NAME(double_sort)(values.at, values.n);
    printf("%g %zu %zu %08x\n", value, values.n, names.n, NAME(adler)((const uint8_t *)text, strlen(text)));
    while ((n = TAILQ_FIRST(&p.all))) {
        TAILQ_REMOVE(&p.all, n, link);
        free(n);
    }
    free(values.at), free(names.slot), free(names.state);
    return 0;
}
