/* inspect_heap.c - the checks of a whole heap: pages and lists under one lock, then span after span.
 *
 * Purging opens the heap's lock in the middle of its work and hides the pages it is at: they are neither free nor in
 * a span, and still counted as dirty.  So sums may be larger than what is found by no more than what is hidden. */
#include "observe/inspect.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/classes.h"
#include "engine/pagemap.h"
#include "engine/span.h"
#include "observe/inspect_span.h"

/* What the walk over all pages finds, in pages. */
struct found {
    size_t spans, span_pages, large_pages, dirty_pages, hidden_pages, reserved_pages, arenas, queued, shared;
    struct inspect_fault *fault;
};

static bool wrong(struct found *found, const char *what, const void *where)
{
    *found->fault = (struct inspect_fault){what, where};
    return false;
}

/* ---- Pages --------------------------------------------------------------------------------------- */

static bool check_page_map(struct found *found, const struct span *span)
{
    bool whole = span->size_class != CLASS_LARGE || span_heap(span)->config.map_all;
    for (size_t i = 1; i < span->pages; i++) {
        const struct span *expected = whole ? span : NULL;
        if (pagemap_find((void *)(span->base + (i << PAGE_SHIFT))) != expected)
            return wrong(found, "the page map has another span for a page of this one", span);
    }
    return true;
}

static bool check_span(struct found *found, const struct arena *arena, size_t page, const struct span *span)
{
    if (span->arena != arena || span->base != arena_address(arena, page))
        return wrong(found, "a span is not where the page map has it", span);
    if (span->pages == 0 || span->pages > arena->pages - page)
        return wrong(found, "a span reaches beyond its arena", span);
    if (bits_next_set(arena->free, page, page + span->pages) != page + span->pages)
        return wrong(found, "a page is free and in a span", span);
    found->spans++;
    found->span_pages += span->pages;
    found->shared += span->is_shared;
    if (span->size_class == CLASS_LARGE)
        found->large_pages += span->pages;
    else if (span->size_class > CLASS_LARGE || span->block_size != class_size(span->size_class) ||
             (size_t)span->capacity * span->block_size > span->pages << PAGE_SHIFT)
        return wrong(found, "a span's size class and block size do not fit", span);
    return check_page_map(found, span);
}

static bool check_arena(struct found *found, const struct arena *arena)
{
    const char *text = arena_check(arena);
    if (text != NULL)
        return wrong(found, text, arena);
    for (size_t page = 0; page < arena->pages;) {
        const struct span *span = pagemap_find((void *)arena_address(arena, page));
        if (bits_test(arena->free, page)) {
            if (span != NULL)
                return wrong(found, "the page map has a span for a free page", span);
            page++;
        } else if (span == NULL) {
            found->hidden_pages++;
            page++;
        } else {
            if (!check_span(found, arena, page, span))
                return false;
            page += span->pages;
        }
    }
    for (size_t c = 0; c * CHUNK_PAGES < arena->capacity; c++) {
        found->dirty_pages += arena->chunks[c].dirty;
        found->queued += arena->chunks[c].queued;
    }
    found->reserved_pages += arena->pages;
    found->arenas++;
    return true;
}

/* ---- Lists --------------------------------------------------------------------------------------- */

static bool check_queue(struct found *found, const struct heap *heap)
{
    const struct chunk *last = NULL;
    size_t count = 0;
    for (const struct chunk *chunk = heap->dirty_first; chunk != NULL; last = chunk, chunk = chunk->next)
        if (!chunk->queued || chunk->previous != last || ++count > found->queued)
            return wrong(found, "the queue of chunks to purge is broken", chunk);
    if (heap->dirty_last != last || count != found->queued)
        return wrong(found, "the queue of chunks to purge is broken", last);
    return true;
}

static bool check_shared(struct found *found, const struct heap *heap)
{
    size_t count = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        const struct span *last = NULL;
        for (const struct span *span = heap->shared_first[i]; span != NULL; last = span, span = span->next)
            if (!span->is_shared || span->size_class != i || span->previous != last ||
                ++count > found->shared)
                return wrong(found, "a list of shared spans is broken", span);
        if (heap->shared_last[i] != last)
            return wrong(found, "a list of shared spans is broken", last);
    }
    return count == found->shared || wrong(found, "a shared span is in no list", heap);
}

static bool check_counts(struct found *found, const struct heap *heap)
{
    const struct heap_counts *c = &heap->counts;
    size_t dirty = c->dirty_bytes >> PAGE_SHIFT;
    if (c->spans != found->spans || c->span_bytes != found->span_pages << PAGE_SHIFT ||
        c->large_bytes != found->large_pages << PAGE_SHIFT)
        return wrong(found, "the pages in spans are miscounted", heap);
    if (dirty < found->dirty_pages || dirty - found->dirty_pages > found->hidden_pages)
        return wrong(found, "the dirty pages are miscounted", heap);
    if (c->arenas != found->arenas || c->reserved_bytes != found->reserved_pages << PAGE_SHIFT)
        return wrong(found, "the address space is miscounted", heap);
    return true;
}

static bool check_pages_and_lists(const struct heap *heap, struct inspect_fault *fault)
{
    struct found found = {.fault = fault};
    for (const struct arena *arena = heap->arenas; arena != NULL; arena = arena->next)
        if (!check_arena(&found, arena))
            return false;
    return check_queue(&found, heap) && check_shared(&found, heap) && check_counts(&found, heap);
}

/* ---- The thread's own cache ---------------------------------------------------------------------- */

static bool check_bin(const struct cache *cache, unsigned size_class)
{
    const struct bin *bin = &cache->bins[size_class];
    const struct span *last = NULL, *span = bin->spans > 0 ? bin->first : NULL;
    for (uint32_t i = 0; i < bin->spans; i++, last = span, span = span->next)
        if (span == NULL || load_relaxed(&span->owner) != cache || span->size_class != size_class ||
            span->previous != last)
            return false;
    return span == NULL && (bin->spans > 0 ? bin->last == last : bin->first == &span_none);
}

/* Entry i of quick, and behind them of firsts: the bin's first span, or what whoever watches the heap has put there; and
 * of `sampled`, if it is in use: the one that quick has not. */
static bool check_first(const struct cache *cache, size_t i)
{
    bool quick = i < QUICK_COUNT;
    const struct span *found = load_relaxed(quick ? &cache->quick[i] : &cache->firsts[i - QUICK_COUNT]);
    const struct span *first = cache->bins[quick ? class_of(8 * i) : i - QUICK_COUNT + FIRSTS_CLASS].first;
    const struct span *sampled = quick ? load_relaxed(&cache->sampled[i]) : &span_none;
    if ((cache->seen & WATCH_SAMPLE) != 0 && sampled != &span_none && (sampled != first || found == first))
        return false;
    return found == first ||
           (found == &span_none && (load_relaxed(&cache->heap->watch) != 0 || cache->tag_count > 0));
}

static bool check_cache(const struct cache *cache, struct inspect_fault *fault)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        if (!check_bin(cache, i)) {
            *fault = (struct inspect_fault){"a bin of the thread's cache is broken", &cache->bins[i]};
            return false;
        }
    for (size_t i = 0; i < QUICK_COUNT + CLASS_COUNT - FIRSTS_CLASS; i++)
        if (!check_first(cache, i)) {
            *fault = (struct inspect_fault){"the thread's cache has another first span than its bin", cache};
            return false;
        }
    return true;
}

/* ---- The whole ----------------------------------------------------------------------------------- */

bool inspect_heap(struct heap *heap, struct cache *mine, struct inspect_fault *fault, enum error *error)
{
    struct inspector in;
    *fault = (struct inspect_fault){NULL, NULL};
    lock_take(&heap->lock);
    bool sound = check_pages_and_lists(heap, fault);
    lock_release(&heap->lock);
    if (!sound || (mine != NULL && !check_cache(mine, fault)))
        return true;
    if (!inspector_begin(&in, heap, mine)) {
        *error = ERROR_MEMORY;
        return false;
    }
    while (fault->what == NULL && inspector_next(&in) != INSPECT_END)
        if (in.fault != NULL)
            *fault = (struct inspect_fault){in.fault, in.where};
    inspector_end(&in);
    return true;
}
