/* adopt.h - spans of an earlier process, built from descriptors and marks when they are needed.
 *
 * Opening looks at no page.  Spans and free pages come into the heap's books in two ways:
 *   by address   a block is freed, resized or asked about, and the page map knows nothing of it: adopt_find
 *   in order     the heap wants blocks or pages, and looks at the next stretch of the file: adopt_look.  Pages up to
 *                file->looked are in the books; behind file->touched all are free and zero
 * What is behind `looked` counts as taken.  A span without live blocks was kept by a thread of a process that is gone, or
 * was just being made: it becomes free pages.
 *
 * A span that is adopted is as if every free block of it had never been cut: span_carve passes over the blocks that were
 * live then, arena->kept has a bit for each.  So nothing is written into its pages before they are used. */
#ifndef PERSIST_ADOPT_H
#define PERSIST_ADOPT_H

#include "persist/file.h"

/* The `look` of heap_events.  Under the heap's lock. */
bool adopt_look(struct heap *heap, size_t pages);

/* Everything comes into the books.  Under the heap's lock. */
void adopt_all(struct pool_file *file);

/* The span that `address`, anywhere in the pool's pages, lies in, adopted now if need be; NULL: none, or no memory. */
struct span *adopt_find(struct pool_file *file, const void *address);

/* The live blocks among those of a descriptor at `page`, by its marks. */
uint64_t adopt_count_live(const struct pool_file *file, uint64_t page,
                          const struct page_descriptor *descriptor);

#endif
