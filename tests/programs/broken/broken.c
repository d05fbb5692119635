/* Allocators with a defect each, to show that the tests with real programs notice it. All of them
 * hand out blocks of glibc's malloc; BREAK says what goes wrong, and EVERY how seldom. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NOTHING 0       /* no defect: the tests must succeed */
#define RUNS_OUT 1      /* malloc fails for good after some calls */
#define FAILS_LARGE 2   /* blocks of 32 KiB and more can't be had */
#define REALLOC_LOSES 3 /* a byte changes when realloc makes a block larger */
#define CALLOC_DIRTY 4  /* calloc leaves a byte of the block as it was */
#define OVERLAPS 5      /* a block is shorter than asked: its end belongs to another one */
#define GIVES_TWICE 6   /* the same block is handed out a second time */
#define ABSENT 7        /* malloc is not there: the system's goes on to be used */
#define WITHOUT_FREE 8  /* nor is free, so that blocks go back to the wrong allocator */

#define EVERY (BREAK == REALLOC_LOSES ? 20 : 500)

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static atomic_ulong calls;

#if BREAK == ABSENT

int broken_but_harmless;

#else

static int now(void)
{
    return atomic_fetch_add(&calls, 1) % EVERY == EVERY - 1;
}

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t n)
{
    if (BREAK == RUNS_OUT && atomic_fetch_add(&calls, 1) >= EVERY)
        return no_memory();
    if (BREAK == FAILS_LARGE && n >= 32768)
        return no_memory();
    if (BREAK == OVERLAPS && n > 64 && now())
        return __libc_malloc(n - 32);
    if (BREAK == GIVES_TWICE && n >= 32 && n < 4096) {
        static _Thread_local void *last;
        static _Thread_local size_t size;
        if (last && n <= size && now()) {
            void *again = last;
            last = NULL;
            return again;
        }
        size = n;
        return last = __libc_malloc(n);
    }
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
    char *p = __libc_calloc(n, m);
    if (BREAK == CALLOC_DIRTY && p && n && m && now())
        p[n * m / 2] = 0x55;
    return p;
}

void *realloc(void *p, size_t n)
{
    if (BREAK == RUNS_OUT && atomic_fetch_add(&calls, 1) >= EVERY)
        return no_memory();
    if (BREAK == FAILS_LARGE && n >= 32768)
        return no_memory();
    if (!p)
        return malloc(n);
    char *q = __libc_realloc(p, n);
    /* The old size is not known; a block that grows seldom grows to more than four times. */
    if (BREAK == REALLOC_LOSES && q && n >= 64 && now())
        q[n / 4] ^= 0x10;
    return q;
}

void *memalign(size_t alignment, size_t n)
{
    return __libc_memalign(alignment, n);
}
void *aligned_alloc(size_t alignment, size_t n)
{
    return __libc_memalign(alignment, n);
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
    void *q = __libc_memalign(alignment, n);
    if (!q)
        return ENOMEM;
    *p = q;
    return 0;
}

void *reallocarray(void *p, size_t n, size_t m)
{
    size_t size;
    return __builtin_mul_overflow(n, m, &size) ? no_memory() : realloc(p, size);
}

/* glibc's own is out of reach: dlsym finds an allocator of the program first. What stands before a
 * block is the size of its chunk, with a bit for chunks of their own mapping. */
size_t malloc_usable_size(void *p)
{
    if (!p)
        return 0;
    size_t size = ((size_t *)p)[-1];
    return (size & ~(size_t)7) - (size & 2 ? 16 : 8);
}

#if BREAK != WITHOUT_FREE
void free(void *p)
{
    __libc_free(p);
}
#endif

#endif
