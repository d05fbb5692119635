/* statistics.c - see statistics.h.
 *
 * live and cached come from walking the spans, free from the arenas' bit sets, committed from the counters
 * that the engine keeps on the way: so that the sum holds is a check of the engine, not of arithmetic. */
#include "engine/statistics.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/pagemap.h"
#include "engine/span.h"

#include <string.h>

static void add_span(struct statistics *s, const struct span *span)
{
    struct class_statistics *size_class = &s->classes[span->size_class];
    uint64_t blocks = span_live(span);
    size_class->spans++;
    size_class->live_blocks += blocks;
    size_class->live += blocks * span_usable_size(span);
    size_class->held += span->pages << PAGE_SHIFT;
    s->total.allocations += load_relaxed(&span->allocs);
    s->total.frees += load_relaxed(&span->allocs) - blocks;
}

static void add_arena(struct statistics *s, const struct arena *arena)
{
    for (size_t page = 0; page < arena->pages;) {
        page = bits_next_clear(arena->free, page, arena->pages);
        if (page == arena->pages)
            break;
        const struct span *span = pagemap_find((void *)arena_address(arena, page));
        if (span != NULL)
            add_span(s, span);
        page += span != NULL ? span->pages : 1; /* without span: on its way to the system */
    }
    for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++)
        s->total.free += (uint64_t)arena->chunks[c].dirty << PAGE_SHIFT;
}

static uint64_t limit_value(size_t limit)
{
    return limit == SIZE_MAX ? UINT64_MAX : limit;
}

void statistics_read(struct heap *heap, struct statistics *s)
{
    memset(s, 0, sizeof *s);
    cairn_stats *total = &s->total;
    lock_take(&heap->lock);
    const struct heap_counts *counts = &heap->counts;
    for (const struct arena *arena = heap->arenas; arena != NULL; arena = arena->next)
        add_arena(s, arena);
    total->struct_size = sizeof *total;
    total->metadata = counts->meta_bytes;
    total->committed = heap_committed(heap);
    total->committed_peak = size_max(counts->committed_peak, total->committed);
    total->reserved = counts->reserved_bytes + counts->meta_bytes;
    total->limit_hard = limit_value(heap->config.limit_hard);
    total->limit_soft = limit_value(heap->config.limit_soft);
    total->allocations += counts->allocs;
    total->frees += counts->frees;
    total->spans = counts->spans;
    total->threads = heap->caches_in_use;
    total->arenas = counts->arenas;
    total->purged = counts->purged_bytes;
    total->purges = counts->purges;
    lock_release(&heap->lock);
    for (unsigned i = 0; i <= CLASS_COUNT; i++) {
        total->live += s->classes[i].live;
        total->live_blocks += s->classes[i].live_blocks;
        total->cached += s->classes[i].held - s->classes[i].live;
    }
    total->live_large = s->classes[CLASS_LARGE].live;
}
