/* grow.h - getting more pages from the source: longer arenas and new ones.  Under the heap's lock. */
#ifndef ENGINE_GROW_H
#define ENGINE_GROW_H

#include "engine/types.h"

/* Makes room for a run of `pages` pages aligned to `align` bytes.  ERROR_MEMORY when the source and its fallback have
 * no more, even after unused arenas went back. */
enum error grow(struct heap *heap, size_t pages, size_t align);

#endif
