/* arena.h - runs of pages out of address ranges: first fit from the lowest address of the oldest arena.
 *
 * Two bit sets per arena say which pages are free and which of those are dirty, so neighbours merge by
 * themselves and a run may mix clean and dirty pages.  `room` hints, per arena and per chunk, skip what
 * cannot fit; they may be too high, never too low.  Everything here is called under the heap's lock. */
#ifndef ENGINE_ARENA_H
#define ENGINE_ARENA_H

#include "engine/types.h"

struct run {
    struct arena *arena;
    size_t first; /* page index */
    size_t pages;
    bool zero; /* every page is fresh from the system */
};

ALWAYS_INLINE uintptr_t arena_address(const struct arena *arena, size_t page)
{
    return arena->base + (page << PAGE_SHIFT);
}

ALWAYS_INLINE size_t span_first_page(const struct span *span)
{
    return (span->base - span->arena->base) >> PAGE_SHIFT;
}

/* Takes `pages` pages whose address is a multiple of `align` (bytes, a power of two, at least a page).  Gets a
 * new arena if it must.  May drop and retake the lock.  ERROR_LIMIT, ERROR_MEMORY. */
enum error pages_take(struct heap *heap, size_t pages, size_t align, struct run *run);

/* Whether `bytes` more may be committed: OK or ERROR_LIMIT.  Gives free pages back first where a limit is near, and may
 * drop and retake the lock for that. */
enum error limits_allow(struct heap *heap, size_t bytes);

/* Takes the `more` pages from page `at` on, if they are free and within the limits.  May drop and retake the lock, so
 * there has to be something in the arena that keeps it. */
bool pages_take_at(struct heap *heap, struct arena *arena, size_t at, size_t more);

/* The same for who has asked limits_allow: keeps the lock. */
bool pages_take_allowed(struct heap *heap, struct arena *arena, size_t at, size_t more);

/* Gives pages back; `dirty` false: they are known to be zero and cost no memory. */
void pages_give(struct heap *heap, struct arena *arena, size_t first, size_t pages, bool dirty);

/* The same for what may be so many pages that an arena is empty without them: its range then goes as a whole, not in
 * chunks, and the arena may be gone. */
void pages_give_back(struct heap *heap, struct arena *arena, size_t first, size_t pages, bool dirty);

/* Puts free dirty pages back that purge.c had hidden; those set in `clean` (bit 0 is the chunk's first page) are
 * clean now. */
void pages_return_hidden(struct heap *heap, struct arena *arena, size_t first, size_t end,
                         const uint64_t *clean);

/* The next stretch [*at, *end) of pages in a taken run, at or after *at and before `limit`, that may hold old
 * bytes; false when there is none. */
bool pages_next_dirty(const struct arena *arena, size_t limit, size_t *at, size_t *end);

/* Gives an arena without any span back to its source, unless it is the heap's first or the source keeps it.
 * Its pages must be clean. */
void arena_release_if_unused(struct heap *heap, struct arena *arena);

/* Gives every arena back to its source, with all that is in it.  Nobody may use the heap any more. */
void arenas_release_all(struct heap *heap);

/* The arena with the lowest address among those that end above `at`; NULL: none. */
const struct arena *arena_above(const struct heap *heap, uintptr_t at);

/* Takes the free pages for clean: the source is about to release or to empty them all. */
void arena_forget_dirty(struct heap *heap, struct arena *arena);

/* Gives free pages at the arena's end back, where the source can shrink. */
void arena_shrink(struct heap *heap, struct arena *arena);

/* The arena as its invariants say, or NULL with nothing wrong; a text otherwise.  For tests and checks. */
const char *arena_check(const struct arena *arena);

ALWAYS_INLINE size_t heap_committed(const struct heap *heap)
{
    const struct heap_counts *c = &heap->counts;
    return load_relaxed(&c->span_bytes) + load_relaxed(&c->dirty_bytes) + load_relaxed(&c->meta_bytes);
}

#endif
