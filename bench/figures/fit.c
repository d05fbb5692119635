/* fit.c - pools of class fit: the three loops in which the Memory Pool System's MVFF was measured, as multiples of libc's
 * pair of malloc and free (64 bytes), in CPU time; and what a free range costs.
 *
 * The bounds are a third of MVFF's 80, 136 and 309 ns beside a libc pair of 9 ns. */
#include "figures.h"

#include <cairn/pool.h>

enum { COUNT = 200000, LIVE = COUNT / 2, PAIRS = 2000000, SIZE = 64 };

static void *blocks[COUNT];
static cairn_pool *pool; /* with what the loop at hand needs */
static cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT};

/* The pair that all is measured by: one block at a time. */
static double libc_pair(void)
{
    double start = figure_cpu_now();
    for (size_t i = 0; i < PAIRS; i++) {
        void *block = libc_malloc(SIZE);
        figure_use(block);
        libc_free(block);
    }
    return (figure_cpu_now() - start) / PAIRS;
}

static void fill(cairn_pool *full)
{
    for (size_t i = 0; i < COUNT; i++)
        figure_use(blocks[i] = cairn_pool_malloc(full, SIZE));
}

/* Many blocks, one after the other, into memory that the pool has, as MVFF was measured. */
static double bulk(void)
{
    fill(pool);
    for (size_t i = 0; i < COUNT; i++)
        cairn_pool_free(pool, blocks[i]);
    double start = figure_cpu_now();
    fill(pool);
    double end = figure_cpu_now();
    for (size_t i = 0; i < COUNT; i++)
        cairn_pool_free(pool, blocks[i]);
    return (end - start) / COUNT;
}

static double lifo(void)
{
    double start = figure_cpu_now();
    for (size_t i = 0; i < PAIRS; i++) {
        void *block = cairn_pool_malloc(pool, SIZE);
        figure_use(block);
        cairn_pool_free(pool, block);
    }
    return (figure_cpu_now() - start) / PAIRS;
}

/* 100,000 free ranges: a block at random is freed, and one allocated.  The table is that of the blocks in use, which is all
 * that a program would keep: what it misses on its own pointers counts, and the blocks themselves are not touched. */
static double scattered(void)
{
    uint64_t state = 1;
    fill(pool);
    for (size_t i = 0; i < COUNT; i += 2)
        cairn_pool_free(pool, blocks[i]);
    for (size_t i = 0; i < LIVE; i++)
        blocks[i] = blocks[2 * i + 1];
    double start = figure_cpu_now();
    for (size_t i = 0; i < COUNT; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        size_t k = (state >> 33) % LIVE;
        cairn_pool_free(pool, blocks[k]);
        figure_use(blocks[k] = cairn_pool_malloc(pool, SIZE));
    }
    double end = figure_cpu_now();
    for (size_t i = 0; i < LIVE; i++)
        cairn_pool_free(pool, blocks[i]);
    return (end - start) / COUNT;
}

static uint64_t committed(void)
{
    cairn_stats stats = {.struct_size = sizeof stats};
    (void)cairn_pool_stats(pool, &stats);
    return stats.committed;
}

/* Bytes that the pool's committed memory rises by for each isolated free range. */
static double range_bytes(void)
{
    fill(pool);
    uint64_t before = committed();
    for (size_t i = 0; i < COUNT; i += 2)
        cairn_pool_free(pool, blocks[i]);
    uint64_t after = committed();
    return after > before ? (double)(after - before) / (COUNT / 2) : 0;
}

int main(void)
{
    config.spare = 1; /* what is free stays: the loops are not to measure the system */
    pool = cairn_pool_create(&config);
    void *keep = cairn_pool_malloc(pool, SIZE);
    figure_print("fit-bulk", figure_ratio(bulk, libc_pair, NULL, NULL), "<=2.96", "x",
                 "fit: 200,000 blocks of 64 bytes, each / a pair of libc");
    figure_print("fit-lifo", figure_ratio(lifo, libc_pair, NULL, NULL), "<=5.0", "x",
                 "fit: malloc and free of one block in a near-empty pool / a pair of libc");
    figure_print("fit-scattered", figure_ratio(scattered, libc_pair, NULL, NULL), "<=11.4", "x",
                 "fit: free and malloc with 100,000 free ranges / a pair of libc");
    cairn_pool_free(pool, keep);
    cairn_pool_destroy(pool);
    config.spare = 0;
    pool = cairn_pool_create(&config);
    figure_print("fit-range-bytes", range_bytes(), "<=16", "bytes",
                 "fit: committed memory for each isolated free range of 64 bytes");
    cairn_pool_destroy(pool);
    return 0;
}
