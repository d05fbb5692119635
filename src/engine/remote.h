/* remote.h - frees into spans that the thread does not own, and the spans that nobody owns.
 * The protocol is the table in types.h. */
#ifndef ENGINE_REMOTE_H
#define ENGINE_REMOTE_H

#include "engine/types.h"

/* Frees a block of a span with size class that `cache` does not own.  `cache` is NULL, or the thread's cache in
 * the span's heap. */
void remote_free(struct cache *cache, struct span *span, struct block *block);

/* Makes a shared span of `class` the cache's own, the only one in its empty bin.  False when there is none. */
bool shared_take(struct cache *cache, unsigned size_class);

/* The owner leaves a span that has blocks in use and is in no list. */
void span_disown(struct span *span);

/* A guest looks into a span without owner.  Between the two calls, under the heap's lock, nobody becomes its owner,
 * and only frees by others touch it, which push on its remote list.  False: it has an owner, or is about to.
 * span_guest_gone comes after the lock: it releases the span if those frees have emptied it. */
bool span_guest_enter(struct span *span, uint64_t *flags);
uint64_t span_guest_leave(struct span *span, uint64_t flags);
void span_guest_gone(struct span *span, uint64_t remote);

/* A span that nobody had yet, with free blocks, becomes SHARED.  Under the heap's lock. */
void shared_adopt(struct span *span);

#endif
