/* test_cache.c - thread caches by one thread that plays several: who owns a span when, and random operations
 * with everything checked on the way. */
#include "unit.h"

#include "engine/purge.h"
#include "engine/remote.h"
#include "unit/fake_source.h"
#include "unit/heap_check.h"

#define SIZE ((size_t)2048) /* a class whose spans have few blocks */

static struct heap heap;
static struct fake fake;
static struct cache *a, *b;

static int begin(void **state)
{
    (void)state;
    fake_init(&fake, GiB, 0);
    struct heap_config config = heap_config_default(&fake.source);
    heap_init(&heap, &config);
    a = cache_make(&heap);
    b = cache_make(&heap);
    CHECK(a != NULL && b != NULL && a != b);
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

static void *allocate(struct cache *cache, size_t size)
{
    enum error error = OK;
    void *block = cache_alloc(cache, size);
    if (block == NULL)
        block = heap_alloc(cache, size, false, &error);
    CHECK(block != NULL);
    return block;
}

static void release(struct cache *cache, void *block)
{
    if (cache == NULL || !cache_free(cache, block))
        heap_free(cache, "free", block);
}

static struct span *span_of(const void *block)
{
    return pagemap_find(block);
}

/* Blocks of a new span, all of them, so that the next allocation leaves it full; returns how many. */
static size_t fill_span(struct cache *cache, void **blocks)
{
    size_t count = 1;
    do
        blocks[0] = allocate(cache, SIZE);
    while (span_live(span_of(blocks[0])) != 1);
    struct span *span = span_of(blocks[0]);
    while (count < span->capacity)
        blocks[count++] = allocate(cache, SIZE);
    for (size_t i = 0; i < count; i++)
        CHECK(span_of(blocks[i]) == span);
    return count;
}

/* Like fill_span, and `cache` has left it: FULL.  *next is in the span after it. */
static size_t leave_span(struct cache *cache, void **blocks, void **next)
{
    size_t count = fill_span(cache, blocks);
    *next = allocate(cache, SIZE);
    CHECK(span_of(*next) != span_of(blocks[0]));
    const struct span *span = span_of(blocks[0]);
    CHECK(span->owner == NULL && span->remote == REMOTE_UNOWNED && !span->is_shared);
    heap_check(&heap);
    return count;
}

static bool is_full(const struct span *span)
{
    return span->owner == NULL && (span->remote & 3) == REMOTE_UNOWNED && !span->is_shared;
}

static bool is_shared(const struct span *span)
{
    return span->owner == NULL && (span->remote & 3) == (REMOTE_UNOWNED | REMOTE_LISTED) && span->is_shared;
}

/* ---- Bins ---------------------------------------------------------------------------------------- */

static void bins_keep_their_order(void **state)
{
    (void)state;
    struct span *spans[5];
    enum error error = OK;
    unsigned size_class = class_of(SIZE);
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        CHECK((spans[i] = span_make(&heap, size_class, 0, a, &error)) != NULL);
        cache_add_last(a, spans[i]);
        heap_check(&heap);
        CHECK(a->bins[size_class].first == spans[0] && a->bins[size_class].last == spans[i]);
    }
    static const size_t order[] = {2, 4, 0, 3, 1};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        cache_remove(a, spans[order[i]]);
        CHECK(spans[order[i]]->next == NULL && spans[order[i]]->previous == NULL);
        span_release(spans[order[i]], NULL);
        heap_check(&heap);
    }
    CHECK(a->bins[size_class].first == &span_none);
}

static void the_empty_caches_serve_nothing(void **state)
{
    (void)state;
    for (size_t size = 0; size <= CLASS_SIZE_MAX; size += 100) {
        CHECK(cache_alloc(&cache_none, size) == NULL && cache_alloc(&cache_gone, size) == NULL);
        CHECK(cache_alloc(a, size) == NULL);
    }
    CHECK(cache_alloc(a, CLASS_SIZE_MAX + 1) == NULL && !cache_free(a, NULL) && !cache_free(a, &heap));
    CHECK(span_none.allocs == 0 && span_none.free == NULL);
}

/* ---- Moves of ownership -------------------------------------------------------------------------- */

/* FULL, then freed by who left it: OWNED again, at the end of the bin. */
static void who_left_it_takes_it_back(void **state)
{
    (void)state;
    void *blocks[64], *next;
    leave_span(a, blocks, &next);
    struct span *span = span_of(blocks[0]);
    release(a, blocks[0]);
    CHECK(span->owner == a && span->remote == 0 && span->free == blocks[0]);
    CHECK(a->bins[class_of(SIZE)].last == span && a->bins[class_of(SIZE)].first == span_of(next));
    heap_check(&heap);
}

/* FULL, then freed by others: SHARED from an eighth on, taken by who needs a span next, released when empty. */
static void others_make_it_shared(void **state)
{
    (void)state;
    void *blocks[64], *next;
    a->bins[class_of(SIZE)].level = 3; /* so that an eighth is more than one */
    leave_span(a, blocks, &next);
    struct span *span = span_of(blocks[0]);
    size_t list_at = span->capacity / 8;
    CHECK(list_at >= 2 && is_full(span));
    for (size_t i = 0; i < list_at; i++) {
        CHECK(is_full(span));
        release(i % 2 == 0 ? b : NULL, blocks[i]);
        CHECK_EQ(span_live(span), span->capacity - i - 1);
        heap_check(&heap);
    }
    CHECK(is_shared(span));
    void *taken = allocate(b, SIZE);
    CHECK(span_of(taken) == span && span->owner == b && span->remote == 0);
    CHECK(heap.shared_first[class_of(SIZE)] == NULL);
    heap_check(&heap);
}

static void the_last_free_releases_it(void **state)
{
    (void)state;
    void *blocks[64], *next;
    for (int with_cache = 0; with_cache < 2; with_cache++) {
        size_t count = leave_span(a, blocks, &next), spans = heap.counts.spans;
        for (size_t i = 0; i < count; i++) {
            CHECK_EQ(heap.counts.spans, spans);
            release(with_cache ? b : NULL, blocks[i]);
            heap_check(&heap);
        }
        CHECK(heap.counts.spans == spans - 1 && pagemap_find(blocks[0]) == NULL);
        CHECK(heap.shared_first[class_of(SIZE)] == NULL);
    }
}

/* A remote free into a span with owner waits on its list until the owner needs blocks. */
static void owned_spans_collect_when_needed(void **state)
{
    (void)state;
    void *blocks[64];
    size_t count = fill_span(a, blocks);
    struct span *span = span_of(blocks[0]);
    release(b, blocks[0]);
    release(NULL, blocks[1]);
    CHECK(span->owner == a && span->remote >> REMOTE_COUNT_SHIFT == 2 && span_live(span) == count - 2);
    heap_check(&heap);
    CHECK(allocate(a, SIZE) == blocks[1] && allocate(a, SIZE) == blocks[0]);
    CHECK(span->owner == a && span->remote == 0);
}

static void shared_spans_are_freed_by_others(void **state)
{
    (void)state;
    void *blocks[64], *next;
    size_t count = leave_span(a, blocks, &next);
    struct span *span = span_of(blocks[0]);
    release(b, blocks[0]);
    CHECK(is_shared(span)); /* 4 blocks: one is an eighth */
    release(a, blocks[1]);  /* A left it: SHARED -> OWNED by a free */
    CHECK(span->owner == a && !span->is_shared && span_live(span) == count - 2);
    heap_check(&heap);
}

/* ---- Thread exit --------------------------------------------------------------------------------- */

static void exit_shares_what_is_in_use(void **state)
{
    (void)state;
    void *block = allocate(a, SIZE), *other = allocate(a, 100);
    struct span *span = span_of(block);
    size_t threads = heap.caches_in_use;
    cache_drop(a);
    CHECK(heap.caches_in_use == threads - 1 && heap.meta.idle_caches == a);
    CHECK(is_shared(span) && is_shared(span_of(other)));
    heap_check(&heap);
    CHECK(span_of(allocate(b, SIZE)) == span && span->owner == b);
    struct cache *again = cache_make(&heap);
    CHECK(again == a && heap.meta.idle_caches == NULL && a->retained_pages == 0);
    heap_check(&heap);
    release(NULL, other);
    CHECK(pagemap_find(other) == NULL);
}

static void exit_releases_what_is_empty(void **state)
{
    (void)state;
    void *blocks[64], *next;
    size_t count = leave_span(a, blocks, &next);
    release(a, blocks[0]);
    release(a, next);
    for (size_t i = 1; i < count; i++)
        release(b, blocks[i]); /* on the remote list when the thread ends */
    cache_drop(a);
    CHECK(heap.counts.spans == 0 && heap.counts.span_bytes == 0);
    heap_check(&heap);
    a = cache_make(&heap);
}

/* What is full at exit stays FULL; then whoever frees may take it. */
static void exit_leaves_full_spans_to_all(void **state)
{
    (void)state;
    void *blocks[64], *next;
    leave_span(a, blocks, &next);
    struct span *span = span_of(blocks[0]);
    cache_drop(a);
    CHECK(is_full(span));
    release(b, blocks[0]);
    CHECK(span->owner == b && span->remote == 0);
    heap_check(&heap);
    a = cache_make(&heap);
    release(a, blocks[1]);
    CHECK(span->owner == b);
}

/* What it had not filled waits for a thread in need: frees go to the remote list, the last one ends it. */
static void exit_leaves_used_spans_to_all(void **state)
{
    (void)state;
    void *first = allocate(a, SIZE), *second = allocate(a, SIZE);
    struct span *span = span_of(first);
    cache_drop(a);
    CHECK(is_shared(span));
    release(b, first);
    CHECK(span->owner == NULL && is_shared(span));
    release(b, second);
    CHECK(pagemap_find(second) == NULL);
    heap_check(&heap);
    a = cache_make(&heap);
}

/* While its thread lives, a span that was left is not for others to take by a free. */
static void a_living_thread_keeps_its_claim(void **state)
{
    (void)state;
    void *blocks[64], *next;
    a->bins[class_of(SIZE)].level = 3;
    leave_span(a, blocks, &next);
    release(b, blocks[0]);
    CHECK(is_full(span_of(blocks[0])));
    release(a, blocks[1]);
    CHECK(span_of(blocks[0])->owner == a);
}

/* ---- Empty spans --------------------------------------------------------------------------------- */

static void one_empty_span_is_kept_per_class(void **state)
{
    (void)state;
    void *block = allocate(a, SIZE);
    release(a, block);
    CHECK(heap.counts.spans == 1 && a->retained_pages == span_of(block)->pages);
    for (int i = 0; i < 10; i++) {
        CHECK(allocate(a, SIZE) == block);
        release(a, block);
        CHECK(heap.counts.spans == 1);
    }
    heap_check(&heap);
    void *blocks[64], *next;
    size_t count = leave_span(a, blocks, &next);
    for (size_t i = 0; i < count; i++)
        release(a, blocks[i]);
    CHECK_EQ(heap.counts.spans, 2); /* though the other one is in use */
    struct span *larger = span_of(next);
    CHECK(larger->pages > span_of(blocks[0])->pages);
    release(a, next);
    CHECK(heap.counts.spans == 1 && span_of(next) == larger && a->retained_pages == larger->pages);
    heap_check(&heap);
}

/* Who takes as much as before finds it in the span that stayed, in whatever order it was freed. */
static void a_group_of_blocks_makes_no_spans(void **state)
{
    (void)state;
    void *blocks[31];
    struct span *stays = NULL;
    for (size_t turn = 0; turn < 8; turn++) {
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            blocks[i] = allocate(a, 1024);
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            size_t k = turn % 2 == 0 ? i : COUNT_OF(blocks) - 1 - i;
            CHECK(turn < 2 || span_of(blocks[k]) == stays);
            release(a, blocks[k]);
        }
        CHECK_EQ(heap.counts.spans, 1);
        stays = a->bins[class_of(1024)].first;
        heap_check(&heap);
    }
}

static struct span *make(struct cache *cache)
{
    enum error error = OK;
    struct span *span = span_make(&heap, 0, 0, cache, &error);
    CHECK(span != NULL);
    cache_add_last(cache, span);
    return span;
}

static void give_back(struct span *span, bool noted)
{
    struct cache *owner = span->owner;
    cache_remove(owner, span);
    span_release(span, noted ? owner : NULL);
}

/* Pages go to the thread that gave them back last, not to the lowest hole; not when others have them by then, or when
 * their arena is gone. */
static void pages_given_back_are_taken_again(void **state)
{
    (void)state;
    struct span *spans[4];
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        spans[i] = make(a);
    const uintptr_t low = spans[0]->base, middle = spans[1]->base, high = spans[2]->base;
    give_back(spans[2], true);
    give_back(spans[0], false);
    struct span *again = make(a);
    CHECK_EQ(again->base, high);
    give_back(again, true);
    CHECK_EQ(make(b)->base, low); /* another thread's */
    CHECK_EQ(make(b)->base, high);
    again = make(a);
    CHECK(again->base > spans[3]->base); /* b has those that it gave back */
    give_back(again, true);
    span_forget_given(&heap);
    give_back(spans[1], false);
    CHECK_EQ(make(a)->base, middle);
    heap_check(&heap);
}

/* Of several, the last; of those that went to the system meanwhile, none. */
static void the_warmest_pages_come_first(void **state)
{
    (void)state;
    struct span *spans[5];
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        spans[i] = make(a);
    const uintptr_t low = spans[0]->base, middle = spans[1]->base, high = spans[3]->base;
    give_back(spans[1], true);
    give_back(spans[3], true);
    spans[3] = make(a);
    spans[1] = make(a);
    CHECK(spans[3]->base == high && spans[1]->base == middle);
    give_back(spans[3], true);
    give_back(spans[0], false);
    lock_take(&heap.lock);
    CHECK(purge_down_to(&heap, 0));
    lock_release(&heap.lock);
    CHECK_EQ(make(a)->base, low);
    heap_check(&heap);
}

/* Of all classes together only so many pages are kept. */
static void kept_spans_are_bounded(void **state)
{
    (void)state;
    void *blocks[CLASS_COUNT];
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        blocks[i] = allocate(a, class_size(i));
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        release(a, blocks[i]);
    CHECK(a->retained_pages <= 128 && heap.counts.span_bytes == (size_t)a->retained_pages << PAGE_SHIFT);
    CHECK(a->retained_pages > 96);
    heap_check(&heap);
    cache_drop(a);
    CHECK(heap.counts.spans == 0);
    a = cache_make(&heap);
}

/* Spans of a busy class get larger; when no large one is to be had, a small one will do. */
static void levels_follow_demand(void **state)
{
    (void)state;
    struct bin *bin = &a->bins[class_of(SIZE)];
    void *blocks[1000];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(a, SIZE);
    CHECK(bin->level == class_level_max(class_of(SIZE)));
    CHECK(bin->first->pages == class_span_pages(class_of(SIZE), bin->level));
    heap.config.limit_hard = heap_committed(&heap) + class_span_pages(class_of(SIZE), 0) * PAGE_SIZE;
    for (enum error error = OK; cache_alloc(a, SIZE) != NULL || heap_alloc(a, SIZE, false, &error) != NULL;)
        continue;
    CHECK(bin->level == 0 || heap_committed(&heap) == heap.config.limit_hard);
    CHECK_EQ(heap_committed(&heap), heap.config.limit_hard);
    heap.config.limit_hard = SIZE_MAX;
    heap_check(&heap);
}

/* ---- Random -------------------------------------------------------------------------------------- */

enum { SLOTS = 3000, CACHES = 4 };

static struct {
    void *block;
    size_t size;
} slots[SLOTS];

static struct cache *caches[CACHES];
static uint64_t random_state;

static size_t random_size(void)
{
    static const size_t favourites[] = {16, 48, 256, 1024, 2048, 8192};
    if (check_below(&random_state, 3) > 0)
        return favourites[check_below(&random_state, COUNT_OF(favourites))];
    return check_random_size(&random_state, 60000);
}

static struct cache *random_cache(void)
{
    struct cache **at = &caches[check_below(&random_state, CACHES)];
    if (*at == NULL)
        *at = cache_make(&heap);
    CHECK(*at != NULL);
    return *at;
}

static void random_allocate(size_t i)
{
    enum error error = OK;
    struct cache *cache = random_cache();
    slots[i].size = random_size();
    switch (check_below(&random_state, 4)) {
    case 0:
        slots[i].block = heap_alloc(cache, slots[i].size, true, &error);
        CHECK(check_nonzero(slots[i].block, slots[i].size) == slots[i].size);
        break;
    case 1: {
        size_t align = (size_t)1 << check_below(&random_state, 15);
        slots[i].block = heap_aligned_alloc(cache, align, slots[i].size, &error);
        CHECK((uintptr_t)slots[i].block % align == 0);
        break;
    }
    default: slots[i].block = allocate(cache, slots[i].size);
    }
    CHECK(slots[i].block != NULL && span_usable_size(span_of(slots[i].block)) >= slots[i].size);
    check_fill(slots[i].block, slots[i].size, i);
}

static void random_release(size_t i)
{
    CHECK_FILLED(slots[i].block, slots[i].size, i);
    release(check_below(&random_state, 10) == 0 ? NULL : random_cache(), slots[i].block);
    slots[i].block = NULL;
}

static void random_resize(size_t i)
{
    enum error error = OK;
    size_t size = random_size();
    void *block = heap_realloc(random_cache(), "realloc", slots[i].block, size, &error);
    CHECK(block != NULL);
    CHECK_FILLED(block, size < slots[i].size ? size : slots[i].size, i);
    slots[i].block = block;
    slots[i].size = size;
    check_fill(block, size, i);
}

static void random_step(bool growing)
{
    size_t i = check_below(&random_state, SLOTS), what = check_below(&random_state, 1000);
    if (what < 2) {
        struct cache **cache = &caches[check_below(&random_state, CACHES)];
        if (*cache != NULL)
            cache_drop(*cache);
        *cache = NULL;
    } else if (what < 4) {
        heap_trim(&heap, check_below(&random_state, MiB));
    } else if (slots[i].block == NULL) {
        if (growing || check_below(&random_state, 4) == 0)
            random_allocate(i);
    } else if (what < 100) {
        random_resize(i);
    } else if (!growing || check_below(&random_state, 4) == 0) {
        random_release(i);
    }
}

static void random_operations(void **state)
{
    (void)state;
    int steps = check_long() ? 5000000 : 120000;
    for (int step = 0; step < steps; step++) {
        random_step(step / 10000 % 2 == 0);
        if (step % 1000 == 0)
            heap_check(&heap);
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL)
            random_release(i);
    heap_check(&heap);
    for (size_t i = 0; i < CACHES; i++)
        if (caches[i] != NULL)
            cache_drop(caches[i]);
    CHECK(heap.counts.spans == 0 && heap.counts.span_bytes == 0);
    CHECK(heap.counts.allocs == heap.counts.frees);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    random_state = check_seed();
    const struct CMUnitTest tests[] = {
        WITH(bins_keep_their_order),
        WITH(the_empty_caches_serve_nothing),
        WITH(who_left_it_takes_it_back),
        WITH(others_make_it_shared),
        WITH(the_last_free_releases_it),
        WITH(owned_spans_collect_when_needed),
        WITH(shared_spans_are_freed_by_others),
        WITH(exit_shares_what_is_in_use),
        WITH(exit_releases_what_is_empty),
        WITH(exit_leaves_full_spans_to_all),
        WITH(exit_leaves_used_spans_to_all),
        WITH(a_living_thread_keeps_its_claim),
        WITH(one_empty_span_is_kept_per_class),
        WITH(a_group_of_blocks_makes_no_spans),
        WITH(pages_given_back_are_taken_again),
        WITH(the_warmest_pages_come_first),
        WITH(kept_spans_are_bounded),
        WITH(levels_follow_demand),
        WITH(random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
