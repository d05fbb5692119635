/* statistics.h - what a heap holds, as numbers, text, JSON and XML.  Nothing here allocates. */
#ifndef OBSERVE_STATISTICS_H
#define OBSERVE_STATISTICS_H

#include "base/print.h"
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

void statistics_print_text(struct printer *p, const struct statistics *s);
void statistics_print_json(struct printer *p, const struct statistics *s);
void statistics_print_xml(struct printer *p, const struct statistics *s);

#endif
