/* heap.c - see heap.h. */
#include "engine/heap.h"

#include "engine/alloc.h"
#include "engine/arena.h"
#include "engine/cache.h"
#include "engine/large.h"
#include "engine/meta.h"
#include "engine/purge.h"
#include "engine/remote.h"
#include "os/report.h"

#include <string.h>

#define KEEP_SHIFT 4 /* a sixteenth of what is in use may stay dirty */
#define KEEP_LEAST (1 * MiB)
#define PURGE_DELAY_MS 500
#define SHRINK_SHARE                                                                                         \
    2 /* a block that would use less than one in so many of its bytes moves to a smaller one */

struct heap_config heap_config_default(struct source *source)
{
    return (struct heap_config){
        .source = source,
        .meta_piece = META_PIECE,
        .least_size = 8,
        .limit_hard = SIZE_MAX,
        .limit_soft = SIZE_MAX,
        .purge_delay = PURGE_DELAY_MS,
        .keep_shift = KEEP_SHIFT,
        .keep_least = KEEP_LEAST,
    };
}

void heap_init(struct heap *heap, const struct heap_config *config)
{
    memset(heap, 0, sizeof *heap);
    heap->config = *config;
    heap->lock.rank = LOCK_RANK_HEAP;
    heap->late_lock.rank = LOCK_RANK_LATE;
}

/* ---- Allocating ---------------------------------------------------------------------------------- */

void *heap_alloc(struct cache *cache, size_t size, bool zero, enum error *error)
{
    if (size > CLASS_SIZE_MAX)
        return large_alloc(cache->heap, size, PAGE_SIZE, zero, error);
    void *block = cache_alloc(cache, size);
    if (block == NULL)
        block = cache_refill(cache, class_of(size_max(size, cache->heap->config.least_size)), error);
    if (block != NULL && zero)
        memset(block, 0, size);
    return block;
}

void *heap_aligned_alloc(struct cache *cache, size_t align, size_t size, enum error *error)
{
    if (align <= PAGE_SIZE && size <= CLASS_SIZE_MAX) {
        size_t wanted = class_aligned_size(size, align);
        if (wanted <= CLASS_SIZE_MAX)
            return heap_alloc(cache, wanted, false, error);
    }
    return large_alloc(cache->heap, size, align, false, error);
}

/* ---- Freeing ------------------------------------------------------------------------------------- */

COLD static void report_no_block(const struct cache *cache, const char *call, const void *block)
{
    bool freed_last =
        cache != NULL && (block == cache->last_released || block == load_relaxed(&cache->heap->last_large));
    report_fatal(call, block, freed_last ? "double free of" : "invalid pointer");
}

struct span *heap_span_of(const struct cache *cache, const char *call, const void *block)
{
    struct span *span = pagemap_find(block);
    if (UNLIKELY(span == NULL))
        report_no_block(cache, call, block);
    if (UNLIKELY(!span_is_block(span, block)))
        report_fatal(call, block,
                     span_is_place(span, block) ? "pointer never handed out" : "misaligned pointer");
    return span;
}

static void free_owned(struct cache *cache, const char *call, struct span *span, struct block *block)
{
    if (span->free == block)
        report_fatal(call, block, "double free of");
    block->next = span->free;
    span->free = block;
    count_up(&span->frees, 1);
    if (span->frees == span->allocs)
        cache_span_empty(cache, span);
}

void heap_free(struct cache *cache, const char *call, void *block)
{
    if (block == NULL)
        return;
    struct span *span = heap_span_of(cache, call, block);
    if (span->size_class == CLASS_LARGE) {
        if (!large_free(span, block))
            report_fatal(call, block, "double free of");
        return;
    }
    if (cache != NULL && load_relaxed(&span->owner) == cache) {
        free_owned(cache, call, span, block);
        return;
    }
    if (cache != NULL && cache->heap != span_heap(span))
        cache = NULL;
    if ((load_relaxed(&span->remote) & REMOTE_BLOCK_MASK) == (uintptr_t)block)
        report_fatal(call, block, "double free of");
    remote_free(cache, span, block);
}

/* ---- Resizing ------------------------------------------------------------------------------------ */

bool heap_block_stays(const struct span *span, size_t size)
{
    size_t usable = span_usable_size(span);
    if (span->size_class == CLASS_LARGE)
        return size <= usable && size > usable - PAGE_SIZE;
    return size <= usable && (size >= usable / SHRINK_SHARE || class_of(size) == span->size_class);
}

/* No memory for a smaller block: the old one serves, as small as it can get. */
COLD static void *keep_oversized(struct span *span, void *block, size_t size, enum error *error)
{
    if (span->size_class == CLASS_LARGE)
        return large_resize(span, size, error);
    store_relaxed(&span_heap(span)->has_oversized, true);
    return block;
}

void *heap_realloc(struct cache *cache, const char *call, void *block, size_t size, enum error *error)
{
    struct span *span = heap_span_of(cache, call, block);
    if (heap_block_stays(span, size))
        return block;
    if (span->size_class == CLASS_LARGE && size > CLASS_SIZE_MAX)
        return large_resize(span, size, error);
    size_t usable = span_usable_size(span);
    void *fresh = heap_alloc(cache, size, false, error);
    if (fresh == NULL)
        return size <= usable ? keep_oversized(span, block, size, error) : NULL;
    memcpy(fresh, block, size_min(usable, size));
    heap_free(cache, call, block);
    return fresh;
}

/* ---- The whole heap ------------------------------------------------------------------------------ */

bool heap_trim(struct heap *heap, size_t keep)
{
    lock_take(&heap->lock);
    large_recover_lost(heap);
    bool any = purge_down_to(heap, keep);
    lock_release(&heap->lock);
    return any;
}

void heap_destroy(struct heap *heap)
{
    arenas_release_all(heap);
    meta_release_all(heap);
}

void heap_before_fork(struct heap *heap)
{
    lock_take_for_fork(&heap->late_lock);
    lock_take_for_fork(&heap->lock);
}

void heap_after_fork_parent(struct heap *heap)
{
    lock_release_after_fork(&heap->lock);
    lock_release_after_fork(&heap->late_lock);
}

/* The other threads are gone, and their caches with them: one of them may have stopped in the middle of a pop.
 * Their spans stay as they are; what the child frees there is lost to it. */
void heap_forget_threads(struct heap *heap, const struct cache *mine)
{
    purge_after_fork_child(heap);
    heap->replaced_bytes = 0; /* what they were moving is there twice */
    heap->caches_in_use = 0;
    for (struct cache *cache = heap->all_caches; cache != NULL; cache = cache->next_all) {
        heap->caches_in_use += cache == mine;
        if (cache != mine)
            cache->slot = NULL; /* it was in a stack that is no longer */
    }
}

void heap_after_fork_child(struct heap *heap, const struct cache *mine)
{
    heap_forget_threads(heap, mine);
    lock_release_after_fork(&heap->lock);
    lock_release_after_fork(&heap->late_lock);
}
