/* demo-index.c - for scripts/demo: an index of the words of a text, in a pool in a file.
 *
 *   demo-index POOL TEXT           counts the words, going on where an earlier run was killed
 *   demo-index POOL --top N        opens the pool and prints the N most frequent words, and how long that took
 *
 * A kill at any instruction does no harm: an entry comes into its chain by cairn_pool_calloc_to; its word is complete when
 * `length` is stored; and a count is one store together with the place of the word that was counted last, so a word
 * is never counted twice. */
#include <cairn/persist.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUCKETS = 1 << 14, WORD_MAX = 40 };

struct entry {
    struct entry *next;
    uint64_t seen; /* how often << 40 | place of the last one + 1 */
    uint32_t length;
    char word[WORD_MAX];
};

struct index {
    struct entry *buckets[BUCKETS];
    uint64_t place; /* words before this one are counted */
};

static void fail(const char *what)
{
    fprintf(stderr, "demo-index: %s: %s\n", what, cairn_errormsg());
    exit(1);
}

static size_t bucket_of(const char *word, size_t length)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)word[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash >> 50;
}

static void store(uint64_t *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

static struct entry *find(cairn_pool *pool, struct index *index, const char *word, size_t length)
{
    struct entry **slot = &index->buckets[bucket_of(word, length)];
    for (; *slot != NULL; slot = &(*slot)->next) {
        struct entry *entry = *slot;
        if (entry->length == length && memcmp(entry->word, word, length) == 0)
            return entry;
        if (entry->length == 0)
            break; /* a kill came before the word was complete */
    }
    if (*slot == NULL && cairn_pool_calloc_to(pool, sizeof **slot, 1, (void **)slot) == NULL)
        fail("the pool is full");
    memcpy((*slot)->word, word, length);
    __atomic_store_n(&(*slot)->length, (uint32_t)length, __ATOMIC_RELEASE);
    return *slot;
}

static void count_words(cairn_pool *pool, struct index *index, FILE *text)
{
    char word[WORD_MAX];
    size_t length = 0;
    uint64_t place = 0;
    for (int c; (c = getc(text)) != EOF || length > 0;) {
        if (c != EOF && isalpha(c)) {
            if (length < WORD_MAX)
                word[length++] = (char)tolower(c);
            continue;
        }
        if (length > 0 && place++ >= index->place) {
            struct entry *entry = find(pool, index, word, length);
            if ((entry->seen & ((UINT64_C(1) << 40) - 1)) < place)
                store(&entry->seen, ((entry->seen >> 40) + 1) << 40 | place);
            store(&index->place, place);
        }
        length = 0;
        if (c == EOF)
            break;
    }
}

static int by_count(const void *a, const void *b)
{
    const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
    uint64_t p = x->seen >> 40, q = y->seen >> 40;
    return p != q ? (p < q) - (p > q) : strcmp(x->word, y->word);
}

static void print_top(const struct index *index, size_t wanted)
{
    size_t count = 0;
    struct entry **all = calloc(1 << 20, sizeof *all);
    for (size_t i = 0; all != NULL && i < BUCKETS; i++)
        for (struct entry *entry = index->buckets[i]; entry != NULL && count < 1 << 20; entry = entry->next)
            all[count++] = entry;
    if (all == NULL)
        fail("memory");
    qsort(all, count, sizeof *all, by_count);
    printf("words %zu\n", count);
    for (size_t i = 0; i < wanted && i < count; i++)
        printf("%.*s %llu\n", (int)all[i]->length, all[i]->word, (unsigned long long)(all[i]->seen >> 40));
    free(all);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    double start = now();
    cairn_recovery found = {.struct_size = sizeof found};
    cairn_pool *pool = cairn_pool_open(argv[1], NULL);
    if (pool == NULL || cairn_pool_recovery(pool, &found) != 0)
        fail(argv[1]);
    double opened = now();
    struct index *index = cairn_pool_root(pool);
    if (index == NULL && (index = cairn_pool_calloc_to(pool, 1, sizeof *index, NULL)) == NULL)
        fail("the pool is full");
    fprintf(stderr, "opened in %.2f ms, %s, %llu words counted before\n", opened - start,
            found.found == CAIRN_WAS_CLOSED ? "closed properly" : "its process was killed: recovered",
            (unsigned long long)index->place);
    if (argc == 4) {
        print_top(index, strtoul(argv[3], NULL, 10));
    } else {
        FILE *text = fopen(argv[2], "r");
        if (text == NULL)
            fail(argv[2]);
        count_words(pool, index, text);
        fclose(text);
    }
    if (cairn_pool_close(pool) != 0)
        fail("close");
    return 0;
}
