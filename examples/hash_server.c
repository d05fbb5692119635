/* hash_server.c - a map that is served on a Unix socket, kept in a file, and does not mind being killed.
 *
 *     hash_server FILE SOCKET
 *
 * One request in a line, one answer in a line:
 *     set KEY VALUE     ok
 *     get KEY           =VALUE, or none
 *     del KEY           ok, or none
 *     count             how many keys there are
 * What was answered with ok is there after kill -9 at any moment; a set that was not answered yet is there as a whole or
 * not at all; and nothing leaks, however often it is killed.  Start it again, and it goes on.
 *
 * How: a pair is made in two steps that a kill cannot tear.  cairn_pool_malloc_to stores the new block into the
 * slot `draft` of the map and marks it live at once; it is filled there; then one store of a pointer links it into its
 * bucket.  What a killed process left in `draft` is freed at the start, unless it was linked already.
 */
#include <cairn/persist.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUCKETS 4096
#define LINE 4096
#define LAYOUT "example hash server 1"

struct pair {
    struct pair *next;
    char *value; /* behind the key */
    char key[];
};

struct map {
    void *draft;   /* a pair that is being made */
    void *dropped; /* a pair that was taken out and is to be freed */
    struct pair *buckets[BUCKETS];
};

static cairn_pool *pool;
static struct map *map;

/* The compiler may not move stores over this; a kill stops the thread between two of them, so no more is needed. */
static void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct pair **find(const char *key)
{
    unsigned hash = 5381;
    for (const char *c = key; *c != '\0'; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct pair **at = &map->buckets[hash % BUCKETS];
    while (*at != NULL && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static int is_linked(const struct pair *pair)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct pair *at = map->buckets[i]; at != NULL; at = at->next)
            if (at == pair)
                return 1;
    return 0;
}

/* What a killed process left half done. */
static void tidy(void)
{
    void **slots[] = {&map->draft, &map->dropped};
    for (int i = 0; i < 2; i++) {
        if (*slots[i] != NULL && is_linked(*slots[i]))
            *slots[i] = NULL;
        cairn_pool_free_from(pool, slots[i]);
    }
}

static const char *set(const char *key, const char *value)
{
    size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
    struct pair *pair = cairn_pool_malloc_to(pool, sizeof *pair + key_size + value_size, &map->draft);
    if (pair == NULL)
        return cairn_errormsg();
    struct pair **at = find(key), *old = *at;
    memcpy(pair->key, key, key_size);
    pair->value = memcpy(pair->key + key_size, value, value_size);
    pair->next = old != NULL ? old->next : NULL;
    map->dropped = old;
    in_order();
    *at = pair; /* from here on it is so */
    in_order();
    map->draft = NULL;
    cairn_pool_free_from(pool, &map->dropped);
    return "ok";
}

static const char *del(const char *key)
{
    struct pair **at = find(key);
    if (*at == NULL)
        return "none";
    map->dropped = *at;
    in_order();
    *at = (*at)->next;
    in_order();
    cairn_pool_free_from(pool, &map->dropped);
    return "ok";
}

static size_t count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        for (const struct pair *at = map->buckets[i]; at != NULL; at = at->next)
            n++;
    return n;
}

static void answer(FILE *out, char *line)
{
    char *command = strtok(line, " \n"), *key = strtok(NULL, " \n"), *value = strtok(NULL, "\n");
    if (command != NULL && strcmp(command, "count") == 0)
        fprintf(out, "%zu\n", count());
    else if (command != NULL && strcmp(command, "set") == 0 && key != NULL && value != NULL)
        fprintf(out, "%s\n", set(key, value));
    else if (command != NULL && strcmp(command, "del") == 0 && key != NULL)
        fprintf(out, "%s\n", del(key));
    else if (command != NULL && strcmp(command, "get") == 0 && key != NULL)
        fprintf(out, *find(key) != NULL ? "=%s\n" : "none\n", *find(key) != NULL ? (*find(key))->value : "");
    else
        fprintf(out, "not understood\n");
    fflush(out);
}

static void open_map(const char *path)
{
    cairn_file_config config = {.struct_size = sizeof config, .layout = LAYOUT};
    pool = cairn_pool_open(path, &config);
    if (pool == NULL && errno == ENOENT) {
        config.size = (size_t)16 << 20;
        pool = cairn_pool_create_at(path, &config);
    }
    if (pool == NULL) {
        fprintf(stderr, "hash_server: %s\n", cairn_errormsg());
        exit(1);
    }
    if (cairn_pool_root(pool) == NULL && cairn_pool_calloc_to(pool, 1, sizeof *map, NULL) == NULL) {
        fprintf(stderr, "hash_server: %s\n", cairn_errormsg());
        exit(1);
    }
    map = cairn_pool_root(pool);
    tidy();
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof address.sun_path || fd < 0)
        return -1;
    strcpy(address.sun_path, path);
    (void)unlink(path);
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 16) == 0 ? fd : -1;
}

int main(int argc, char **argv)
{
    static char line[LINE];
    if (argc != 3) {
        fprintf(stderr, "usage: hash_server FILE SOCKET\n");
        return 2;
    }
    open_map(argv[1]);
    int server = listen_at(argv[2]), client;
    if (server < 0) {
        perror(argv[2]);
        return 1;
    }
    while ((client = accept(server, NULL, NULL)) >= 0) {
        FILE *in = fdopen(client, "r"), *out = fdopen(dup(client), "w");
        while (in != NULL && out != NULL && fgets(line, sizeof line, in) != NULL)
            answer(out, line);
        if (in != NULL)
            fclose(in);
        if (out != NULL)
            fclose(out);
    }
    return 1;
}
