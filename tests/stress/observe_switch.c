// timeout: 60
/* observe_switch.c - traces are started and stopped, snapshots taken, scopes of tags entered and left, and the heap
 * walked and checked, all at once, by threads that allocate. */
#include "stress.h"
#include <cairn/observe.h>

enum { THREADS = 8, SLOTS = 1000 };
static _Atomic(struct stress_block *) slots[SLOTS];
static cairn_pool *tags[2];

static int count_blocks(void *block, size_t size, void *context)
{
    (void)block;
    *(size_t *)context += size;
    return 0;
}

static void trace(const char *path)
{
    CHECKF(cairn_trace_start(path) == 0, "%s", cairn_errormsg());
    check_sleep(0.01);
    CHECKF(cairn_trace_stop() == 0, "%s", cairn_errormsg());
}

static void look(uint64_t *seed, int null_fd)
{
    size_t bytes = 0;
    cairn_snapshot *before = cairn_snapshot_take();
    stress_free(atomic_exchange(&slots[check_below(seed, SLOTS)], stress_new(seed, 8000)));
    cairn_snapshot *after = cairn_snapshot_take();
    CHECK(before != NULL && after != NULL);
    CHECK(cairn_snapshot_print(null_fd, before, after, CAIRN_STATS_JSON) == 0);
    cairn_snapshot_free(before);
    cairn_snapshot_free(after);
    CHECK(cairn_heap_walk(count_blocks, &bytes) == 0 && bytes > 0);
    CHECKF(cairn_heap_check() == 0, "%s", cairn_errormsg());
}

static void work(uint64_t *seed)
{
    size_t depth = check_below(seed, 4);
    for (size_t i = 0; i < depth; i++)
        CHECK(cairn_tag_push(tags[check_below(seed, 2)]) == 0);
    for (int step = 0; step < 100; step++) {
        struct stress_block *block = stress_new(seed, step == 0 ? 100000 : 4000);
        CHECK(cairn_pool_of(block) == cairn_tag_current());
        stress_free(atomic_exchange(&slots[check_below(seed, SLOTS)], block));
    }
    for (size_t i = 0; i < depth; i++)
        CHECK(cairn_tag_pop() == 0);
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    char path[64];
    snprintf(path, sizeof path, "/tmp/cairn-switch.%d", (int)getpid());
    int null_fd = open("/dev/null", O_WRONLY);
    while (stress_goes_on()) {
        if ((intptr_t)number == 0)
            trace(path);
        else if ((intptr_t)number == 1)
            look(&seed, null_fd);
        else
            work(&seed);
    }
    close(null_fd);
    unlink(path);
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    for (int i = 0; i < 2; i++)
        CHECK((tags[i] = cairn_pool_create(NULL)) != NULL);
    stress_for(2.5);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    for (int i = 0; i < 2; i++) {
        cairn_stats s;
        memset(&s, 0, sizeof s);
        s.struct_size = sizeof s;
        CHECK(cairn_pool_stats(tags[i], &s) == 0 && s.live_blocks == 0 && s.allocations > 0);
        cairn_pool_destroy(tags[i]);
    }
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
