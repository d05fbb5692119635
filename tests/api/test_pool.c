// timeout: 60
/* test_pool.c - slab pools through <cairn/pool.h>: life, blocks, limits, pressure, walking, checking, fork.
 * The other classes have files of their own; test_pool_sources.c has the memory that pools sit in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check.h"
#include <cairn/pool.h>

#define CONFIG(...) (&(cairn_pool_config){.struct_size = sizeof(cairn_pool_config), __VA_ARGS__})

static const unsigned variants[] = {0, CAIRN_POOL_MARKS, CAIRN_POOL_ZERO, CAIRN_POOL_MARKS | CAIRN_POOL_ZERO,
                                    CAIRN_POOL_GUARD};
#define FOR_VARIANTS(flags)                                                                                  \
    for (size_t v_ = 0, flags = variants[0]; v_ < sizeof variants / sizeof *variants;                        \
         flags = ++v_ < sizeof variants / sizeof *variants ? variants[v_] : 0)

static cairn_stats stats_of(cairn_pool *pool)
{
    cairn_stats s = {.struct_size = sizeof s};
    CHECK(cairn_pool_stats(pool, &s) == 0);
    CHECK_EQ(s.live + s.cached + s.free + s.metadata, s.committed);
    CHECK_EQ(s.allocations - s.frees, s.live_blocks);
    return s;
}

static void a_default_pool_serves_every_call(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    CHECK(pool != NULL && cairn_pool_class_of(pool) == CAIRN_SLAB && strcmp(cairn_pool_name(pool), "") == 0);
    char *a = cairn_pool_malloc(pool, 100);
    CHECK(a != NULL && cairn_pool_usable_size(pool, a) >= 100 && ((uintptr_t)a & 15) == 0);
    check_fill(a, 100, 1);
    char *zero = cairn_pool_calloc(pool, 1000, 40);
    for (size_t i = 0; i < 40000; i++)
        CHECK(zero[i] == 0);
    a = cairn_pool_realloc(pool, a, 100000);
    CHECK_FILLED(a, 100, 1);
    a = cairn_pool_realloc(pool, a, 50);
    CHECK_FILLED(a, 50, 1);
    for (size_t align = 1; align <= 1 << 20; align *= 2) {
        void *p = cairn_pool_aligned_alloc(pool, align, 77);
        CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0);
        cairn_pool_free(pool, p);
    }
    char *s = cairn_pool_strdup(pool, "stone"), *n = cairn_pool_strndup(pool, "stone", 3);
    CHECK(strcmp(s, "stone") == 0 && strcmp(n, "sto") == 0);
    void *empty = cairn_pool_malloc(pool, 0), *empty2 = cairn_pool_malloc(pool, 0);
    CHECK(empty != NULL && empty2 != NULL && empty != empty2);
    void *least = cairn_pool_realloc(pool, empty, 0);
    CHECK(least != NULL);
    CHECK_EQ(stats_of(pool).live_blocks, 6);
    cairn_pool_free(pool, NULL);
    cairn_pool_free_sized(pool, s, 6);
    cairn_pool_free(pool, a);
    cairn_pool_free(pool, zero);
    cairn_pool_free(pool, n);
    cairn_pool_free(pool, least);
    cairn_pool_free(pool, empty2);
    CHECK_EQ(stats_of(pool).live_blocks, 0);
    CHECK(cairn_pool_check(pool) == 0);
    cairn_pool_destroy(pool);
    cairn_pool_destroy(NULL);
}

static void a_wrong_config_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        cairn_pool_config config;
        const char *field;
    } cases[] = {
        {{.struct_size = 4}, "struct_size"},
        {{.pool_class = (cairn_pool_class)17}, "pool_class"},
        {{.flags = 1u << 30}, "flags"},
        {{.alignment = 24}, "alignment"},
        {{.alignment = 8192}, "alignment"},
        {{.alignment = 8}, "alignment"},
        {{.limit = 1 << 20, .limit_soft = 2 << 20}, "limit_soft"},
        {{.buffer_size = 10}, "buffer"},
        {{.flags = CAIRN_POOL_OUTSIDE}, "flags"},
        {{.flags = CAIRN_POOL_SIZED}, "flags"},
        {{.flags = CAIRN_POOL_GUARD | CAIRN_POOL_MARKS}, "flags"},
        {{.spare = 2}, "spare"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cairn_pool_config config = cases[i].config;
        if (config.struct_size == 0)
            config.struct_size = sizeof config;
        errno = 0;
        CHECK(cairn_pool_create(&config) == NULL && errno == EINVAL);
        CHECKF(strstr(cairn_errormsg(), cases[i].field) != NULL, "case %zu: %s", i, cairn_errormsg());
    }
    /* A caller built with an older header knows fewer fields. */
    cairn_pool_config old = {.struct_size = offsetof(cairn_pool_config, source), .buffer_size = 99};
    cairn_pool *pool = cairn_pool_create(&old);
    CHECK(pool != NULL);
    cairn_pool_destroy(pool);
}

static void impossible_requests_fail(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    errno = 0;
    CHECK(cairn_pool_malloc(pool, check_opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(cairn_pool_calloc(pool, check_opaque_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(cairn_pool_aligned_alloc(pool, check_opaque_size(48), 10) == NULL && errno == EINVAL);
    char *p = cairn_pool_malloc(pool, 10);
    strcpy(p, "kept");
    errno = 0;
    CHECK(cairn_pool_realloc(pool, p, check_opaque_size((size_t)PTRDIFF_MAX + 1)) == NULL && errno == ENOMEM);
    CHECK(strcmp(p, "kept") == 0);
    errno = 0;
    CHECK(cairn_pool_free_range(pool, p, 10) == -1 && errno == EINVAL);
    cairn_stats s = {.struct_size = 0};
    CHECK(cairn_pool_stats(pool, &s) == -1 && errno == EINVAL);
    cairn_pool_destroy(pool);
}

/* Every operation mirrored in a table: contents, overlap, totals, walk. */
struct block {
    char *p;
    size_t size;
    uint64_t key;
};

static int seen(void *block, size_t size, void *context)
{
    struct block *table = context;
    for (size_t i = 0; i < 300; i++)
        if (table[i].p == block) {
            CHECK(size >= table[i].size && table[i].key < UINT64_MAX / 2);
            table[i].key += UINT64_MAX / 2;
            return 0;
        }
    CHECKF(false, "%p is no live block", block);
    return 1;
}

static void compare(cairn_pool *pool, struct block *table)
{
    size_t live = 0;
    CHECK(cairn_pool_walk(pool, seen, table) == 0);
    for (size_t i = 0; i < 300; i++)
        if (table[i].p != NULL) {
            CHECKF(table[i].key >= UINT64_MAX / 2, "the walk has missed %p", (void *)table[i].p);
            table[i].key -= UINT64_MAX / 2;
            live++;
        }
    CHECK_EQ(stats_of(pool).live_blocks, live);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

static void random_operations_agree_with_a_model(void **state)
{
    (void)state;
    static struct block table[300];
    uint64_t seed = check_seed();
    FOR_VARIANTS(flags)
    {
        size_t steps = (flags & CAIRN_POOL_GUARD) != 0 ? 2000 : 40000;
        cairn_pool *pool = cairn_pool_create(CONFIG(.flags = (unsigned)flags));
        CHECK(pool != NULL);
        memset(table, 0, sizeof table);
        for (size_t step = 1; step <= steps; step++) {
            size_t i = check_below(&seed, 300);
            struct block *b = &table[i];
            size_t size = check_random_size(&seed, i < 3 ? 3 * MIB : i < 20 ? 100000 : 3000);
            CHECK_FILLED(b->p, b->size, b->key);
            switch (check_below(&seed, 4)) {
            case 0:
                b->p = cairn_pool_realloc(pool, b->p, size);
                CHECK(b->p != NULL);
                CHECK_FILLED(b->p, b->size < size ? b->size : size, b->key);
                break;
            case 1:
                (step % 2 == 0 ? cairn_free : free)(NULL);
                cairn_pool_free(pool, b->p);
                b->p = cairn_pool_calloc(pool, 1, size);
                for (size_t k = 0; k < size; k += 1 + size / 100)
                    CHECK(b->p[k] == 0);
                break;
            case 2:
                if (b->p != NULL)
                    cairn_pool_free_sized(pool, b->p, cairn_pool_usable_size(pool, b->p));
                b->p = cairn_pool_aligned_alloc(pool, (size_t)1 << check_below(&seed, 14), size);
                break;
            default:
                cairn_free(b->p);
                b->p = NULL, b->size = 0;
                continue;
            }
            CHECK(b->p != NULL && cairn_pool_of(b->p) == pool && cairn_pool_of(b->p + size / 2) == pool);
            b->size = size, b->key = step;
            check_fill(b->p, size, step);
            if (step % (steps / 5) == 0)
                compare(pool, table);
        }
        compare(pool, table);
        cairn_pool_reset(pool);
        memset(table, 0, sizeof table);
        compare(pool, table);
        CHECK(cairn_pool_malloc(pool, 10) != NULL);
        cairn_pool_destroy(pool);
    }
}

static void zeroing_pools_hand_out_zeros(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(CONFIG(.flags = CAIRN_POOL_ZERO));
    for (size_t round = 0; round < 1000; round++) {
        size_t size = 1 + round * 97 % 30000;
        char *p = round % 3 == 0 ? cairn_pool_aligned_alloc(pool, 64, size) : cairn_pool_malloc(pool, size);
        for (size_t i = 0; i < size; i++)
            CHECK(p[i] == 0);
        memset(p, 1, size);
        cairn_pool_free(pool, p);
    }
    cairn_pool_destroy(pool);
}

static void alignment_of_the_pool_is_that_of_every_block(void **state)
{
    (void)state;
    for (size_t align = 32; align <= 4096; align *= 2) {
        cairn_pool *pool = cairn_pool_create(CONFIG(.alignment = align));
        for (size_t size = 1; size < 40000; size += 331) {
            void *p = cairn_pool_malloc(pool, size);
            CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0);
            p = cairn_pool_realloc(pool, p, size * 2);
            CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0);
            if (size % 2 == 0)
                cairn_pool_free_sized(pool, p, size * 2);
        }
        cairn_pool_destroy(pool);
    }
}

static void standard_calls_take_blocks_of_pools(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(CONFIG(.name = "standard calls take any block of a pool"));
    CHECK(strcmp(cairn_pool_name(pool), "standard calls take any block of a ") < 0 ||
          strlen(cairn_pool_name(pool)) == 31);
    void *p = cairn_pool_malloc(pool, 30);
    CHECK_EQ(cairn_usable_size(p), cairn_pool_usable_size(pool, p));
    p = cairn_realloc(p, 5000);
    CHECK(cairn_pool_of(p) == pool);
    cairn_free_sized(p, 5000);
    p = cairn_pool_malloc(pool, 100000);
    p = cairn_realloc(p, 3000000);
    CHECK(cairn_pool_of(p) == pool && cairn_pool_of((char *)p + 2999999) == pool);
    cairn_free(p);
    CHECK_EQ(stats_of(pool).live_blocks, 0);
    void *q = cairn_malloc(10);
    int local;
    CHECK(cairn_pool_of(q) == NULL && cairn_pool_of(&local) == NULL && cairn_pool_of(NULL) == NULL);
    cairn_free(q);
    cairn_pool_destroy(pool);
}

/* ---- Limits -------------------------------------------------------------------------------------- */

static void a_limit_ends_in_null_and_is_left_again(void **state)
{
    (void)state;
    static void *blocks[100000];
    FOR_VARIANTS(flags)
    {
        for (size_t limit = 256 * KIB; limit <= 8 * MIB; limit *= 2) {
            cairn_pool *pool = cairn_pool_create(CONFIG(.flags = (unsigned)flags, .limit = limit));
            for (int round = 0; round < 2; round++) {
                size_t count = 0, size = round == 0 ? 1000 : 30000;
                errno = 0;
                while (count < 100000 && (blocks[count] = cairn_pool_malloc(pool, size)) != NULL)
                    count++;
                CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "limit") != NULL);
                cairn_stats s = stats_of(pool);
                CHECKF(s.committed <= limit, "%llu above %zu", (unsigned long long)s.committed, limit);
                if ((flags & CAIRN_POOL_GUARD) == 0)
                    CHECKF(s.live >= limit / 2, "only %llu of %zu", (unsigned long long)s.live, limit);
                while (count > 0)
                    cairn_pool_free(pool, blocks[--count]);
                if ((flags & CAIRN_POOL_GUARD) != 0)
                    (void)cairn_pool_trim(pool, 0);
            }
            CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0);
            void *large = cairn_pool_malloc(pool, limit * 2);
            CHECK(large != NULL);
            CHECK(cairn_pool_limit_set(pool, 10, 20) == -1 && errno == EINVAL);
            cairn_pool_destroy(pool);
        }
    }
}

struct pressure {
    void *reserve[64];
    size_t left, calls;
};

static int relieve(cairn_pool *pool, size_t wanted, void *context)
{
    struct pressure *pressure = context;
    CHECK(wanted > 0);
    pressure->calls++;
    if (pressure->left == 0)
        return 0;
    cairn_pool_free(pool, pressure->reserve[--pressure->left]);
    return 1;
}

/* Limits that were set hold after a reset, even when the empty pool is above them. */
static void limits_outlive_a_reset(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        cairn_pool *pool = cairn_pool_create(&(cairn_pool_config){.struct_size = sizeof(cairn_pool_config),
                                                                  .pool_class = (cairn_pool_class)i,
                                                                  .block_size = 1000,
                                                                  .limit = 8 << 20});
        CHECK(pool != NULL && cairn_pool_limit_set(pool, 1 << 20, SIZE_MAX) == 0);
        cairn_pool_reset(pool);
        size_t got = 0;
        while (got < 4096 && cairn_pool_malloc(pool, 1000) != NULL)
            got++;
        CHECKF(got > 100 && got < 1049, "class %d: %zu blocks within 1 MiB", (int)(cairn_pool_class)i, got);
        CHECK(cairn_pool_limit_set(pool, 1, 1) == 0);
        cairn_pool_reset(pool);
        if (i != CAIRN_STACK) /* it keeps a chunk */
            CHECK(cairn_pool_malloc(pool, 1000) == NULL && errno == ENOMEM);
        CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0);
        CHECK(cairn_pool_malloc(pool, 1000) != NULL);
        cairn_pool_destroy(pool);
    }
}

static void pressure_is_told_and_may_relieve(void **state)
{
    (void)state;
    static struct pressure pressure;
    cairn_pool *pool =
        cairn_pool_create(CONFIG(.limit = 8 * MIB, .pressure = relieve, .pressure_context = &pressure));
    for (size_t i = 0; i < 64; i++)
        pressure.reserve[i] = cairn_pool_malloc(pool, 100 * KIB);
    pressure.left = 64;
    size_t got = 0;
    while (cairn_pool_malloc(pool, 90 * KIB) != NULL)
        got++;
    CHECKF(got > 64, "%zu", got);
    CHECK(pressure.left == 0 && pressure.calls >= 65);
    cairn_pool_destroy(pool);
    pressure = (struct pressure){.left = 0};
    pool = cairn_pool_create(CONFIG(.limit_soft = MIB, .pressure = relieve, .pressure_context = &pressure));
    for (size_t i = 0; i < 100; i++)
        CHECK(cairn_pool_malloc(pool, 100 * KIB) != NULL);
    CHECK_EQ(pressure.calls, 1);
    cairn_pool_destroy(pool);
}

/* ---- Threads and processes ----------------------------------------------------------------------- */

static void *use_and_end(void *context)
{
    cairn_pool *pool = context;
    for (int i = 0; i < 100; i++)
        CHECK(cairn_pool_malloc(pool, 200) != NULL);
    void *p = cairn_pool_malloc(pool, 50);
    cairn_pool_free(pool, p);
    return p;
}

static void threads_come_and_go(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, use_and_end, pool) == 0 && pthread_join(thread, NULL) == 0);
    }
    cairn_stats s = stats_of(pool);
    CHECK_EQ(s.live_blocks, 5000);
    CHECKF(s.threads <= 1, "%llu caches", (unsigned long long)s.threads);
    CHECKF(s.committed < 5000 * 208 * 5 / 4 + 200 * KIB, "%llu", (unsigned long long)s.committed);
    cairn_pool_destroy(pool);
}

static void the_child_of_a_fork_goes_on(void **state)
{
    (void)state;
    FOR_VARIANTS(flags)
    {
        cairn_pool *pool = cairn_pool_create(CONFIG(.flags = (unsigned)flags));
        char *p = cairn_pool_malloc(pool, 100);
        check_fill(p, 100, 7);
        pid_t pid = fork();
        if (pid == 0) {
            check_in_task = 1;
            CHECK_FILLED(p, 100, 7);
            cairn_pool_free(pool, p);
            for (int i = 0; i < 1000; i++)
                CHECK(cairn_pool_malloc(pool, 100) != NULL);
            cairn_pool_destroy(pool);
            _exit(0);
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        CHECK_FILLED(p, 100, 7);
        cairn_pool_destroy(pool);
    }
}

/* ---- Many ---------------------------------------------------------------------------------------- */

static int count_pools(cairn_pool *pool, void *context)
{
    (void)pool;
    ++*(size_t *)context;
    return 0;
}

static void one_thread_uses_ten_thousand_pools(void **state)
{
    (void)state;
    enum { POOLS = 10000 };
    static cairn_pool *pools[POOLS];
    static char *blocks[POOLS];
    size_t before = 0, during = 0;
    cairn_pools_walk(count_pools, &before);
    for (size_t i = 0; i < POOLS; i++) {
        pools[i] = cairn_pool_create(NULL);
        CHECKF(pools[i] != NULL, "pool %zu: %s", i, cairn_errormsg());
    }
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < POOLS; i++) {
            cairn_pool_free(pools[i], blocks[i]);
            blocks[i] = cairn_pool_malloc(pools[i], 64);
            memset(blocks[i], (int)i, 64);
        }
    cairn_pools_walk(count_pools, &during);
    CHECK_EQ(during - before, POOLS);
    for (size_t i = 0; i < POOLS; i++) {
        CHECK(cairn_pool_of(blocks[i]) == pools[i] && blocks[i][63] == (char)i);
        CHECK_EQ(stats_of(pools[i]).live_blocks, 1);
    }
    for (size_t i = 0; i < POOLS; i++)
        cairn_pool_destroy(pools[(i * 7919) % POOLS]);
    size_t after = 0;
    cairn_pools_walk(count_pools, &after);
    CHECK_EQ(after, before);
}

/* Freed blocks of a guard pool keep their addresses for a while: not at the price of the limit. */
static void guarded_blocks_in_wait_make_room(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(CONFIG(.flags = CAIRN_POOL_GUARD, .limit = 1 << 20));
    for (size_t i = 0; i < 1000; i++) {
        char *p = cairn_pool_malloc(pool, 100 + i);
        CHECKF(p != NULL, "block %zu: %s", i, cairn_errormsg());
        p[0] = 1;
        cairn_pool_free(pool, p);
    }
    cairn_pool_destroy(pool);
}

/* The address space that is skipped for it costs nothing. */
static void alignments_of_terabytes_are_quick(void **state)
{
    (void)state;
    double begin = check_now();
    for (size_t shift = 30; shift <= 44; shift++) {
        cairn_pool *pool = cairn_pool_create(NULL);
        char *p = cairn_pool_aligned_alloc(pool, (size_t)1 << shift, 100);
        CHECK(p == NULL || (uintptr_t)p % ((size_t)1 << shift) == 0);
        CHECK(p != NULL || shift > 40);
        cairn_pool_destroy(pool);
    }
    double seconds = check_now() - begin;
    CHECKF(seconds < check_scale(2), "%f s", seconds); /* page by page: a minute */
}

static void any_alignment_is_met_or_refused(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    for (unsigned shift = 0; shift < 64;
         shift += shift == 32 ? 18 : 1) /* between: terabytes, which take seconds */
        for (size_t size = 0; size <= 5000; size += 2500) {
            char *p = cairn_pool_aligned_alloc(pool, (size_t)1 << shift, size);
            CHECK(p != NULL ? ((uintptr_t)p & (((size_t)1 << shift) - 1)) == 0 : errno == ENOMEM);
            CHECK(p == NULL || cairn_pool_of(p) == pool);
            cairn_pool_free(pool, p);
        }
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    cairn_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_default_pool_serves_every_call),
        cmocka_unit_test(a_wrong_config_is_refused_by_name),
        cmocka_unit_test(impossible_requests_fail),
        cmocka_unit_test(random_operations_agree_with_a_model),
        cmocka_unit_test(zeroing_pools_hand_out_zeros),
        cmocka_unit_test(alignment_of_the_pool_is_that_of_every_block),
        cmocka_unit_test(standard_calls_take_blocks_of_pools),
        cmocka_unit_test(a_limit_ends_in_null_and_is_left_again),
        cmocka_unit_test(limits_outlive_a_reset),
        cmocka_unit_test(pressure_is_told_and_may_relieve),
        cmocka_unit_test(threads_come_and_go),
        cmocka_unit_test(the_child_of_a_fork_goes_on),
        cmocka_unit_test(one_thread_uses_ten_thousand_pools),
        cmocka_unit_test(guarded_blocks_in_wait_make_room),
        cmocka_unit_test(any_alignment_is_met_or_refused),
        cmocka_unit_test(alignments_of_terabytes_are_quick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
