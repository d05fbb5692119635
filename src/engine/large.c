/* large.c - see large.h. */
#include "engine/large.h"

#include "engine/arena.h"
#include "engine/meta.h"
#include "engine/pagemap.h"
#include "engine/purge.h"
#include "engine/span.h"
#include "os/os.h"

#include <string.h>

#define MOVE_PAGES_MIN 256 /* 1 MiB: below it, copying is cheaper than changing mappings while others fault */
#define COPY_STEP (8 * MiB) /* copied at a time, and purged behind, where pages cannot move */

/* ---- Making and freeing -------------------------------------------------------------------------- */

/* Field by field: who has just freed a block of the span that this descriptor was before may still look. */
static void init(struct span *span, const struct run *run)
{
    span->free = NULL;
    store_relaxed(&span->allocs, 1);
    store_relaxed(&span->frees, 0);
    span->base = arena_address(run->arena, run->first);
    span->inverse = 1; /* only the first byte is the start of a block */
    store_relaxed(&span->owner, NULL);
    span->block_size = 0;
    span->capacity = span->carved = 1;
    store_relaxed(&span->cut_limit, 1);
    span->size_class = CLASS_LARGE;
    span->is_shared = span->is_moved = 0;
    store_relaxed(&span->is_marked, 0);
    span->empty_at = 0;
    store_relaxed(&span->remote, 0);
    span->next = span->previous = NULL;
    store_relaxed(&span->last_owner, NULL);
    span->arena = run->arena;
    span->marks = 0;
    span->pages = run->pages;
}

/* Enters the pages of a large block, from the first on, in the page map, or (span NULL) takes them out. */
static void map(const struct heap *heap, uintptr_t base, size_t pages, struct span *span)
{
    pagemap_set(base, heap->config.map_all ? pages : 1, span);
}

/* Under the lock: a large block's span leaves the books of everybody who looks blocks up. */
static void unmap(struct heap *heap, struct span *span)
{
    map(heap, span->base, span->pages, NULL);
    if (heap->config.events != NULL)
        heap->config.events->released(heap, span);
}

/* Under the lock: a span with its pages, entered everywhere. */
static struct span *make(struct heap *heap, size_t pages, size_t align, struct run *run, enum error *error)
{
    struct span *span = meta_span_alloc(heap);
    *error = span != NULL ? pages_take(heap, pages, align, run) : meta_error(heap);
    if (span == NULL)
        return NULL;
    if (*error != OK) {
        meta_span_free(heap, span);
        return NULL;
    }
    init(span, run);
    if (heap->config.events != NULL)
        heap->config.events->made(heap, span);
    map(heap, span->base, span->pages, span);
    count_up(&heap->counts.spans, 1);
    count_up(&heap->counts.large_bytes, span->pages << PAGE_SHIFT);
    purge_for_peak(heap);
    return span;
}

struct span *large_adopt(struct heap *heap, const struct run *run)
{
    struct span *span = meta_span_alloc(heap);
    if (span == NULL)
        return NULL;
    init(span, run);
    map(heap, span->base, span->pages, span);
    count_up(&heap->counts.spans, 1);
    count_up(&heap->counts.large_bytes, span->pages << PAGE_SHIFT);
    return span;
}

/* Writes zeros where the run may hold old bytes. */
static void zero_dirty(struct heap *heap, const struct run *run)
{
    size_t limit = run->first + run->pages;
    if (run->arena->is_stale) {
        memset((void *)arena_address(run->arena, run->first), 0, run->pages << PAGE_SHIFT);
        return;
    }
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
    struct span *span = make(heap, pages, size_max(align, PAGE_SIZE), &run, error);
    lock_release(&heap->lock);
    if (span == NULL)
        return NULL;
    if (zero && !run.zero)
        zero_dirty(heap, &run);
    return (void *)span->base;
}

/* Under the lock: the pages [first, first + pages) of the span become free; `clean`: they are known to be zero.  The
 * last use of the span's arena. */
static void give(struct span *span, size_t first, size_t pages, bool clean)
{
    struct heap *heap = span_heap(span);
    struct arena *arena = span->arena;
    struct source *source = arena->source;
    if (!clean && span->is_moved && source->renew != NULL)
        clean = source->renew(source, (void *)arena_address(arena, first), pages << PAGE_SHIFT);
    count_down(&heap->counts.large_bytes, pages << PAGE_SHIFT);
    pages_give_back(heap, arena, first, pages, !clean);
}

bool large_free(struct span *span, void *block)
{
    struct heap *heap = span_heap(span);
    lock_take(&heap->lock);
    bool here =
        pagemap_find(block) == span && span->base == (uintptr_t)block && span->size_class == CLASS_LARGE;
    if (here) {
        unmap(heap, span);
        give(span, span_first_page(span), span->pages, false);
        store_relaxed(&span->frees, 1);
        span_retire_descriptor(heap, span);
        store_relaxed(&heap->last_large, block);
        purge_by_rules(heap);
    }
    lock_release(&heap->lock);
    return here;
}

/* ---- Resizing ------------------------------------------------------------------------------------ */

/* Before span->pages changes: page map and record follow. */
static void note_size(struct heap *heap, struct span *span, size_t pages)
{
    if (heap->config.map_all && pages < span->pages)
        pagemap_set(span->base + (pages << PAGE_SHIFT), span->pages - pages, NULL);
    if (heap->config.map_all && pages > span->pages)
        pagemap_set(span->base + (span->pages << PAGE_SHIFT), pages - span->pages, span);
    if (heap->config.events != NULL)
        heap->config.events->resized(heap, span, pages);
}

static bool resize_in_place(struct span *span, size_t pages)
{
    struct heap *heap = span_heap(span);
    size_t old = span->pages;
    bool done = true;
    lock_take(&heap->lock);
    if (pages < old) {
        note_size(heap, span, pages);
        give(span, span_first_page(span) + pages, old - pages, false);
        span->pages = pages;
        purge_by_rules(heap);
    } else if (pages > old) {
        done = pages_take_at(heap, span->arena, span_first_page(span) + old, pages - old);
        if (done) {
            note_size(heap, span, pages);
            span->pages = pages;
            count_up(&heap->counts.large_bytes, (pages - old) << PAGE_SHIFT);
            purge_for_peak(heap);
        }
    }
    lock_release(&heap->lock);
    return done;
}

bool large_resize_in_place(struct span *span, size_t size)
{
    return span->size_class == CLASS_LARGE && size <= PTRDIFF_MAX - PAGE_SIZE &&
           resize_in_place(span, size_max((size + PAGE_SIZE - 1) >> PAGE_SHIFT, 1));
}

/* Copies and gives the old pages back step by step, so that old and new are never there at once. */
static void copy_and_purge(struct source *source, char *from, char *to, size_t size)
{
    for (size_t done = 0, step; done < size; done += step) {
        step = size_min(COPY_STEP, size - done);
        memcpy(to + done, from + done, step);
        uintptr_t first = align_up((uintptr_t)from + done, os_page_size());
        uintptr_t end = align_down((uintptr_t)from + done + step, os_page_size());
        if (size > COPY_STEP && first < end && source->purge != NULL)
            (void)source->purge(source, (void *)first, end - first);
    }
}

/* Pages that came from elsewhere are mappings of their own, and only one mapping can be moved at a time. */
static bool is_movable(const struct span *from, const struct run *to)
{
    uintptr_t mask = os_page_size() - 1;
    uintptr_t edges = from->base | (from->pages << PAGE_SHIFT) | arena_address(to->arena, to->first) |
                      (to->pages << PAGE_SHIFT);
    return from->pages >= MOVE_PAGES_MIN && !from->is_moved && from->arena->source == to->arena->source &&
           from->arena->source->move != NULL && from->arena->source->renew != NULL && (edges & mask) == 0;
}

/* Under the lock.  Less may be left than was added: the child of a fork begins at 0. */
static void end_replacing(struct heap *heap, size_t bytes)
{
    heap->replaced_bytes -= size_min(heap->replaced_bytes, bytes);
}

/* The old pages are at a new place, or copied there; the span that had them goes. */
static void retire_moved(struct span *span, size_t replaced, bool clean)
{
    struct heap *heap = span_heap(span);
    lock_take(&heap->lock);
    unmap(heap, span);
    give(span, span_first_page(span), span->pages, clean);
    store_relaxed(&span->frees, 1);
    span_retire_descriptor(heap, span);
    end_replacing(heap, replaced);
    if (heap_committed(heap) > size_min(heap->config.limit_soft, heap->config.limit_hard))
        (void)purge_down_to(heap, 0);
    purge_for_peak(heap);
    purge_by_rules(heap);
    lock_release(&heap->lock);
}

/* The target may be gone: the block stays where it is, and the new span, with perhaps no memory behind it, waits in
 * heap->lost until its pages can be renewed. */
COLD static void *abandon_resize(struct span *fresh, size_t replaced, enum error *error)
{
    struct heap *heap = span_heap(fresh);
    lock_take(&heap->lock);
    end_replacing(heap, replaced);
    fresh->next = heap->lost;
    heap->lost = fresh;
    lock_release(&heap->lock);
    *error = ERROR_MEMORY;
    return NULL;
}

void large_recover_lost(struct heap *heap)
{
    struct span *span = heap->lost;
    heap->lost = NULL;
    while (span != NULL) {
        struct span *next = span->next;
        struct source *source = span->arena->source;
        if (source->renew(source, (void *)span->base, span->pages << PAGE_SHIFT)) {
            unmap(heap, span);
            pages_give(heap, span->arena, span_first_page(span), span->pages, false);
            count_down(&heap->counts.large_bytes, span->pages << PAGE_SHIFT);
            store_relaxed(&span->frees, 1);
            span_retire_descriptor(heap, span);
        } else {
            span->next = heap->lost;
            heap->lost = span;
        }
        span = next;
    }
}

/* A move that failed may have unmapped the target; a purge succeeds only where all of it is mapped. */
static bool target_is_mapped(struct source *source, void *to, size_t size)
{
    return source->purge(source, to, size) || source->renew(source, to, size);
}

void *large_resize(struct span *span, size_t size, enum error *error)
{
    struct heap *heap = span_heap(span);
    struct run run;
    if (size > PTRDIFF_MAX - PAGE_SIZE) {
        *error = ERROR_MEMORY;
        return NULL;
    }
    size_t pages = size_max((size + PAGE_SIZE - 1) >> PAGE_SHIFT, 1);
    if (resize_in_place(span, pages))
        return (void *)span->base;
    size_t old = span->pages << PAGE_SHIFT;
    size_t replaced =
        span->pages >= MOVE_PAGES_MIN ? old : 0; /* never there twice: moved, or purged behind a copy */
    lock_take(&heap->lock);
    heap->replaced_bytes += replaced;
    struct span *fresh = make(heap, pages, PAGE_SIZE, &run, error);
    if (fresh == NULL)
        end_replacing(heap, replaced);
    lock_release(&heap->lock);
    if (fresh == NULL)
        return NULL;
    struct source *source = span->arena->source;
    char *from = (char *)span->base, *to = (char *)fresh->base;
    bool clean = is_movable(span, &run) && source->move(source, from, to, old);
    if (clean) {
        fresh->is_moved = 1;
    } else {
        if (is_movable(span, &run) && !target_is_mapped(source, to, run.pages << PAGE_SHIFT))
            return abandon_resize(fresh, replaced, error);
        copy_and_purge(source, from, to, old);
    }
    retire_moved(span, replaced, clean);
    return to;
}
