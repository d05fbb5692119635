/* cache.h - thread caches: the bins of spans that one thread allocates from.  See types.h for the protocol.
 * Everything here is for the cache's own thread, but for cache_make. */
#ifndef ENGINE_CACHE_H
#define ENGINE_CACHE_H

#include "engine/types.h"

/* The caches of a thread that has none yet, of one that has given its own back, and of one that is held.  Never
 * written: every allocation from them ends in the slow path. */
extern struct cache cache_none;
extern struct cache cache_gone;
extern struct cache cache_held;

/* A cache for the calling thread, new or used; NULL: no memory. */
struct cache *cache_make(struct heap *heap);

/* Sees to heap->late, the cache that threads without one of their own share; it may stay NULL.  Under late_lock. */
void cache_make_late(struct heap *heap);

/* Gives everything in it to other threads, then the cache itself. */
void cache_drop(struct cache *cache);

/* The thread finds its cache in *slot from now on, through atomics; NULL: it does not any more. */
void cache_attach(struct cache *cache, struct cache **slot);

/* Bars the thread's way to its cache: &cache_held stands in the slot until cache_let_go, and a thread that finds
 * it there waits for the heap's lock.  What the thread had begun before, one operation at most, it may still end.
 * Both under the heap's lock, without letting it go in between.  False: there is no slot, or something else in it. */
bool cache_hold(struct cache *cache);
void cache_let_go(struct cache *cache);

/* What the heap's watchers want to see changes: sets and clears flags, then veils all caches if need be.
 * For any thread, and for signal handlers. */
void cache_watch(struct heap *heap, uint32_t set, uint32_t clear);

/* The cache follows the word `seen` of heap->watch: its thread pops in the fast path, or no longer. */
void cache_follow(struct cache *cache, uint32_t seen);

/* A block of `class` when the first span of its bin has none.  NULL with *error set. */
void *cache_refill(struct cache *cache, unsigned size_class, enum error *error);

/* All blocks of an owned span are free: keep it or release it. */
void cache_span_empty(struct cache *cache, struct span *span);

/* Puts a span that the thread now owns at the end of its bin; unlinks one. */
void cache_add_last(struct cache *cache, struct span *span);
void cache_remove(struct cache *cache, struct span *span);

#endif
