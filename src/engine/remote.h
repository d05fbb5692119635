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

#endif
