// timeout: 120
// serial: measures resident sizes
// sanitize: no
/* test_memory_return.c - freed memory leaves the process, also when it idles; trim; few mappings. */
#include "api.h"

/* ---- Free 90 % and idle -------------------------------------------------------------------------- */

/* "Free 90 % and idle: RSS <= 1.25 x live within 5 s and without a call", for one family of sizes.  Of 300 MB
 * a contiguous tenth stays: the first 45 % and the last 45 % are freed. */
static void task_free_most_and_idle(void)
{
    size_t size = strtoull(getenv("SIZE"), NULL, 10), threads = strtoull(getenv("THREADS"), NULL, 10);
    size_t count = 300 * MIB / size, low = count * 45 / 100, high = low + count / 10;
    void **blocks = check_table(count * sizeof *blocks);
    check_touch(blocks, count * sizeof *blocks);
    size_t baseline = check_rss();
    if (threads > 0) { /* a process that has once run threads, and now has one */
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, (void *(*)(void *))cairn_strdup, (void *)(uintptr_t) "text") ==
              0);
        void *text;
        CHECK(pthread_join(thread, &text) == 0);
        free(text);
    }
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        check_fill(blocks[i], size, i);
    }
    size_t full = check_rss() - baseline;
    CHECKF(full > 290 * MIB && full < 360 * MIB, "300 MiB of %zu take %zu", size, full);
    for (size_t i = 0; i < count; i++)
        if (i < low || i >= high)
            free(blocks[i]);
    size_t live = (high - low) * malloc_usable_size(blocks[low]), bound = baseline + live + live / 4;
    size_t rss = check_rss_falls(bound, 5);
    CHECKF(rss <= bound, "blocks of %zu: live %zu, resident %zu: %.2f times", size, live, rss - baseline,
           (double)(rss - baseline) / (double)live);
    for (size_t i = low; i < high; i++) {
        CHECK_FILLED(blocks[i], size, i);
        free(blocks[i]);
    }
    stats_checked();
}

static void free_most_and_idle(void **state)
{
    (void)state;
    static const char *const sizes[] = {"SIZE=64",    "SIZE=1024",   "SIZE=8192",
                                        "SIZE=20000", "SIZE=102400", "SIZE=3145728"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int threads = 0; threads < 2; threads++) {
            const char *const env[] = {sizes[i], threads ? "THREADS=1" : "THREADS=0", NULL};
            check_task_ok("free_most_and_idle", env);
        }
}

/* The same with all sizes mixed, and everything freed: almost nothing is left. */
static void task_free_all_and_idle(void)
{
    enum { COUNT = 60000 };
    static void *blocks[COUNT];
    uint64_t seed = check_seed();
    check_touch(blocks, sizeof blocks);
    size_t baseline = check_rss(), total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = check_random_size(&seed, total < 300 * MIB ? 4 * MIB : 4000);
        total += size;
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        check_touch(blocks[i], size);
    }
    for (size_t i = 0; i < COUNT; i++) /* in an order that is not that of allocation */
        free(blocks[i * 7919 % COUNT]);
    size_t rss = check_rss_falls(baseline + 8 * MIB, 5);
    CHECKF(rss <= baseline + 8 * MIB, "of %zu bytes %zu are still resident", total, rss - baseline);
    stats_checked();
}

static void free_all_and_idle(void **state)
{
    (void)state;
    check_task_ok("free_all_and_idle", NULL);
    check_task_conf("free_all_and_idle", "source:brk");
}

/* ---- Trim ---------------------------------------------------------------------------------------- */

/* "malloc_trim works": at once, down to what is asked to be kept, and says whether it did anything */
static void task_trim_gives_back_at_once(void)
{
    static void *blocks[30000];
    check_touch(blocks, sizeof blocks);
    size_t baseline = check_rss();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 30000; i++) {
            blocks[i] = malloc(5000);
            CHECK(blocks[i] != NULL);
            check_touch(blocks[i], 5000);
        }
        for (size_t i = 0; i < 30000; i++)
            free(blocks[i]);
        uint64_t purged = stats_checked().purged;
        int result = round == 0 ? cairn_trim(0) : malloc_trim(0);
        size_t rss = check_rss();
        CHECKF(rss < baseline + 4 * MIB, "resident after trim: %zu more than before", rss - baseline);
        cairn_stats s = stats_checked();
        CHECKF(s.free <= MIB, "free pages after trim: %llu", (unsigned long long)s.free);
        CHECK(result == (s.purged > purged));
        CHECK(malloc_trim(0) == 0);
    }
}

static void trim_gives_back_at_once(void **state)
{
    (void)state;
    check_task_ok("trim_gives_back_at_once", NULL);
    check_task_conf("trim_gives_back_at_once", "purge_delay:60000");
    /* here freeing alone purges nothing: it is trim that does */
    check_task_conf("trim_does_the_work", "purge_delay:60000,keep:1G");
}

static void task_trim_does_the_work(void)
{
    void *p = malloc(100 * MIB);
    CHECK(p != NULL);
    memset(p, 1, 100 * MIB);
    free(p);
    size_t rss = check_rss();
    CHECKF(rss > 100 * MIB, "resident: %zu, although keep:1G is set", rss);
    CHECK(cairn_trim(0) == 1);
    CHECKF(check_rss() < rss - 90 * MIB, "resident: %zu, before trim %zu", check_rss(), rss);
    /* all but about `keep` bytes */
    p = malloc(100 * MIB);
    CHECK(p != NULL);
    memset(p, 1, 100 * MIB);
    free(p);
    CHECK(malloc_trim(30 * MIB) == 1);
    uint64_t left = stats_checked().free;
    CHECKF(left > 20 * MIB && left < 40 * MIB, "trim(30 MiB) leaves %llu", (unsigned long long)left);
}

/* ---- Mappings ------------------------------------------------------------------------------------ */

/* "Few mappings and modest address space": 20 GB live in blocks of 4 to 64 KiB, untouched, need less than
 * 2,000 mappings, and little memory of their own. */
static void task_mappings_of_20_gb(void)
{
    size_t capacity = 1 << 20, count = 0, total = 0, next = GIB;
    void **blocks = check_table(capacity * sizeof *blocks);
    uint64_t seed = check_seed();
    while (total < 20 * GIB) {
        size_t size = 4 * KIB + check_below(&seed, 60 * KIB);
        CHECK(count < capacity);
        blocks[count] = malloc(size);
        CHECKF(blocks[count] != NULL, "after %zu bytes", total);
        count++;
        total += size;
        if (total >= next) { /* stop before the machine has no memory left */
            size_t rss = check_rss() - count * sizeof *blocks;
            CHECKF(rss < total / 20, "%zu resident for %zu untouched bytes", rss, total);
            next += GIB;
        }
    }
    size_t mappings = check_mappings();
    CHECKF(mappings < 2000, "%zu mappings", mappings);
    cairn_stats s = stats_checked();
    CHECKF(s.reserved < 30 * GIB, "reserved %llu", (unsigned long long)s.reserved);
    CHECK(s.live >= total && s.live_blocks >= count);
    /* one in fifty touched and kept, the rest freed: holes everywhere, still few mappings */
    for (size_t i = 0; i < count; i++) {
        if (i % 50 == 0)
            *(char *)blocks[i] = 1;
        else
            free(blocks[i]);
    }
    CHECKF(check_mappings() < 2000, "%zu mappings with holes", check_mappings());
    for (size_t i = 0; i < count; i += 50)
        free(blocks[i]);
    CHECKF(check_mappings() < 2000, "%zu mappings after all", check_mappings());
    stats_checked();
}

static void mappings_of_20_gb(void **state)
{
    (void)state;
    check_task_ok("mappings_of_20_gb", NULL);
}

/* Big blocks that grow by moving pages must not leave a mapping each. */
static void task_mappings_of_moved_blocks(void)
{
    enum { COUNT = 64 };
    void *blocks[COUNT] = {NULL};
    uint64_t seed = check_seed();
    for (int step = 0; step < 4000; step++) {
        size_t i = check_below(&seed, COUNT), size = 128 * KIB + check_below(&seed, 4 * MIB);
        void *p = realloc(blocks[i], size);
        CHECK(p != NULL);
        blocks[i] = p;
        ((char *)p)[0] = ((char *)p)[size - 1] = 1;
        if (step % 5 == 0) {
            free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    CHECKF(check_mappings() < 1000, "%zu mappings", check_mappings());
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    stats_checked();
}

static void mappings_of_moved_blocks(void **state)
{
    (void)state;
    check_task_ok("mappings_of_moved_blocks", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"free_most_and_idle", task_free_most_and_idle},
        {"free_all_and_idle", task_free_all_and_idle},
        {"trim_gives_back_at_once", task_trim_gives_back_at_once},
        {"trim_does_the_work", task_trim_does_the_work},
        {"mappings_of_20_gb", task_mappings_of_20_gb},
        {"mappings_of_moved_blocks", task_mappings_of_moved_blocks},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_most_and_idle),       cmocka_unit_test(free_all_and_idle),
        cmocka_unit_test(trim_gives_back_at_once),  cmocka_unit_test(mappings_of_20_gb),
        cmocka_unit_test(mappings_of_moved_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
