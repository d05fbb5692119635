/* process.h - the process heap: its one instance, every thread's way to its cache, and a process's life:
 * start before anything else runs, threads, fork, exit.
 *
 * Thread-local storage is these two words, the 16 bytes that the library allows itself.  thread_cache may be
 * cache_watched of the thread's cache. */
#ifndef FRONT_PROCESS_H
#define FRONT_PROCESS_H

#include "engine/alloc.h"
#include "engine/cache.h"
#include "engine/heap.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

extern struct heap process_heap HIDDEN;

/* Brings the heap up; done by the first call of all, whoever makes it. */
void process_start(void);

/* A number that tells the calling thread from all others, also from those that have ended. */
uint64_t process_thread_key(void);

/* Where the function returns to that this stands in: the program's own code, in those that the program calls. */
#define CALLER __builtin_return_address(0)

/* What the fast paths leave over; set errno on failure (but free, which keeps it).  `caller` is CALLER, for interfaces
 * that want to see the call (plain.h); the fast paths do not look at it, so they do not even load it. */
NOINLINE void *process_alloc_slow(size_t size, bool zero, const void *caller);
NOINLINE void process_free_slow(const char *call, void *block, const void *caller);
void *process_realloc(const char *call, void *block, size_t size, const void *caller);
void *process_aligned_alloc(size_t align, size_t size, const void *caller); /* align: a power of two */
int process_posix_memalign(void **out, size_t align, size_t size, const void *caller);
size_t process_usable_size(const char *call, const void *block);

/* Frees, but aborts with a message if the block could not have been asked for with `size`. */
NOINLINE void process_free_sized_slow(const char *call, void *block, size_t align, size_t size,
                                      const void *caller);

/* NULL when the slow path has to be asked. */
ALWAYS_INLINE void *process_alloc_fast(size_t size)
{
    struct cache *cache = load_relaxed(&thread_cache);
    void *block = cache_alloc(cache, size);
    if (LIKELY(block != NULL) || size > QUICK_SIZE_MAX)
        return block;
    return cache_alloc_sampled(cache, size);
}

ALWAYS_INLINE bool multiply_overflows(size_t a, size_t b, size_t *product)
{
    return __builtin_mul_overflow(a, b, product);
}

ALWAYS_INLINE void *process_malloc(size_t size)
{
    void *block = process_alloc_fast(size);
    return LIKELY(block != NULL) ? block : process_alloc_slow(size, false, CALLER);
}

ALWAYS_INLINE void *process_calloc(size_t count, size_t size)
{
    size_t total;
    if (UNLIKELY(multiply_overflows(count, size, &total)))
        return thread_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    void *block = process_alloc_fast(total);
    return LIKELY(block != NULL) ? memset(block, 0, total) : process_alloc_slow(total, true, CALLER);
}

ALWAYS_INLINE void process_free(const char *call, void *block)
{
    if (UNLIKELY(!cache_free(load_relaxed(&thread_cache), block)))
        process_free_slow(call, block, CALLER);
}

ALWAYS_INLINE void process_free_sized(const char *call, void *block, size_t align, size_t size)
{
    if (LIKELY(align <= BLOCK_ALIGN && cache_free_sized(load_relaxed(&thread_cache), block, size)))
        return;
    process_free_sized_slow(call, block, align, size, CALLER);
}

#endif
