/* heap_check.h - everything that types.h says of a heap while nobody is at work in it, checked by walking it.
 *
 * The pages of each arena are either free or in exactly one span; the counters are what the walk finds; room
 * hints hide no run; every block of a span is in use, on its free list or on its remote list, and on one of
 * them only; a span is in its owner's bin, in the shared list, or in no list and full, as its state says; and
 * the statistics add up. */
#ifndef TESTS_UNIT_HEAP_CHECK_H
#define TESTS_UNIT_HEAP_CHECK_H

#include "base/bits.h"
#include "engine/alloc.h"
#include "engine/arena.h"
#include "engine/cache.h"
#include "engine/classes.h"
#include "engine/heap.h"
#include "engine/pagemap.h"
#include "engine/span.h"
#include "observe/statistics.h"
#include "unit/unit.h"

#define HEAP_CHECK_BLOCKS_MAX (SPAN_PAGES_MAX * PAGE_SIZE / 8)

/* What the walk finds. */
struct heap_found {
    size_t spans, span_pages, dirty_pages, large_pages, arenas, reserved_pages, queued, owned, shared;
    uint64_t live;
};

/* ---- Blocks -------------------------------------------------------------------------------------- */

/* Marks the blocks of a list; returns how many there are. */
static inline size_t heap_check_list(const struct span *span, const struct block *block, uint64_t *seen)
{
    size_t count = 0;
    for (; block != NULL; block = block->next, count++) {
        size_t offset = (uintptr_t)block - span->base;
        CHECKF(offset < (size_t)span->carved * span->block_size, "block %p is not cut", (const void *)block);
        CHECKF(offset % span->block_size == 0, "block %p is misaligned", (const void *)block);
        size_t i = offset / span->block_size;
        CHECKF(!bits_test(seen, i), "block %p is on two lists", (const void *)block);
        bits_set(seen, i, i + 1);
    }
    return count;
}

static inline bool heap_check_in_bin(const struct cache *cache, const struct span *span)
{
    const struct span *at = cache->bins[span->size_class].first;
    for (uint32_t i = 0; i < cache->bins[span->size_class].spans && at != NULL; i++, at = at->next)
        if (at == span)
            return true;
    return false;
}

/* A span without owner: FULL or SHARED; never empty, or it would be lost. */
static inline void heap_check_unowned(const struct span *span, uint64_t remote, size_t live)
{
    uint64_t list_at = size_max(span->capacity / 8, 1);
    bool listed = (remote & REMOTE_LISTED) != 0;
    CHECKF((remote & REMOTE_UNOWNED) != 0, "span %p: no owner, but not marked so", (const void *)span);
    CHECKF(listed == (span->is_shared != 0), "span %p: remote says %d, is_shared %d", (const void *)span,
           listed, span->is_shared);
    CHECKF(live > 0, "span %p is empty and nobody's", (const void *)span);
    if (!listed) {
        CHECK(span->free == NULL && span->carved == span->capacity && span->empty_at == 0);
        CHECKF(remote >> REMOTE_COUNT_SHIFT < list_at, "span %p has %llu free and is not listed",
               (const void *)span, (unsigned long long)(remote >> REMOTE_COUNT_SHIFT));
    }
}

static inline void heap_check_blocks(const struct span *span, struct heap_found *found)
{
    static uint64_t seen[BITS_WORDS(HEAP_CHECK_BLOCKS_MAX)];
    const char *wrong = span_check(span);
    CHECKF(wrong == NULL, "span %p: %s", (const void *)span, wrong);
    CHECK(span->capacity <= HEAP_CHECK_BLOCKS_MAX && span->base % PAGE_SIZE == 0);
    CHECK((size_t)span->capacity * span->block_size <= span->pages << PAGE_SHIFT);
    CHECK_EQ(span->block_size, class_size(span->size_class));
    bits_clear(seen, 0, span->capacity);
    uint64_t remote = load_relaxed(&span->remote);
    size_t free_count = heap_check_list(span, span->free, seen);
    size_t pushed =
        heap_check_list(span, (const struct block *)(uintptr_t)(remote & REMOTE_BLOCK_MASK), seen);
    CHECK_EQ(pushed, remote >> REMOTE_COUNT_SHIFT);
    size_t live = span->carved - free_count - pushed;
    CHECK_EQ(span_live(span), live);
    CHECK_EQ(span->allocs - span->frees, live + pushed);
    const struct cache *owner = load_relaxed(&span->owner);
    if (owner != NULL) {
        CHECKF((remote & (REMOTE_UNOWNED | REMOTE_LISTED)) == 0, "span %p is owned and unowned",
               (const void *)span);
        CHECKF(!span->is_shared, "span %p is shared and owned", (const void *)span);
        CHECKF(heap_check_in_bin(owner, span), "span %p is not in its owner's bin", (const void *)span);
        found->owned++;
    } else {
        heap_check_unowned(span, remote, live);
    }
    found->shared += span->is_shared;
    found->live += live;
}

/* ---- Pages --------------------------------------------------------------------------------------- */

/* The hints, for each free run: of the chunk it starts in, of those that it reaches into, of the arena. */
static inline void heap_check_room(const struct arena *arena)
{
    for (size_t at = bits_next_set(arena->free, 0, arena->pages), end; at < arena->pages;
         at = bits_next_set(arena->free, end, arena->pages)) {
        end = bits_next_clear(arena->free, at, arena->pages);
        CHECKF(arena->room >= end - at, "arena hint %zu hides a run of %zu", arena->room, end - at);
        for (size_t c = at / CHUNK_PAGES; c * CHUNK_PAGES < end; c++) {
            size_t room = size_min(end - size_max(at, c * CHUNK_PAGES), CHUNK_PAGES);
            CHECKF(arena->chunks[c].room >= room, "chunk %zu: hint %u hides a run of %zu", c,
                   arena->chunks[c].room, room);
        }
    }
}

static inline void heap_check_span(const struct arena *arena, size_t page, struct heap_found *found)
{
    struct span *span = pagemap_find((void *)arena_address(arena, page));
    CHECKF(span != NULL, "page %zu is neither free nor in a span", page);
    CHECK(span->arena == arena && span_first_page(span) == page);
    CHECK(span->pages > 0 && page + span->pages <= arena->pages);
    CHECK(bits_next_set(arena->free, page, page + span->pages) == page + span->pages);
    found->spans++;
    found->span_pages += span->pages;
    if (span->size_class == CLASS_LARGE) {
        CHECK(load_relaxed(&span->owner) == NULL && load_relaxed(&span->remote) == 0 && !span->is_shared);
        for (size_t i = 1; i < span->pages; i++)
            CHECK(pagemap_find((void *)arena_address(arena, page + i)) == NULL);
        found->large_pages += span->pages;
        found->live++;
    } else {
        for (size_t i = 0; i < span->pages; i++)
            CHECK(pagemap_find((void *)arena_address(arena, page + i)) == span);
        heap_check_blocks(span, found);
    }
}

static inline void heap_check_arena(struct arena *arena, struct heap_found *found)
{
    const char *wrong = arena_check(arena);
    CHECKF(wrong == NULL, "arena %p: %s", (void *)arena, wrong);
    for (size_t page = 0; page < arena->pages;) {
        if (bits_test(arena->free, page)) {
            CHECK(pagemap_find((void *)arena_address(arena, page)) == NULL);
            page++;
            continue;
        }
        heap_check_span(arena, page, found);
        page += pagemap_find((void *)arena_address(arena, page))->pages;
    }
    for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++) {
        CHECK(arena->chunks[c].arena == arena);
        found->dirty_pages += arena->chunks[c].dirty;
    }
    for (size_t c = 0; c * CHUNK_PAGES < arena->capacity; c++)
        found->queued += arena->chunks[c].queued;
    heap_check_room(arena);
    found->arenas++;
    found->reserved_pages += arena->pages;
}

/* ---- Lists --------------------------------------------------------------------------------------- */

static inline size_t heap_check_shared(struct heap *heap)
{
    size_t count = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        struct span *previous = NULL;
        for (struct span *span = heap->shared_first[i]; span != NULL; previous = span, span = span->next) {
            CHECK(span->is_shared && span->size_class == i && span->previous == previous);
            CHECK(load_relaxed(&span->owner) == NULL);
            CHECKF(++count < 1000000, "the shared list of class %u is a ring", i);
        }
        CHECK(heap->shared_last[i] == previous);
    }
    return count;
}

static inline size_t heap_check_cache(const struct cache *cache)
{
    size_t count = 0, retained = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        const struct bin *bin = &cache->bins[i];
        const struct span *previous = NULL, *span = bin->spans > 0 ? bin->first : NULL;
        CHECK(bin->spans > 0 || bin->first == &span_none);
        for (uint32_t k = 0; k < bin->spans; k++, previous = span, span = span->next) {
            CHECKF(span != NULL, "bin %u ends early", i);
            CHECK(load_relaxed(&span->owner) == cache && span->size_class == i && span->previous == previous);
            retained += span->empty_at == SPAN_RETAINED ? span->pages : 0;
            count++;
        }
        CHECKF(span == NULL, "bin %u holds more than its number says", i);
        CHECK(bin->spans == 0 || bin->last == previous);
    }
    for (size_t i = 0; i < QUICK_COUNT; i++)
        CHECKF(cache->quick[i] == cache->bins[class_of(8 * i)].first, "quick[%zu]", i);
    for (unsigned i = FIRSTS_CLASS; i < CLASS_COUNT; i++)
        CHECKF(cache->firsts[i - FIRSTS_CLASS] == cache->bins[i].first, "firsts[%u]", i - FIRSTS_CLASS);
    CHECK(cache->guard == &span_none && cache->sample_guard == 0);
    CHECK_EQ(cache->retained_pages, retained);
    return count;
}

static inline size_t heap_check_queue(const struct heap *heap)
{
    size_t count = 0;
    const struct chunk *last = NULL;
    for (const struct chunk *chunk = heap->dirty_first; chunk != NULL; last = chunk, chunk = chunk->next) {
        CHECK(chunk->queued);
        CHECKF(++count < 1000000, "%s", "the queue of chunks is a ring");
    }
    CHECK(heap->dirty_last == last);
    return count;
}

/* ---- The whole ----------------------------------------------------------------------------------- */

static inline cairn_stats heap_check_stats(struct heap *heap)
{
    static struct statistics s;
    statistics_read(heap, &s);
    const cairn_stats *t = &s.total;
    CHECKF(t->live + t->cached + t->free + t->metadata == t->committed, "%llu + %llu + %llu + %llu != %llu",
           (unsigned long long)t->live, (unsigned long long)t->cached, (unsigned long long)t->free,
           (unsigned long long)t->metadata, (unsigned long long)t->committed);
    CHECK(t->committed <= t->committed_peak && t->committed <= t->reserved);
    CHECK_EQ(t->allocations - t->frees, t->live_blocks);
    return s.total;
}

static inline struct heap_found heap_check(struct heap *heap)
{
    struct heap_found found = {0};
    struct arena *last = NULL;
    for (struct arena *arena = heap->arenas; arena != NULL; last = arena, arena = arena->next)
        heap_check_arena(arena, &found);
    CHECK(heap->last_arena == last);
    const struct heap_counts *c = &heap->counts;
    CHECK_EQ(c->spans, found.spans);
    CHECK_EQ(c->span_bytes, found.span_pages << PAGE_SHIFT);
    CHECK_EQ(c->dirty_bytes, found.dirty_pages << PAGE_SHIFT);
    CHECK_EQ(c->large_bytes, found.large_pages << PAGE_SHIFT);
    CHECK_EQ(c->reserved_bytes, found.reserved_pages << PAGE_SHIFT);
    CHECK_EQ(c->arenas, found.arenas);
    CHECK_EQ(heap_check_shared(heap), found.shared);
    CHECK_EQ(heap_check_queue(heap), found.queued);
    size_t owned = 0, caches = 0, idle = 0;
    for (const struct cache *cache = heap->all_caches; cache != NULL; cache = cache->next_all, caches++)
        owned += heap_check_cache(cache);
    for (const struct cache *cache = heap->meta.idle_caches; cache != NULL; cache = cache->next_idle, idle++)
        for (unsigned i = 0; i < CLASS_COUNT; i++)
            CHECK(cache->bins[i].spans == 0);
    CHECK_EQ(owned, found.owned);
    CHECK_EQ(caches, heap->caches_in_use + (heap->late != NULL) + idle);
    CHECK(load_relaxed(&heap->lock.state) == 0);
    CHECK_EQ(heap_check_stats(heap).live_blocks, found.live);
    return found;
}

/* Before the heap's memory goes: the page map forgets its spans. */
static inline void heap_forget(struct heap *heap)
{
    for (const struct arena *arena = heap->arenas; arena != NULL; arena = arena->next)
        pagemap_set(arena->base, arena->pages, NULL);
}

#endif
