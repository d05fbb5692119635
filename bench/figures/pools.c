/* pools.c - slab pools against the process heap, against libc's malloc, and destroying against freeing.  What one thread
 * computes is measured in CPU time, in many short rounds in turn. */
#include "figures.h"

#include <cairn/pool.h>
#include <pthread.h>

enum { PAIRS = 200000, BATCH = 100, BLOCKS = 1000000, SIZE = 64 };

static cairn_pool *pool;
static cairn_pool_config config = {.struct_size = sizeof config};

/* Pairs in small batches, so that neither is a loop over one hot block. */
#define PAIR_LOOP(allocate, release)                                                                         \
    do {                                                                                                     \
        void *blocks[BATCH];                                                                                 \
        double start = figure_cpu_now();                                                                     \
        for (size_t round = 0; round < PAIRS / BATCH; round++) {                                             \
            for (size_t i = 0; i < BATCH; i++)                                                               \
                figure_use(blocks[i] = allocate);                                                            \
            for (size_t i = BATCH; i-- > 0;)                                                                 \
                release;                                                                                     \
        }                                                                                                    \
        return (figure_cpu_now() - start) / PAIRS;                                                           \
    } while (0)

static double pool_pair(void)
{
    PAIR_LOOP(cairn_pool_malloc(pool, SIZE), cairn_pool_free(pool, blocks[i]));
}

static double heap_pair(void)
{
    PAIR_LOOP(cairn_malloc(SIZE), cairn_free(blocks[i]));
}

static double libc_pair(void)
{
    PAIR_LOOP(libc_malloc(SIZE), libc_free(blocks[i]));
}

/* ---- Two threads --------------------------------------------------------------------------------- */

enum { TURNS = 10 }; /* of PAIRS each */

static pthread_barrier_t barrier;

static void *in_thread(void *measure)
{
    pthread_barrier_wait(&barrier);
    for (int turn = 0; turn < TURNS; turn++)
        (void)((figure_measure *)(uintptr_t)measure)();
    return NULL;
}

static double two_threads(figure_measure *measure)
{
    pthread_t threads[2];
    pthread_barrier_init(&barrier, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, in_thread, (void *)(uintptr_t)measure);
    pthread_barrier_wait(&barrier);
    double start = figure_now();
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return (figure_now() - start) / (TURNS * PAIRS);
}

static double libc_two(void)
{
    return two_threads(libc_pair);
}

static double pool_two(void)
{
    return two_threads(pool_pair);
}

/* ---- A million blocks ---------------------------------------------------------------------------- */

static void *blocks[BLOCKS];

static void fill(cairn_pool *full)
{
    for (size_t i = 0; i < BLOCKS; i++)
        memset(blocks[i] = cairn_pool_malloc(full, SIZE), 1, SIZE);
}

static double destroy(void)
{
    cairn_pool *full = cairn_pool_create(&config);
    fill(full);
    double start = figure_now();
    cairn_pool_destroy(full);
    return (figure_now() - start) / BLOCKS;
}

static double free_all(void)
{
    cairn_pool *full = cairn_pool_create(&config);
    fill(full);
    double start = figure_now();
    for (size_t i = 0; i < BLOCKS; i++)
        cairn_pool_free(full, blocks[i]);
    double end = figure_now();
    cairn_pool_destroy(full);
    return (end - start) / BLOCKS;
}

int main(void)
{
    pool = cairn_pool_create(&config);
    figure_print("pool-pair", figure_ratio_of(FIGURE_SHORT_ROUNDS, pool_pair, heap_pair, NULL, NULL), "<=1.5",
                 "x", "malloc and free in a slab pool / in the process heap, 64 bytes");
    figure_print("pool-two-threads", figure_ratio(libc_two, pool_two, NULL, NULL), ">=2", "x",
                 "two threads on one pool: glibc's time / the pool's");
    figure_print("pool-destroy", figure_ratio(free_all, destroy, NULL, NULL), ">=20", "x",
                 "1,000,000 blocks: freeing each / destroying the pool");
    config.flags = CAIRN_POOL_MARKS;
    cairn_pool *plain = pool;
    pool = cairn_pool_create(&config);
    figure_print("pool-marks", figure_ratio_of(FIGURE_SHORT_ROUNDS, pool_pair, heap_pair, NULL, NULL), "-",
                 "x", "the pair with liveness marks / in the process heap");
    cairn_pool_destroy(pool);
    cairn_pool_destroy(plain);
    return 0;
}
