/* statistics.h - what a heap holds, as numbers. */
#ifndef ENGINE_STATISTICS_H
#define ENGINE_STATISTICS_H

#include "cairn/cairn.h"
#include "engine/types.h"

struct class_statistics {
    uint64_t spans, live_blocks, live, held; /* held: bytes of pages in its spans */
};

/* The figures of cairn_stats and those per size class; the last class is large blocks. */
struct statistics {
    cairn_stats total;
    struct class_statistics classes[CLASS_COUNT + 1];
};

/* Walks every span under the heap's lock. */
void statistics_read(struct heap *heap, struct statistics *s);

#endif
