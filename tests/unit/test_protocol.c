// timeout: 120
// link: -Wl,--wrap=os_map
/* test_protocol.c - who owns a span, under schedules chosen step by step.
 *
 * The sources of the protocol are compiled into this test with a step() in each atomic and at each lock, so
 * that three threads meet in every order.  After each schedule the whole heap is checked: every block is
 * accounted for once, no span is both shared and owned, none is empty and nobody's; then everything is freed
 * and no span may be left. */
#include "unit.h"

#include "base/atomic.h"
#include "os/lock.h"
#include "unit/schedule.h"

#undef load_relaxed
#undef store_relaxed
#undef exchange_acquire
#undef cas_acq_rel
#undef count_up
#undef count_down
#define load_relaxed(p) (step(), __atomic_load_n((p), __ATOMIC_RELAXED))
#define store_relaxed(p, v) (step(), __atomic_store_n((p), (v), __ATOMIC_RELAXED))
#define exchange_acquire(p, v) (step(), __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE))
#define cas_acq_rel(p, expected, desired)                                                                    \
    (step(),                                                                                                 \
     __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
/* Counters that only their owner changes: no step, or there would be too many. */
#define count_up(p, v) __atomic_store_n((p), __atomic_load_n((p), __ATOMIC_RELAXED) + (v), __ATOMIC_RELAXED)
#define count_down(p, v) __atomic_store_n((p), __atomic_load_n((p), __ATOMIC_RELAXED) - (v), __ATOMIC_RELAXED)
#define lock_take(lock) step_lock_take(lock)
#define lock_release(lock) step_lock_release(lock)

static void step_lock_take(struct lock *lock)
{
    step();
    while (!lock_try(lock))
        step_wait(lock);
}

static void step_lock_release(struct lock *lock)
{
    (lock_release)(lock);
    step_freed(lock);
    step();
}

#define init span_init_
#include "engine/span.c"
#undef init
#define init cache_init_
#include "engine/cache.c"
#undef init
#define init large_init_
#include "engine/large.c"
#undef init
#include "engine/heap.c"
#include "engine/remote.c"

#include "unit/fake_source.h"
#include "unit/heap_check.h"

#define SIZE                                                                                                 \
    ((size_t)1024) /* level 0: 4 blocks, listed from the first free on; level 2: 16, from the second */
#define CLASS (class_of(SIZE))

/* ---- Metadata that starts anew with each schedule ------------------------------------------------- */

void *__real_os_map(void *hint, size_t size);
void *__wrap_os_map(void *hint, size_t size);

static char metadata[1 * MiB] __attribute__((aligned(4096)));
static size_t metadata_used;

void *__wrap_os_map(void *hint, size_t size)
{
    if (size > sizeof metadata / 2) /* a leaf of the page map: stays */
        return __real_os_map(hint, size);
    CHECK(size <= sizeof metadata - metadata_used);
    void *got = metadata + metadata_used;
    metadata_used += size;
    return got;
}

/* ---- The heap of a scenario ----------------------------------------------------------------------- */

enum { BLOCKS = 64 };

static struct heap heap;
static struct fake fake;
static struct cache *caches[ACTORS];
static void *blocks[BLOCKS]; /* in use */
static size_t block_count;
static uintptr_t first_place; /* of block 0, also when it is free */

static void begin(unsigned level)
{
    memset(metadata, 0, metadata_used);
    metadata_used = 0;
    fake.used = fake.count = 0;
    struct heap_config config = heap_config_default(&fake.source);
    heap_init(&heap, &config);
    for (size_t i = 0; i < ACTORS; i++) {
        caches[i] = cache_make(&heap);
        caches[i]->bins[CLASS].level = (uint8_t)level;
    }
    memset(blocks, 0, sizeof blocks);
    block_count = 0;
}

static uint64_t *word_of(void *block)
{
    return (uint64_t *)block + 1; /* the first is the link while the block is free */
}

/* By the cache of actor `who`; the block gets the next number. */
static size_t allocate_size(int who, size_t size)
{
    enum error error = OK;
    void *block = cache_alloc(caches[who], size);
    if (block == NULL)
        block = heap_alloc(caches[who], size, false, &error);
    CHECK(block != NULL);
    for (size_t i = 0; i < block_count; i++)
        CHECKF(blocks[i] != block, "block %zu is handed out twice", i);
    CHECK(block_count < BLOCKS);
    *word_of(block) = block_count;
    blocks[block_count] = block;
    if (block_count == 0)
        first_place = (uintptr_t)block;
    return block_count++;
}

static size_t allocate(int who)
{
    return allocate_size(who, SIZE);
}

/* -1: by a thread without cache. */
static void release(int who, size_t number)
{
    void *block = blocks[number];
    CHECK(block != NULL && *word_of(block) == number);
    blocks[number] = NULL;
    if (who < 0 || !cache_free(caches[who], block))
        heap_free(who < 0 ? NULL : caches[who], "free", block);
}

static void leave(int who)
{
    struct cache *cache = caches[who];
    caches[who] = NULL;
    cache_drop(cache);
}

static void after(void)
{
    heap_check(&heap);
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i] != NULL)
            release(-1, i);
    heap_check(&heap);
    for (int i = 0; i < ACTORS; i++)
        if (caches[i] != NULL)
            leave(i);
    heap_check(&heap);
    CHECK(heap.counts.spans == 0 && heap.counts.span_bytes == 0 && heap.counts.allocs == heap.counts.frees);
}

/* ---- Beginnings ----------------------------------------------------------------------------------- */

static void begin_owned(unsigned level, size_t in_use)
{
    begin(level);
    for (size_t i = 0; i < in_use; i++)
        allocate(0);
    CHECK(pagemap_find(blocks[0])->owner == caches[0] &&
          pagemap_find(blocks[in_use - 1])->owner == caches[0]);
}

/* Blocks 0 to 3 are those of a span that actor 0 owns, which is all handed out. */
static void owned_4_of_4(void)
{
    begin_owned(0, 4);
}

static void owned_2_of_4(void)
{
    begin_owned(0, 2);
}

static void owned_16_of_16(void)
{
    begin_owned(2, 16);
}

/* Actor 0 has left the span with blocks 0 to 3. */
static void full_4(void)
{
    begin_owned(0, 4);
    release(0, allocate(0));
}

static void full_16(void)
{
    begin_owned(2, 16);
    release(0, allocate(0));
}

/* And is gone; another thread has its cache now or has not. */
static void full_4_of_gone(void)
{
    full_4();
    leave(0);
}

static void full_4_of_gone_whose_cache_lives(void)
{
    full_4();
    leave(0);
    caches[0] = cache_make(&heap);
}

/* ---- What actors do ------------------------------------------------------------------------------- */

static void nobody_frees_0(void)
{
    release(-1, 0);
}

static void nobody_frees_0_1(void)
{
    release(-1, 0);
    release(-1, 1);
}

static void nobody_frees_2_3(void)
{
    release(-1, 2);
    release(-1, 3);
}

static void nobody_frees_3(void)
{
    release(-1, 3);
}

static void first_allocates(void)
{
    allocate(0);
}

static void first_allocates_and_frees(void)
{
    size_t a = allocate(0), b = allocate(0);
    release(0, a);
    release(0, b);
}

static void first_takes_back_and_leaves(void)
{
    release(0, 0);
    allocate(0);
    allocate(0);
    size_t c = allocate(0);
    release(0, c);
}

static void first_frees_0_allocates(void)
{
    release(0, 0);
    allocate(0);
    allocate(0);
}

static void first_leaves(void)
{
    leave(0);
}

static void first_allocates_and_leaves(void)
{
    allocate(0);
    leave(0);
}

static void first_frees_0_and_leaves(void)
{
    release(0, 0);
    leave(0);
}

/* Takes and gives back the descriptors of spans that go, in other classes. */
static void first_recycles(void)
{
    size_t a = allocate_size(0, 3000), b = allocate_size(0, 20000);
    release(0, a);
    release(0, b);
    a = allocate_size(0, 500);
    release(0, a);
}

static void second_frees_0_1(void)
{
    release(1, 0);
    release(1, 1);
}

static void second_frees_1(void)
{
    release(1, 1);
}

static void second_allocates_2(void)
{
    allocate(1);
    allocate(1);
}

static void second_allocates_frees_leaves(void)
{
    size_t a = allocate(1);
    release(1, 1);
    release(1, a);
    leave(1);
}

static void second_frees_0_allocates_leaves(void)
{
    release(1, 0);
    allocate(1);
    leave(1);
}

static void third_frees_2_3(void)
{
    release(2, 2);
    release(2, 3);
}

static void third_frees_2_3_leaves(void)
{
    third_frees_2_3();
    leave(2);
}

static void third_allocates(void)
{
    allocate(2);
}

static void third_allocates_frees_1(void)
{
    allocate(2);
    release(2, 1);
}

static void third_frees_2_allocates_many(void)
{
    release(2, 2);
    for (int i = 0; i < 5; i++)
        allocate(2);
}

/* As a guest: the lists of the span with block 0 hold as many blocks as its numbers say. */
static void look(void)
{
    uint64_t flags, left = 0;
    lock_take(&heap.lock);
    struct span *span = pagemap_find((void *)first_place);
    bool guest = span != NULL && span->size_class == CLASS && load_relaxed(&span->owner) == NULL &&
                 span_guest_enter(span, &flags);
    if (guest) {
        uint64_t remote = load_relaxed(&span->remote), count = 0, pushed = 0;
        CHECK((remote & (REMOTE_UNOWNED | REMOTE_LISTED)) == 0);
        for (struct block *b = span->free; b != NULL; b = b->next)
            count++;
        for (struct block *b = (struct block *)(uintptr_t)(remote & REMOTE_BLOCK_MASK); b != NULL;
             b = b->next)
            pushed++;
        CHECK_EQ(pushed, remote >> REMOTE_COUNT_SHIFT);
        CHECK_EQ(count + (span->allocs - span->frees), span->carved);
        left = span_guest_leave(span, flags);
    }
    lock_release(&heap.lock);
    if (guest)
        span_guest_gone(span, left);
}

static void third_looks(void)
{
    look();
    look();
}

static void third_looks_frees_2_3(void)
{
    look();
    third_frees_2_3();
}

/* ---- Random scripts ------------------------------------------------------------------------------- */

static uint64_t script_random;

static void begin_random(void)
{
    uint64_t level = check_random(&script_random);
    begin(level % 3);
    for (size_t i = check_below(&script_random, 20); i > 0; i--)
        allocate((int)check_below(&script_random, ACTORS));
}

static void random_actor(void)
{
    uint64_t random = script_random + (uint64_t)schedule_me * 77;
    for (int i = 0; i < 10; i++) {
        size_t what = check_below(&random, 16);
        if (what == 0 && caches[schedule_me] != NULL) {
            leave(schedule_me);
        } else if (what == 15) {
            look();
        } else if (what < 7 && caches[schedule_me] != NULL && block_count < BLOCKS - ACTORS) {
            allocate(schedule_me);
        } else {
            size_t number = check_below(&random, block_count + 1);
            if (number < block_count && blocks[number] != NULL)
                release(caches[schedule_me] != NULL && what > 8 ? schedule_me : -1, number);
        }
    }
}

/* ---- Scenarios ------------------------------------------------------------------------------------ */

static const struct scenario scenarios[] = {
    {"leaving a full span while others free",
     owned_4_of_4,
     {first_allocates, nobody_frees_0, second_frees_1},
     after},
    {"leaving while others free all of it",
     owned_4_of_4,
     {first_allocates_and_frees, second_frees_0_1, nobody_frees_2_3},
     after},
    {"the last frees, and who needs a span",
     full_4,
     {third_allocates, second_frees_0_1, nobody_frees_2_3},
     after},
    {"the last frees of two without cache", full_4, {nobody_frees_0_1, nobody_frees_2_3, NULL}, after},
    {"an eighth is free, and who needs a span",
     full_16,
     {second_allocates_2, nobody_frees_0_1, third_frees_2_3},
     after},
    {"an eighth is free while it is left",
     owned_16_of_16,
     {first_allocates, second_frees_0_1, third_frees_2_3},
     after},
    {"exit with free blocks", owned_2_of_4, {first_leaves, nobody_frees_0, third_allocates_frees_1}, after},
    {"exit with free blocks, all freed", owned_2_of_4, {first_leaves, nobody_frees_0, second_frees_1}, after},
    {"exit with all handed out", owned_4_of_4, {first_leaves, second_frees_0_1, third_frees_2_3}, after},
    {"exit while it needs a span",
     full_4,
     {first_allocates_and_leaves, second_frees_0_1, nobody_frees_2_3},
     after},
    {"exit after taking back", full_4, {first_frees_0_and_leaves, second_frees_1, third_frees_2_3}, after},
    {"taking back while others free",
     full_4,
     {first_frees_0_allocates, second_frees_1, nobody_frees_2_3},
     after},
    {"taking back, leaving, and the same word again",
     full_4,
     {first_takes_back_and_leaves, second_frees_1, nobody_frees_3},
     after},
    {"two may have what a third left", full_4_of_gone, {NULL, second_frees_0_1, third_frees_2_3}, after},
    {"two may have it, one leaves",
     full_4_of_gone,
     {NULL, second_frees_0_allocates_leaves, third_frees_2_3_leaves},
     after},
    {"a cache lives again while its spans go",
     full_4_of_gone_whose_cache_lives,
     {first_allocates_and_leaves, second_frees_0_1, third_frees_2_3},
     after},
    {"descriptors live again", full_4, {first_recycles, nobody_frees_0_1, nobody_frees_2_3}, after},
    {"descriptors live again in the same class",
     full_4,
     {second_allocates_2, nobody_frees_0_1, third_frees_2_3},
     after},
    {"a guest while the last are freed", full_4, {second_frees_0_1, nobody_frees_2_3, third_looks}, after},
    {"a guest while an eighth becomes free",
     full_16,
     {second_allocates_2, nobody_frees_0_1, third_looks_frees_2_3},
     after},
    {"a guest while it is taken back",
     full_4,
     {first_frees_0_allocates, nobody_frees_2_3, third_looks},
     after},
    {"a guest in a shared span that is taken and freed",
     owned_2_of_4,
     {first_leaves, second_allocates_frees_leaves, third_looks},
     after},
    {"three need spans while it becomes free",
     full_4,
     {first_allocates, second_allocates_frees_leaves, third_frees_2_allocates_many},
     after},
};

static void every_scenario(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        if (check_long())
            schedule_explore(&scenarios[i], 4, 1000000, 200000);
        else if (CHECK_SANITIZED)
            schedule_explore(&scenarios[i], 2, 600, 200);
        else
            schedule_explore(&scenarios[i], 2, 4000, 1000);
    }
    CHECK(schedule.steps > 10000);
}

static void random_scripts(void **state)
{
    (void)state;
    struct scenario scenario = {"random", begin_random, {random_actor, random_actor, random_actor}, after};
    size_t runs = check_long() ? 1000000 : CHECK_SANITIZED ? 500 : 8000;
    uint64_t random = check_seed();
    for (size_t i = 0; i < runs; i++) {
        script_random = check_random(&random);
        schedule.random = check_random(&random) | 1;
        schedule_run_once(&scenario);
    }
}

int main(void)
{
    check_seed();
    fake_init(&fake, 64 * MiB, 0);
    fake.lazy = true;
    schedule_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scenario),
        cmocka_unit_test(random_scripts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed == 0)
        schedule_stop();
    return failed;
}
