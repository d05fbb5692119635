// timeout: 90
// serial: measures resident sizes and time
// sanitize: no
/* test_realloc.c - blocks that change size: contents, growth in place, and big blocks that never exist
 * twice. */
#include "api.h"

/* Contents survive from any size to any other, across the borders of classes and kinds. */
static void contents_are_kept_from_size_to_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,    7,     8,     9,     16,    24,     100, 127,     1000,    4096,
                                   8192, 16384, 16385, 40000, 70000, 262144, MIB, 2 * MIB, 5000000, 33 * MIB};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    FOR_FACES(f)
    {
        for (size_t i = 0; i < COUNT; i++)
            for (size_t j = 0; j < COUNT; j++) {
                size_t kept = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
                void *p = f->malloc(sizes[i]);
                CHECK(p != NULL);
                check_fill(p, sizes[i], i);
                p = (i + j) % 2 == 0 ? f->realloc(p, sizes[j]) : f->reallocarray(p, 1, sizes[j]);
                CHECK(p != NULL && f->usable_size(p) >= sizes[j]);
                CHECK(((uintptr_t)p & (sizes[j] <= 8 ? 7 : 15)) == 0);
                CHECK_FILLED(p, kept, i);
                check_touch(p, sizes[j]);
                f->free(p);
            }
    }
}

/* Many blocks that grow and shrink at random, each checked at every step. */
static void random_changes_keep_contents(void **state)
{
    (void)state;
    enum { COUNT = 500, STEPS = 60000 };
    static struct {
        void *p;
        size_t size;
        uint64_t key;
    } b[COUNT];
    uint64_t seed = check_seed();
    FOR_FACES(f)
    {
        for (size_t step = 0; step < STEPS; step++) {
            size_t i = check_below(&seed, COUNT);
            size_t size = check_random_size(&seed, i == 0 ? 8 * MIB : i < 20 ? 300000 : 5000);
            size_t kept = size < b[i].size ? size : b[i].size;
            void *p = f->realloc(b[i].p, size);
            CHECK(p != NULL);
            CHECK_FILLED(p, kept, b[i].key);
            b[i].p = p, b[i].size = size, b[i].key = step;
            check_fill(p, size, step);
        }
        for (size_t i = 0; i < COUNT; i++) {
            f->free(b[i].p);
            b[i].p = NULL, b[i].size = 0;
        }
    }
}

/* "in place": within its usable size a block stays where it is */
static void growth_within_the_usable_size_is_in_place(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t size = 1; size < 40 * MIB; size = size + size / 3 + 1) {
            void *p = f->malloc(size);
            CHECK(p != NULL);
            size_t usable = f->usable_size(p);
            uintptr_t at = (uintptr_t)p;
            p = f->realloc(p, usable);
            CHECKF((uintptr_t)p == at, "malloc(%zu) with %zu usable bytes moved", size, usable);
            CHECK(f->usable_size(p) >= usable);
            p = f->realloc(p, size);
            CHECKF((uintptr_t)p == at, "from %zu back to %zu moved", usable, size);
            f->free(p);
        }
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* "grows in place where there is room": of many blocks of 1 MiB side by side every other one is freed, and
 * each of those left grows by half into the gap behind it. */
static void task_grows_into_the_gap_behind(void)
{
    enum { COUNT = 64 };
    static uintptr_t at[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = (uintptr_t)malloc(MIB);
        CHECK(at[i] != 0);
    }
    qsort(at, COUNT, sizeof *at, by_address);
    int pairs = 0, in_place = 0;
    for (size_t i = 0; i + 1 < COUNT; i += 2)
        free((void *)at[i + 1]);
    for (size_t i = 0; i + 2 < COUNT; i += 2) {
        /* a gap of a whole block between two living ones */
        if (at[i + 1] - at[i] > MIB + 64 * KIB || at[i + 2] - at[i] > 2 * (MIB + 64 * KIB))
            continue;
        pairs++;
        check_fill((void *)at[i], MIB, i);
        uintptr_t p = (uintptr_t)realloc((void *)at[i], MIB + MIB / 2);
        CHECK(p != 0);
        CHECK_FILLED((void *)p, MIB, i);
        in_place += p == at[i];
    }
    CHECKF(pairs >= COUNT / 4, "only %d blocks of 1 MiB have a gap behind them", pairs);
    CHECKF(in_place == pairs, "%d of %d blocks grew in place", in_place, pairs);
}

static void grows_into_the_gap_behind(void **state)
{
    (void)state;
    check_task_ok("grows_into_the_gap_behind", NULL);
}

/* A vector that doubles, as real programs grow: 1 GiB is reached within memory for little more than that. */
static void task_doubling_to_1_gib(void)
{
    size_t before = check_rss();
    size_t size = 4096;
    unsigned char *p = malloc(size);
    CHECK(p != NULL);
    check_fill(p, size, 3);
    check_peak_reset();
    while (size < GIB) {
        p = realloc(p, size * 2);
        CHECK(p != NULL);
        check_touch(p + size, size);
        CHECK_FILLED(p, 4096, 3);
        size *= 2;
    }
    size_t peak = check_peak() - before;
    CHECKF(peak < GIB + 64 * MIB, "peak of %zu", peak);
    stats_checked();
    free(p);
}

static void doubling_to_1_gib(void **state)
{
    (void)state;
    check_task_ok("doubling_to_1_gib", NULL);
}

/* "moves pages instead of bytes": a big block that must move costs neither memory nor much time */
static void task_big_growth_holds_one_copy(void)
{
    uint64_t *p = malloc(256 * MIB);
    CHECK(p != NULL);
    for (size_t i = 0; i < 256 * MIB / 8; i++)
        p[i] = i * 3;
    void *behind[40]; /* so that there is hardly room to grow in place */
    for (int i = 0; i < 40; i++) {
        behind[i] = malloc((size_t)1 << (10 + i / 2));
        CHECK(behind[i] != NULL);
    }
    size_t before = check_rss();
    CHECK(before > 256 * MIB && before < 300 * MIB);
    check_peak_reset();
    p = realloc(p, 512 * MIB);
    CHECK(p != NULL);
    /* a copy would have touched another 256 MiB already */
    CHECKF(check_peak() < before + 32 * MIB, "peak of %zu while growing", check_peak());
    check_touch((char *)p + 256 * MIB, 256 * MIB);
    CHECKF(check_peak() < 600 * MIB, "peak of %zu", check_peak());
    for (size_t i = 0; i < 256 * MIB / 8; i++)
        CHECKF(p[i] == i * 3, "word %zu is %llu", i, (unsigned long long)p[i]);
    stats_checked();
    /* and back: what is cut off leaves the process, without a further call */
    p = realloc(p, 100 * MIB);
    CHECK(p != NULL);
    for (size_t i = 0; i < 100 * MIB / 8; i++)
        CHECKF(p[i] == i * 3, "word %zu is %llu", i, (unsigned long long)p[i]);
    size_t rss = check_rss_falls(140 * MIB, 5);
    CHECKF(rss < 140 * MIB, "resident after shrinking to 100 MiB: %zu", rss);
    free(p);
    for (int i = 0; i < 40; i++)
        free(behind[i]);
    stats_checked();
}

static void big_growth_holds_one_copy(void **state)
{
    (void)state;
    check_task_ok("big_growth_holds_one_copy", NULL);
}

/* "never holds old and new of a block over 64 MiB at once": so a limit that has room for the new block, but
 * not for both, does not get in the way. */
static void task_growth_under_a_limit(void)
{
    static const size_t start[] = {65 * MIB, 100 * MIB, 256 * MIB};
    for (size_t i = 0; i < 3; i++) {
        char *p = malloc(start[i]);
        CHECK(p != NULL);
        check_fill(p, 10000, i);
        size_t committed = stats_checked().committed;
        size_t limit = committed + start[i] / 2 + 16 * MIB;
        CHECK(cairn_limit_set(limit, limit) == 0);
        char *q = realloc(p, start[i] + start[i] / 2);
        CHECKF(q != NULL, "from %zu by half", start[i]);
        CHECK_FILLED(q, 10000, i);
        CHECK(cairn_limit_set(SIZE_MAX, SIZE_MAX) == 0);
        free(q);
    }
}

static void growth_under_a_limit(void **state)
{
    (void)state;
    check_task_ok("growth_under_a_limit", NULL);
}

/* Growing in small steps must not copy everything each time: 64 MiB in steps of 64 KiB. */
static void task_growth_in_small_steps(void)
{
    size_t size = MIB;
    unsigned char *p = malloc(size);
    CHECK(p != NULL);
    check_touch(p, size);
    double start = check_now();
    while (size < 64 * MIB) {
        p = realloc(p, size + 64 * KIB);
        CHECK(p != NULL);
        check_touch(p + size, 64 * KIB);
        size += 64 * KIB;
    }
    double used = check_now() - start;
    CHECKF(used < 3, "%.1f s", used); /* copying each time: 32 GiB */
    CHECK(p[0] == 1 && p[4096] == 1);
    free(p);
}

static void growth_in_small_steps(void **state)
{
    (void)state;
    check_task_ok("growth_in_small_steps", NULL);
}

/* realloc of a small part of a big block gives the rest back: 200 blocks of 1 MiB cut to 1 KiB. */
static void task_shrinking_gives_back(void)
{
    static void *blocks[200];
    size_t before = check_rss();
    for (int i = 0; i < 200; i++) {
        blocks[i] = malloc(MIB);
        CHECK(blocks[i] != NULL);
        check_fill(blocks[i], MIB, (uint64_t)i);
    }
    for (int i = 0; i < 200; i++) {
        blocks[i] = realloc(blocks[i], KIB);
        CHECK(blocks[i] != NULL);
        CHECK_FILLED(blocks[i], KIB, (uint64_t)i);
    }
    size_t rss = check_rss_falls(before + 8 * MIB, 5);
    CHECKF(rss <= before + 8 * MIB, "resident: %zu more than before", rss - before);
    for (int i = 0; i < 200; i++)
        free(blocks[i]);
}

static void shrinking_gives_back(void **state)
{
    (void)state;
    check_task_ok("shrinking_gives_back", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"grows_into_the_gap_behind", task_grows_into_the_gap_behind},
        {"doubling_to_1_gib", task_doubling_to_1_gib},
        {"big_growth_holds_one_copy", task_big_growth_holds_one_copy},
        {"growth_under_a_limit", task_growth_under_a_limit},
        {"growth_in_small_steps", task_growth_in_small_steps},
        {"shrinking_gives_back", task_shrinking_gives_back},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_are_kept_from_size_to_size),
        cmocka_unit_test(random_changes_keep_contents),
        cmocka_unit_test(growth_within_the_usable_size_is_in_place),
        cmocka_unit_test(grows_into_the_gap_behind),
        cmocka_unit_test(doubling_to_1_gib),
        cmocka_unit_test(big_growth_holds_one_copy),
        cmocka_unit_test(growth_under_a_limit),
        cmocka_unit_test(growth_in_small_steps),
        cmocka_unit_test(shrinking_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
