/* large.h - large blocks: each is a span of its own, cut from an arena to the page.  All calls lock the heap. */
#ifndef ENGINE_LARGE_H
#define ENGINE_LARGE_H

#include "engine/types.h"

/* A block of at least `size` bytes (above CLASS_SIZE_MAX, or with an alignment above a page) at a multiple of `align`.
 * `zero`: its bytes are zero; pages fresh from the system are not written.  NULL with *error set. */
void *large_alloc(struct heap *heap, size_t size, size_t align, bool zero, enum error *error);

/* A large block that an earlier process has in these pages, which are in use as far as the arena knows.  Under the heap's
 * lock.  NULL: no memory. */
struct run;
struct span *large_adopt(struct heap *heap, const struct run *run);

/* Frees the block of `span`.  False if somebody has freed it meanwhile. */
bool large_free(struct span *span, void *block);

/* The block at a size that fits `size`: where it is if there is room, else its pages moved to another
 * place.  NULL with *error set: nothing has changed. */
void *large_resize(struct span *span, size_t size, enum error *error);

/* The same where it is, or not at all. */
bool large_resize_in_place(struct span *span, size_t size);

/* Tries again to get the pages back that a failed resize has left without memory.  Under the heap's lock. */
void large_recover_lost(struct heap *heap);

#endif
