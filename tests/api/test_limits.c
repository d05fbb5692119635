// timeout: 60
// serial: measures committed memory
// sanitize: no
/* test_limits.c - limits end in NULL with ENOMEM, never in abort: the heap's own, hard and soft, and the
 * system's.  Everything stays intact, and works again once there is room. */
#include "api.h"

enum { TABLE = 4 << 20 };
static void **blocks;
static size_t block_count;

static size_t key_size(size_t i)
{
    return i % 1000 == 999 ? 150000 : i % 10 == 9 ? 3000 : 16 + i % 500;
}

/* Allocates small and not so small blocks until there are no more; returns their bytes. */
static size_t fill_up(void)
{
    size_t total = 0;
    if (blocks == NULL)
        blocks = check_table(TABLE * sizeof *blocks);
    for (block_count = 0; block_count < TABLE; block_count++) {
        size_t size = key_size(block_count);
        errno = 0;
        blocks[block_count] = malloc(size);
        if (blocks[block_count] == NULL) {
            CHECKF(errno == ENOMEM, "errno is %d", errno);
            return total;
        }
        check_fill(blocks[block_count], size, block_count);
        total += size;
    }
    CHECKF(0, "%zu bytes and no end", total);
    return 0;
}

static void drop(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        CHECK_FILLED(blocks[i], key_size(i), i);
        free(blocks[i]);
    }
}

/* "cairn_limit_set hard: NULL/ENOMEM and everything intact, recovery after frees" */
static void task_hard_limit(void)
{
    free(check_opaque(malloc(1)));
    size_t limit = stats_checked().committed + 64 * MIB;
    CHECK(cairn_limit_set(limit, limit) == 0);
    CHECK_EQ(stats_checked().limit_hard, limit);
    for (int round = 0; round < 3; round++) {
        size_t total = fill_up();
        CHECKF(total > 50 * MIB && total < 64 * MIB, "%zu bytes fitted in 64 MiB", total);
        cairn_stats s = stats_checked();
        CHECKF(s.committed <= limit, "committed %llu, limit %zu", (unsigned long long)s.committed, limit);
        /* every other way to ask is refused alike */
        int sentinel;
        void *p = &sentinel;
        errno = 0;
        CHECK(malloc(8 * MIB) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(1000, 10000) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(aligned_alloc(4096, 8 * MIB) == NULL && errno == ENOMEM);
        CHECK(posix_memalign(&p, 64, 8 * MIB) == ENOMEM && p == &sentinel);
        errno = 0;
        CHECK(realloc(blocks[999], 16 * MIB) == NULL && errno == ENOMEM);
        CHECK(strstr(cairn_errormsg(), "limit") != NULL);
        drop(block_count / 2, block_count); /* also that block 999 is as it was */
        p = malloc(8 * MIB);
        CHECKF(p != NULL, "%s", "no 8 MiB although half is free");
        memset(p, 1, 8 * MIB);
        free(p);
        drop(0, block_count / 2);
        CHECK(stats_checked().committed <= limit);
    }
    CHECK(cairn_limit_set(SIZE_MAX, SIZE_MAX) == 0);
    CHECK(stats_checked().limit_hard == UINT64_MAX && stats_checked().limit_soft == UINT64_MAX);
    void *p = malloc(100 * MIB);
    CHECK(p != NULL);
    free(p);
}

static void hard_limit(void **state)
{
    (void)state;
    check_task_ok("hard_limit", NULL);
    check_task_conf("hard_limit", "source:brk");
}

/* The limit counts what is committed, not what was once: 100 times the limit may pass through. */
static void task_limit_counts_what_is_there(void)
{
    free(check_opaque(malloc(1)));
    size_t limit = stats_checked().committed + 32 * MIB;
    CHECK(cairn_limit_set(limit, limit) == 0);
    uint64_t seed = check_seed();
    for (int round = 0; round < 300; round++) {
        size_t size = 8 * MIB + check_below(&seed, 20 * MIB);
        char *p = malloc(size);
        CHECKF(p != NULL, "round %d: no %zu bytes below a limit of 32 MiB", round, size);
        p[0] = p[size - 1] = 1;
        free(p);
        void *small[1000];
        for (size_t i = 0; i < 1000; i++) {
            small[i] = malloc(check_random_size(&seed, 20000));
            CHECKF(small[i] != NULL, "round %d: block %zu", round, i);
        }
        for (size_t i = 0; i < 1000; i++)
            free(small[i]);
    }
    CHECK(stats_checked().committed <= limit);
}

static void limit_counts_what_is_there(void **state)
{
    (void)state;
    check_task_ok("limit_counts_what_is_there", NULL);
}

/* "-1 with EINVAL when hard < soft"; SIZE_MAX means none for each of the two alone */
static void task_limits_are_checked(void)
{
    CHECK(cairn_limit_set(512 * MIB, 256 * MIB) == 0);
    errno = 0;
    CHECK(cairn_limit_set(100 * MIB, 200 * MIB) == -1 && errno == EINVAL);
    CHECK_EQ(stats_checked().limit_hard, 512 * MIB);
    CHECK_EQ(stats_checked().limit_soft, 256 * MIB);
    CHECK(cairn_limit_set(SIZE_MAX, 10 * MIB) == 0);
    CHECK(stats_checked().limit_hard == UINT64_MAX && stats_checked().limit_soft == 10 * MIB);
    CHECK(cairn_limit_set(300 * MIB, SIZE_MAX) == 0);
    CHECK(stats_checked().limit_hard == 300 * MIB && stats_checked().limit_soft == UINT64_MAX);
    CHECK(cairn_limit_set(SIZE_MAX, SIZE_MAX) == 0);
}

/* "A hard limit below what is committed now is accepted and holds for what is asked for from here on." */
static void task_limit_below_committed(void)
{
    char *p = malloc(50 * MIB);
    CHECK(p != NULL);
    check_fill(p, 50 * MIB, 9);
    CHECK(cairn_limit_set(10 * MIB, 10 * MIB) == 0);
    errno = 0;
    CHECK(malloc(5 * MIB) == NULL && errno == ENOMEM);
    CHECK_FILLED(p, 50 * MIB, 9);
    free(p);
    p = malloc(5 * MIB);
    CHECKF(p != NULL, "%s", "no 5 MiB although the heap is below its limit again");
    free(p);
}

static void limits_are_checked(void **state)
{
    (void)state;
    check_task_ok("limits_are_checked", NULL);
    check_task_ok("limit_below_committed", NULL);
}

/* "a soft limit that purges first": free pages go back before more is taken, though their time has not
 * come */
static void task_soft_limit(void)
{
    enum { COUNT = 2560 };
    static void *large[COUNT];
    for (size_t i = 0; i < COUNT; i++) { /* 250 MiB */
        large[i] = malloc(100 * KIB);
        CHECK(large[i] != NULL);
        check_touch(large[i], 100 * KIB);
    }
    for (size_t i = 0; i < COUNT; i++)
        free(large[i]);
    cairn_stats kept = stats_checked();
    CHECKF(kept.free > 200 * MIB, "free %llu, although keep and purge_delay are set high",
           (unsigned long long)kept.free);
    CHECK(cairn_limit_set(SIZE_MAX, 64 * MIB) == 0);
    size_t count = 40 * MIB / (100 * KIB);
    for (size_t i = 0; i < count; i++) {
        large[i] = malloc(100 * KIB);
        CHECK(large[i] != NULL);
    }
    /* small ones, too, must bring it about */
    for (size_t i = count; i < COUNT; i++) {
        large[i] = malloc(1000);
        CHECK(large[i] != NULL);
    }
    cairn_stats s = stats_checked();
    CHECKF(s.committed <= 72 * MIB, "committed %llu above the soft limit of 64 MiB, free %llu",
           (unsigned long long)s.committed, (unsigned long long)s.free);
    CHECK(s.purged > kept.purged);
    /* it is soft: more may be had all the same */
    void *p = malloc(200 * MIB);
    CHECK(p != NULL);
    free(p);
    for (size_t i = 0; i < COUNT; i++)
        free(large[i]);
    stats_checked();
}

static void soft_limit(void **state)
{
    (void)state;
    check_task_conf("soft_limit", "purge_delay:600000,keep:1G");
}

/* ---- From the environment ------------------------------------------------------------------------ */

static void task_limit_from_environment(void)
{
    cairn_stats s = stats_checked();
    CHECK_EQ(s.limit_hard, 48 * MIB);
    CHECK_EQ(s.limit_soft, 16 * MIB);
    size_t total = fill_up();
    CHECKF(total > 36 * MIB && total < 48 * MIB, "%zu bytes fitted in 48 MiB", total);
    drop(0, block_count);
}

static void limit_from_environment(void **state)
{
    (void)state;
    check_task_conf("limit_from_environment", "limit:48M,soft_limit:16M");
    check_task_conf("limit_from_environment", "limit:49152K,soft_limit:16777216");
}

/* ---- The system's limits ------------------------------------------------------------------------- */

/* "RLIMIT_AS 256 MB works": 150 MB of small blocks fit, then requests end in NULL, and all goes on after
 * frees */
static void task_little_address_space(void)
{
    size_t total = fill_up();
    CHECKF(total >= 150 * MIB, "only %zu bytes fitted", total);
    stats_checked();
    drop(block_count / 2, block_count);
    void *p = malloc(16 * MIB);
    CHECKF(p != NULL, "%s", "no 16 MiB although half is free");
    memset(p, 1, 16 * MIB);
    free(p);
    drop(0, block_count / 2);
    stats_checked();
    total = fill_up();
    CHECKF(total >= 150 * MIB, "only %zu bytes fitted the second time", total);
    drop(0, block_count);
}

static void little_address_space(void **state)
{
    (void)state;
    static check_run run;
    static const char *const confs[] = {"CAIRN_CONF=", "CAIRN_CONF=source:brk"};
    for (size_t i = 0; i < 2; i++) {
        const char *const env[] = {confs[i], NULL};
        memset(&run, 0, sizeof run);
        run.env = env;
        run.limit = RLIMIT_AS;
        run.limit_bytes = 256 * MIB;
        check_task_run(&run, "little_address_space");
        check_run_must(&run, confs[i]);
    }
}

/* Too little even for that: 24 MB, as a careful daemon may set it.  Requests may fail, nothing may crash. */
static void task_hardly_any_address_space(void)
{
    size_t total = fill_up();
    CHECKF(total > MIB, "only %zu bytes fitted", total);
    drop(0, block_count);
    pthread_t thread;
    void *text;
    if (pthread_create(&thread, NULL, (void *(*)(void *))cairn_strdup, (void *)(uintptr_t) "text") == 0) {
        CHECK(pthread_join(thread, &text) == 0);
        CHECK(text == NULL || strcmp(text, "text") == 0);
        free(text);
    }
}

static void hardly_any_address_space(void **state)
{
    (void)state;
    static check_run run;
    memset(&run, 0, sizeof run);
    run.limit = RLIMIT_AS;
    run.limit_bytes = 56 * MIB; /* of which the test program's table takes 32 */
    check_task_run(&run, "hardly_any_address_space");
    check_run_must(&run, "hardly_any_address_space");
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"hard_limit", task_hard_limit},
        {"limit_counts_what_is_there", task_limit_counts_what_is_there},
        {"limits_are_checked", task_limits_are_checked},
        {"limit_below_committed", task_limit_below_committed},
        {"soft_limit", task_soft_limit},
        {"limit_from_environment", task_limit_from_environment},
        {"little_address_space", task_little_address_space},
        {"hardly_any_address_space", task_hardly_any_address_space},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_limit),
        cmocka_unit_test(limit_counts_what_is_there),
        cmocka_unit_test(limits_are_checked),
        cmocka_unit_test(soft_limit),
        cmocka_unit_test(limit_from_environment),
        cmocka_unit_test(little_address_space),
        cmocka_unit_test(hardly_any_address_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
