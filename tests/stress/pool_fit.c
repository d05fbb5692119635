/* pool_fit.c - many threads on one pool of class fit: blocks filled, handed on, freed whole or in parts, while one walks and
 * trims.  In the end the pool is empty and whole. */
#include "stress.h"

#include <cairn/pool.h>

enum { THREADS = 4, SLOTS = 64, STEPS = 20000 };

static cairn_pool *pool;
static struct {
    pthread_mutex_t lock;
    char *at;
    size_t size;
} slots[SLOTS];
static int done; /* atomic */

static int in_range(void *block, size_t size, void *context)
{
    CHECK(block != NULL && size >= 16 && size % 16 == 0);
    ++*(size_t *)context;
    return 0;
}

static void *walker(void *unused)
{
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) == 0) { /* pairs with main's release */
        size_t count = 0;
        CHECK(cairn_pool_walk(pool, in_range, &count) == 0);
        CHECK(cairn_pool_walk_free(pool, in_range, &count) == 0);
        (void)cairn_pool_trim(pool, 64 * KIB);
        CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0);
    }
    return unused;
}

static void *worker(void *number)
{
    uint64_t state = check_seed() + (uintptr_t)number;
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = check_below(&state, SLOTS);
        pthread_mutex_lock(&slots[i].lock);
        if (slots[i].at == NULL) {
            slots[i].size = check_random_size(&state, 5000);
            slots[i].at = cairn_pool_malloc(pool, slots[i].size);
            CHECK(slots[i].at != NULL);
            check_fill(slots[i].at, slots[i].size, i);
        } else {
            size_t whole = (slots[i].size + 15) / 16 * 16, head = whole / 32 * 16;
            CHECK_FILLED(slots[i].at, slots[i].size, i);
            if (head > 0 && step % 3 == 0) {
                CHECK(cairn_pool_free_range(pool, slots[i].at, head) == 0);
                cairn_pool_free(pool, slots[i].at + head);
            } else {
                cairn_pool_free_sized(pool, slots[i].at, slots[i].size);
            }
            slots[i].at = NULL;
        }
        pthread_mutex_unlock(&slots[i].lock);
    }
    return NULL;
}

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT};
    pthread_t threads[THREADS], other;
    (void)check_seed();
    pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    for (size_t i = 0; i < SLOTS; i++)
        pthread_mutex_init(&slots[i].lock, NULL);
    CHECK(pthread_create(&other, NULL, walker, NULL) == 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    CHECK(pthread_join(other, NULL) == 0);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    for (size_t i = 0; i < SLOTS; i++)
        cairn_pool_free(pool, slots[i].at);
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    CHECK(stats.live == 0 && stats.live_blocks == 0);
    CHECK(cairn_pool_check(pool) == 0);
    cairn_pool_destroy(pool);
    return 0;
}
