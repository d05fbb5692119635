/* large.c - see large.h. */
#include "engine/large.h"

#include "engine/arena.h"
#include "engine/meta.h"
#include "engine/pagemap.h"
#include "engine/purge.h"
#include "engine/span.h"
#include "os/os.h"

#include <string.h>

#define MOVE_PAGES_MIN 32   /* 128 KiB: from here on moving pages beats copying bytes */
#define COPY_STEP (8 * MiB) /* copied at a time, and purged behind, where pages cannot move */

/* ---- Making and freeing -------------------------------------------------------------------------- */

/* Field by field: who has just freed a block of the span that this descriptor was before may still look. */
static void init(struct span *span, struct heap *heap, const struct run *run)
{
    span->free = NULL;
    store_relaxed(&span->allocs, 1);
    store_relaxed(&span->frees, 0);
    span->base = arena_address(run->arena, run->first);
    span->inverse = 1; /* only the first byte is the start of a block */
    store_relaxed(&span->owner, NULL);
    span->block_size = 0;
    span->capacity = span->carved = 1;
    span->size_class = CLASS_LARGE;
    span->is_shared = span->is_moved = 0;
    span->empty_at = 0;
    store_relaxed(&span->remote, 0);
    span->next = span->previous = NULL;
    store_relaxed(&span->last_owner, NULL);
    span->heap = heap;
    span->arena = run->arena;
    span->pages = run->pages;
}

/* Under the lock: a span with its pages, entered everywhere. */
static struct span *make(struct heap *heap, size_t pages, size_t replaced, size_t align, struct run *run,
                         enum error *error)
{
    struct span *span = meta_span_alloc(heap);
    *error = span != NULL ? pages_take_for(heap, pages, replaced, align, run) : ERROR_MEMORY;
    if (*error != OK) {
        if (span != NULL)
            meta_span_free(heap, span);
        return NULL;
    }
    init(span, heap, run);
    pagemap_set(span->base, 1, span);
    count_up(&heap->counts.spans, 1);
    count_up(&heap->counts.large_bytes, span->pages << PAGE_SHIFT);
    return span;
}

/* Writes zeros where the run may hold old bytes. */
static void zero_dirty(struct heap *heap, const struct run *run)
{
    size_t limit = run->first + run->pages;
    for (size_t at = run->first, end;; at = end) {
        lock_take(&heap->lock);
        bool found = pages_next_dirty(run->arena, limit, &at, &end);
        lock_release(&heap->lock);
        if (!found)
            return;
        memset((void *)arena_address(run->arena, at), 0, (end - at) << PAGE_SHIFT);
    }
}

void *large_alloc(struct heap *heap, size_t size, size_t align, bool zero, enum error *error)
{
    struct run run;
    if (size > PTRDIFF_MAX - PAGE_SIZE) {
        *error = ERROR_MEMORY;
        return NULL;
    }
    size_t pages = size_max((size + PAGE_SIZE - 1) >> PAGE_SHIFT, 1);
    lock_take(&heap->lock);
    struct span *span = make(heap, pages, 0, size_max(align, PAGE_SIZE), &run, error);
    lock_release(&heap->lock);
    if (span == NULL)
        return NULL;
    if (zero && !run.zero)
        zero_dirty(heap, &run);
    return (void *)span->base;
}

/* Under the lock: the pages [first, first + pages) of the span become free. */
static void give(struct span *span, size_t first, size_t pages)
{
    struct heap *heap = span->heap;
    struct arena *arena = span->arena;
    bool dirty = true;
    if (span->is_moved && arena->source->renew != NULL)
        dirty =
            !arena->source->renew(arena->source, (void *)arena_address(arena, first), pages << PAGE_SHIFT);
    pages_give(heap, arena, first, pages, dirty);
    count_down(&heap->counts.large_bytes, pages << PAGE_SHIFT);
}

bool large_free(struct span *span, void *block)
{
    struct heap *heap = span->heap;
    lock_take(&heap->lock);
    bool here =
        pagemap_find(block) == span && span->base == (uintptr_t)block && span->size_class == CLASS_LARGE;
    if (here) {
        pagemap_set(span->base, 1, NULL);
        give(span, span_first_page(span), span->pages);
        store_relaxed(&span->frees, 1);
        span_retire_descriptor(heap, span);
        store_relaxed(&heap->last_large, block);
        purge_by_rules(heap);
    }
    lock_release(&heap->lock);
    return here;
}

/* ---- Resizing ------------------------------------------------------------------------------------ */

static bool resize_in_place(struct span *span, size_t pages)
{
    struct heap *heap = span->heap;
    size_t old = span->pages;
    bool done = true;
    lock_take(&heap->lock);
    if (pages < old) {
        give(span, span_first_page(span) + pages, old - pages);
        span->pages = pages;
        purge_by_rules(heap);
    } else if (pages > old) {
        done = pages_take_at(heap, span->arena, span_first_page(span) + old, pages - old);
        if (done) {
            span->pages = pages;
            count_up(&heap->counts.large_bytes, (pages - old) << PAGE_SHIFT);
        }
    }
    lock_release(&heap->lock);
    return done;
}

/* Copies and gives the old pages back step by step, so that old and new are never there at once. */
static void copy_and_purge(struct source *source, char *from, char *to, size_t size)
{
    for (size_t done = 0, step; done < size; done += step) {
        step = size_min(COPY_STEP, size - done);
        memcpy(to + done, from + done, step);
        if (size > COPY_STEP)
            (void)source->purge(source, from + done, step);
    }
}

static bool same_pages_movable(const struct span *from, const struct run *to)
{
    size_t mask = os_page_size() - 1;
    return from->pages >= MOVE_PAGES_MIN && from->arena->source == to->arena->source &&
           from->arena->source->move != NULL &&
           ((from->base | arena_address(to->arena, to->first) | (from->pages << PAGE_SHIFT)) & mask) == 0;
}

/* The old pages are at a new place, or copied there; the span that had them goes. */
static void retire_moved(struct span *span, bool clean)
{
    struct heap *heap = span->heap;
    lock_take(&heap->lock);
    pagemap_set(span->base, 1, NULL);
    if (clean) {
        pages_give(heap, span->arena, span_first_page(span), span->pages, false);
        count_down(&heap->counts.large_bytes, span->pages << PAGE_SHIFT);
    } else {
        give(span, span_first_page(span), span->pages);
    }
    store_relaxed(&span->frees, 1);
    span_retire_descriptor(heap, span);
    purge_by_rules(heap);
    lock_release(&heap->lock);
}

void *large_resize(struct span *span, size_t size, enum error *error)
{
    struct heap *heap = span->heap;
    struct run run;
    if (size > PTRDIFF_MAX - PAGE_SIZE) {
        *error = ERROR_MEMORY;
        return NULL;
    }
    size_t pages = size_max((size + PAGE_SIZE - 1) >> PAGE_SHIFT, 1);
    if (resize_in_place(span, pages))
        return (void *)span->base;
    lock_take(&heap->lock);
    struct span *fresh = make(heap, pages, span->pages, PAGE_SIZE, &run, error);
    lock_release(&heap->lock);
    if (fresh == NULL)
        return NULL;
    char *from = (char *)span->base, *to = (char *)fresh->base;
    size_t moved = span->pages << PAGE_SHIFT;
    bool clean =
        same_pages_movable(span, &run) && span->arena->source->move(span->arena->source, from, to, moved);
    if (clean) {
        fresh->is_moved = 1;
        clean = !span->is_moved; /* a place that pages were moved to keeps the mark: give() renews it */
    } else {
        copy_and_purge(span->arena->source, from, to, moved);
    }
    retire_moved(span, clean);
    return to;
}
