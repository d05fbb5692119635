/* span.c - see span.h; who may call what is in types.h. */
#include "engine/span.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/classes.h"
#include "engine/meta.h"
#include "engine/pagemap.h"
#include "engine/purge.h"
#include "engine/remote.h"
#include "os/os.h"

#include <string.h>

#define CARVE_BYTES PAGE_SIZE

struct span span_none;

_Static_assert(SPAN_PAGES_MAX *PAGE_SIZE / 8 <= UINT16_MAX, "blocks are counted in 16 bits");

static void set_carved(struct span *span, size_t count)
{
    span->carved = (uint16_t)count;
    store_relaxed(&span->cut_limit, (uint32_t)(count * (span->block_size * span->inverse)));
}

static void init(struct span *span, unsigned size_class, const struct run *run, struct cache *owner)
{
    size_t size = class_size(size_class);
    span->free = NULL;
    store_relaxed(&span->allocs, 0);
    store_relaxed(&span->frees, 0);
    span->base = arena_address(run->arena, run->first);
    span->inverse = UINT64_MAX / size + (is_power_of_two(size) ? 2 : 1);
    store_relaxed(&span->owner, owner);
    span->block_size = (uint32_t)size;
    span->capacity = (uint16_t)((run->pages << PAGE_SHIFT) / size);
    set_carved(span, 0);
    span->size_class = (uint8_t)size_class;
    span->is_shared = 0;
    span->is_moved = 0;
    store_relaxed(&span->is_marked, 0);
    span->empty_at = 0;
    store_relaxed(&span->remote, 0);
    span->next = span->previous = NULL;
    store_relaxed(&span->last_owner, NULL);
    span->arena = run->arena;
    const struct arena *arena = run->arena;
    span->marks = arena->marks != NULL ? (uintptr_t)arena->marks - arena->base / MARK_BYTES : 0;
    span->pages = run->pages;
}

/* ---- Pages that a thread gave back and takes again ------------------------------------------------ */

#define GIVEN_LOOKS 16 /* so many of the last are looked at */

static struct given *given_at(struct cache *cache, uint32_t back)
{
    return &cache->given[(cache->given_next - back) % CACHE_GIVEN];
}

static void note_given(struct cache *cache, const struct span *span)
{
    cache->given_next++;
    *given_at(cache, 1) = (struct given){span->arena, (uint32_t)span_first_page(span), (uint32_t)span->pages};
}

/* Takes as many pages again, those given back last first, unless they have gone to the system meanwhile. */
static bool take_given(struct cache *cache, size_t pages, struct run *run)
{
    for (uint32_t back = 1; back <= GIVEN_LOOKS; back++) {
        struct given *given = given_at(cache, back);
        if (given->pages != pages)
            continue;
        *run = (struct run){given->arena, given->first, pages, false};
        given->pages = 0;
        for (uint32_t i = 0; i < CACHE_GIVEN && given_at(cache, 1)->pages == 0; i++)
            cache->given_next--;
        if (bits_test(run->arena->dirty, run->first) &&
            pages_take_allowed(cache->heap, run->arena, run->first, pages))
            return true;
    }
    return false;
}

void span_forget_given(struct heap *heap)
{
    for (struct cache *cache = heap->all_caches; cache != NULL; cache = cache->next_all)
        memset(cache->given, 0, sizeof cache->given);
}

static enum error pages_for(struct cache *owner, size_t pages, struct run *run)
{
    /* First the limits: to keep them may open the lock, and then the arenas of `given` may go. */
    enum error error = limits_allow(owner->heap, pages << PAGE_SHIFT);
    if (error != OK || take_given(owner, pages, run))
        return error;
    return pages_take(owner->heap, pages, PAGE_SIZE, run);
}

/* ---- Making and releasing ------------------------------------------------------------------------ */

struct span *span_make(struct heap *heap, unsigned size_class, unsigned level, struct cache *owner,
                       enum error *error)
{
    struct run run;
    lock_take(&heap->lock);
    struct span *span = meta_span_alloc(heap);
    *error = span != NULL ? pages_for(owner, class_span_pages(size_class, level), &run) : meta_error(heap);
    if (span != NULL && *error == OK) {
        init(span, size_class, &run, owner);
        if (heap->config.events != NULL)
            heap->config.events->made(heap, span);
        pagemap_set(span->base, span->pages, span);
        count_up(&heap->counts.spans, 1);
        purge_for_peak(heap);
    } else if (span != NULL) {
        meta_span_free(heap, span);
        span = NULL;
    }
    lock_release(&heap->lock);
    return span;
}

struct span *span_adopt(struct heap *heap, unsigned size_class, const struct run *run, uint32_t live)
{
    struct span *span = meta_span_alloc(heap);
    if (span == NULL)
        return NULL;
    init(span, size_class, run, NULL);
    set_carved(span, span->capacity);
    store_relaxed(&span->allocs, live);
    if (live == span->capacity) {
        store_relaxed(&span->remote, REMOTE_UNOWNED);
    } else {
        span->carved = 0; /* but cut_limit stays: blocks of the earlier process may be anywhere */
        shared_adopt(span);
    }
    pagemap_set(span->base, span->pages, span);
    count_up(&heap->counts.spans, 1);
    return span;
}

void span_retire_descriptor(struct heap *heap, struct span *span)
{
    count_up(&heap->counts.allocs, span->allocs);
    count_up(&heap->counts.frees, span->frees);
    count_down(&heap->counts.spans, 1);
    store_relaxed(&span->owner, NULL);
    store_relaxed(&span->remote, 0);
    meta_span_free(heap, span);
}

void span_release(struct span *span, struct cache *cache)
{
    struct heap *heap = span_heap(span);
    lock_take(&heap->lock);
    pagemap_set(span->base, span->pages, NULL);
    if (heap->config.events != NULL)
        heap->config.events->released(heap, span);
    pages_give(heap, span->arena, span_first_page(span), span->pages, true);
    if (cache != NULL)
        note_given(cache, span);
    span_retire_descriptor(heap, span);
    purge_by_rules(heap);
    lock_release(&heap->lock);
}

static bool is_kept(const struct span *span, uint32_t block)
{
    size_t at = span->base + (size_t)block * span->block_size - span->arena->base;
    return bits_test(span->arena->kept, at / MARK_BYTES);
}

/* The same as span_carve where some of the blocks not cut yet may be an earlier process's. */
COLD static bool carve_between(struct span *span)
{
    size_t wanted = size_max(CARVE_BYTES / span->block_size, 1);
    struct block **link = &span->free;
    bool any = false;
    for (; span->carved < span->capacity && wanted > 0; span->carved++) {
        if (is_kept(span, span->carved))
            continue;
        struct block *block = (struct block *)(span->base + (size_t)span->carved * span->block_size);
        block->next = *link;
        *link = block;
        link = &block->next;
        any = true;
        wanted--;
    }
    uint32_t limit = (uint32_t)(span->carved * (span->block_size * span->inverse));
    if (limit > load_relaxed(&span->cut_limit)) /* an adopted span has the highest from the start */
        store_relaxed(&span->cut_limit, limit);
    return any;
}

/* Blocks that were there already when the span was adopted and that span_carve has not passed yet. */
static uint64_t kept_ahead(const struct span *span)
{
    uint64_t count = 0;
    if (span->arena->kept != NULL && span->size_class != CLASS_LARGE)
        for (uint32_t block = span->carved; block < span->capacity; block++)
            count += is_kept(span, block);
    return count;
}

bool span_carve(struct span *span)
{
    size_t size = span->block_size;
    if (UNLIKELY(span->arena->kept != NULL))
        return carve_between(span);
    size_t count = size_min(span->capacity - span->carved, size_max(CARVE_BYTES / size, 1));
    if (count == 0)
        return false;
    char *first = (char *)span->base + span->carved * size;
    char *last = first + (count - 1) * size;
    for (char *at = first; at < last; at += size)
        ((struct block *)at)->next = (struct block *)(at + size);
    ((struct block *)last)->next = span->free;
    span->free = (struct block *)first;
    set_carved(span, span->carved + count);
    return true;
}

void span_collect_word(struct span *span, uint64_t remote)
{
    struct block *first = (struct block *)(uintptr_t)(remote & REMOTE_BLOCK_MASK);
    if (first == NULL)
        return;
    if (span->free != NULL) {
        struct block *last = first;
        while (last->next != NULL)
            last = last->next;
        last->next = span->free;
    }
    span->free = first;
    count_up(&span->frees, remote >> REMOTE_COUNT_SHIFT);
}

bool span_collect(struct span *span)
{
    if (load_relaxed(&span->remote) == 0)
        return false;
    span_collect_word(span, exchange_acquire(&span->remote, 0)); /* pairs with the push in remote.c */
    return true;
}

/* Cut already, or live when the span was adopted: such a block may be freed before cutting comes to it. */
static bool may_be_free(const struct span *span, const struct block *block)
{
    uint64_t index = ((uintptr_t)block - span->base) / span->block_size;
    return index < span->carved ||
           (index < span->capacity && span->arena->kept != NULL && is_kept(span, (uint32_t)index));
}

const char *span_check(const struct span *span)
{
    if (span->size_class == CLASS_LARGE)
        return span->pages > 0 ? NULL : "large block without pages";
    if (span->carved > span->capacity)
        return "more blocks cut than fit";
    uint64_t count = 0;
    for (const struct block *block = span->free; block != NULL; block = block->next, count++) {
        if (!may_be_free(span, block))
            return "free block outside the span";
        if (!span_is_block(span, block))
            return "free block misaligned";
        if (count > span->capacity)
            return "free list has a cycle";
    }
    return count + (span->allocs - span->frees) == span->carved + kept_ahead(span) ? NULL
                                                                                   : "blocks miscounted";
}
