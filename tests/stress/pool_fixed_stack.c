// timeout: 60
/* pool_fixed_stack.c - many threads on one pool of equal blocks, on one with marks and on one stack: blocks are freed by
 * others than those who allocated them, while walks, statistics and trims go on; and a stack of its own for each thread,
 * whose marks are made and released at random. */
#include "stress.h"

#include <cairn/pool.h>

enum { POOLS = 3, WORKERS = 6, KEPT = 200, SHELF = 64, BLOCK = 96, NESTED = 20 };

static cairn_pool *pools[POOLS]; /* fixed, fixed with marks, stack */

/* Where threads leave blocks for each other. */
static struct stress_block *shelf[POOLS][SHELF];

static struct worker {
    struct stress_block *kept[POOLS][KEPT];
} workers[WORKERS];

static void drop(cairn_pool *pool, struct stress_block *block)
{
    if (block == NULL)
        return;
    stress_verify(block);
    cairn_pool_free(pool, block);
}

static struct stress_block *make(cairn_pool *pool, size_t max, uint64_t *seed)
{
    size_t size = sizeof(struct stress_block) + check_below(seed, max - sizeof(struct stress_block) + 1);
    struct stress_block *block = cairn_pool_malloc(pool, size);
    CHECK(block != NULL);
    stress_fill(block, size, check_random(seed));
    return block;
}

static void replace_one(struct worker *worker, uint64_t *seed)
{
    size_t pool = check_below(seed, POOLS);
    struct stress_block **place = &worker->kept[pool][check_below(seed, KEPT)];
    drop(pools[pool], *place);
    *place = check_below(seed, 8) == 0 ? NULL : make(pools[pool], BLOCK, seed);
    if (check_below(seed, 3) == 0)
        *place = __atomic_exchange_n(&shelf[pool][check_below(seed, SHELF)], *place, __ATOMIC_ACQ_REL);
}

/* A stack that nobody else uses: what was made before a mark is whole after its release. */
static void nest(cairn_pool *pool, uint64_t *seed, int depth)
{
    cairn_mark mark = cairn_pool_mark(pool);
    struct stress_block *first = make(pool, 3000, seed);
    for (size_t i = check_below(seed, 10); i > 0; i--)
        (void)make(pool, 500, seed);
    struct stress_block *last = make(pool, 500, seed);
    if (depth < NESTED && check_below(seed, 20) != 0)
        nest(pool, seed, depth + 1);
    stress_verify(first);
    drop(pool, last);
    if (check_below(seed, 4) != 0) /* else an outer one takes it */
        cairn_pool_release(pool, mark);
}

static void *work(void *number)
{
    uint64_t seed = stress_seed(number);
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *own = cairn_pool_create(&config);
    CHECK(own != NULL);
    cairn_mark bottom = cairn_pool_mark(own);
    while (stress_goes_on()) {
        for (int i = 0; i < 1000; i++)
            replace_one(&workers[(intptr_t)number], &seed);
        nest(own, &seed, 0);
        CHECKF(cairn_pool_check(own) == 0, "%s", cairn_errormsg());
        cairn_pool_release(own, bottom);
        bottom = cairn_pool_mark(own);
    }
    cairn_pool_destroy(own);
    return NULL;
}

static int look(void *block, size_t size, void *context)
{
    cairn_pool *pool = context;
    CHECK(size >= sizeof(struct stress_block) && cairn_pool_of(block) == pool);
    return 0;
}

static void *watch(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        cairn_pool *pool = pools[check_below(&seed, POOLS)];
        cairn_stats s = {.struct_size = sizeof s};
        CHECK(cairn_pool_walk(pool, look, pool) == 0);
        CHECK(cairn_pool_stats(pool, &s) == 0);
        CHECK(s.live + s.cached + s.free + s.metadata == s.committed &&
              s.live_blocks == s.allocations - s.frees);
        (void)cairn_pool_trim(pool, check_below(&seed, 100000));
        check_sleep(0.001);
    }
    return NULL;
}

static void *run(void *number)
{
    return (intptr_t)number < WORKERS ? work(number) : watch(number);
}

int main(void)
{
    cairn_pool_config fixed = {.struct_size = sizeof fixed, .pool_class = CAIRN_FIXED, .block_size = BLOCK};
    cairn_pool_config marks = fixed, stack = {.struct_size = sizeof stack, .pool_class = CAIRN_STACK};
    marks.flags = CAIRN_POOL_MARKS;
    pools[0] = cairn_pool_create(&fixed);
    pools[1] = cairn_pool_create(&marks);
    pools[2] = cairn_pool_create(&stack);
    stress_for(2);
    stress_threads(WORKERS + 1, run);
    for (int pool = 0; pool < POOLS; pool++) {
        for (int i = 0; i < WORKERS * KEPT; i++)
            drop(pools[pool], workers[i / KEPT].kept[pool][i % KEPT]);
        for (int i = 0; i < SHELF; i++)
            drop(pools[pool], shelf[pool][i]);
        cairn_stats s = {.struct_size = sizeof s};
        CHECKF(cairn_pool_check(pools[pool]) == 0, "%s", cairn_errormsg());
        CHECK(cairn_pool_stats(pools[pool], &s) == 0);
        /* Under the address sanitizer the last 1024 freed blocks are held back. */
        CHECKF(s.live_blocks <= (CHECK_SANITIZED ? 1024 : 0) && s.live <= s.live_blocks * BLOCK &&
                   s.allocations > 100,
               "pool %d: %zu blocks, %zu bytes, %zu allocations", pool, (size_t)s.live_blocks, (size_t)s.live,
               (size_t)s.allocations);
        cairn_pool_destroy(pools[pool]);
    }
    return 0;
}
