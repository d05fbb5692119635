/* A program that handles errors, with each of its allocations failing in turn: it always ends in an error that it reports, with
 * nothing leaked, nothing freed twice, and the heap in order; and what it leaves works the next time. */
#include "api.h"

#include <cairn/tools.h>

#include <stdlib.h>

/* ---- The program: a dictionary with its index, by every call that allocates ---------------------- */

struct entry {
    struct entry *next;
    char *key, *value;
    double *samples; /* aligned to 64 */
};

struct dictionary {
    struct entry **buckets;
    struct entry **order; /* grows */
    size_t count, room;
};

enum { BUCKETS = 61 };

static size_t bucket_of(const char *key)
{
    size_t h = 7;
    for (; *key != 0; key++)
        h = h * 31 + (unsigned char)*key;
    return h % BUCKETS;
}

static void entry_drop(struct entry *entry)
{
    if (entry == NULL)
        return;
    cairn_free_here(entry->key);
    cairn_free_here(entry->value);
    cairn_free_here(entry->samples);
    cairn_free_here(entry);
}

static struct entry *entry_make(const char *key, const char *value, size_t samples)
{
    struct entry *entry = cairn_calloc_here(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->key = cairn_strdup_here(key);
    entry->value = cairn_strndup_here(value, 20);
    entry->samples = cairn_aligned_alloc_here(64, samples * sizeof(double));
    if (entry->key == NULL || entry->value == NULL || entry->samples == NULL) {
        entry_drop(entry);
        return NULL;
    }
    for (size_t i = 0; i < samples; i++)
        entry->samples[i] = (double)i;
    return entry;
}

static void dictionary_drop(struct dictionary *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++)
        entry_drop(d->order[i]);
    cairn_free_here(d->order);
    cairn_free_here(d->buckets);
    cairn_free_here(d);
}

static struct dictionary *dictionary_make(void)
{
    struct dictionary *d = cairn_calloc_here(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->buckets = cairn_calloc_here(BUCKETS, sizeof *d->buckets);
    if (d->buckets == NULL) {
        dictionary_drop(d);
        return NULL;
    }
    return d;
}

static int dictionary_add(struct dictionary *d, const char *key, const char *value, size_t samples)
{
    if (d->count == d->room) {
        size_t room = d->room + d->room / 2 + 2;
        struct entry **order = cairn_reallocarray_here(d->order, room, sizeof *order);
        if (order == NULL)
            return -1;
        d->order = order;
        d->room = room;
    }
    struct entry *entry = entry_make(key, value, samples);
    if (entry == NULL)
        return -1;
    entry->next = d->buckets[bucket_of(key)];
    d->buckets[bucket_of(key)] = entry;
    d->order[d->count++] = entry;
    return 0;
}

/* The value that `key` has, grown by `more`. */
static int dictionary_append(struct dictionary *d, const char *key, const char *more)
{
    struct entry *entry = d->buckets[bucket_of(key)];
    while (entry != NULL && strcmp(entry->key, key) != 0)
        entry = entry->next;
    CHECK(entry != NULL);
    size_t size = strlen(entry->value) + strlen(more) + 1;
    char *value = cairn_realloc_here(entry->value, size);
    if (value == NULL)
        return -1;
    entry->value = value;
    strcat(value, more);
    return 0;
}

/* 0 and *sum, or -1 when an allocation failed. */
static int program(unsigned long *sum)
{
    char key[32], more[3000];
    memset(more, 'm', sizeof more - 1);
    more[sizeof more - 1] = 0;
    struct dictionary *d = dictionary_make();
    int status = d != NULL ? 0 : -1;
    for (int i = 0; i < 40 && status == 0; i++) {
        snprintf(key, sizeof key, "key %d", i);
        status = dictionary_add(d, key, "some value that is longer than twenty", (size_t)i * i);
    }
    for (int i = 0; i < 40 && status == 0; i += 3) {
        snprintf(key, sizeof key, "key %d", i);
        status = dictionary_append(d, key, more);
    }
    void *scratch = status == 0 ? cairn_malloc_here(200000) : NULL;
    if (scratch == NULL)
        status = -1;
    *sum = 0;
    for (size_t i = 0; status == 0 && i < d->count; i++)
        *sum = *sum * 31 + strlen(d->order[i]->value) +
               (unsigned long)d->order[i]->samples[i > 0 ? i * i - 1 : 0] * (i > 0);
    cairn_free_here(scratch);
    dictionary_drop(d);
    return status;
}

/* ---- Each in turn -------------------------------------------------------------------------------- */

static int none_may_be(const cairn_leak *leak, void *context)
{
    (void)context;
    check_fail(leak->file, leak->line, "leaked", "%llu blocks, %llu bytes", (unsigned long long)leak->blocks,
               (unsigned long long)leak->bytes);
    return 1;
}

/* Runs the program with allocation number `nth` failing; how many it made. */
static uint64_t run(uint64_t nth, unsigned long right)
{
    cairn_stats before = stats_checked();
    cairn_faults_config config = {.struct_size = sizeof config, .flags = CAIRN_TOOL_QUIET, .nth = nth};
    cairn_tool *faults = cairn_faults_start(&config), *leaks = cairn_leaks_start(NULL);
    CHECK(faults != NULL && leaks != NULL);
    unsigned long sum;
    uint64_t failed;
    errno = 0;
    int status = program(&sum);
    uint64_t calls = cairn_faults_count(faults, &failed);
    CHECKF((status != 0) == (failed == 1), "allocation %llu: status %d, %llu failures",
           (unsigned long long)nth, status, (unsigned long long)failed);
    if (status == 0)
        CHECK_EQ(sum, right);
    else
        CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "fault injector") != NULL);
    CHECK(cairn_leaks_visit(leaks, none_may_be, NULL) == 0);
    CHECK(cairn_tool_stop(leaks) == 0 && cairn_tool_stop(faults) == 0);
    cairn_stats after = stats_checked();
    CHECK_EQ(after.live_blocks, before.live_blocks);
    CHECK_EQ(after.live, before.live);
    return calls;
}

static void all_in_turn(unsigned long right)
{
    uint64_t count = run(0, right), nth = 1;
    CHECK(count > 150);
    while (run(nth, right) >= nth)
        nth++;
    CHECK_EQ(nth, count + 1); /* the first run in which none was left to fail */
}

static void every_allocation_fails_cleanly(void **state)
{
    (void)state;
    unsigned long right;
    CHECK(program(&right) == 0);
    all_in_turn(right);
}

/* The same over pools of each kind: their own failures are clean, too. */
static void every_allocation_fails_cleanly_over_a_pool(void **state)
{
    (void)state;
    static const cairn_pool_config configs[] = {
        {.struct_size = sizeof(cairn_pool_config)},
        {.struct_size = sizeof(cairn_pool_config), .flags = CAIRN_POOL_MARKS},
        {.struct_size = sizeof(cairn_pool_config), .pool_class = CAIRN_FIT},
        {.struct_size = sizeof(cairn_pool_config), .flags = CAIRN_POOL_GUARD},
    };
    unsigned long right;
    CHECK(program(&right) == 0);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        cairn_pool *pool = cairn_pool_create(&configs[i]);
        CHECK(pool != NULL);
        cairn_interface target = cairn_interface_of_pool(pool);
        cairn_hook *hook = cairn_hook_push(&target);
        all_in_turn(right);
        cairn_stats stats = {.struct_size = sizeof stats};
        CHECK(cairn_pool_stats(pool, &stats) == 0 && stats.live_blocks == 0 && stats.allocations > 1000);
        CHECK(cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0);
        cairn_pool_destroy(pool);
    }
}

/* A pool that gets full at every point, by its limit and not by the injector. */
static void a_full_pool_fails_cleanly(void **state)
{
    (void)state;
    unsigned long sum;
    int ok = 0, full = 0;
    for (size_t limit = 96 << 10; limit < 4 << 20; limit += limit / 6) {
        cairn_pool_config config = {.struct_size = sizeof config, .limit = limit};
        cairn_pool *pool = cairn_pool_create(&config);
        CHECK(pool != NULL);
        cairn_interface target = cairn_interface_of_pool(pool);
        cairn_hook *hook = cairn_hook_set(&target);
        cairn_tool *leaks = cairn_leaks_start(NULL);
        if (program(&sum) == 0)
            ok++;
        else
            full++;
        CHECK(cairn_leaks_visit(leaks, none_may_be, NULL) == 0);
        CHECK(cairn_tool_stop(leaks) == 0);
        CHECK(cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0);
        cairn_stats stats = {.struct_size = sizeof stats};
        CHECK(cairn_pool_stats(pool, &stats) == 0 && stats.live_blocks == 0);
        cairn_pool_destroy(pool);
    }
    CHECKF(ok > 0 && full > 0, "%d runs went well, %d found the pool full", ok, full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails_cleanly),
        cmocka_unit_test(every_allocation_fails_cleanly_over_a_pool),
        cmocka_unit_test(a_full_pool_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
