/* stack_parser.c - a parser with a stack pool: trees of any size, gone with one release.
 *
 * Reads arithmetic expressions, one in a line, builds the tree of each, prints it with brackets, and evaluates it.
 * A mark is made before a line and released behind it.  Where the grammar is not clear at once (is `x = 1` an assignment,
 * or is `x` the beginning of an expression?) the parser tries one way between marks of its own, and releases what
 * it built when that fails: alloca could not do this, and malloc would need a free for each node.
 *
 *     stack_parser < FILE          without input on a pipe or file: some lines of its own
 */
#include <cairn/pool.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
    char kind; /* '#' number, 'v' variable, or the operator */
    double number;
    const char *name;
    struct node *left, *right;
};

struct parser {
    cairn_pool *pool;
    const char *at;
    size_t nodes; /* made for this line, those thrown away too */
};

static double variables[26]; /* a to z */

static struct node *make(struct parser *p, char kind, struct node *left, struct node *right)
{
    struct node *node = cairn_pool_calloc(p->pool, 1, sizeof *node);
    if (node == NULL) {
        fprintf(stderr, "%s\n", cairn_errormsg());
        exit(1);
    }
    p->nodes++;
    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static char next(struct parser *p)
{
    while (*p->at == ' ')
        p->at++;
    return *p->at;
}

static struct node *sum(struct parser *p);

static struct node *atom(struct parser *p)
{
    char c = next(p);
    if (c == '(') {
        p->at++;
        struct node *inner = sum(p);
        if (inner == NULL || next(p) != ')')
            return NULL;
        p->at++;
        return inner;
    }
    if (isdigit((unsigned char)c)) {
        char *end;
        struct node *node = make(p, '#', NULL, NULL);
        node->number = strtod(p->at, &end);
        p->at = end;
        return node;
    }
    if (!islower((unsigned char)c))
        return NULL;
    struct node *node = make(p, 'v', NULL, NULL);
    node->name = cairn_pool_strndup(p->pool, p->at++, 1);
    return node;
}

static struct node *chain(struct parser *p, struct node *(*part)(struct parser *), const char *operators)
{
    struct node *left = part(p);
    while (left != NULL && next(p) != '\0' && strchr(operators, next(p)) != NULL) {
        char operator= * p->at++;
        struct node *right = part(p);
        left = right != NULL ? make(p, operator, left, right) : NULL;
    }
    return left;
}

static struct node *product(struct parser *p)
{
    return chain(p, atom, "*/");
}

static struct node *sum(struct parser *p)
{
    return chain(p, product, "+-");
}

/* Tries `name = expression`; NULL: it is none, and what was built for it is gone. */
static struct node *assignment(struct parser *p)
{
    cairn_mark mark = cairn_pool_mark(p->pool);
    const char *start = p->at;
    struct node *name = atom(p);
    if (name != NULL && name->kind == 'v' && next(p) == '=') {
        p->at++;
        struct node *value = sum(p);
        if (value != NULL)
            return make(p, '=', name, value); /* stays until the line's mark is released */
    }
    cairn_pool_release(p->pool, mark);
    p->at = start;
    return NULL;
}

static void print(const struct node *node)
{
    if (node->kind == '#') {
        printf("%g", node->number);
    } else if (node->kind == 'v') {
        printf("%s", node->name);
    } else {
        printf("(");
        print(node->left);
        printf(" %c ", node->kind);
        print(node->right);
        printf(")");
    }
}

static double value(const struct node *node)
{
    double right = node->right != NULL ? value(node->right) : 0;
    switch (node->kind) {
    case '#': return node->number;
    case 'v': return variables[node->name[0] - 'a'];
    case '=': return variables[node->left->name[0] - 'a'] = right;
    case '+': return value(node->left) + right;
    case '-': return value(node->left) - right;
    case '*': return value(node->left) * right;
    default: return value(node->left) / right;
    }
}

static void do_line(cairn_pool *pool, const char *line)
{
    cairn_mark mark = cairn_pool_mark(pool);
    struct parser p = {pool, line, 0};
    struct node *tree = assignment(&p);
    if (tree == NULL)
        tree = sum(&p);
    if (tree == NULL || next(&p) != '\0') {
        printf("%s: not understood at \"%s\"", line, p.at);
    } else {
        print(tree);
        printf(" = %g", value(tree));
    }
    cairn_pool_release(pool, mark);
    printf("   [%zu nodes]\n", p.nodes);
}

int main(void)
{
    static const char *const own[] = {"1 + 2 * 3", "x = (1 + 2) * 3", "x * x - 1 / 4",
                                      "(1 + 2",    "y = x / 2 + x",   "2 = 3"};
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK, .name = "parser"};
    cairn_pool *pool = cairn_pool_create(&config);
    if (pool == NULL)
        return 1;
    char line[10000];
    if (isatty(0))
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            do_line(pool, own[i]);
    else
        while (fgets(line, sizeof line, stdin) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            do_line(pool, line);
        }
    cairn_stats stats = {.struct_size = sizeof stats};
    cairn_pool_stats(pool, &stats);
    printf("%llu blocks were allocated, %llu are left\n", (unsigned long long)stats.allocations,
           (unsigned long long)stats.live_blocks);
    cairn_pool_destroy(pool);
    return 0;
}
