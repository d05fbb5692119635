/* meta.h - a heap's store for its own structures: span descriptors, thread caches, arenas.
 *
 * Out of band: never between blocks.  Memory for it is mapped in pieces and kept for the life of the heap;
 * descriptors and caches are recycled through free lists, so that a stale pointer to one always points to
 * one.  All calls under the heap's lock, which may be dropped and retaken where a limit is
 * near; NULL when the system has no memory, or the limit none for it. */
#ifndef ENGINE_META_H
#define ENGINE_META_H

#include "engine/types.h"

#define META_PIECE (64 * KiB) /* of the process heap's store; also the largest page size */

/* Zeroed, aligned to a cache line, never given back but by meta_release_all. */
void *meta_alloc(struct heap *heap, size_t size);

/* Why one of these returned NULL just now. */
enum error meta_error(struct heap *heap);

struct span *meta_span_alloc(struct heap *heap); /* contents undefined */
void meta_span_free(struct heap *heap, struct span *span);

/* Gives the whole store back. */
void meta_release_all(struct heap *heap);

/* A mapping of its own, for what is large and may go again; `size` becomes what was mapped. */
void *meta_map(struct heap *heap, size_t *size);
void meta_unmap(struct heap *heap, void *address, size_t size);

#endif
