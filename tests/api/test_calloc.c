// timeout: 60
// serial: measures resident sizes
// sanitize: no
/* test_calloc.c - zeroed memory: always zero, and fresh pages never written for it. */
#include "api.h"

/* "calloc returns zeroed memory", also where blocks full of other bytes were just freed */
static void recycled_memory_is_zeroed(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t size = 1; size < 80 * MIB; size = size + size / 4 + 1) {
            void *dirty[64];
            size_t count = size < MIB ? 64 : 2;
            for (size_t i = 0; i < count; i++) {
                dirty[i] = f->malloc(size);
                CHECK(dirty[i] != NULL);
                memset(dirty[i], 0xff, f->usable_size(dirty[i]));
            }
            for (size_t i = 0; i < count; i++)
                f->free(dirty[i]);
            for (size_t i = 0; i < count; i++) {
                dirty[i] = i % 2 == 0 ? f->calloc(1, size) : f->calloc(size, 1);
                CHECK(dirty[i] != NULL);
                size_t at = check_nonzero(dirty[i], size);
                CHECKF(at == size, "%s calloc of %zu: byte %zu is not zero", f->name, size, at);
            }
            for (size_t i = 0; i < count; i++)
                f->free(dirty[i]);
        }
    }
}

/* Random mixtures: what one size left behind is handed out as another, with pages purged in between. */
static void mixtures_are_zeroed(void **state)
{
    (void)state;
    enum { COUNT = 2000, STEPS = 150000 };
    static void *blocks[COUNT];
    uint64_t seed = check_seed();
    FOR_FACES(f)
    {
        for (size_t step = 0; step < STEPS; step++) {
            size_t i = check_below(&seed, COUNT), size = check_random_size(&seed, i < 10 ? 4 * MIB : 20000);
            f->free(blocks[i]);
            blocks[i] = step % 2 == 0 ? f->malloc(size) : f->calloc(1, size);
            CHECK(blocks[i] != NULL);
            if (step % 2 == 1) {
                size_t at = check_nonzero(blocks[i], size);
                CHECKF(at == size, "%s calloc of %zu: byte %zu is not zero", f->name, size, at);
            }
            memset(blocks[i], 0xee, f->usable_size(blocks[i]));
            if (step % 50000 == 49999)
                cairn_trim(0);
        }
        for (size_t i = 0; i < COUNT; i++) {
            f->free(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

/* calloc(n, m) means n * m bytes, for large n and large m alike */
static void count_times_size(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t n = 1; n < 5000; n = n * 3 + 1)
            for (size_t m = 1; m < 5000; m = m * 3 + 1) {
                unsigned char *p = f->calloc(n, m);
                CHECK(p != NULL && f->usable_size(p) >= n * m);
                CHECK(check_nonzero(p, n * m) == n * m);
                check_fill(p, n * m, n);
                f->free(p);
            }
    }
}

static size_t resident_pages(void *p, size_t size)
{
    static unsigned char vector[GIB / 4096 + 1];
    uintptr_t from = ((uintptr_t)p + 4095) & ~(uintptr_t)4095, to = ((uintptr_t)p + size) & ~(uintptr_t)4095;
    CHECK(mincore((void *)from, to - from, vector) == 0);
    size_t count = 0;
    for (size_t i = 0; i < (to - from) / 4096; i++)
        count += vector[i] & 1;
    return count;
}

/* "without writing pages that the OS has just handed over" */
static void task_fresh_pages_are_not_touched(void)
{
    memset(check_table(4096), 1, 1);
    (void)resident_pages(check_opaque((void *)(uintptr_t)check_table(8192)), 8192);
    size_t before = check_rss();
    unsigned char *p = calloc(1, GIB);
    CHECK(p != NULL);
    size_t after = check_rss();
    CHECKF(after < before + 2 * MIB, "calloc of 1 GiB raised the resident size by %zu", after - before);
    size_t pages = resident_pages(p, GIB);
    CHECKF(pages < 512, "%zu pages are resident", pages);
    for (size_t i = 0; i < GIB; i += 1000003)
        CHECK(p[i] == 0);
    CHECK(p[GIB - 1] == 0);
    free(p);
    /* smaller ones from a fresh region count too: 256 blocks of 1 MiB */
    static void *blocks[256];
    before = check_rss();
    for (size_t i = 0; i < 256; i++) {
        blocks[i] = calloc(256, 4096);
        CHECK(blocks[i] != NULL);
    }
    after = check_rss();
    CHECKF(after < before + 16 * MIB, "calloc of 256 x 1 MiB raised the resident size by %zu",
           after - before);
    for (size_t i = 0; i < 256; i++) {
        CHECK(check_nonzero(blocks[i], MIB) == MIB);
        free(blocks[i]);
    }
}

static void fresh_pages_are_not_touched(void **state)
{
    (void)state;
    check_task_ok("fresh_pages_are_not_touched", NULL);
}

/* Pages given back to the system are fresh again: zero, and not written by the next calloc. */
static void task_returned_pages_are_fresh_again(void)
{
    void *p = malloc(300 * MIB);
    CHECK(p != NULL);
    memset(p, 0xff, 300 * MIB);
    free(p);
    size_t rss = check_rss_falls(50 * MIB, 5);
    CHECKF(rss < 50 * MIB, "resident after free: %zu", rss);
    unsigned char *q = calloc(1, 300 * MIB);
    CHECK(q != NULL);
    CHECKF(check_rss() < rss + 8 * MIB, "calloc touched %zu bytes", check_rss() - rss);
    CHECK(check_nonzero(q, 300 * MIB) == 300 * MIB);
    free(q);
}

static void returned_pages_are_fresh_again(void **state)
{
    (void)state;
    check_task_ok("returned_pages_are_fresh_again", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"fresh_pages_are_not_touched", task_fresh_pages_are_not_touched},
        {"returned_pages_are_fresh_again", task_returned_pages_are_fresh_again},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recycled_memory_is_zeroed),
        cmocka_unit_test(mixtures_are_zeroed),
        cmocka_unit_test(count_times_size),
        cmocka_unit_test(fresh_pages_are_not_touched),
        cmocka_unit_test(returned_pages_are_fresh_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
