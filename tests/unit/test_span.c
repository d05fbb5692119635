/* test_span.c - spans: made, cut, collected, released; what is the start of a block. */
#include "unit.h"

#include "unit/fake_source.h"
#include "unit/heap_check.h"

static struct heap heap;
static struct fake fake;
static struct cache *cache;

static int begin(void **state)
{
    (void)state;
    fake_init(&fake, GiB, 0);
    struct heap_config config = heap_config_default(&fake.source);
    heap_init(&heap, &config);
    cache = cache_make(&heap);
    CHECK(cache != NULL && cache->heap == &heap && heap.caches_in_use == 1);
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

static struct span *make(unsigned size_class, unsigned level)
{
    enum error error = OK;
    struct span *span = span_make(&heap, size_class, level, cache, &error);
    CHECK(span != NULL && error == OK);
    cache_add_last(cache, span);
    return span;
}

static void drop(struct span *span)
{
    cache_remove(cache, span);
    span_release(span, NULL);
}

static void every_class_and_level(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        for (unsigned level = 0; level <= class_level_max(i); level++) {
            struct span *span = make(i, level);
            CHECK(span->owner == cache && span_heap(span) == &heap && span->size_class == i);
            CHECK_EQ(span->pages, class_span_pages(i, level));
            CHECK_EQ(span->capacity, (span->pages << PAGE_SHIFT) / class_size(i));
            CHECK(span->free == NULL && span->carved == 0 && span->allocs == 0 && span->frees == 0);
            CHECK_EQ(span_usable_size(span), class_size(i));
            heap_check(&heap);
            drop(span);
        }
    CHECK_EQ(heap.counts.spans, 0);
}

/* Cutting hands out every block once, lowest first, about a page at a time, and stops at the last. */
static void carving_reaches_every_block(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        struct span *span = make(i, class_level_max(i));
        uintptr_t expected = span->base;
        for (uint32_t before = 0; span_carve(span); before = span->carved) {
            CHECK(span->carved > before && span->carved <= span->capacity);
            CHECK((span->carved - before) * class_size(i) <= size_max(PAGE_SIZE, class_size(i)));
            CHECK(span_check(span) == NULL);
            for (void *block; (block = span_pop(span)) != NULL; expected += class_size(i)) {
                CHECK_EQ((uintptr_t)block, expected);
                memset(block, 0xff, class_size(i));
            }
        }
        CHECK(span->carved == span->capacity && span->allocs == span->capacity);
        CHECK(span_live(span) == span->capacity && !span_carve(span));
        heap_check(&heap);
        while (expected > span->base) {
            struct block *block = (struct block *)(expected -= class_size(i));
            block->next = span->free;
            span->free = block;
            span->frees++;
        }
        drop(span);
    }
}

static void block_starts_are_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        struct span *span = make(i, class_level_max(i));
        size_t size = class_size(i), bytes = span->pages << PAGE_SHIFT;
        for (bool more = true; more; more = span_carve(span)) {
            for (size_t offset = 0; offset < bytes; offset++) {
                char *at = (char *)span->base + offset;
                if (span_is_place(span, at) != (offset % size == 0) ||
                    span_is_block(span, at) != (offset % size == 0 && offset < span->carved * size))
                    CHECKF(false, "offset %zu in blocks of %zu, %u cut", offset, size, span->carved);
            }
            if (span->carved > 0 && span->carved < span->capacity / 2)
                while (span->carved < span->capacity / 2)
                    CHECK(span_carve(span));
        }
        drop(span);
    }
}

/* What others pushed comes to the front of the free list, counted. */
static void collecting(void **state)
{
    (void)state;
    struct span *span = make(class_of(512), 1);
    struct block *blocks[6];
    CHECK(!span_collect(span) && span_carve(span));
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        CHECK((blocks[i] = span_pop(span)) != NULL);
    uint64_t word = 0;
    for (uint64_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i]->next = (struct block *)(uintptr_t)(word & REMOTE_BLOCK_MASK);
        word = (uintptr_t)blocks[i] | (i + 1) << REMOTE_COUNT_SHIFT;
        store_relaxed(&span->remote, word);
        CHECK_EQ(span_live(span), COUNT_OF(blocks) - i - 1);
        heap_check(&heap);
    }
    const struct block *before = span->free;
    CHECK(before != NULL && span_collect(span));
    CHECK(span->remote == 0 && span->frees == COUNT_OF(blocks) && span->free == blocks[5]);
    CHECK(blocks[0]->next == before && span_live(span) == 0);
    heap_check(&heap);
    CHECK(!span_collect(span));
    span_collect_word(span, 0);
    span_collect_word(span, REMOTE_UNOWNED | REMOTE_LISTED);
    CHECK(span->free == blocks[5] && span->frees == COUNT_OF(blocks));
    drop(span);
}

static void the_check_finds_faults(void **state)
{
    (void)state;
    struct span *span = make(class_of(1024), 1);
    CHECK(span_carve(span) && span_check(span) == NULL);
    struct block *first = span->free, *second = first->next, *last = second->next->next;
    char *base = (char *)span->base;
    span->free = (struct block *)(base + 8);
    ((struct block *)(base + 8))->next = NULL;
    assert_string_equal(span_check(span), "free block misaligned");
    span->free = (struct block *)(base - 1024);
    assert_string_equal(span_check(span), "free block outside the span");
    span->free = (struct block *)(base + 4096);
    assert_string_equal(span_check(span), "free block outside the span");
    span->free = first;
    last->next = second;
    assert_string_equal(span_check(span), "free list has a cycle");
    last->next = NULL;
    span->allocs++;
    assert_string_equal(span_check(span), "blocks miscounted");
    span->allocs--;
    span->frees++;
    assert_string_equal(span_check(span), "blocks miscounted");
    span->frees--;
    uint32_t carved = span->carved;
    span->carved = span->capacity + 1;
    assert_string_equal(span_check(span), "more blocks cut than fit");
    span->carved = carved;
    CHECK(span_check(span) == NULL);
    drop(span);
}

static void refusals(void **state)
{
    (void)state;
    enum error error = OK;
    struct span *span = make(0, 0);
    fake.refuse_reserve = true;
    heap.config.limit_hard = heap_committed(&heap) + 2 * PAGE_SIZE;
    CHECK(span_make(&heap, CLASS_COUNT - 1, 0, cache, &error) == NULL && error == ERROR_LIMIT);
    heap.config.limit_hard = SIZE_MAX;
    while ((span = span_make(&heap, CLASS_COUNT - 1, 0, cache, &error)) != NULL)
        cache_add_last(cache, span);
    CHECK(error == ERROR_MEMORY);
    heap_check(&heap);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(every_class_and_level),  WITH(carving_reaches_every_block),
        WITH(block_starts_are_told),  WITH(collecting),
        WITH(the_check_finds_faults), WITH(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
