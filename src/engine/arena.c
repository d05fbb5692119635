/* arena.c - finding, taking and giving back runs of pages.  See arena.h; growth is in grow.c. */
#include "engine/arena.h"

#include "base/bits.h"
#include "engine/grow.h"
#include "engine/purge.h"
#include "os/os.h"

#define NOT_FOUND SIZE_MAX

/* ---- Finding ------------------------------------------------------------------------------------- */

/* The first aligned place with `pages` free pages at or behind the first free page in [from, to).  What lies between
 * such a page and the aligned place is not looked at: with a huge alignment that would be most of the arena, again for
 * each chunk. */
static size_t find_between(const struct arena *arena, size_t from, size_t to, size_t pages, size_t align)
{
    size_t at = bits_next_set(arena->free, from, to);
    while (at < to) {
        size_t start = (align_up(arena_address(arena, at), align) - arena->base) >> PAGE_SHIFT;
        if (start >= arena->pages || arena->pages - start < pages)
            return NOT_FOUND;
        size_t end = bits_next_clear(arena->free, start, start + pages);
        if (end == start + pages)
            return start;
        at = bits_next_set(arena->free, end, to);
    }
    return NOT_FOUND;
}

static size_t find_in_arena(struct arena *arena, size_t pages, size_t align)
{
    if (arena->room < pages || arena->free_pages < pages)
        return NOT_FOUND;
    for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++) {
        struct chunk *chunk = &arena->chunks[c];
        if (chunk->room < size_min(pages, CHUNK_PAGES))
            continue;
        size_t from = c * CHUNK_PAGES;
        size_t found = find_between(arena, from, size_min(from + CHUNK_PAGES, arena->pages), pages, align);
        if (found != NOT_FOUND)
            return found;
        if (align == PAGE_SIZE && pages <= CHUNK_PAGES)
            chunk->room = (uint32_t)pages - 1;
    }
    if (align == PAGE_SIZE)
        arena->room = pages - 1;
    return NOT_FOUND;
}

static bool find(struct heap *heap, size_t pages, size_t align, struct run *run)
{
    for (struct arena *arena = heap->arenas; arena != NULL; arena = arena->next) {
        size_t found = find_in_arena(arena, pages, align);
        if (found != NOT_FOUND) {
            run->arena = arena;
            run->first = found;
            run->pages = pages;
            return true;
        }
    }
    return false;
}

/* ---- Counting ------------------------------------------------------------------------------------ */

/* Takes free pages out of the books; returns how many of them were dirty. */
static size_t take_from_chunks(struct heap *heap, struct arena *arena, size_t first, size_t end)
{
    size_t dirty = 0;
    for (size_t at = first; at < end;) {
        struct chunk *chunk = &arena->chunks[at / CHUNK_PAGES];
        size_t stop = size_min((at / CHUNK_PAGES + 1) * CHUNK_PAGES, end);
        size_t here = bits_count(arena->dirty, at, stop);
        size_t clean = stop - at - here;
        dirty += here;
        chunk->dirty = (uint16_t)(chunk->dirty - here);
        arena->dirty_pages -= here;
        if (chunk->purged > 0 && clean > 0) {
            size_t again = size_min(clean, chunk->purged);
            chunk->purged = (uint16_t)(chunk->purged - again);
            purge_note_regret(heap, again << PAGE_SHIFT);
        }
        at = stop;
    }
    return dirty;
}

/* Clean pages of [first, end) have been made usable and are not used after all: they are dirty from here on, so that the
 * source is not asked for them again. */
static void keep_committed(struct heap *heap, struct arena *arena, size_t first, size_t end)
{
    for (size_t at = bits_next_clear(arena->dirty, first, end), stop; at < end;
         at = bits_next_clear(arena->dirty, stop, end)) {
        stop = size_min(bits_next_set(arena->dirty, at, end), (at / CHUNK_PAGES + 1) * CHUNK_PAGES);
        struct chunk *chunk = &arena->chunks[at / CHUNK_PAGES];
        chunk->purged = (uint16_t)(chunk->purged - size_min(chunk->purged, stop - at));
        bits_set(arena->dirty, at, stop);
        count_up(&heap->counts.dirty_bytes, (stop - at) << PAGE_SHIFT);
        purge_enqueue(heap, arena, at, stop);
    }
}

/* Has the source make the clean pages of a free run usable, where that is a step of its own. */
static enum error commit_clean(struct heap *heap, const struct run *run)
{
    struct arena *arena = run->arena;
    struct source *source = arena->source;
    size_t end = run->first + run->pages;
    if (LIKELY(source->commit == NULL))
        return OK;
    for (size_t at = bits_next_clear(arena->dirty, run->first, end), stop; at < end;
         at = bits_next_clear(arena->dirty, stop, end)) {
        stop = bits_next_set(arena->dirty, at, end);
        if (!source->commit(source, (void *)arena_address(arena, at), (stop - at) << PAGE_SHIFT)) {
            keep_committed(heap, arena, run->first, at);
            return ERROR_MEMORY;
        }
    }
    return OK;
}

/* A free run becomes used. */
static enum error take(struct heap *heap, struct run *run)
{
    if (commit_clean(heap, run) != OK)
        return ERROR_MEMORY;
    size_t end = run->first + run->pages;
    size_t dirty = take_from_chunks(heap, run->arena, run->first, end);
    bits_clear(run->arena->free, run->first, end);
    run->arena->free_pages -= run->pages;
    run->zero = dirty == 0 && !run->arena->is_stale;
    count_down(&heap->counts.dirty_bytes, dirty << PAGE_SHIFT);
    count_up(&heap->counts.span_bytes, run->pages << PAGE_SHIFT);
    return OK;
}

/* ---- Limits -------------------------------------------------------------------------------------- */

enum error limits_allow(struct heap *heap, size_t bytes)
{
    size_t soft = size_min(heap->config.limit_soft, heap->config.limit_hard);
    if (LIKELY(soft == SIZE_MAX))
        return OK;
    size_t total;
    if (__builtin_add_overflow(heap_committed(heap) - heap->replaced_bytes, bytes, &total))
        return ERROR_LIMIT;
    if (total > soft && heap->counts.dirty_bytes > 0) {
        purge_down_to(heap, 0);
        total = heap_committed(heap) - heap->replaced_bytes + bytes;
    }
    return total <= heap->config.limit_hard ? OK : ERROR_LIMIT;
}

/* ---- The calls ----------------------------------------------------------------------------------- */

enum error pages_take(struct heap *heap, size_t pages, size_t align, struct run *run)
{
    enum error error;
    /* Growing may open the lock, so others may take what it got, or come nearer to the limit: look again. */
    while ((error = limits_allow(heap, pages << PAGE_SHIFT)) == OK && !find(heap, pages, align, run))
        if ((error = grow(heap, pages, align)) != OK)
            break;
    return error == OK ? take(heap, run) : error;
}

bool pages_take_allowed(struct heap *heap, struct arena *arena, size_t at, size_t more)
{
    if (at + more > arena->pages || bits_next_clear(arena->free, at, at + more) != at + more)
        return false;
    struct run run = {arena, at, more, false};
    return take(heap, &run) == OK;
}

bool pages_take_at(struct heap *heap, struct arena *arena, size_t at, size_t more)
{
    if (at + more > arena->pages || bits_next_clear(arena->free, at, at + more) != at + more)
        return false; /* before memory is given back for nothing */
    return limits_allow(heap, more << PAGE_SHIFT) == OK && pages_take_allowed(heap, arena, at, more);
}

/* Raises the room hints for the free run around [first, end), without walking far to find where it begins and ends. */
static void note_room(struct arena *arena, size_t first, size_t end)
{
    size_t low = first > CHUNK_PAGES ? first - CHUNK_PAGES : 0;
    size_t high = size_min(end + CHUNK_PAGES, arena->pages);
    size_t start = bits_run_start(arena->free, first, low);
    size_t stop = bits_next_clear(arena->free, end, high);
    for (size_t c = start / CHUNK_PAGES; c * CHUNK_PAGES < end; c++) {
        size_t room = stop - size_max(start, c * CHUNK_PAGES);
        arena->chunks[c].room = (uint32_t)size_max(arena->chunks[c].room, size_min(room, CHUNK_PAGES));
    }
    bool ends_known = (start > low || low == 0) && (stop < high || high == arena->pages);
    arena->room = size_max(arena->room, ends_known ? stop - start : arena->pages);
}

void pages_give(struct heap *heap, struct arena *arena, size_t first, size_t pages, bool dirty)
{
    size_t end = first + pages;
    bits_set(arena->free, first, end);
    arena->free_pages += pages;
    count_down(&heap->counts.span_bytes, pages << PAGE_SHIFT);
    if (dirty) {
        bits_set(arena->dirty, first, end);
        count_up(&heap->counts.dirty_bytes, pages << PAGE_SHIFT);
        purge_enqueue(heap, arena, first, end);
    } else {
        bits_clear(arena->dirty, first, end);
    }
    note_room(arena, first, end);
}

void pages_return_hidden(struct heap *heap, struct arena *arena, size_t first, size_t end,
                         const uint64_t *clean)
{
    struct chunk *chunk = &arena->chunks[first / CHUNK_PAGES];
    size_t base = first / CHUNK_PAGES * CHUNK_PAGES;
    size_t purged = bits_count(clean, first - base, end - base);
    bits_set(arena->free, first, end);
    arena->free_pages += end - first;
    for (size_t page = first; page < end; page++)
        if (bits_test(clean, page - base))
            bits_clear(arena->dirty, page, page + 1);
    count_down(&heap->counts.dirty_bytes, purged << PAGE_SHIFT);
    if (purged < end - first) {
        chunk->dirty = (uint16_t)(chunk->dirty + (end - first - purged));
        arena->dirty_pages += end - first - purged;
        purge_requeue(heap, chunk);
    }
    note_room(arena, first, end);
}

const struct arena *arena_above(const struct heap *heap, uintptr_t at)
{
    const struct arena *best = NULL;
    for (const struct arena *arena = heap->arenas; arena != NULL; arena = arena->next)
        if (arena->base + (arena->pages << PAGE_SHIFT) > at && (best == NULL || arena->base < best->base))
            best = arena;
    return best;
}

bool pages_next_dirty(const struct arena *arena, size_t limit, size_t *at, size_t *end)
{
    *at = bits_next_set(arena->dirty, *at, limit);
    *end = bits_next_clear(arena->dirty, *at, limit);
    return *at < limit;
}

const char *arena_check(const struct arena *arena)
{
    if (arena->pages > arena->capacity)
        return "more pages than capacity";
    if (bits_count(arena->free, 0, arena->capacity) != arena->free_pages)
        return "free pages miscounted";
    if (bits_next_set(arena->free, arena->pages, arena->capacity) != arena->capacity)
        return "free page beyond the end";
    size_t dirty_pages = 0;
    for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++) {
        size_t from = c * CHUNK_PAGES;
        size_t dirty = 0;
        for (size_t page = from; page < size_min(from + CHUNK_PAGES, arena->pages); page++)
            dirty += bits_test(arena->free, page) && bits_test(arena->dirty, page);
        if (dirty != arena->chunks[c].dirty)
            return "dirty pages miscounted";
        if (dirty > 0 && !arena->chunks[c].queued)
            return "dirty chunk is not in the queue";
        dirty_pages += dirty;
    }
    return dirty_pages == arena->dirty_pages ? NULL : "dirty pages do not add up";
}
