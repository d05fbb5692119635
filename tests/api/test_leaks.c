/* test_leaks.c - blocks of a pool in a file that no root leads to: found by every way of pointing, reported, freed. */
#include "api.h"

#include <cairn/persist.h>

static char path[160];

static cairn_pool *make(unsigned flags)
{
    cairn_file_config config = {.struct_size = sizeof config, .size = 32 * MIB, .flags = flags};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    return pool;
}

static void *block(cairn_pool *pool, size_t size)
{
    void *made = cairn_pool_calloc(pool, 1, size);
    CHECK(made != NULL);
    return made;
}

static cairn_leaks find(cairn_pool *pool, const cairn_leaks_config *config)
{
    cairn_leaks leaks = {.struct_size = sizeof leaks};
    CHECKF(cairn_pool_leaks(pool, config, &leaks) == 0, "%s", cairn_errormsg());
    return leaks;
}

static void expect(cairn_pool *pool, uint64_t reached, uint64_t leaked)
{
    cairn_leaks leaks = find(pool, NULL);
    CHECK_EQ(leaks.reached_blocks, reached);
    CHECK_EQ(leaks.leaked_blocks, leaked);
    CHECK_EQ(leaks.freed_blocks, 0);
}

static void test_ways_of_pointing(void **state)
{
    (void)state;
    cairn_pool *pool = make(0);
    expect(pool, 0, 0);
    void **root = block(pool, 64);
    expect(pool, 0, 1);
    CHECK(cairn_pool_set_root(pool, root) == 0);
    expect(pool, 1, 0);
    char *small = block(pool, 100), *large = block(pool, 100000), *huge = block(pool, 5 * MIB);
    expect(pool, 1, 3);
    root[0] = small;
    root[3] = large + 60000; /* inside */
    *(void **)(large + 80000) = huge + 5 * MIB - 1;
    expect(pool, 4, 0);
    *(void **)(small + 17 - 1) = block(pool, 8); /* aligned to 8 */
    expect(pool, 5, 0);
    char *unaligned = block(pool, 48);
    memcpy(small + 33, &unaligned, sizeof unaligned);
    expect(pool, 5, 1);
    char *named = block(pool, 200);
    CHECK(cairn_pool_set_named_root(pool, "more", named) == 0);
    expect(pool, 6, 1);
    *(void **)named = named; /* itself */
    CHECK(cairn_pool_set_named_root(pool, "more", NULL) == 0);
    expect(pool, 5, 2);
    CHECK(cairn_pool_close(pool) == 0);
    pool = cairn_pool_open(path, NULL);
    CHECK(pool != NULL);
    expect(pool, 5, 2);
    CHECK(cairn_pool_close(pool) == 0);
}

/* More than any stack of its own has room for: a chain through memory backwards and forwards, and a broad table. */
static void test_deep_and_broad(void **state)
{
    (void)state;
    enum { CHAIN = 100000, TABLE = 60000 };
    cairn_pool *pool = make(0);
    void **chain = check_table(CHAIN * sizeof *chain);
    uint64_t dice = check_seed();
    for (size_t i = 0; i < CHAIN; i++)
        chain[i] = block(pool, 16);
    for (size_t i = CHAIN - 1; i > 0; i--) {
        size_t k = check_below(&dice, i + 1);
        void *swap = chain[i];
        chain[i] = chain[k];
        chain[k] = swap;
    }
    for (size_t i = 0; i + 1 < CHAIN; i++)
        *(void **)chain[i] = chain[i + 1];
    void **table = block(pool, TABLE * sizeof *table);
    for (size_t i = 0; i < TABLE; i++) {
        table[i] = block(pool, 32);
        if (i % 3 == 0)
            *(void **)table[i] = block(pool, 48);
    }
    table[0] = chain[0];
    CHECK(cairn_pool_set_root(pool, table) == 0);
    expect(pool, 1 + CHAIN + TABLE - 1 + TABLE / 3 - 1, 2);
    *(void **)chain[CHAIN / 2] = NULL;
    expect(pool, 1 + CHAIN / 2 + 1 + TABLE - 1 + TABLE / 3 - 1, 2 + CHAIN - CHAIN / 2 - 1);
    CHECK(munmap(chain, CHAIN * sizeof *chain) == 0);
    CHECK(cairn_pool_close(pool) == 0);
}

static int free_small(void *leaked, size_t size, void *context)
{
    (void)leaked;
    ++*(uint64_t *)context;
    return size < 1000;
}

static void test_freeing(void **state)
{
    (void)state;
    uint64_t seen = 0;
    cairn_leaks_config config = {.struct_size = sizeof config, .visit = free_small, .visit_context = &seen};
    cairn_pool *pool = make(0);
    void **root = block(pool, 800);
    CHECK(cairn_pool_set_root(pool, root) == 0);
    for (size_t i = 0; i < 100; i++)
        root[i] = block(pool, 24);
    for (size_t i = 0; i < 1000; i++)
        (void)block(pool, 24 + i % 500);
    for (size_t i = 0; i < 10; i++)
        (void)block(pool, 50000);
    cairn_leaks leaks = find(pool, &config);
    CHECK_EQ(seen, 1010);
    CHECK_EQ(leaks.leaked_blocks, 1010);
    CHECK_EQ(leaks.freed_blocks, 1000);
    CHECK_EQ(leaks.reached_blocks, 101);
    CHECK(leaks.freed_bytes < leaks.leaked_bytes && leaks.leaked_bytes - leaks.freed_bytes >= 500000);
    expect(pool, 101, 10);
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    CHECK_EQ(stats.live_blocks, 111);
    CHECK(cairn_pool_check(pool) == 0);
    CHECK(cairn_pool_close(pool) == 0);
}

/* Two words: a number that looks like a pointer, and a pointer that looks like a number. */
struct typed {
    uintptr_t number;
    uintptr_t hidden; /* ~address */
};

static void trace_typed(cairn_tracer *tracer, const void *traced, size_t size, void *context)
{
    const struct typed *typed = traced;
    (void)size;
    ++*(uint64_t *)context;
    if (typed->hidden != 0)
        cairn_trace_to(tracer, (void *)~typed->hidden);
    cairn_trace_to(tracer, NULL);
}

static void test_exact(void **state)
{
    (void)state;
    uint64_t traced = 0;
    cairn_leaks_config config = {
        .struct_size = sizeof config, .trace = trace_typed, .trace_context = &traced};
    cairn_pool *pool = make(0);
    struct typed *root = block(pool, sizeof *root), *a = block(pool, sizeof *a), *b = block(pool, sizeof *b);
    CHECK(cairn_pool_set_root(pool, root) == 0);
    root->number = (uintptr_t)a;
    root->hidden = ~(uintptr_t)b;
    cairn_leaks leaks = find(pool, &config);
    CHECK_EQ(leaks.reached_blocks, 2);
    CHECK_EQ(leaks.leaked_blocks, 1);
    CHECK_EQ(traced, 2);
    leaks = find(pool, NULL);
    CHECK_EQ(leaks.leaked_blocks, 1); /* the other one */
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_relocatable(void **state)
{
    (void)state;
    cairn_pool *pool = make(CAIRN_FILE_RELOCATABLE);
    cairn_ptr *root = block(pool, 64), *next = block(pool, 640);
    CHECK(cairn_pool_set_root(pool, root) == 0);
    expect(pool, 1, 1);
    cairn_ptr_set(&root[2], next);
    cairn_ptr_set(&next[70], block(pool, 300000));
    cairn_ptr_set(&next[71], root); /* backwards */
    expect(pool, 3, 0);
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_wrong_use(void **state)
{
    (void)state;
    cairn_leaks leaks = {.struct_size = 0};
    cairn_pool *pool = make(0);
    (void)block(pool, 40);
    CHECK(cairn_pool_leaks(pool, NULL, &leaks) == -1 && errno == EINVAL);
    CHECK(cairn_pool_close(pool) == 0);
    uint64_t seen = 0;
    cairn_leaks_config config = {.struct_size = sizeof config, .visit = free_small, .visit_context = &seen};
    cairn_file_config reading = {.struct_size = sizeof reading, .flags = CAIRN_FILE_READ_ONLY};
    pool = cairn_pool_open(path, &reading);
    CHECK(pool != NULL);
    leaks.struct_size = sizeof leaks;
    CHECK(cairn_pool_leaks(pool, &config, &leaks) == -1 && errno == EROFS);
    expect(pool, 0, 1);
    CHECK(cairn_pool_close(pool) == 0);
}

struct told {
    unsigned count;
    uint64_t last, all;
};

static void note_progress(uint64_t done, uint64_t all, void *context)
{
    struct told *told = context;
    CHECK(done >= told->last && all > 0 && (told->count == 0 || all == told->all));
    *told = (struct told){told->count + 1, done, all};
}

/* A search for leaks and a check say how far they are: again and again, nearly to the end, never back. */
static void test_progress(void **state)
{
    (void)state;
    struct told searched = {0}, checked = {0};
    cairn_pool *pool = make(0);
    void **last = NULL;
    for (int i = 0; i < 5000; i++) {
        void **next = block(pool, 4000);
        *next = last;
        last = next;
    }
    CHECK(cairn_pool_set_root(pool, last) == 0);
    cairn_leaks_config config = {
        .struct_size = sizeof config, .progress = note_progress, .progress_context = &searched};
    CHECK_EQ(find(pool, &config).reached_blocks, 5000);
    CHECKF(searched.count > 100 && searched.count < 1000 && searched.last > searched.all / 100 * 98,
           "told %u times, last %llu of %llu", searched.count, (unsigned long long)searched.last,
           (unsigned long long)searched.all);
    CHECK(cairn_pool_close(pool) == 0);
    cairn_file_check check = {
        .struct_size = sizeof check, .progress = note_progress, .progress_context = &checked};
    CHECK(cairn_pool_check_file(path, NULL, &check) == 1 && check.blocks == 5000);
    CHECKF(checked.count > 100 && checked.count < 1000 && checked.last > checked.all / 100 * 98,
           "told %u times, last %llu of %llu", checked.count, (unsigned long long)checked.last,
           (unsigned long long)checked.all);
}

static int tidy(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/leaks.%d", base != NULL && strlen(base) < 100 ? base : "/tmp",
                   (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_ways_of_pointing, tidy),
        cmocka_unit_test_teardown(test_deep_and_broad, tidy),
        cmocka_unit_test_teardown(test_freeing, tidy),
        cmocka_unit_test_teardown(test_exact, tidy),
        cmocka_unit_test_teardown(test_relocatable, tidy),
        cmocka_unit_test_teardown(test_wrong_use, tidy),
        cmocka_unit_test_teardown(test_progress, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
