/* span.h - making and releasing spans, and the moves of blocks inside one. */
#ifndef ENGINE_SPAN_H
#define ENGINE_SPAN_H

#include "engine/types.h"

/* The span of empty bins: no blocks, no owner, never written. */
extern struct span span_none;

/* A new span of a size class, owned by `owner`, in no list.  NULL with *error set. */
struct span *span_make(struct heap *heap, unsigned size_class, unsigned level, struct cache *owner,
                       enum error *error);

/* A span that an earlier process made in these pages, which are in use as far as the arena knows: `live` of its blocks
 * are live, those with a bit in arena->kept.  FULL or SHARED.  Under the heap's lock.  NULL: no memory. */
struct run;
struct span *span_adopt(struct heap *heap, unsigned size_class, const struct run *run, uint32_t live);

/* Gives the pages and the descriptor back.  All blocks are free, the span is in no list.  `cache`, if any, will be
 * given these pages again rather than others. */
void span_release(struct span *span, struct cache *cache);

/* The caches forget what pages they gave back: an arena is about to go.  Under the heap's lock. */
void span_forget_given(struct heap *heap);

/* Takes the descriptor out of the books and back to the store.  Under the heap's lock. */
void span_retire_descriptor(struct heap *heap, struct span *span);

/* Cuts the next blocks, about a page of them, into the free list.  False when none are left.  Owner only. */
bool span_carve(struct span *span);

/* Moves what others freed to the free list.  False when there was nothing.  Owner only. */
bool span_collect(struct span *span);

/* The blocks in `remote` (a value of span->remote that the caller took out) join the free list.  Owner only. */
void span_collect_word(struct span *span, uint64_t remote);

/* NULL, or what is wrong with the span.  Owner, or nobody at work on it. */
const char *span_check(const struct span *span);

/* The heap that a span belongs to.  Not for extents (pool/pool.h), which have no arena. */
ALWAYS_INLINE struct heap *span_heap(const struct span *span)
{
    return span->arena->heap;
}

/* The liveness mark of a block in a span that has marks. */
ALWAYS_INLINE uint8_t *span_mark(const struct span *span, const void *block)
{
    return (uint8_t *)(span->marks + (uintptr_t)block / MARK_BYTES);
}

ALWAYS_INLINE size_t span_usable_size(const struct span *span)
{
    return span->size_class == CLASS_LARGE ? span->pages << PAGE_SHIFT : span->block_size;
}

/* Whether `address`, which lies in the span, is the place of a block; and whether of one that was cut.
 *
 * With step = block_size * inverse - 2^64, which is from 1 to block_size, the product of block i's offset and
 * `inverse` is, mod 2^64, i * step: small, and rising with i.  Of all other offsets it is `inverse` or more.  So one
 * multiplication serves both tests.  Who frees a block that he was given got it after it was cut, so relaxed order is
 * enough for `cut_limit`.
 * Source: D. Lemire, O. Kaser and N. Kurz, "Faster remainder by direct computation" (2019), the divisibility test. */
ALWAYS_INLINE bool span_is_place(const struct span *span, const void *address)
{
    return ((uintptr_t)address - span->base) * span->inverse < span->inverse;
}

ALWAYS_INLINE bool span_is_block(const struct span *span, const void *address)
{
    return ((uintptr_t)address - span->base) * span->inverse < load_relaxed(&span->cut_limit);
}

/* Blocks handed out and not given back; exact while nobody works on the span. */
ALWAYS_INLINE uint64_t span_live(const struct span *span)
{
    uint64_t remote = load_relaxed(&span->remote) >> REMOTE_COUNT_SHIFT;
    uint64_t frees = load_relaxed(&span->frees) + remote;
    uint64_t allocs = load_relaxed(&span->allocs);
    return allocs > frees ? allocs - frees : 0;
}

#endif
