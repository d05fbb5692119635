// timeout: 60
/* pool_storm.c - many threads on pools at once: blocks handed over, pools made, used by others and destroyed, walks and
 * statistics meanwhile, threads that end while they have caches in pools that are just being destroyed. */
#include "stress.h"
#include <cairn/pool.h>

enum { THREADS = 8, SLOTS = 4000, SHORT_LIVED = 16 };

static cairn_pool *shared[3]; /* plain, with marks, zeroing */
static _Atomic(struct stress_block *) slots[SLOTS];
static _Atomic long walked, made;

static void use_shared(uint64_t *seed)
{
    size_t slot = check_below(seed, SLOTS);
    cairn_pool *pool = shared[slot % 3];
    size_t size = sizeof(struct stress_block) + check_random_size(seed, slot < 20 ? 60000 : 800);
    struct stress_block *block = cairn_pool_malloc(pool, size);
    CHECK(block != NULL && cairn_pool_of(block) == pool);
    stress_fill(block, size, check_random(seed));
    block = atomic_exchange(&slots[slot], block);
    if (block == NULL)
        return;
    stress_verify(block);
    if (slot % 2 == 0)
        cairn_free(block);
    else
        cairn_pool_free(pool, block);
}

static int look(void *block, size_t size, void *context)
{
    CHECK(size >= 16 && ((uintptr_t)block & 15) == 0);
    ++*(size_t *)context;
    return 0;
}

static void *allocate_and_end(void *context)
{
    for (int i = 0; i < 50; i++)
        CHECK(cairn_pool_malloc(context, 10 + (size_t)i * 40) != NULL);
    return NULL;
}

/* Threads that still have a cache in the pool end while another destroys it. */
static _Atomic int ready, release_all;

static void *allocate_and_wait(void *context)
{
    CHECK(cairn_pool_malloc(context, 100) != NULL);
    ready++;
    while (!release_all)
        sched_yield();
    return NULL;
}

static void destroy_while_users_end(void)
{
    pthread_t threads[4];
    cairn_pool *pool = cairn_pool_create(NULL);
    ready = release_all = 0;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_and_wait, pool) == 0);
    while (ready < 4)
        sched_yield();
    release_all = 1;
    cairn_pool_destroy(pool);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static int read_stats(cairn_pool *pool, void *context)
{
    cairn_stats s = {.struct_size = sizeof s};
    CHECK(cairn_pool_stats(pool, &s) == 0 && s.committed >= s.metadata);
    ++*(long *)context;
    return 0;
}

static void use_own(uint64_t *seed)
{
    cairn_pool *pool = cairn_pool_create(&(cairn_pool_config){
        .struct_size = sizeof(cairn_pool_config), .flags = check_below(seed, 2) ? CAIRN_POOL_MARKS : 0});
    CHECK(pool != NULL);
    pthread_t thread;
    int other = check_below(seed, 8) == 0;
    if (other)
        CHECK(pthread_create(&thread, NULL, allocate_and_end, pool) == 0);
    for (int i = 0; i < 30; i++) {
        void *p = cairn_pool_malloc(pool, check_random_size(seed, 5000));
        if (i % 2 == 0)
            cairn_free(p);
    }
    if (other)
        pthread_join(thread, NULL);
    if (check_below(seed, 2) == 0)
        cairn_pool_reset(pool);
    cairn_pool_destroy(pool);
    made++;
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    for (long round = 0; stress_goes_on(); round++) {
        for (int i = 0; i < 200; i++)
            use_shared(&seed);
        use_own(&seed);
        if (number == 0 || round % 20 == 0) {
            size_t blocks = 0;
            CHECK(cairn_pool_walk(shared[1], look, &blocks) == 0);
            walked++;
        }
        if (round % 10 == 0) {
            long pools = 0;
            CHECK(cairn_pools_walk(read_stats, &pools) == 0 && pools >= 3);
        }
        if (number == 0 && round % 20 == 0)
            destroy_while_users_end();
    }
    return NULL;
}

int main(void)
{
    static const unsigned flags[] = {0, CAIRN_POOL_MARKS, CAIRN_POOL_ZERO};
    stress_for(3);
    for (int i = 0; i < 3; i++)
        shared[i] = cairn_pool_create(
            &(cairn_pool_config){.struct_size = sizeof(cairn_pool_config), .flags = flags[i]});
    stress_threads(THREADS, body);
    CHECKF(walked > 5 && made > 50, "%ld walks, %ld pools", (long)walked, (long)made);
    for (int i = 0; i < SLOTS; i++)
        if (slots[i] != NULL)
            cairn_pool_free(shared[i % 3], slots[i]);
    for (int i = 0; i < 3; i++) {
        cairn_stats s = {.struct_size = sizeof s};
        CHECK(cairn_pool_stats(shared[i], &s) == 0 && s.live_blocks == 0 && s.threads <= 1);
        CHECK(s.live + s.cached + s.free + s.metadata == s.committed);
        CHECKF(cairn_pool_check(shared[i]) == 0, "%s", cairn_errormsg());
        cairn_pool_destroy(shared[i]);
    }
    stress_at_rest(4 * THREADS);
    return 0;
}
