/* word_index.c - an index of the words in text files that is built once, and then opened in milliseconds.
 *
 *     word_index INDEX FILE...      builds it
 *     word_index INDEX              how many words there are
 *     word_index INDEX -WORD        where the word stands: file and line
 *
 * The index is a hash table in a pool in a file.  The program keeps plain pointers in it: the pool opens where it was made.
 * Opening reads no word; the pages that a question touches come in when they are touched.
 */
#include <cairn/persist.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 65536
#define LAYOUT "example word index 1"

struct place {
    struct place *next;
    const char *file;
    unsigned line;
};

struct word {
    struct word *next;
    struct place *places; /* the last one first */
    size_t count;
    char text[];
};

struct index {
    size_t words, places;
    struct word *buckets[BUCKETS];
};

static void *must(void *block)
{
    if (block == NULL) {
        fprintf(stderr, "word_index: %s\n", cairn_errormsg());
        exit(1);
    }
    return block;
}

static struct word **find(struct index *index, const char *text)
{
    unsigned hash = 5381;
    for (const char *c = text; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct word **at = &index->buckets[hash % BUCKETS];
    while (*at != NULL && strcmp((*at)->text, text) != 0)
        at = &(*at)->next;
    return at;
}

static void add(cairn_pool *pool, struct index *index, const char *text, const char *file, unsigned line)
{
    struct word **at = find(index, text);
    if (*at == NULL) {
        *at = must(cairn_pool_calloc(pool, 1, sizeof **at + strlen(text) + 1));
        strcpy((*at)->text, text);
        index->words++;
    }
    struct place *place = must(cairn_pool_malloc(pool, sizeof *place));
    *place = (struct place){(*at)->places, file, line};
    (*at)->places = place;
    (*at)->count++;
    index->places++;
}

static void add_file(cairn_pool *pool, struct index *index, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    const char *name = must(cairn_pool_strdup(pool, path));
    char word[100];
    size_t length = 0;
    unsigned line = 1;
    for (int c = getc(file);; c = getc(file)) {
        if (c != EOF && isalpha(c) && length + 1 < sizeof word) {
            word[length++] = (char)tolower(c);
            continue;
        }
        word[length] = '\0';
        if (length > 0)
            add(pool, index, word, name, line);
        length = 0;
        line += c == '\n';
        if (c == EOF)
            break;
    }
    fclose(file);
}

/* Built beside, and given its name when it is whole: who dies on the way leaves no index, not half of one. */
static int build(const char *path, char **files)
{
    char beside[4096];
    snprintf(beside, sizeof beside, "%s.new", path);
    (void)unlink(beside);
    cairn_file_config config = {.struct_size = sizeof config, .size = (size_t)64 << 20, .layout = LAYOUT};
    cairn_pool *pool = must(cairn_pool_create_at(beside, &config));
    struct index *index = must(cairn_pool_calloc(pool, 1, sizeof *index));
    for (; *files != NULL; files++)
        add_file(pool, index, *files);
    cairn_pool_set_root(pool, index);
    printf("%zu words in %zu places\n", index->words, index->places);
    if (cairn_pool_close(pool) != 0) {
        fprintf(stderr, "word_index: %s\n", cairn_errormsg());
        return 1;
    }
    return rename(beside, path) == 0 ? 0 : 1;
}

static int ask(const char *path, const char *word)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cairn_file_config config = {
        .struct_size = sizeof config, .flags = CAIRN_FILE_READ_ONLY, .layout = LAYOUT};
    cairn_pool *pool = must(cairn_pool_open(path, &config));
    clock_gettime(CLOCK_MONOTONIC, &end);
    fprintf(stderr, "opened in %.3f ms\n",
            (double)(end.tv_sec - begin.tv_sec) * 1e3 + (double)(end.tv_nsec - begin.tv_nsec) / 1e6);
    struct index *index = cairn_pool_root(pool);
    if (word == NULL) {
        printf("%zu words in %zu places\n", index->words, index->places);
    } else {
        const struct word *found = *find(index, word);
        printf("%s: %zu times\n", word, found != NULL ? found->count : 0);
        size_t shown = 0;
        for (const struct place *p = found != NULL ? found->places : NULL; p != NULL && shown < 5;
             p = p->next, shown++)
            printf("  %s:%u\n", p->file, p->line);
    }
    return cairn_pool_close(pool);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: word_index INDEX [FILE... | -WORD]\n");
        return 2;
    }
    if (argc > 2 && argv[2][0] != '-')
        return build(argv[1], argv + 2);
    return ask(argv[1], argc > 2 ? argv[2] + 1 : NULL);
}
