/* test_large.c - large blocks: made, resized in place, moved and copied, zeroed where they must be. */
#include "unit.h"

#include "engine/large.h"
#include "engine/purge.h"
#include "unit/fake_source.h"
#include "unit/heap_check.h"

static struct heap heap;
static struct fake fake;

static int begin(void **state)
{
    (void)state;
    fake_init(&fake, 2 * GiB, 0);
    struct heap_config config = heap_config_default(&fake.source);
    config.keep_least = GiB; /* nothing is purged unless a test asks */
    heap_init(&heap, &config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    heap_check(&heap);
    heap_forget(&heap);
    fake_done(&fake);
    return 0;
}

static char *allocate(size_t size)
{
    enum error error = OK;
    char *block = large_alloc(&heap, size, PAGE_SIZE, false, &error);
    CHECK(block != NULL && error == OK);
    return block;
}

static void release(void *block)
{
    CHECK(large_free(pagemap_find(block), block));
}

static char *resize(void *block, size_t size)
{
    enum error error = OK;
    char *got = large_resize(pagemap_find(block), size, &error);
    CHECK(got != NULL && error == OK);
    CHECK_EQ(pagemap_find(got)->pages, size == 0 ? 1 : (size + PAGE_SIZE - 1) / PAGE_SIZE);
    return got;
}

static void sizes_and_alignments(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, PAGE_SIZE, PAGE_SIZE + 1, 20000, 5 * MiB, 40 * MiB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t align = 1; align <= 32 * MiB; align *= 4) {
            enum error error = OK;
            char *block = large_alloc(&heap, sizes[i], align, false, &error);
            CHECK(block != NULL && (uintptr_t)block % align == 0 && (uintptr_t)block % PAGE_SIZE == 0);
            struct span *span = pagemap_find(block);
            CHECK(span->size_class == CLASS_LARGE && span_is_block(span, block));
            CHECK(!span_is_block(span, block + 1) && !span_is_block(span, block + PAGE_SIZE));
            CHECK_EQ(span_usable_size(span), (sizes[i] + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE);
            check_touch(block, sizes[i]);
            heap_check(&heap);
            release(block);
            CHECK(load_relaxed(&heap.last_large) == block && pagemap_find(block) == NULL);
        }
    CHECK_EQ(heap.counts.allocs, heap.counts.frees);
}

/* Zero means zero, whether the pages are fresh, dirty or both; fresh ones are not written. */
static void zeroed_where_dirty(void **state)
{
    (void)state;
    enum error error = OK;
    fake.lazy = true;
    char *block = allocate(8 * MiB);
    check_fill(block, 8 * MiB, 1);
    void *wall = allocate(PAGE_SIZE); /* so that what is free has an end */
    release(block);
    lock_take(&heap.lock);
    purge_down_to(&heap, 4 * MiB); /* the lazy source leaves its bytes there: whoever writes zeros shows */
    lock_release(&heap.lock);
    CHECK(heap.counts.dirty_bytes == 4 * MiB);
    char *again = large_alloc(&heap, 8 * MiB, PAGE_SIZE, true, &error);
    CHECK(again == block);
    size_t zeros = 0;
    for (size_t page = 0; page < 8 * MiB; page += PAGE_SIZE)
        zeros += check_nonzero(block + page, PAGE_SIZE) == PAGE_SIZE;
    CHECK_EQ(zeros << PAGE_SHIFT, 4 * MiB);
    release(again);
    release(wall);
}

static void zeros_in_patchwork(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    for (int round = 0; round < 40; round++) {
        char *blocks[20];
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            size_t size = (1 + check_below(&random, 30)) * PAGE_SIZE;
            blocks[i] = allocate(size);
            memset(blocks[i], 0xa5, size);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            release(blocks[i]);
            if (check_below(&random, 6) == 0)
                heap_trim(&heap, 0);
        }
        enum error error = OK;
        size_t size = (1 + check_below(&random, 500)) * PAGE_SIZE;
        char *block = large_alloc(&heap, size, PAGE_SIZE, true, &error);
        CHECK(block != NULL && check_nonzero(block, size) == size);
        release(block);
        heap_check(&heap);
    }
}

/* ---- In place ------------------------------------------------------------------------------------ */

static void grows_and_shrinks_in_place(void **state)
{
    (void)state;
    char *block = allocate(MiB);
    check_fill(block, MiB, 5);
    CHECK(resize(block, 3 * MiB) == block);
    CHECK(resize(block, 2 * MiB + 1) == block);
    CHECK_EQ(heap.counts.large_bytes, 2 * MiB + PAGE_SIZE);
    CHECK_FILLED(block, MiB, 5);
    heap_check(&heap);
    char *next = allocate(PAGE_SIZE);
    CHECK(next == block + 2 * MiB + PAGE_SIZE); /* what was cut off is free */
    CHECK(resize(block, PAGE_SIZE) == block);
    CHECK(resize(block, 2 * MiB + PAGE_SIZE) == block); /* up to the neighbour */
    CHECK(resize(block, 0) == block && pagemap_find(block)->pages == 1);
    CHECK(fake.moves == 0);
    heap_check(&heap);
}

/* ---- Moved --------------------------------------------------------------------------------------- */

/* A block with a neighbour behind it, so that it cannot grow where it is. */
static char *hemmed_in(size_t size, uint64_t key)
{
    char *block = allocate(size);
    while (allocate(PAGE_SIZE) < block) /* gaps before it are filled first */
        continue;
    check_fill(block, size, key);
    return block;
}

static void moves_pages(void **state)
{
    (void)state;
    char *block = hemmed_in(MiB, 1);
    char *moved = resize(block, 2 * MiB);
    CHECK(moved != block && fake.moves == 1);
    CHECK_FILLED(moved, MiB, 1);
    CHECK(pagemap_find(block) == NULL && pagemap_find(moved)->is_moved);
    CHECK_EQ(heap.counts.dirty_bytes, 0); /* what was left is clean, and known to be */
    heap_check(&heap);
    CHECK(fake.renews == 0);
    release(moved);
    CHECK(fake.renews == 1 && heap.counts.dirty_bytes == 0); /* fresh pages at once */
    CHECK(check_nonzero(moved, 2 * MiB) == 2 * MiB);
}

/* What was moved is a mapping of its own inside another, so the next time it is copied; the place is renewed. */
static void moves_again(void **state)
{
    (void)state;
    char *block = hemmed_in(MiB, 1);
    char *moved = resize(block, 2 * MiB);
    allocate(PAGE_SIZE);
    for (size_t gap = MiB; gap >= PAGE_SIZE && resize(moved, 3 * MiB) == moved; gap /= 2)
        hemmed_in(gap, 2);
    CHECK(fake.moves == 1 && fake.renews == 1 && heap.counts.dirty_bytes == 0);
    heap_check(&heap);
}

static void a_part_cut_off_a_moved_block_is_renewed(void **state)
{
    (void)state;
    char *moved = resize(hemmed_in(MiB, 3), 2 * MiB);
    CHECK(resize(moved, MiB) == moved && fake.renews == 1 && heap.counts.dirty_bytes == 0);
    CHECK_FILLED(moved, MiB, 3);
    fake.refuse_renew = true; /* then they are dirty like others */
    CHECK(resize(moved, MiB / 2) == moved && fake.renews == 2 && heap.counts.dirty_bytes == MiB / 2);
    CHECK_FILLED(moved, MiB / 2, 3);
}

static void small_ones_are_copied(void **state)
{
    (void)state;
    char *block = hemmed_in(MiB - PAGE_SIZE, 1); /* one page below the limit */
    char *copy = resize(block, 2 * MiB);
    CHECK(copy != block && fake.moves == 0 && !pagemap_find(copy)->is_moved);
    CHECK_FILLED(copy, MiB - PAGE_SIZE, 1);
    CHECK_EQ(heap.counts.dirty_bytes, MiB - PAGE_SIZE);
    block = hemmed_in(MiB, 2);
    CHECK_FILLED(resize(block, 2 * MiB), MiB, 2);
    CHECK_EQ(fake.moves, 1);
}

/* A source that cannot move, or does not want to: the bytes are copied, and the old pages purged on the way. */
static void copies_without_move(void **state)
{
    (void)state;
    char *block = hemmed_in(MiB, 7);
    fake.refuse_move = true;
    char *copy = resize(block, 2 * MiB);
    CHECK(fake.moves == 1 && !pagemap_find(copy)->is_moved);
    CHECK_FILLED(copy, MiB, 7);
    CHECK(heap.counts.dirty_bytes == 0 && fake.purges > 0); /* nothing stays dirty at a peak */
    heap_check(&heap);
    fake.source.move = NULL;
    block = hemmed_in(20 * MiB, 8);
    size_t purges = fake.purges;
    copy = resize(block, 30 * MiB);
    CHECK(fake.moves == 1 && fake.purges >= purges + 3);
    CHECK_FILLED(copy, 20 * MiB, 8);
}

/* Between arenas of different sources pages do not move. */
static void copies_between_sources(void **state)
{
    (void)state;
    static struct fake other;
    fake_init(&other, GiB, 0);
    fake.source.fallback = &other.source;
    char *block = hemmed_in(2 * MiB, 4);
    fake.refuse_reserve = true;
    char *copy = resize(block, 100 * MiB);
    CHECK(pagemap_find(copy)->arena->source == &other.source && fake.moves == 0 && other.moves == 0);
    CHECK_FILLED(copy, 2 * MiB, 4);
    heap_check(&heap);
    release(copy);
    heap_trim(&heap, 0);
    CHECK(other.count == 0);
    fake_done(&other);
}

/* ---- Refusals ------------------------------------------------------------------------------------ */

static void a_refused_resize_changes_nothing(void **state)
{
    (void)state;
    enum error error = OK;
    char *block = hemmed_in(MiB, 9);
    struct span *span = pagemap_find(block);
    fake.refuse_reserve = true;
    CHECK(large_resize(span, 100 * MiB, &error) == NULL && error == ERROR_MEMORY);
    CHECK(large_resize(span, (size_t)PTRDIFF_MAX + 1, &error) == NULL && error == ERROR_MEMORY);
    CHECK(large_resize(span, SIZE_MAX, &error) == NULL && error == ERROR_MEMORY);
    heap.config.limit_hard = heap_committed(&heap) + MiB - PAGE_SIZE;
    CHECK(large_resize(span, 2 * MiB, &error) == NULL && error == ERROR_LIMIT);
    CHECK(span->pages == MiB >> PAGE_SHIFT && pagemap_find(block) == span);
    CHECK_FILLED(block, MiB, 9);
    CHECK(large_alloc(&heap, 100 * MiB, PAGE_SIZE, false, &error) == NULL && error == ERROR_LIMIT);
    heap.config.limit_hard = SIZE_MAX;
    CHECK(large_alloc(&heap, 100 * MiB, PAGE_SIZE, false, &error) == NULL && error == ERROR_MEMORY);
    CHECK(large_alloc(&heap, SIZE_MAX, PAGE_SIZE, false, &error) == NULL && error == ERROR_MEMORY);
    CHECK(large_alloc(&heap, 1, (size_t)1 << 46, false, &error) == NULL && error == ERROR_MEMORY);
}

/* A block that grows by moving needs room under the limit for the difference only. */
static void limits_see_the_difference(void **state)
{
    (void)state;
    char *block = hemmed_in(4 * MiB, 9);
    enum error error = OK;
    heap.config.limit_hard = heap_committed(&heap) + MiB;
    CHECK(large_resize(pagemap_find(block), 5 * MiB + 1, &error) == NULL && error == ERROR_LIMIT);
    char *moved = resize(block, 5 * MiB);
    CHECK_FILLED(moved, 4 * MiB, 9);
    CHECK(heap_committed(&heap) <= heap.config.limit_hard);
}

static void a_second_free_is_noticed(void **state)
{
    (void)state;
    char *block = allocate(MiB);
    struct span *span = pagemap_find(block);
    CHECK(large_free(span, block) && !large_free(span, block));
    char *other = allocate(2 * MiB); /* the descriptor lives again */
    CHECK(other == block && pagemap_find(other) == span);
    release(other);
}

/* The peak is seen also when a block got there by moving. */
static void the_peak_counts_moved_blocks(void **state)
{
    (void)state;
    char *moved = resize(hemmed_in(MiB, 1), 50 * MiB);
    release(moved);
    heap_trim(&heap, 0);
    CHECKF(heap_check_stats(&heap).committed_peak >= 50 * MiB, "%zu", heap.counts.committed_peak);
}

/* A range made for one huge block goes in one call, whatever else was used in it; the heap's first stays. */
static void a_huge_range_goes_as_a_whole(void **state)
{
    (void)state;
    fake_done(&fake);
    fake_init(&fake, 40 * GiB, 0);
    fake.lazy = true;
    char *first = allocate(4 * MiB);
    size_t reserved = heap.counts.reserved_bytes, dirty = heap.counts.dirty_bytes;
    char *huge = allocate(16 * GiB + PAGE_SIZE);
    struct arena *arena = pagemap_find(huge)->arena;
    char *beside = allocate(MiB);
    CHECK(pagemap_find(beside)->arena == arena);
    *beside = 1;
    release(beside);
    CHECK_EQ(heap.counts.dirty_bytes, dirty + MiB);
    release(huge);
    CHECK(fake.releases == 1 && fake.purges == 0);
    CHECK(heap.counts.reserved_bytes == reserved && heap.counts.dirty_bytes == dirty);
    heap_check(&heap);
    huge = allocate(16 * GiB);
    beside = allocate(5 * MiB);
    fake.refuse_release = true;
    release(huge); /* stays, and is clean */
    CHECK(fake.releases == 2 && fake.purges == 0 && heap.counts.dirty_bytes == dirty);
    heap_check(&heap);
    release(beside);
    release(first);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(sizes_and_alignments),
        WITH(zeroed_where_dirty),
        WITH(a_huge_range_goes_as_a_whole),
        WITH(zeros_in_patchwork),
        WITH(grows_and_shrinks_in_place),
        WITH(moves_pages),
        WITH(moves_again),
        WITH(a_part_cut_off_a_moved_block_is_renewed),
        WITH(small_ones_are_copied),
        WITH(copies_without_move),
        WITH(copies_between_sources),
        WITH(a_refused_resize_changes_nothing),
        WITH(limits_see_the_difference),
        WITH(a_second_free_is_noticed),
        WITH(the_peak_counts_moved_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
