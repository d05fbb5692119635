/* purge.c - see purge.h. */
#include "engine/purge.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "os/os.h"

#include <string.h>

#define CHUNK_WORDS (CHUNK_PAGES / BITS_PER_WORD)
#define REGRET_MS 1000 /* purged pages needed again within this time were purged too early */
/* So many sixteenths of what is in use may stay dirty even when the heap commits more than ever. */
#define PEAK_SIXTEENTHS 3
#define BOOST_MS 2000 /* what regret has added to the keep loses a quarter in this time */

static void unlink_chunk(struct heap *heap, struct chunk *chunk)
{
    if (chunk->previous != NULL)
        chunk->previous->next = chunk->next;
    else
        heap->dirty_first = chunk->next;
    if (chunk->next != NULL)
        chunk->next->previous = chunk->previous;
    else
        heap->dirty_last = chunk->previous;
    chunk->queued = false;
}

void purge_forget(struct heap *heap, struct chunk *chunk)
{
    if (chunk->queued)
        unlink_chunk(heap, chunk);
}

void purge_requeue(struct heap *heap, struct chunk *chunk)
{
    if (chunk->queued)
        unlink_chunk(heap, chunk);
    chunk->queued = true;
    chunk->next = NULL;
    chunk->previous = heap->dirty_last;
    if (heap->dirty_last == NULL)
        heap->dirty_first = chunk;
    else
        heap->dirty_last->next = chunk;
    heap->dirty_last = chunk;
}

static struct chunk *dequeue(struct heap *heap)
{
    struct chunk *chunk = heap->dirty_first;
    if (chunk != NULL)
        unlink_chunk(heap, chunk);
    return chunk;
}

void purge_enqueue(struct heap *heap, struct arena *arena, size_t first, size_t end)
{
    uint64_t now = os_now_ms();
    for (size_t at = first; at < end;) {
        struct chunk *chunk = &arena->chunks[at / CHUNK_PAGES];
        size_t stop = size_min((at / CHUNK_PAGES + 1) * CHUNK_PAGES, end);
        chunk->dirty = (uint16_t)(chunk->dirty + (stop - at));
        arena->dirty_pages += stop - at;
        chunk->freed_at = now;
        purge_requeue(heap, chunk);
        at = stop;
    }
}

void purge_note_regret(struct heap *heap, size_t bytes)
{
    uint64_t now = os_now_ms();
    if (now - heap->purged_at > REGRET_MS)
        return;
    heap->keep_boost = size_min(heap->keep_boost + bytes, heap->counts.committed_peak);
    heap->boost_at = now;
}

/* ---- One chunk ----------------------------------------------------------------------------------- */

/* One chunk's purge while the lock is open; in heap->purging, on the stack of the thread that purges.  Bit 0 is the
 * chunk's first page. */
struct purging {
    struct purging *next;
    struct chunk *chunk;
    uintptr_t thread;
    uint64_t hidden[CHUNK_WORDS]; /* out of reach until the purge is over; constant */
    uint64_t clean[CHUNK_WORDS];  /* purged by now; the thread's own */
};

/* Takes the chunk's free dirty pages out of reach, as if they were in use; they stay in dirty_bytes. */
static void hide_dirty(struct heap *heap, struct chunk *chunk, struct purging *purging)
{
    struct arena *arena = chunk->arena;
    size_t word = (size_t)(chunk - arena->chunks) * CHUNK_WORDS;
    size_t words = BITS_WORDS(arena->capacity);
    *purging = (struct purging){.next = heap->purging, .chunk = chunk, .thread = os_thread_id()};
    heap->purging = purging;
    for (size_t i = 0; i < CHUNK_WORDS && word + i < words; i++) {
        purging->hidden[i] = arena->free[word + i] & arena->dirty[word + i];
        arena->free[word + i] &= ~purging->hidden[i];
    }
    arena->free_pages -= chunk->dirty;
    arena->dirty_pages -= chunk->dirty;
    chunk->dirty = 0;
}

/* Purges the hidden stretch [first, end) of pages, as far as it fills pages of the system's size. */
static bool purge_stretch(struct arena *arena, size_t *first, size_t *end)
{
    uintptr_t from = align_up(arena_address(arena, *first), os_page_size());
    uintptr_t to = align_down(arena_address(arena, *end), os_page_size());
    if (from >= to)
        return false;
    *first = (from - arena->base) >> PAGE_SHIFT;
    *end = (to - arena->base) >> PAGE_SHIFT;
    return arena->source->purge(arena->source, (void *)from, to - from);
}

/* With the lock open: the hidden pages go to the system.  Returns the number of calls that did it. */
static size_t purge_hidden(struct purging *purging)
{
    struct arena *arena = purging->chunk->arena;
    size_t base = (size_t)(purging->chunk - arena->chunks) * CHUNK_PAGES;
    size_t calls = 0;
    for (size_t at = bits_next_set(purging->hidden, 0, CHUNK_PAGES), stop; at < CHUNK_PAGES;
         at = bits_next_set(purging->hidden, stop, CHUNK_PAGES)) {
        stop = bits_next_clear(purging->hidden, at, CHUNK_PAGES);
        size_t first = base + at, end = base + stop;
        if (purge_stretch(arena, &first, &end)) {
            bits_set(purging->clean, first - base, end - base);
            calls++;
        }
    }
    return calls;
}

/* Puts the hidden pages back within reach.  Returns how many are clean now. */
static size_t return_hidden(struct heap *heap, struct purging *purging)
{
    struct chunk *chunk = purging->chunk;
    struct purging **link = &heap->purging;
    size_t base = (size_t)(chunk - chunk->arena->chunks) * CHUNK_PAGES;
    for (size_t at = bits_next_set(purging->hidden, 0, CHUNK_PAGES), stop; at < CHUNK_PAGES;
         at = bits_next_set(purging->hidden, stop, CHUNK_PAGES)) {
        stop = bits_next_clear(purging->hidden, at, CHUNK_PAGES);
        pages_return_hidden(heap, chunk->arena, base + at, base + stop, purging->clean);
    }
    while (*link != purging)
        link = &(*link)->next;
    *link = purging->next;
    return bits_count(purging->clean, 0, CHUNK_PAGES);
}

/* Purges one chunk with the lock open.  Returns the bytes that went back. */
static size_t purge_chunk(struct heap *heap, struct chunk *chunk)
{
    struct arena *arena = chunk->arena;
    struct purging purging;
    hide_dirty(heap, chunk, &purging);
    lock_release(&heap->lock);
    size_t calls = purge_hidden(&purging);
    lock_take(&heap->lock);
    size_t went = return_hidden(heap, &purging);
    chunk->purged = (uint16_t)(chunk->purged + went);
    count_up(&heap->counts.purges, calls);
    count_up(&heap->counts.purged_bytes, went << PAGE_SHIFT);
    heap->purged_at = os_now_ms();
    arena_shrink(heap, arena);
    arena_release_if_unused(heap, arena);
    return went << PAGE_SHIFT;
}

void purge_after_fork_child(struct heap *heap)
{
    for (struct purging *purging = heap->purging, *next; purging != NULL; purging = next) {
        next = purging->next;
        if (purging->thread == os_thread_id())
            continue; /* forked by a signal handler, say: this one will be brought to its end */
        memset(purging->clean, 0, sizeof purging->clean); /* as far as is known */
        (void)return_hidden(heap, purging);
    }
}

/* ---- The rules ----------------------------------------------------------------------------------- */

bool purge_down_to(struct heap *heap, size_t target)
{
    if (heap->config.source->purge == NULL)
        return false;
    bool any = false;
    struct chunk *refused =
        NULL; /* the first that the system kept: back at the queue's end, it marks the end */
    while (heap->counts.dirty_bytes > target) {
        struct chunk *chunk = dequeue(heap);
        if (chunk == NULL)
            break;
        if (chunk == refused) {
            purge_requeue(heap, chunk);
            break;
        }
        if (chunk->dirty == 0)
            continue;
        if (purge_chunk(heap, chunk) > 0)
            any = true;
        else if (refused == NULL)
            refused = chunk;
    }
    return any;
}

/* What may stay dirty without any regrets. */
static size_t keep_usual(const struct heap *heap)
{
    return size_max(heap->config.keep_least, heap->counts.span_bytes >> heap->config.keep_shift);
}

void purge_for_peak(struct heap *heap)
{
    size_t committed = heap_committed(heap) - heap->replaced_bytes;
    if (LIKELY(committed <= heap->counts.committed_peak))
        return;
    size_t excess = committed - heap->counts.committed_peak;
    size_t dirty = heap->counts.dirty_bytes;
    size_t target =
        size_max(dirty > excess ? dirty - excess : 0, heap->counts.span_bytes / 16 * PEAK_SIXTEENTHS);
    if (dirty > target)
        (void)purge_down_to(heap, target);
    committed = heap_committed(heap) - heap->replaced_bytes;
    if (committed > heap->counts.committed_peak)
        store_relaxed(&heap->counts.committed_peak, committed);
}

static size_t may_stay_dirty(struct heap *heap, uint64_t now)
{
    if (heap->keep_boost > 0 && now - heap->boost_at > BOOST_MS) {
        heap->keep_boost -= heap->keep_boost / 4;
        heap->boost_at = now;
    }
    size_t keep;
    return __builtin_add_overflow(keep_usual(heap), heap->keep_boost, &keep) ? SIZE_MAX : keep;
}

static void purge_by_age(struct heap *heap, uint64_t now)
{
    if (heap->config.source->purge == NULL)
        return;
    struct chunk *chunk = heap->dirty_first;
    while (chunk != NULL && chunk->dirty == 0) {
        unlink_chunk(heap, chunk);
        chunk = heap->dirty_first;
    }
    if (chunk == NULL || now - chunk->freed_at < heap->config.purge_delay)
        return;
    unlink_chunk(heap, chunk);
    (void)purge_chunk(heap, chunk);
}

/* The program break sinks when more is free at its top than may stay. */
static void shrink_ends(struct heap *heap, size_t keep)
{
    for (struct arena *arena = heap->arenas; arena != NULL; arena = arena->next) {
        if (arena->source->shrink == NULL || arena->free_pages << PAGE_SHIFT <= keep)
            continue;
        if (arena->pages - bits_run_start(arena->free, arena->pages, 0) > keep >> PAGE_SHIFT)
            arena_shrink(heap, arena);
    }
}

void purge_by_rules(struct heap *heap)
{
    if (heap->config.source->purge == NULL)
        return; /* a buffer: its pages go nowhere */
    uint64_t now = os_now_ms();
    size_t keep = may_stay_dirty(heap, now);
    if (heap->config.source->shrink != NULL)
        shrink_ends(heap, keep);
    if (heap->counts.dirty_bytes > keep)
        (void)purge_down_to(heap, keep);
    else
        purge_by_age(heap, now);
}
