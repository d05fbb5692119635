/* book.h - the heap of a pool file: its source, and the record of its spans in the file's descriptors. */
#ifndef PERSIST_BOOK_H
#define PERSIST_BOOK_H

#include "persist/file.h"

extern const struct heap_events book_events;

/* Makes the heap's one arena over the file's pages.  ERROR_MEMORY. */
enum error book_open(struct pool_file *file, struct heap *heap);

/* Sets the file's source up, for the heap's config. */
struct source *book_source(struct pool_file *file);

ALWAYS_INLINE struct pool_file *book_file(const struct heap *heap)
{
    return heap->config.source->context;
}

/* Pages up to `end` are touched from now on.  Under the heap's lock. */
void book_touch(struct pool_file *file, uint64_t end);

#endif
