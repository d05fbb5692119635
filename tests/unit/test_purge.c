// link: -Wl,--wrap=os_now_ms
/* test_purge.c - when free pages go back: by amount, by age under a clock of the test's own, with regret, while
 * others work, and when the source keeps them. */
#include "unit.h"

#include "engine/large.h"
#include "engine/purge.h"
#include "unit/fake_source.h"
#include "unit/heap_check.h"

enum { DELAY = 500 };

uint64_t __wrap_os_now_ms(void);

static uint64_t now = 1000000;

uint64_t __wrap_os_now_ms(void)
{
    return now;
}

static struct heap heap;
static struct fake fake;

static int begin(void **state)
{
    (void)state;
    fake_init(&fake, GiB, 0);
    struct heap_config config = heap_config_default(&fake.source);
    config.purge_delay = DELAY;
    config.keep_least = 1 * MiB;
    config.keep_shift = 3;
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

static void *allocate(size_t size)
{
    enum error error = OK;
    char *block = large_alloc(&heap, size, PAGE_SIZE, false, &error);
    CHECK(block != NULL);
    for (size_t at = 0; at < size; at += PAGE_SIZE)
        block[at] = 1;
    return block;
}

static void release(void *block)
{
    CHECK(large_free(pagemap_find(block), block));
}

static void apply_rules(void)
{
    lock_take(&heap.lock);
    purge_by_rules(&heap);
    lock_release(&heap.lock);
}

/* ---- By amount ----------------------------------------------------------------------------------- */

static void little_is_kept(void **state)
{
    (void)state;
    void *block = allocate(MiB);
    release(block);
    CHECK(heap.counts.dirty_bytes == MiB && fake.purges == 0);
    block = allocate(MiB);
    CHECK(heap.counts.dirty_bytes == 0);
    release(block);
    block = allocate(MiB + PAGE_SIZE);
    release(block);
    CHECK(fake.purges > 0 && heap.counts.dirty_bytes == 0); /* the whole chunk goes */
    CHECK_EQ(heap.counts.purged_bytes, MiB + PAGE_SIZE);
    CHECK_EQ(heap.counts.purges, fake.purges);
}

/* A share of what is in use may stay. */
static void a_share_is_kept(void **state)
{
    (void)state;
    void *large = allocate(64 * MiB);
    void *blocks[9];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(MiB);
    for (size_t i = 0; i < 8; i++)
        release(blocks[i]);
    CHECK(heap.counts.dirty_bytes == 8 * MiB && fake.purges == 0);
    release(blocks[8]);
    CHECK(fake.purges > 0 && heap.counts.dirty_bytes <= 8 * MiB);
    release(large);
    CHECK(heap.counts.dirty_bytes <= MiB);
}

/* The chunks that were left longest ago go first. */
static void the_oldest_go_first(void **state)
{
    (void)state;
    void *blocks[8];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(4 * MiB); /* a chunk each */
    heap.config.keep_least = 12 * MiB;
    static const size_t order[] = {5, 1, 7, 2};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        CHECK(fake.purges == 0);
        release(blocks[order[i]]);
        now += 10;
    }
    CHECK(fake.purges == 1 && *(char *)blocks[5] == 0);
    CHECK(*(char *)blocks[1] == 1 && *(char *)blocks[7] == 1 && *(char *)blocks[2] == 1);
}

static void down_to_a_target(void **state)
{
    (void)state;
    heap.config.keep_least = SIZE_MAX / 4;
    void *blocks[6];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(4 * MiB);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        release(blocks[i]);
    CHECK(heap_trim(&heap, 9 * MiB) && heap.counts.dirty_bytes == 8 * MiB);
    heap_check(&heap);
    CHECK(!heap_trim(&heap, 9 * MiB) && heap.counts.dirty_bytes == 8 * MiB);
    CHECK(heap_trim(&heap, 0) && heap.counts.dirty_bytes == 0);
    CHECK(!heap_trim(&heap, 0));
    CHECK(heap.counts.purged_bytes == 24 * MiB && heap.arenas->next == NULL);
}

/* Only what is free goes: what lies between stays as it is. */
static void used_pages_are_left_alone(void **state)
{
    (void)state;
    heap.config.keep_least = 64 * MiB;
    char *blocks[64];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = allocate((3 + i) * PAGE_SIZE);
        check_fill(blocks[i], (3 + i) * PAGE_SIZE, i);
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i += 2)
        release(blocks[i]);
    CHECK(heap_trim(&heap, 0));
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        if (i % 2 == 1)
            CHECK_FILLED(blocks[i], (3 + i) * PAGE_SIZE, i);
        else
            CHECK(check_nonzero(blocks[i], (3 + i) * PAGE_SIZE) == (3 + i) * PAGE_SIZE);
    CHECK_EQ(fake.purges, 32);
}

/* ---- By age -------------------------------------------------------------------------------------- */

static void old_chunks_go_one_by_one(void **state)
{
    (void)state;
    heap.config.keep_least = 64 * MiB;
    void *blocks[3];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(4 * MiB);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        release(blocks[i]);
        now += 100;
    }
    now += DELAY - 301; /* the first is one millisecond too young */
    apply_rules();
    CHECK_EQ(fake.purges, 0);
    now += 1;
    apply_rules();
    CHECK(fake.purges == 1 && heap.counts.dirty_bytes == 8 * MiB);
    apply_rules();
    CHECK_EQ(fake.purges, 1);
    now += 200;
    apply_rules();
    apply_rules();
    CHECK(fake.purges == 3 && heap.counts.dirty_bytes == 0);
}

/* Pages freed meanwhile make the chunk young again. */
static void use_keeps_a_chunk(void **state)
{
    (void)state;
    heap.config.keep_least = 64 * MiB;
    void *first = allocate(MiB), *second = allocate(MiB);
    release(first);
    now += DELAY - 1;
    release(second);
    now += DELAY - 1;
    apply_rules();
    CHECK_EQ(fake.purges, 0);
    now += 1;
    apply_rules();
    CHECK(fake.purges > 0 && heap.counts.dirty_bytes == 0);
}

/* A chunk in steady use at the head of the queue must not keep those behind it, which nobody uses. */
static void a_busy_chunk_holds_up_no_other(void **state)
{
    (void)state;
    heap.config.keep_least = 64 * MiB;
    void *busy = allocate(4 * MiB), *idle = allocate(4 * MiB);
    release(busy);
    release(idle);
    for (int i = 0; i < 20; i++) {
        now += DELAY / 5;
        busy = allocate(MiB); /* the lowest free pages: in the first chunk again */
        release(busy);
    }
    CHECKF(*(char *)idle == 0, "still there after %d ms", 20 * DELAY / 5);
}

/* ---- Regret -------------------------------------------------------------------------------------- */

static void regret_keeps_more(void **state)
{
    (void)state;
    void *block = allocate(8 * MiB);
    release(block);
    CHECK(heap.counts.dirty_bytes == 0 && heap.keep_boost == 0);
    now += 10;
    block = allocate(8 * MiB); /* purged a moment ago */
    CHECK_EQ(heap.keep_boost, 8 * MiB);
    unsigned purges = fake.purges;
    release(block);
    CHECK(fake.purges == purges && heap.counts.dirty_bytes == 8 * MiB);
    for (int i = 0; i < 10; i++) {
        block = allocate(8 * MiB);
        release(block);
    }
    CHECK_EQ(fake.purges, purges);
}

static void regret_fades(void **state)
{
    (void)state;
    release(allocate(8 * MiB));
    release(allocate(8 * MiB));
    size_t boost = heap.keep_boost;
    CHECK(boost == 8 * MiB);
    now += 2000;
    apply_rules();
    CHECK_EQ(heap.keep_boost, boost);
    for (int i = 0; i < 3; i++) {
        now += 1;
        apply_rules();
    }
    CHECK_EQ(heap.keep_boost, boost - boost / 4);
    for (int i = 0; i < 60; i++) {
        now += 2001;
        apply_rules();
    }
    CHECK(heap.keep_boost < 8 && heap.counts.dirty_bytes == 0);
}

static void late_regret_does_not_count(void **state)
{
    (void)state;
    release(allocate(8 * MiB));
    now += 1001;
    release(allocate(8 * MiB));
    CHECK_EQ(heap.keep_boost, 0);
}

/* However often, the boost stays below what the heap ever held. */
static void regret_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        release(allocate(4 * MiB));
        heap_trim(&heap, 0);
    }
    CHECK(heap.keep_boost > 4 * MiB && heap.keep_boost <= heap.counts.committed_peak);
}

/* keep:none means that nothing goes by amount, whatever regret adds. */
static void keeping_all_keeps_all(void **state)
{
    (void)state;
    heap.config.keep_least = SIZE_MAX;
    release(allocate(8 * MiB));
    CHECK(fake.purges == 0);
    heap_trim(&heap, 0);
    void *block = allocate(2 * MiB);
    CHECK(heap.keep_boost > 0);
    void *other = allocate(8 * MiB);
    unsigned purges = fake.purges;
    release(other);
    release(block);
    CHECK_EQ(fake.purges, purges);
}

/* ---- Others at work, sources that refuse --------------------------------------------------------- */

static void *purged_at;
static size_t purged_size;
static void *taken_meanwhile;

/* Runs where another thread could: the heap is open, and the pages on their way are out of reach. */
static void take_and_give_meanwhile(void *base, size_t size)
{
    fake.during_purge = NULL;
    CHECK(load_relaxed(&heap.lock.state) == 0);
    purged_at = base;
    purged_size = size;
    char *block = allocate(MiB);
    CHECK(block + MiB <= (char *)base || block >= (char *)base + size);
    taken_meanwhile = block;
    void *more = allocate(64 * KiB);
    release(more);
}

static void pages_on_their_way_are_out_of_reach(void **state)
{
    (void)state;
    void *block = allocate(3 * MiB);
    fake.during_purge = take_and_give_meanwhile;
    release(block);
    CHECK(purged_at == block && purged_size == 3 * MiB);
    heap_check(&heap);
    CHECK(*(char *)taken_meanwhile == 1);
    release(taken_meanwhile);
    CHECK(allocate(3 * MiB) == block);
}

static void free_beside_meanwhile(void *base, size_t size)
{
    (void)base;
    (void)size;
    fake.during_purge = NULL;
    release(taken_meanwhile);
}

/* Pages freed in the same chunk during its purge are neither lost nor taken for clean. */
static void frees_during_a_purge_count(void **state)
{
    (void)state;
    void *block = allocate(2 * MiB);
    taken_meanwhile = allocate(512 * KiB);
    heap.config.keep_least = 64 * MiB;
    release(block);
    fake.during_purge = free_beside_meanwhile;
    CHECK(heap_trim(&heap, MiB));
    heap_check(&heap);
    CHECK_EQ(heap.counts.dirty_bytes, 512 * KiB);
    CHECK(*(char *)taken_meanwhile == 1 && *(char *)block == 0);
    heap_trim(&heap, 0);
    CHECK(*(char *)taken_meanwhile == 0);
}

/* Growth purges when the source has no more; what others take then counts against the limit. */
static void take_the_rest_meanwhile(void *base, size_t size)
{
    (void)base;
    (void)size;
    fake.during_purge = NULL;
    taken_meanwhile = allocate(5 * MiB);
    fake.refuse_reserve = false;
}

static void the_limit_holds_while_growing(void **state)
{
    (void)state;
    heap.config.keep_least = SIZE_MAX / 4;
    CHECK(allocate(4 * MiB) != NULL);
    void *block = allocate(4 * MiB);
    CHECK(allocate(3 * MiB) != NULL && heap.counts.reserved_bytes == 16 * MiB);
    release(block);
    size_t before = heap_committed(&heap);
    heap.config.limit_hard = before + 6 * MiB + MiB / 2;
    fake.refuse_reserve = true;
    fake.during_purge = take_the_rest_meanwhile;
    enum error error = OK;
    CHECK(large_alloc(&heap, 6 * MiB, PAGE_SIZE, false, &error) == NULL);
    CHECK(error == ERROR_LIMIT && fake.during_purge == NULL);
    CHECK(heap_committed(&heap) <= heap.config.limit_hard);
    heap_check(&heap);
    release(taken_meanwhile);
    CHECK(large_alloc(&heap, 6 * MiB, PAGE_SIZE, false, &error) != NULL);
}

static void a_source_that_keeps_them(void **state)
{
    (void)state;
    void *blocks[5];
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        blocks[i] = allocate(4 * MiB);
    fake.refuse_purge = true;
    for (size_t i = 0; i < 4; i++) {
        release(blocks[i]);
        heap_check(&heap);
    }
    CHECK(heap.counts.dirty_bytes == 16 * MiB && heap.counts.purged_bytes == 0 && heap.counts.purges == 0);
    CHECK(!heap_trim(&heap, 0));
    heap_check(&heap);
    now += 2 * DELAY;
    apply_rules();
    heap_check(&heap);
    CHECK(heap.counts.dirty_bytes == 16 * MiB);
    CHECK(*(char *)allocate(4 * MiB) == 1); /* and they serve */
    fake.refuse_purge = false;
    CHECK(heap_trim(&heap, 0) && heap.counts.dirty_bytes == 0);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static pid_t child;

/* Another thread forks while the pages are on their way: nobody in the child brings that to an end. */
static void *fork_elsewhere(void *block)
{
    heap_before_fork(&heap);
    child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        heap_after_fork_parent(&heap);
        return NULL;
    }
    check_in_task = 1;
    heap_after_fork_child(&heap, NULL);
    heap_check(&heap);
    CHECK_EQ(heap.counts.dirty_bytes, 3 * MiB);
    CHECK(allocate(3 * MiB) == block && heap.counts.dirty_bytes == 0 && heap.replaced_bytes == 0);
    release(block);
    CHECK(heap.counts.dirty_bytes == 0 && *(char *)block == 0);
    heap_check(&heap);
    _exit(0);
}

static void fork_elsewhere_meanwhile(void *base, size_t size)
{
    pthread_t thread;
    (void)size;
    fake.during_purge = NULL;
    heap.replaced_bytes = 5 * MiB; /* and a realloc in yet another */
    CHECK(pthread_create(&thread, NULL, fork_elsewhere, base) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    heap.replaced_bytes = 0;
}

static void child_must_have_passed(void)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %d", status);
}

static void a_purge_that_the_child_of_a_fork_never_ends(void **state)
{
    (void)state;
    void *block = allocate(3 * MiB);
    fake.during_purge = fork_elsewhere_meanwhile;
    release(block);
    child_must_have_passed();
    heap_check(&heap);
    CHECK(heap.counts.dirty_bytes == 0 && heap.purging == NULL);
}

/* A signal handler may fork in the middle of a purge, which then goes on in both processes. */
static void fork_here_meanwhile(void *base, size_t size)
{
    fake.during_purge = NULL;
    heap_before_fork(&heap);
    child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        heap_after_fork_parent(&heap);
        return;
    }
    check_in_task = 1;
    heap_after_fork_child(&heap, NULL);
    char *taken = allocate(3 * MiB);
    CHECK(taken + 3 * MiB <= (char *)base || taken >= (char *)base + size);
}

static void a_purge_that_goes_on_in_the_child(void **state)
{
    (void)state;
    void *block = allocate(3 * MiB);
    pid_t parent = getpid();
    fake.during_purge = fork_here_meanwhile;
    release(block);
    heap_check(&heap);
    CHECK(heap.counts.dirty_bytes == 0 && heap.purging == NULL && *(char *)block == 0);
    if (getpid() != parent)
        _exit(0);
    child_must_have_passed();
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(little_is_kept),
        WITH(a_share_is_kept),
        WITH(the_oldest_go_first),
        WITH(down_to_a_target),
        WITH(used_pages_are_left_alone),
        WITH(old_chunks_go_one_by_one),
        WITH(use_keeps_a_chunk),
        WITH(a_busy_chunk_holds_up_no_other),
        WITH(regret_keeps_more),
        WITH(regret_fades),
        WITH(late_regret_does_not_count),
        WITH(regret_is_bounded),
        WITH(keeping_all_keeps_all),
        WITH(pages_on_their_way_are_out_of_reach),
        WITH(frees_during_a_purge_count),
        WITH(the_limit_holds_while_growing),
        WITH(a_source_that_keeps_them),
        WITH(a_purge_that_the_child_of_a_fork_never_ends),
        WITH(a_purge_that_goes_on_in_the_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
