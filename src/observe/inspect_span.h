/* inspect_span.h - from one span of a heap to the next: what walk and check share.  See inspect.h. */
#ifndef OBSERVE_INSPECT_SPAN_H
#define OBSERVE_INSPECT_SPAN_H

#include "engine/types.h"

#define INSPECT_COPY_BYTES (SPAN_PAGES_MAX * PAGE_SIZE)
#define INSPECT_BITS_BYTES (INSPECT_COPY_BYTES / 8 / 8) /* a bit for each of the smallest blocks */

enum inspect_result {
    INSPECT_DONE,
    INSPECT_AGAIN, /* somebody was in the middle of something */
    INSPECT_END    /* no span is left */
};

struct inspector {
    struct heap *heap;
    struct cache *mine;
    uintptr_t cursor; /* spans from here on are still to come */
    /* the span that inspector_next found: */
    uintptr_t base;
    size_t block_size, count;
    bool is_large;
    uint64_t *live;    /* one bit per block */
    const char *fault; /* NULL: none; else `live` means nothing */
    const void *where; /* of the fault */
    /* within one span: */
    unsigned tries, faults;
    bool guest;
    uint64_t left; /* what the guest left in span->remote */
    struct span descriptor;
    char *copy;
    size_t mapped;
};

/* False: no memory. */
bool inspector_begin(struct inspector *in, struct heap *heap, struct cache *mine);
void inspector_end(struct inspector *in);

/* INSPECT_DONE or INSPECT_END.  Takes the heap's locks and gives them back. */
enum inspect_result inspector_next(struct inspector *in);

#endif
