/* alloc.h - the fast paths: pop a block from the first span of its bin, push one on the span it came from.
 *
 * Inlined into every entry point, so a heap with other rules pays for them itself only.  No atomics
 * beyond relaxed loads and stores, no lock, no system call.  `cache` may be cache_watched of a cache: then nothing is
 * found, and the slow path has to be asked. */
#ifndef ENGINE_ALLOC_H
#define ENGINE_ALLOC_H

#include "engine/classes.h"
#include "engine/pagemap.h"
#include "engine/span.h"

ALWAYS_INLINE void *span_pop(struct span *span)
{
    struct block *block = span->free;
    if (UNLIKELY(block == NULL))
        return NULL;
    span->free = block->next;
    count_one(&span->allocs);
    return block;
}

/* A block of `size` bytes, or NULL when the slow path (heap.h) has to be asked. */
ALWAYS_INLINE void *cache_alloc(struct cache *cache, size_t size)
{
    if (LIKELY(size <= QUICK_SIZE_MAX))
        return span_pop(load_relaxed(&cache->quick[(size + 7) / 8]));
    if (LIKELY(size <= CLASS_SIZE_MAX))
        return span_pop(load_relaxed(&cache->firsts[class_of(size) - FIRSTS_CLASS]));
    return NULL;
}

/* The same while allocations are sampled, for who got nothing from cache_alloc and wants at most QUICK_SIZE_MAX.  NULL
 * also for a sample; and when nothing is sampled, or the cache is a cache_watched: sample_left is 0 then. */
ALWAYS_INLINE void *cache_alloc_sampled(struct cache *cache, size_t size)
{
    if (size >= cache->sample_left)
        return NULL;
    size_t i = (size + 7) / 8;
    __asm__("" : "+r"(i)); /* else compilers take more pains with the index in cache_alloc, for both */
    void *block = span_pop(load_relaxed(&cache->sampled[i]));
    if (LIKELY(block != NULL))
        cache->sample_left -= size;
    return block;
}

/* The pointer by which a thread knows its cache while every call is to be seen, and back.  See types.h. */
#define CACHE_WATCHED_SHIFT sizeof(struct span *)

ALWAYS_INLINE struct cache *cache_watched(struct cache *cache)
{
    return (struct cache *)((uintptr_t)cache | CACHE_WATCHED_SHIFT);
}

ALWAYS_INLINE struct cache *cache_real(struct cache *cache)
{
    return (struct cache *)((uintptr_t)cache & ~(uintptr_t)CACHE_WATCHED_SHIFT);
}

/* Whether the owner may push a block without a closer look at the span: that it would be empty, or is kept so.  *frees gets
 * what span->frees is then. */
ALWAYS_INLINE bool span_may_push(const struct span *span, uint64_t *frees)
{
    *frees = load_relaxed(&span->frees) + 1;
    return LIKELY((uint32_t)(load_relaxed(&span->allocs) - *frees) != span->empty_at);
}

ALWAYS_INLINE void span_link(struct span *span, void *block, uint64_t frees)
{
    ((struct block *)block)->next = span->free;
    span->free = block;
    store_relaxed(&span->frees, frees);
}

/* The last half of a free: the span is the thread's own, the block is one, and not the one freed last. */
ALWAYS_INLINE bool span_push(struct span *span, void *block)
{
    uint64_t frees;
    if (UNLIKELY(!span_may_push(span, &frees)))
        return false;
    span_link(span, block, frees);
    return true;
}

/* Frees `block` if it is one that `cache` owns; false when the slow path (heap.h) has to look at it: NULL,
 * somebody else's, the last of its span, or no block at all. */
ALWAYS_INLINE bool cache_free(struct cache *cache, void *block)
{
    struct span *span = pagemap_find(block);
    if (UNLIKELY(span == NULL))
        return false;
    if (UNLIKELY(load_relaxed(&span->owner) != cache || !span_is_block(span, block) || span->free == block))
        return false;
    return span_push(span, block);
}

/* The same for a block that should have been asked for with `size`; false also when that needs a closer look. */
ALWAYS_INLINE bool cache_free_sized(struct cache *cache, void *block, size_t size)
{
    struct span *span = pagemap_find(block);
    if (UNLIKELY(span == NULL || load_relaxed(&span->owner) != cache))
        return false;
    if (UNLIKELY(size > span->block_size || size < span->block_size / 2))
        return false;
    if (UNLIKELY(!span_is_block(span, block) || span->free == block))
        return false;
    return span_push(span, block);
}

#endif
