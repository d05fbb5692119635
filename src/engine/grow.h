/* grow.h - getting more pages from the source: longer arenas and new ones.  Under the heap's lock. */
#ifndef ENGINE_GROW_H
#define ENGINE_GROW_H

#include "engine/types.h"

/* Makes room for a run of `pages` pages aligned to `align` bytes.  ERROR_MEMORY when the source and its fallback have
 * no more, even after unused arenas went back. */
enum error grow(struct heap *heap, size_t pages, size_t align);

/* A heap's only arena, over pages that an earlier process used: [base, base + capacity), of which `pages` are there.  All
 * of them count as taken until pages_give says otherwise, and no chunk knows its arena before.  NULL: no memory. */
struct arena *arena_adopt(struct heap *heap, struct source *source, uintptr_t base, size_t pages,
                          size_t capacity);

/* The same for `more` pages at its end. */
void arena_lengthen(struct heap *heap, struct arena *arena, size_t more);

#endif
