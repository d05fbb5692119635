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

extern struct heap process_heap HIDDEN;

/* Brings the heap up; done by the first call of all, whoever makes it. */
void process_start(void);

/* A number that tells the calling thread from all others, also from those that have ended. */
uint64_t process_thread_key(void);

/* What the fast paths leave over; set errno on failure (but free, which keeps it). */
NOINLINE void *process_alloc_slow(size_t size, bool zero);
NOINLINE void process_free_slow(const char *call, void *block);
void *process_calloc(size_t count, size_t size);
void *process_realloc(const char *call, void *block, size_t size);
void *process_aligned_alloc(size_t align, size_t size); /* align: a power of two */
int process_posix_memalign(void **out, size_t align, size_t size);
size_t process_usable_size(const char *call, const void *block);

/* Frees, but aborts with a message if the block could not have been asked for with `size`. */
NOINLINE void process_free_sized_slow(const char *call, void *block, size_t align, size_t size);

/* NULL when the slow path has to be asked. */
ALWAYS_INLINE void *process_alloc_fast(size_t size)
{
    struct cache *cache = load_relaxed(&thread_cache);
    void *block = cache_alloc(cache, size);
    if (LIKELY(block != NULL) || size > QUICK_SIZE_MAX)
        return block;
    return cache_alloc_sampled(cache, size);
}

ALWAYS_INLINE void *process_malloc(size_t size)
{
    void *block = process_alloc_fast(size);
    return LIKELY(block != NULL) ? block : process_alloc_slow(size, false);
}

ALWAYS_INLINE void process_free(const char *call, void *block)
{
    if (UNLIKELY(!cache_free(load_relaxed(&thread_cache), block)))
        process_free_slow(call, block);
}

ALWAYS_INLINE void process_free_sized(const char *call, void *block, size_t align, size_t size)
{
    if (LIKELY(align <= BLOCK_ALIGN && cache_free_sized(load_relaxed(&thread_cache), block, size)))
        return;
    process_free_sized_slow(call, block, align, size);
}

ALWAYS_INLINE bool multiply_overflows(size_t a, size_t b, size_t *product)
{
    return __builtin_mul_overflow(a, b, product);
}

#endif
