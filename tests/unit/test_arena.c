/* test_arena.c - runs of pages: random takes and gives over a fake source, against a model with one mark per
 * page; room hints, alignment, limits, the zero flag, growth in all forms, and what goes back. */
#include "unit.h"

#include "engine/grow.h"
#include "engine/purge.h"
#include "engine/span.h"
#include "unit/fake_source.h"
#include "unit/heap_check.h"

enum { RUNS = 300 };

static struct heap heap;
static struct fake fake, other;
static uint64_t random_state;
static struct run runs[RUNS];
static size_t run_count;

static void begin(size_t region, size_t growth)
{
    fake_init(&fake, region, growth);
    struct heap_config config = heap_config_default(&fake.source);
    heap_init(&heap, &config);
    run_count = 0;
}

static void end(void)
{
    fake_done(&fake);
}

/* ---- Calls, with the lock and the checks --------------------------------------------------------- */

/* As heap_check, for runs that have no span. */
static void check_all(void)
{
    struct heap_found found = {0};
    size_t taken = 0;
    for (struct arena *arena = heap.arenas; arena != NULL; arena = arena->next) {
        const char *wrong = arena_check(arena);
        CHECKF(wrong == NULL, "%s", wrong);
        heap_check_room(arena);
        taken += arena->pages - arena->free_pages;
        found.reserved_pages += arena->pages;
        for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++)
            found.dirty_pages += arena->chunks[c].dirty;
    }
    size_t expected = 0;
    for (size_t i = 0; i < run_count; i++)
        expected += runs[i].pages;
    CHECK_EQ(taken, expected);
    CHECK_EQ(heap.counts.span_bytes, expected << PAGE_SHIFT);
    CHECK_EQ(heap.counts.dirty_bytes, found.dirty_pages << PAGE_SHIFT);
    CHECK_EQ(heap.counts.reserved_bytes, found.reserved_pages << PAGE_SHIFT);
    heap_check_queue(&heap);
}

static uint64_t *word_of(const struct run *run, size_t page)
{
    return (uint64_t *)arena_address(run->arena, run->first + page);
}

/* The lowest place in the oldest arena where the run fits, found bit by bit. */
static bool naive_find(size_t pages, size_t align, struct arena **in, size_t *at)
{
    for (struct arena *arena = heap.arenas; arena != NULL; arena = arena->next) {
        size_t length = 0;
        for (size_t page = arena->pages; page-- > 0;) { /* backwards, so that the last hit is the lowest */
            length = bits_test(arena->free, page) ? length + 1 : 0;
            if (length >= pages && arena_address(arena, page) % align == 0)
                *in = arena, *at = page;
        }
        if (*in == arena)
            return true;
    }
    return false;
}

static void no_overlap(const struct run *run)
{
    for (size_t i = 0; i < run_count; i++)
        CHECKF(&runs[i] == run || runs[i].arena != run->arena || runs[i].first >= run->first + run->pages ||
                   run->first >= runs[i].first + runs[i].pages,
               "%zu pages at %zu overlap", run->pages, run->first);
}

static enum error take(size_t pages, size_t align)
{
    struct run *run = &runs[run_count];
    struct arena *in = NULL;
    size_t at = 0;
    bool fits = naive_find(pages, align, &in, &at);
    lock_take(&heap.lock);
    enum error error = pages_take(&heap, pages, align, run);
    lock_release(&heap.lock);
    if (error != OK)
        return error;
    CHECK_EQ(run->pages, pages);
    CHECK(arena_address(run->arena, run->first) % align == 0);
    CHECKF(!fits || (run->arena == in && run->first == at), "%zu pages were free at %zu", pages, at);
    no_overlap(run);
    run_count++;
    for (size_t page = 0; run->zero && page < pages; page++)
        CHECKF(*word_of(run, page) == 0, "page %zu of %zu is not zero", page, pages);
    /* What may hold old bytes is found, whole. */
    size_t limit = run->first + pages;
    for (size_t from = run->first, dirty, stop; from < limit; from = stop) {
        dirty = stop = from;
        if (!pages_next_dirty(run->arena, limit, &dirty, &stop))
            dirty = stop = limit;
        CHECK(!run->zero || dirty == limit);
        for (; from < dirty; from++)
            CHECKF(*word_of(run, from - run->first) == 0, "page %zu is not zero", from);
    }
    return OK;
}

static void write_to(const struct run *run)
{
    for (size_t page = 0; page < run->pages; page++)
        *word_of(run, page) = page + 1;
}

/* Gives a part of the run back: all, its head or its tail. */
static void give(size_t i, size_t from, size_t pages, bool dirty)
{
    struct run run = runs[i];
    lock_take(&heap.lock);
    pages_give(&heap, run.arena, run.first + from, pages, dirty);
    if (!dirty) /* as large.c does */
        arena_release_if_unused(&heap, run.arena);
    lock_release(&heap.lock);
    if (from > 0) {
        CHECK(from + pages == run.pages);
        runs[i].pages = from;
    } else if (pages < run.pages) {
        runs[i].first += pages;
        runs[i].pages -= pages;
    } else {
        runs[i] = runs[--run_count];
    }
}

static void purge(size_t target)
{
    lock_take(&heap.lock);
    purge_down_to(&heap, target);
    lock_release(&heap.lock);
    CHECKF(fake.refuse_purge || heap.counts.dirty_bytes <= target, "%zu", heap.counts.dirty_bytes);
}

/* ---- Random sequences ---------------------------------------------------------------------------- */

static void extend_one(size_t i)
{
    struct run *run = &runs[i];
    size_t more = 1 + check_below(&random_state, 40), at = run->first + run->pages;
    bool expected = at + more <= run->arena->pages;
    for (size_t page = at; expected && page < at + more; page++)
        expected = bits_test(run->arena->free, page);
    lock_take(&heap.lock);
    bool done = pages_take_at(&heap, run->arena, at, more);
    lock_release(&heap.lock);
    CHECK(done == expected);
    if (done) {
        run->pages += more;
        no_overlap(run);
    }
}

static void give_some(size_t i)
{
    size_t pages = runs[i].pages, part = 1 + check_below(&random_state, pages);
    bool clean = runs[i].zero && check_below(&random_state, 2) == 0;
    if (!clean) {
        write_to(&runs[i]);
        runs[i].zero = false;
    }
    switch (check_below(&random_state, 4)) {
    case 0: give(i, 0, part, !clean); break;
    case 1: give(i, pages - part, part, !clean); break;
    default: give(i, 0, pages, !clean);
    }
}

static void step(size_t pages_max, bool aligned)
{
    size_t what = check_below(&random_state, 100);
    if (what < 45 && run_count < RUNS - 1) {
        size_t pages = check_random_size(&random_state, pages_max);
        size_t align = aligned ? PAGE_SIZE << check_below(&random_state, 12) : PAGE_SIZE;
        CHECK(take(pages, align) == OK);
        if (check_below(&random_state, 2) == 0) {
            write_to(&runs[run_count - 1]);
            runs[run_count - 1].zero = false; /* from here on: whether we know it to be zero */
        }
    } else if (what < 85 && run_count > 0) {
        give_some(check_below(&random_state, run_count));
    } else if (what < 95 && run_count > 0) {
        size_t i = check_below(&random_state, run_count);
        extend_one(i);
        write_to(&runs[i]);
        runs[i].zero = false;
    } else {
        purge(check_below(&random_state, 2) * check_below(&random_state, 16 * MiB));
    }
    check_all();
}

static void give_all(void)
{
    while (run_count > 0)
        give(0, 0, runs[0].pages, true);
    purge(0);
    check_all();
    CHECK(heap.counts.span_bytes == 0 && heap.counts.dirty_bytes == 0);
    CHECK(heap.arenas->next == NULL && heap.counts.arenas == 1);
}

static void random_steps(size_t region, size_t growth, size_t pages_max, bool aligned)
{
    begin(region, growth);
    for (int i = 0; i < (check_long() ? 40000 : 2500); i++)
        step(pages_max, aligned);
    give_all();
    end();
}

static void random_over_fixed_ranges(void **state)
{
    (void)state;
    random_steps(4 * GiB, 0, 200, true);
    random_steps(8 * GiB, 0, 3000, true);
}

static void random_over_growing_ranges(void **state)
{
    (void)state;
    random_steps(2 * GiB, 64 * MiB, 200, false);
    random_steps(8 * GiB, GiB, 3000, false);
}

/* ---- Growth -------------------------------------------------------------------------------------- */

static void ranges_grow_at_their_end(void **state)
{
    (void)state;
    begin(GiB, 64 * MiB);
    CHECK(take(10, PAGE_SIZE) == OK);
    CHECK(fake.reserves == 1 && fake.extends == 0);
    size_t first = heap.arenas->pages;
    CHECK(take(first, PAGE_SIZE) ==
          OK); /* the rest of the range is too small: it continues into the new part */
    CHECK(fake.reserves == 1 && fake.extends >= 1 && heap.arenas->pages > first);
    CHECK_EQ(runs[1].first, 10);
    fake.extend_at_most = 20 * PAGE_SIZE; /* the usual step is refused, what is needed is not */
    CHECK(take(heap.arenas->free_pages + 20, PAGE_SIZE) == OK);
    CHECK(fake.reserves == 1 && heap.arenas->free_pages == 0);
    fake.refuse_extend = true;
    CHECK(take(1, PAGE_SIZE) == OK);
    CHECK(fake.reserves == 2 && heap.counts.arenas == 2);
    check_all();
    fake.refuse_extend = false;
    fake.extend_at_most = 0;
    CHECK(take(20000, PAGE_SIZE) == OK); /* more than `growth`: a range of its own */
    CHECK_EQ(heap.counts.arenas, 3);
    check_all();
    give_all();
    end();
}

static void ranges_shrink_from_their_end(void **state)
{
    (void)state;
    begin(GiB, 64 * MiB);
    for (int i = 0; i < 4; i++)
        CHECK(take(1000, PAGE_SIZE) == OK);
    give(3, 0, 1000, true);
    give(1, 0, 1000, true); /* now in the middle */
    size_t before = heap.arenas->pages;
    purge(0);
    CHECK(heap.arenas->pages < before && fake.shrinks > 0);
    CHECK_EQ(heap.arenas->pages, runs[1].first + runs[1].pages);
    check_all();
    fake.refuse_shrink = true;
    give_all();
    CHECK(heap.arenas->pages == 3000);
    fake.refuse_shrink = false;
    CHECK(take(5000, PAGE_SIZE) == OK);
    check_all();
    give_all();
    end();
}

/* Pages that went with the end of their range come back as new ones: nothing to regret. */
static void what_shrank_is_not_regretted(void **state)
{
    (void)state;
    begin(GiB, 64 * MiB);
    CHECK(take(100, PAGE_SIZE) == OK && take(50, PAGE_SIZE) == OK && take(100, PAGE_SIZE) == OK &&
          take(1500, PAGE_SIZE) == OK);
    give(3, 0, 1500, true);
    give(1, 0, 50, true);
    purge(0);
    CHECK(heap.arenas->pages == 250 && heap.counts.purged_bytes == (1750 - CHUNK_PAGES + 50) * PAGE_SIZE);
    CHECK(heap.arenas->chunks[0].purged == 50 && heap.arenas->chunks[1].purged == 0);
    CHECK(take(1500, PAGE_SIZE) == OK);
    CHECK(heap.keep_boost <= 50 * PAGE_SIZE);
    check_all();
    give_all();
    end();
}

/* An extension must not lower the hint for a longer free run before it in the same chunk. */
static void extending_hides_no_run(void **state)
{
    (void)state;
    begin(GiB, 64 * MiB);
    CHECK(take(700, PAGE_SIZE) == OK && take(heap.arenas->free_pages + 1, PAGE_SIZE) == OK);
    CHECK(runs[1].first == 700 && heap.arenas->pages < CHUNK_PAGES);
    size_t tail = heap.arenas->free_pages;
    CHECK(tail == 0 || take(tail, PAGE_SIZE) == OK);
    give(0, 0, 700, true);
    fake.extend_at_most =
        8 * MiB; /* an aligned run that does not fit among the 700 pages makes the range grow */
    CHECK(take(1, 4 * MiB) == OK && take(1, 4 * MiB) == OK);
    check_all();
    CHECK(take(700, PAGE_SIZE) == OK); /* checks that it is the place that was free */
    give_all();
    end();
}

/* A range that shrank may have chunks behind its end that wait to be purged: it must not go before they have had
 * their turn, or the queue leads into memory that is no longer there. */
static void ranges_with_queued_chunks_stay(void **state)
{
    (void)state;
    begin(GiB, 64 * MiB);
    CHECK(take(1, PAGE_SIZE) == OK);
    fake.refuse_extend = true;
    CHECK(take(3 * CHUNK_PAGES, PAGE_SIZE) == OK && heap.counts.arenas == 2);
    struct arena *arena = runs[1].arena;
    size_t first = runs[1].first;
    CHECK_EQ(first, 0);
    give(1, 0, CHUNK_PAGES, true);
    give(1, CHUNK_PAGES, CHUNK_PAGES, true); /* the last third: its chunk is behind the first in the queue */
    lock_take(&heap.lock);
    arena_shrink(&heap, arena);
    lock_release(&heap.lock);
    CHECK(arena->pages == 2 * CHUNK_PAGES);
    give(1, 0, CHUNK_PAGES, false);
    purge(0);
    check_all();
    size_t queued = 0;
    for (const struct arena *at = heap.arenas; at != NULL; at = at->next)
        for (size_t c = 0; c * CHUNK_PAGES < at->capacity; c++)
            queued += at->chunks[c].queued;
    CHECK_EQ(heap_check_queue(&heap), queued);
    give_all();
    end();
}

static void unused_arenas_are_released(void **state)
{
    (void)state;
    begin(4 * GiB, 0);
    CHECK(take(1, PAGE_SIZE) == OK);
    CHECK(take(2000, PAGE_SIZE) == OK && take(5000, PAGE_SIZE) == OK && take(9000, PAGE_SIZE) == OK);
    CHECK_EQ(heap.counts.arenas, 4);
    for (size_t i = 1; i < 4; i++)
        write_to(&runs[i]);
    struct cache *cache = cache_make(&heap);
    cache->given_next = 1;
    cache->given[0] = (struct given){runs[2].arena, 0, 1};
    give(2, 0, 5000, true);
    CHECK_EQ(fake.releases, 0); /* dirty: it stays */
    purge(0);
    CHECK(fake.releases == 1 && heap.counts.arenas == 3);
    CHECK(cache->given[0].pages == 0); /* nobody takes pages of it again */
    check_all();
    fake.refuse_release = true; /* a source that keeps it */
    give(1, 0, 2000, true);
    purge(0);
    CHECK(fake.releases == 2 && heap.counts.arenas == 3);
    check_all();
    fake.refuse_release = false;
    CHECK(take(1900, PAGE_SIZE) == OK); /* and it still serves */
    CHECK_EQ(heap.counts.arenas, 3);
    give_all();
    size_t metadata = heap.counts.meta_bytes;
    for (int round = 0; round < 20; round++) { /* descriptors are used again */
        CHECK(take(9000, PAGE_SIZE) == OK);
        give_all();
    }
    CHECK_EQ(heap.counts.meta_bytes, metadata);
    end();
}

/* To keep the soft limit, the arena goes whose pages the thread would have taken again. */
static void limits_come_before_pages_given_back(void **state)
{
    (void)state;
    begin(4 * GiB, 0);
    CHECK(take(1, PAGE_SIZE) == OK && take(5000, PAGE_SIZE) == OK);
    struct cache *cache = cache_make(&heap);
    cache->given_next = 1;
    cache->given[0] = (struct given){runs[1].arena, 0, (uint32_t)class_span_pages(1, 0)};
    write_to(&runs[1]);
    give(1, 0, 5000, true);
    heap.config.limit_soft = 0;
    enum error error = OK;
    struct span *span = span_make(&heap, 1, 0, cache, &error);
    CHECK(fake.releases == 1 && heap.counts.arenas == 1);
    CHECK(span != NULL && span->arena == heap.arenas);
    span_release(span, cache);
    check_all();
    give_all();
    end();
}

/* A used descriptor serves a smaller range, too: no page of the larger one shows up behind its end. */
static void descriptors_serve_smaller_ranges(void **state)
{
    (void)state;
    begin(GiB, 0);
    CHECK(take(CHUNK_PAGES, PAGE_SIZE) == OK && take(6 * CHUNK_PAGES, PAGE_SIZE) == OK);
    size_t capacity = runs[1].arena->capacity, metadata = heap.counts.meta_bytes;
    give(1, 0, 6 * CHUNK_PAGES, true);
    purge(0);
    CHECK(fake.releases == 1 && heap.counts.arenas == 1);
    CHECK(take(10, PAGE_SIZE) == OK);
    CHECK(runs[1].arena->pages < capacity && runs[1].arena->capacity == capacity);
    CHECK_EQ(heap.counts.meta_bytes, metadata);
    check_all();
    give_all();
    end();
}

/* A heap grows by as much as it has, but takes less when that is refused. */
static void smaller_ranges_when_large_are_refused(void **state)
{
    (void)state;
    begin(64 * MiB, 0);
    for (int i = 0; i < 14; i++)
        CHECK(take(CHUNK_PAGES, PAGE_SIZE) == OK);
    check_all();
    CHECK(take(4 * CHUNK_PAGES, PAGE_SIZE) == ERROR_MEMORY);
    CHECK(take(CHUNK_PAGES, PAGE_SIZE) == OK && take(CHUNK_PAGES, PAGE_SIZE) == OK);
    CHECK(take(1, PAGE_SIZE) == ERROR_MEMORY);
    check_all();
    give(3, 0, CHUNK_PAGES, true);
    CHECK(take(1, PAGE_SIZE) == OK);
    check_all();
    give_all();
    end();
}

/* When nothing more is to be had, unused arenas go back, and what they took serves a larger one. */
static void last_resort_is_what_lies_unused(void **state)
{
    (void)state;
    begin(16 * MiB, 0);
    CHECK(take(1000, PAGE_SIZE) == OK && take(3000, PAGE_SIZE) == OK);
    write_to(&runs[1]);
    give(1, 0, 3000, true);
    CHECK(take(3072, PAGE_SIZE) == OK); /* fits where the released arena was */
    CHECK(take(3072, PAGE_SIZE) == ERROR_MEMORY);
    check_all();
    give_all();
    end();
}

static void the_fallback_serves_when_the_source_cannot(void **state)
{
    (void)state;
    begin(16 * MiB, 4 * MiB);
    fake_init(&other, GiB, 0);
    fake.source.fallback = &other.source;
    CHECK(take(100, PAGE_SIZE) == OK && runs[0].arena->source == &fake.source);
    fake.refuse_extend = fake.refuse_reserve = true;
    CHECK(take(100, PAGE_SIZE) == OK && runs[1].arena->source == &other.source);
    check_all();
    other.refuse_reserve = true;
    CHECK(take(5000, PAGE_SIZE) == ERROR_MEMORY);
    fake.refuse_extend = false;
    CHECK(take(900, PAGE_SIZE) == OK);
    give_all();
    CHECK_EQ(other.releases, 1);
    fake_done(&other);
    end();
}

static void hopeless_requests(void **state)
{
    (void)state;
    begin(64 * MiB, 0);
    CHECK(take(1, PAGE_SIZE) == OK);
    static const size_t pages[] = {64 * MiB >> PAGE_SHIFT, (size_t)1 << 40, PTRDIFF_MAX >> PAGE_SHIFT};
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        CHECK(take(pages[i], PAGE_SIZE) == ERROR_MEMORY);
    for (unsigned shift = 27; shift < 64; shift++)
        CHECK(take(1, (size_t)1 << shift) == ERROR_MEMORY ||
              arena_address(runs[1].arena, runs[1].first) == 0);
    check_all();
    give_all();
    end();
}

/* ---- Limits -------------------------------------------------------------------------------------- */

static void limits(void **state)
{
    (void)state;
    begin(GiB, 0);
    CHECK(take(100, PAGE_SIZE) == OK && take(100, PAGE_SIZE) == OK);
    size_t base = heap_committed(&heap);
    heap.config.limit_hard = base + 50 * PAGE_SIZE;
    CHECK(take(51, PAGE_SIZE) == ERROR_LIMIT);
    CHECK(take(50, PAGE_SIZE) == OK);
    CHECK(take(1, PAGE_SIZE) == ERROR_LIMIT);
    lock_take(&heap.lock);
    CHECK(!pages_take_at(&heap, runs[2].arena, runs[2].first + 50, 1));
    lock_release(&heap.lock);
    check_all();
    write_to(&runs[0]);
    give(0, 0, 100, true); /* dirty pages count, but go back first */
    CHECK(heap.counts.dirty_bytes > 0 && take(80, PAGE_SIZE) == OK);
    CHECK(heap.counts.dirty_bytes == 0 && runs[run_count - 1].zero);
    CHECK(take(21, PAGE_SIZE) == ERROR_LIMIT);
    CHECK(take(20, PAGE_SIZE) == OK);
    fake.refuse_purge = true;
    give(0, 0, runs[0].pages, true);
    CHECK(take(1, PAGE_SIZE) == ERROR_LIMIT);
    fake.refuse_purge = false;
    CHECK(take(1, PAGE_SIZE) == OK);
    heap.config.limit_hard = 0;
    CHECK(take(1, PAGE_SIZE) == ERROR_LIMIT && take(SIZE_MAX >> PAGE_SHIFT, PAGE_SIZE) == ERROR_LIMIT);
    check_all();
    heap.config.limit_hard = SIZE_MAX;
    heap.config.limit_soft = heap_committed(&heap); /* above it free pages go, but more is served */
    give(0, 0, runs[0].pages, true);
    CHECK(take(500, PAGE_SIZE) == OK && heap.counts.dirty_bytes == 0);
    CHECK(take(500, PAGE_SIZE) == OK);
    give_all();
    end();
}

/* ---- Committing ----------------------------------------------------------------------------------- */

static size_t commits, refused;

static bool refuse_one(struct source *source, void *base, size_t size)
{
    (void)source, (void)base;
    CHECK_EQ(size, 4 * PAGE_SIZE);
    return ++commits != refused;
}

/* What was committed when a later part failed is not asked for again, and goes back as other dirty pages do. */
static void commit_fails_halfway(void **unused)
{
    (void)unused;
    begin(64 * MiB, 0);
    struct run run;
    lock_take(&heap.lock);
    CHECK(pages_take(&heap, 12, PAGE_SIZE, &run) == OK);
    struct arena *arena = run.arena;
    fake.source.commit = refuse_one;
    commits = 0;
    refused = 2;
    pages_give(&heap, arena, run.first, 4, false);
    pages_give(&heap, arena, run.first + 4, 4, true);
    pages_give(&heap, arena, run.first + 8, 4, false);
    CHECK(!pages_take_at(&heap, arena, run.first, 12));
    CHECK_EQ(commits, 2);
    CHECK_EQ(heap.counts.dirty_bytes, 8 * PAGE_SIZE);
    check_all();
    CHECK(pages_take_at(&heap, arena, run.first, 12));
    CHECK_EQ(commits, 3);
    CHECK_EQ(heap.counts.dirty_bytes, 0);
    pages_give(&heap, arena, run.first, 12, true);
    check_all();
    lock_release(&heap.lock);
    end();
}

int main(void)
{
    random_state = check_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_over_fixed_ranges),
        cmocka_unit_test(random_over_growing_ranges),
        cmocka_unit_test(ranges_grow_at_their_end),
        cmocka_unit_test(ranges_shrink_from_their_end),
        cmocka_unit_test(what_shrank_is_not_regretted),
        cmocka_unit_test(extending_hides_no_run),
        cmocka_unit_test(ranges_with_queued_chunks_stay),
        cmocka_unit_test(unused_arenas_are_released),
        cmocka_unit_test(limits_come_before_pages_given_back),
        cmocka_unit_test(descriptors_serve_smaller_ranges),
        cmocka_unit_test(smaller_ranges_when_large_are_refused),
        cmocka_unit_test(last_resort_is_what_lies_unused),
        cmocka_unit_test(the_fallback_serves_when_the_source_cannot),
        cmocka_unit_test(hopeless_requests),
        cmocka_unit_test(limits),
        cmocka_unit_test(commit_fails_halfway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
