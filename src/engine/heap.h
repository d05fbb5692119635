/* heap.h - one heap's slow paths: what the fast paths of alloc.h leave undone.
 *
 * `cache` is the calling thread's cache in the heap (never cache_none or cache_gone).  `call` is the public
 * name that was called, for messages.  Misuse found here is reported and aborts. */
#ifndef ENGINE_HEAP_H
#define ENGINE_HEAP_H

#include "engine/types.h"

/* An empty heap; it takes nothing from the source before the first allocation. */
void heap_init(struct heap *heap, const struct heap_config *config);

/* The defaults, over the given source. */
struct heap_config heap_config_default(struct source *source);

/* NULL with *error set. */
void *heap_alloc(struct cache *cache, size_t size, bool zero, enum error *error);
void *heap_aligned_alloc(struct cache *cache, size_t align, size_t size, enum error *error);

/* `block` may be NULL, foreign, or any block of any heap.  `cache` may be NULL. */
void heap_free(struct cache *cache, const char *call, void *block);

/* size > 0, block not NULL; NULL with *error set leaves the block as it was. */
void *heap_realloc(struct cache *cache, const char *call, void *block, size_t size, enum error *error);

/* The span of a block that must be valid, or a report and abort. */
struct span *heap_span_of(const struct cache *cache, const char *call, const void *block);

/* Gives back all but `keep` bytes of free pages.  True if anything went. */
bool heap_trim(struct heap *heap, size_t keep);

/* Gives everything back: pages, page map entries, metadata (also the thread caches).  Nobody may use the heap or any
 * block of it any more; heap_init makes it a heap again. */
void heap_destroy(struct heap *heap);

/* Around fork: the child finds the heap whole, and no lock stays held.  The thread that forks may use the heap in
 * between (lock.h). */
void heap_before_fork(struct heap *heap);
void heap_after_fork_parent(struct heap *heap);
/* What the child has to undo of threads that it does not have, `mine` being the cache of the one it has. */
void heap_forget_threads(struct heap *heap, const struct cache *mine);

/* Whether a realloc to `size` leaves the block where it is, as it is. */
bool heap_block_stays(const struct span *span, size_t size);

void heap_after_fork_child(struct heap *heap, const struct cache *mine);

#endif
