// timeout: 60
/* test_aligned.c - aligned_alloc, posix_memalign, memalign, valloc, pvalloc: every power of two up to 1 GiB,
 * what is refused and how, and that aligned blocks are blocks like any other. */
#include "api.h"

static int aligned_to(const void *p, size_t alignment)
{
    return p != NULL && ((uintptr_t)p & (alignment - 1)) == 0;
}

/* The three ways to ask; `way` 0 aligned_alloc, 1 posix_memalign, 2 memalign. */
static void *ask(const face *f, int way, size_t alignment, size_t size)
{
    void *p = NULL;
    if (way == 0)
        return f->aligned_alloc(alignment, size);
    if (way == 2)
        return memalign(alignment, size);
    return f->posix_memalign(&p, alignment < sizeof p ? sizeof p : alignment, size) == 0 ? p : NULL;
}

/* "aligned_alloc/posix_memalign/memalign: every power of two up to 1 GiB at least" */
static void every_power_of_two_to_1_gib(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (int way = 0; way < 3; way++) {
            for (size_t a = way == 1 ? sizeof(void *) : 1; a <= GIB; a *= 2) {
                const size_t sizes[] = {0, 1, a / 2, a - 1, a, a + 1, 3 * a, 100, 4096, 100000};
                for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                    if (sizes[i] > 2 * GIB)
                        continue;
                    unsigned char *p = ask(f, way, a, sizes[i]);
                    CHECKF(aligned_to(p, a), "%s way %d alignment %zu size %zu: %p", f->name, way, a,
                           sizes[i], (void *)p);
                    size_t usable = f->usable_size(p);
                    CHECKF(usable >= sizes[i], "alignment %zu size %zu usable %zu", a, sizes[i], usable);
                    if (usable > 0)
                        p[0] = p[usable - 1] = 1;
                    f->free(p);
                }
            }
        }
    }
}

/* Many aligned blocks live together: none overlaps another, and all their usable bytes are theirs. */
static void aligned_blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    static size_t usable[COUNT];
    uint64_t seed = check_seed();
    FOR_FACES(f)
    {
        for (size_t i = 0; i < COUNT; i++) {
            size_t a = (size_t)1 << check_below(&seed, i % 100 == 0 ? 24 : 15);
            size_t size = check_random_size(&seed, 100000);
            int way = (int)check_below(&seed, 3);
            if (way == 1 && a < sizeof(void *))
                a = sizeof(void *);
            blocks[i] = ask(f, way, a, size);
            CHECKF(aligned_to(blocks[i], a), "alignment %zu size %zu: %p", a, size, blocks[i]);
            usable[i] = f->usable_size(blocks[i]);
            CHECK(usable[i] >= size);
            check_fill(blocks[i], usable[i], i);
            if (i % 3 == 2) { /* leave holes */
                CHECK_FILLED(blocks[i - 1], usable[i - 1], i - 1);
                f->free(blocks[i - 1]);
                blocks[i - 1] = NULL;
            }
        }
        for (size_t i = 0; i < COUNT; i++)
            if (blocks[i] != NULL) {
                CHECK_FILLED(blocks[i], usable[i], i);
                f->free(blocks[i]);
            }
    }
}

/* An aligned block may be grown and shrunk by realloc (which promises no alignment) and keeps its
 * contents. */
static void aligned_blocks_can_be_reallocated(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t a = 32; a <= 64 * MIB; a *= 2) {
            size_t size = a < 4096 ? a * 3 + 5 : 12345;
            unsigned char *p = f->aligned_alloc(a, size);
            CHECK(aligned_to(p, a));
            check_fill(p, size, a);
            p = f->realloc(p, size * 5);
            CHECK(p != NULL);
            CHECK_FILLED(p, size, a);
            p = f->realloc(p, size / 2);
            CHECK(p != NULL);
            CHECK_FILLED(p, size / 2, a);
            f->free(p);
        }
    }
}

/* "posix_memalign returns EINVAL/ENOMEM and leaves errno and *memptr alone" */
static void posix_memalign_refuses_quietly(void **state)
{
    (void)state;
    static const size_t bad[] = {0, 1, 2, 3, 4, 5, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 7};
    int sentinel;
    FOR_FACES(f)
    {
        void *p = &sentinel;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            errno = 4242;
            int result = f->posix_memalign(&p, check_opaque_size(bad[i]), 100);
            CHECKF(result == EINVAL, "alignment %zu gives %d", bad[i], result);
            CHECK(p == &sentinel && errno == 4242);
        }
        for (size_t a = sizeof(void *); a <= GIB; a *= 4) {
            const size_t sizes[] = {(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - a + 1,
                                    SIZE_MAX - 2 * a};
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                errno = 4242;
                CHECK_EQ(f->posix_memalign(&p, a, check_opaque_size(sizes[i])), ENOMEM);
                CHECK(p == &sentinel && errno == 4242);
            }
        }
        errno = 4242;
        CHECK_EQ(f->posix_memalign(&p, check_opaque_size((size_t)1 << 63), 100), ENOMEM);
        CHECK_EQ(f->posix_memalign(&p, check_opaque_size((size_t)1 << 62), 100), ENOMEM);
        CHECK(p == &sentinel && errno == 4242);
        CHECK_EQ(f->posix_memalign(&p, 64, 100), 0);
        CHECK(p != &sentinel && errno == 4242);
        f->free(p);
    }
}

/* "multiple of `alignment`, which must be a power of two (otherwise NULL with EINVAL)" */
static void aligned_alloc_refuses_with_errno(void **state)
{
    (void)state;
    static const size_t bad[] = {0, 3, 5, 6, 7, 9, 12, 24, 48, 100, 4095, 4097, SIZE_MAX};
    FOR_FACES(f)
    {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            errno = 0;
            CHECKF(f->aligned_alloc(check_opaque_size(bad[i]), 96) == NULL, "alignment %zu", bad[i]);
            CHECK_EQ(errno, EINVAL);
        }
        for (size_t a = 1; a <= GIB; a *= 4) {
            errno = 0;
            CHECK(f->aligned_alloc(a, check_opaque_size(SIZE_MAX - a + 1)) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->aligned_alloc(a, check_opaque_size((size_t)PTRDIFF_MAX)) == NULL && errno == ENOMEM);
        }
        errno = 0;
        CHECK(f->aligned_alloc(check_opaque_size((size_t)1 << 63), 1) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(f->aligned_alloc(check_opaque_size((size_t)1 << 62), 1) == NULL && errno == ENOMEM);
    }
    errno = 0;
    CHECK(memalign(64, check_opaque_size(SIZE_MAX - 63)) == NULL && errno == ENOMEM);
    /* glibc's memalign rounds an odd alignment up, its manual says EINVAL: either will do */
    errno = 0;
    void *p = memalign(check_opaque_size(48), 100);
    CHECK(p == NULL ? errno == EINVAL : aligned_to(p, 64));
    free(p);
}

/* valloc: one page's alignment; pvalloc: whole pages too */
static void page_aligned_allocation(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 1; size < 2 * MIB; size = size * 3 + 1) {
        unsigned char *p = valloc(size), *q = pvalloc(size);
        CHECK(aligned_to(p, page) && aligned_to(q, page));
        CHECK(malloc_usable_size(p) >= size);
        CHECK(malloc_usable_size(q) >= (size + page - 1) / page * page);
        check_fill(p, size, 1);
        check_fill(q, malloc_usable_size(q), 2);
        CHECK_FILLED(p, size, 1);
        free(p);
        free(q);
    }
    void *p = valloc(check_opaque_size(0)), *q = pvalloc(check_opaque_size(0));
    CHECK(aligned_to(p, page) && aligned_to(q, page) && p != q);
    free(p);
    free(q);
    errno = 0;
    CHECK(valloc(check_opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(check_opaque_size(SIZE_MAX - 10)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(check_opaque_size((size_t)PTRDIFF_MAX)) == NULL && errno == ENOMEM);
}

/* A large alignment costs address space, not memory: a hundred blocks at 64 MiB stay small. */
static void task_alignment_costs_no_memory(void)
{
    size_t before = check_rss();
    void *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = aligned_alloc(64 * MIB, 4096);
        CHECK(aligned_to(blocks[i], 64 * MIB));
        memset(blocks[i], 1, 4096);
    }
    size_t grown = check_rss() - before;
    CHECKF(grown < 8 * MIB, "resident size grew by %zu", grown);
    cairn_stats s = stats_checked();
    CHECKF(s.committed < 64 * MIB, "committed %llu", (unsigned long long)s.committed);
    for (int i = 0; i < 100; i++)
        free(blocks[i]);
    stats_checked();
}

static void alignment_costs_no_memory(void **state)
{
    (void)state;
    check_task_ok("alignment_costs_no_memory", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"alignment_costs_no_memory", task_alignment_costs_no_memory},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_power_of_two_to_1_gib),       cmocka_unit_test(aligned_blocks_do_not_overlap),
        cmocka_unit_test(aligned_blocks_can_be_reallocated), cmocka_unit_test(posix_memalign_refuses_quietly),
        cmocka_unit_test(aligned_alloc_refuses_with_errno),  cmocka_unit_test(page_aligned_allocation),
        cmocka_unit_test(alignment_costs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
