/* tools.c - see tools.h. */
#define _GNU_SOURCE
#include "os/tools.h"

#include "base/atomic.h"
#include "os/os.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HAVE_VALGRIND 1
#endif
#endif
#ifndef HAVE_VALGRIND
#define HAVE_VALGRIND 0
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed) (void)(pool)
#define VALGRIND_DESTROY_MEMPOOL(pool) (void)(pool)
#define VALGRIND_MEMPOOL_ALLOC(pool, at, size) (void)(at)
#define VALGRIND_MEMPOOL_FREE(pool, at) (void)(at)
#define VALGRIND_MAKE_MEM_DEFINED(at, size) (void)(at)
#define VALGRIND_MAKE_MEM_UNDEFINED(at, size) (void)(at)
#endif

typedef void asan_change(void const volatile *at, size_t size);

/* Bound when the library is loaded.  Not dlsym: for a name that is not there it calls malloc, and the program's may
 * be one on a pool that is being made. */
extern asan_change __asan_poison_memory_region __attribute__((weak, visibility("default")));
extern asan_change __asan_unpoison_memory_region __attribute__((weak, visibility("default")));

enum { NOT_ASKED, ABSENT, PRESENT };
static uint32_t presence;                        /* every thread that asks finds the same */
static asan_change *asan_poison, *asan_unpoison; /* NULL: no sanitizer; atomic */

bool tools_present(void)
{
    uint32_t now = load_acquire(&presence); /* pairs with the release below */
    if (LIKELY(now != NOT_ASKED))
        return now == PRESENT;
    asan_change *poison = __asan_poison_memory_region, *unpoison = __asan_unpoison_memory_region;
    bool asan = poison != NULL && unpoison != NULL;
    store_relaxed(&asan_poison, asan ? poison : NULL);
    store_relaxed(&asan_unpoison, asan ? unpoison : NULL);
    now = asan || RUNNING_ON_VALGRIND ? PRESENT : ABSENT;
    store_release(&presence, now); /* pairs with the acquire above */
    return now == PRESENT;
}

void tools_pool_begin(const void *pool)
{
    VALGRIND_CREATE_MEMPOOL(pool, 0, 0);
}

void tools_pool_end(const void *pool)
{
    VALGRIND_DESTROY_MEMPOOL(pool);
}

void tools_block_begin(const void *pool, void *block, size_t size, bool has_contents)
{
    (void)pool;
    VALGRIND_MEMPOOL_ALLOC(pool, block, size);
    if (has_contents)
        VALGRIND_MAKE_MEM_DEFINED(block, size);
    if (asan_unpoison != NULL)
        asan_unpoison(block, size);
}

void tools_block_end(const void *pool, void *block, size_t size)
{
    (void)pool;
    VALGRIND_MEMPOOL_FREE(pool, block);
    if (asan_poison != NULL)
        asan_poison(block, size);
}

void tools_memory_ours(void *memory, size_t size)
{
    VALGRIND_MAKE_MEM_DEFINED(memory, size);
    if (asan_unpoison != NULL)
        asan_unpoison(memory, size);
}
