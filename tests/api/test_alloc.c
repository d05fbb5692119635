// timeout: 60
/* test_alloc.c - malloc, calloc, realloc, reallocarray, free and usable sizes, by the standard names and by
 * the cairn_ names: sizes, zeroes, limits of arithmetic, errno, alignment. */
#include "api.h"

enum { MANY = 1000 };

/* "malloc(0), calloc(0,n): a unique pointer that can be freed" */
static void zero_size_gives_unique_blocks(void **state)
{
    (void)state;
    static void *blocks[MANY];
    FOR_FACES(f)
    {
        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = i % 3 == 0   ? f->malloc(check_opaque_size(0))
                        : i % 3 == 1 ? f->calloc(check_opaque_size(0), 8)
                                     : f->calloc(8, check_opaque_size(0));
            CHECK(blocks[i] != NULL);
            for (size_t j = 0; j < i; j++)
                CHECK(blocks[i] != blocks[j]);
        }
        for (size_t i = 0; i < MANY; i++)
            f->free(blocks[i]);
    }
}

/* "realloc(p,0): free and return a unique minimum block", so that NULL always means failure */
static void realloc_to_zero_frees_and_returns_a_block(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        uint64_t live = stats_now().live;
        for (int i = 0; i < 200; i++) {
            void *big = f->malloc(MIB), *other = f->malloc(0);
            CHECK(big != NULL && other != NULL);
            void *small = f->realloc(big, check_opaque_size(0));
            CHECK(small != NULL && small != other);
            CHECK(f->usable_size(small) < KIB);
            f->free(small);
            f->free(other);
        }
        CHECKF(stats_now().live <= live + MIB, "%s realloc(p, 0) keeps the old block", f->name);
        void *p = f->reallocarray(f->malloc(100), check_opaque_size(0), 7);
        CHECK(p != NULL);
        f->free(p);
    }
}

/* "realloc(NULL,n) = malloc(n)" */
static void realloc_of_null_allocates(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 8, 24, 100, 1000, 5000, 70000, 300000, 5000000};
    FOR_FACES(f)
    {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *p = f->realloc(NULL, sizes[i]), *q = f->reallocarray(NULL, sizes[i], 3);
            CHECK(p != NULL && q != NULL && p != q);
            CHECK(f->usable_size(p) >= sizes[i] && f->usable_size(q) >= 3 * sizes[i]);
            check_fill(p, sizes[i], 1);
            check_fill(q, sizes[i] * 3, 2);
            CHECK_FILLED(p, sizes[i], 1);
            f->free(p);
            f->free(q);
        }
    }
}

/* "A size above PTRDIFF_MAX: NULL, errno ENOMEM, old block untouched" */
static void size_above_ptrdiff_max_is_refused(void **state)
{
    (void)state;
    const size_t limit = (size_t)PTRDIFF_MAX;
    const size_t sizes[] = {limit + 1,     limit + 2,    limit + 4096, SIZE_MAX - 4096,
                            SIZE_MAX - 16, SIZE_MAX - 1, SIZE_MAX};
    FOR_FACES(f)
    {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = check_opaque_size(sizes[i]);
            errno = 0;
            CHECK(f->malloc(size) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->calloc(size, 1) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->calloc(1, size) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->realloc(NULL, size) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->aligned_alloc(64, size) == NULL && errno == ENOMEM);
            for (size_t old = 10; old < 10 * MIB; old = old * 7 + 3) {
                void *p = f->malloc(old);
                CHECK(p != NULL);
                check_fill(p, old, i);
                errno = 0;
                CHECK(f->realloc(p, size) == NULL && errno == ENOMEM);
                errno = 0;
                CHECK(f->reallocarray(p, size, 1) == NULL && errno == ENOMEM);
                CHECK_FILLED(p, old, i);
                CHECK(f->usable_size(p) >= old);
                f->free(p);
            }
        }
        /* The largest size that is not refused outright can't be had either, but must not do harm. */
        errno = 0;
        CHECK(f->malloc(check_opaque_size(limit)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(f->malloc(check_opaque_size(limit - 65536)) == NULL && errno == ENOMEM);
    }
}

/* "n*m overflow in calloc and reallocarray: NULL, errno ENOMEM, old block untouched" */
static void product_overflow_is_refused(void **state)
{
    (void)state;
    const struct {
        size_t count, size;
    } cases[] = {{SIZE_MAX, 2},           {2, SIZE_MAX},
                 {SIZE_MAX, SIZE_MAX},    {(size_t)1 << 32, (size_t)1 << 32},
                 {SIZE_MAX / 2 + 1, 2},   {SIZE_MAX / 3 + 1, 3},
                 {SIZE_MAX / 16 + 2, 16}, {3, SIZE_MAX / 3 + 1}};
    FOR_FACES(f)
    {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            size_t count = check_opaque_size(cases[i].count), size = check_opaque_size(cases[i].size);
            errno = 0;
            CHECK(f->calloc(count, size) == NULL && errno == ENOMEM);
            errno = 0;
            CHECK(f->reallocarray(NULL, count, size) == NULL && errno == ENOMEM);
            unsigned char *p = f->malloc(500);
            CHECK(p != NULL);
            check_fill(p, 500, 77);
            errno = 0;
            CHECK(f->reallocarray(p, count, size) == NULL && errno == ENOMEM);
            CHECK_FILLED(p, 500, 77);
            f->free(p);
        }
    }
}

/* "free preserves errno.  free(NULL) does nothing." */
static void free_keeps_errno(void **state)
{
    (void)state;
    static void *blocks[MANY];
    FOR_FACES(f)
    {
        errno = 4242;
        f->free(NULL);
        f->free_sized(NULL, 10);
        f->free_aligned_sized(NULL, 64, 10);
        CHECK_EQ(errno, 4242);
        /* 1 GiB in all: freeing some of it goes through to the system */
        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = f->malloc(i % 4 == 0 ? 40 : i % 4 == 1 ? 3000 : i % 4 == 2 ? 100 * KIB : 3 * MIB);
            CHECK(blocks[i] != NULL);
            check_touch(blocks[i], 1);
        }
        for (size_t i = 0; i < MANY; i++) {
            errno = 4242;
            f->free(blocks[i]);
            CHECK_EQ(errno, 4242);
        }
    }
}

/* A call that succeeds leaves errno alone too: programs that test errno after strtol and the like, with an
 * allocation in between, rely on it. */
static void success_keeps_errno(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t size = 1; size < 64 * MIB; size = size * 3 + 1) {
            errno = 4242;
            void *p = f->malloc(size), *q = f->calloc(1, size);
            p = f->realloc(p, size * 2);
            CHECK_EQ(errno, 4242);
            CHECK(p != NULL && q != NULL);
            f->free(p);
            f->free(q);
        }
    }
}

/* "Alignment of every block: 16 (8 allowed only for blocks of 8 bytes or less)" */
static void every_block_is_aligned(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    static void *blocks[3 * 5000];
    FOR_FACES(f)
    {
        for (size_t i = 0; i < 5000; i++) {
            size_t size = i < 2048 ? i : check_random_size(&seed, 4 * MIB);
            uintptr_t mask = size <= 8 ? 7 : 15;
            void **b = blocks + 3 * i;
            b[0] = f->malloc(size);
            b[1] = f->calloc(1, size);
            b[2] = f->realloc(f->malloc(check_random_size(&seed, 500)), size);
            for (int k = 0; k < 3; k++)
                CHECKF(b[k] != NULL && ((uintptr_t)b[k] & mask) == 0, "size %zu: %p", size, b[k]);
            if (i >= 2500) /* from here on among holes */
                for (int k = 0; k < 3; k++) {
                    f->free(blocks[3 * (i - 2500) + (size_t)k]);
                    blocks[3 * (i - 2500) + (size_t)k] = NULL;
                }
        }
        for (size_t i = 0; i < 3 * 5000; i++) {
            f->free(blocks[i]);
            blocks[i] = NULL;
        }
    }
}

/* "malloc_usable_size(NULL) = 0, and all bytes it reports may be written": the pattern of each block
 * survives that the whole of its neighbours is written. */
static void usable_bytes_may_be_written(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    enum { COUNT = 6000 };
    static void *blocks[COUNT];
    static size_t usable[COUNT];
    FOR_FACES(f)
    {
        CHECK_EQ(f->usable_size(NULL), 0);
        size_t total = 0;
        for (size_t i = 0; i < COUNT; i++) {
            size_t size = i < 3000 ? i / 2 : check_random_size(&seed, total < 256 * MIB ? 8 * MIB : 8 * KIB);
            blocks[i] = f->malloc(size);
            CHECK(blocks[i] != NULL);
            usable[i] = f->usable_size(blocks[i]);
            CHECKF(usable[i] >= size, "malloc(%zu) has %zu", size, usable[i]);
            CHECKF(usable[i] <= size + size / 2 + 64 + (size > 4096 ? 64 * KIB : 0), "malloc(%zu) has %zu",
                   size, usable[i]);
            total += usable[i];
            check_fill(blocks[i], usable[i], i);
        }
        for (size_t i = 0; i < COUNT; i++) {
            CHECK_FILLED(blocks[i], usable[i], i);
            f->free(blocks[i]);
        }
    }
}

/* Blocks of one face may be freed, grown and asked by the other: it is one heap. */
static void both_faces_share_one_heap(void **state)
{
    (void)state;
    const face *one = &faces[0];
    FOR_FACES(f)
    {
        for (size_t size = 1; size < 4 * MIB; size = size * 5 + 1) {
            unsigned char *p = one->malloc(size), *q = f->malloc(size);
            CHECK(p != NULL && q != NULL);
            CHECK(one->usable_size(q) == f->usable_size(p));
            check_fill(p, size, 1);
            check_fill(q, size, 2);
            p = f->realloc(p, size * 2);
            q = one->realloc(q, size * 2);
            CHECK(p != NULL && q != NULL);
            CHECK_FILLED(p, size, 1);
            CHECK_FILLED(q, size, 2);
            f->free(p);
            one->free(q);
        }
    }
}

/* "Never abort for want of memory": a burst of hopeless requests leaves a heap that works. */
static void hopeless_requests_do_no_harm(void **state)
{
    (void)state;
    uint64_t seed = check_seed();
    FOR_FACES(f)
    {
        for (int i = 0; i < 2000; i++) {
            size_t size = (size_t)PTRDIFF_MAX - check_below(&seed, (size_t)1 << (20 + i % 42));
            void *p = f->malloc(check_opaque_size(size / 2 + size / 4));
            CHECK(p == NULL && errno == ENOMEM);
        }
        void *p = f->malloc(MIB);
        CHECK(p != NULL);
        check_fill(p, MIB, 5);
        CHECK_FILLED(p, MIB, 5);
        f->free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_size_gives_unique_blocks),
        cmocka_unit_test(realloc_to_zero_frees_and_returns_a_block),
        cmocka_unit_test(realloc_of_null_allocates),
        cmocka_unit_test(size_above_ptrdiff_max_is_refused),
        cmocka_unit_test(product_overflow_is_refused),
        cmocka_unit_test(free_keeps_errno),
        cmocka_unit_test(success_keeps_errno),
        cmocka_unit_test(every_block_is_aligned),
        cmocka_unit_test(usable_bytes_may_be_written),
        cmocka_unit_test(both_faces_share_one_heap),
        cmocka_unit_test(hopeless_requests_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
