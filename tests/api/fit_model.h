/* fit_model.h - for tests of fit pools: a model that knows every unit of one range of addresses, and where the next block
 * has to go. */
#ifndef CAIRN_TESTS_API_FIT_MODEL_H
#define CAIRN_TESTS_API_FIT_MODEL_H

#include "api.h"

#include <cairn/pool.h>

enum { KIB_4 = 4096, SLOTS = 400 };

static uint64_t state;

/* ---- The model: a range of addresses, one byte of state for each unit ------------------------------ */

enum { NONE = 0, FREE = 1, TAKEN = 2 };

static char *base; /* of the model */
static size_t unit, units;
static unsigned char *model;

static struct {
    char *at;
    size_t size; /* asked for */
    uint64_t key;
} blocks[SLOTS];

static inline cairn_stats stats_of(cairn_pool *pool)
{
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    CHECK_EQ(stats.live + stats.cached + stats.free + stats.metadata, stats.committed);
    return stats;
}

static inline size_t round_up(size_t size)
{
    return size == 0 ? unit : (size + unit - 1) / unit * unit;
}

static inline size_t in_run(size_t from, size_t to, size_t need, size_t align, int high)
{
    uintptr_t low = (uintptr_t)base + from * unit, end = (uintptr_t)base + to * unit;
    uintptr_t at = high ? (end - need) & ~(align - 1) : (low + align - 1) & ~(align - 1);
    return end - low >= need && at >= low && at <= end - need ? (at - (uintptr_t)base) / unit : SIZE_MAX;
}

/* First or last fit.  For an alignment above the pool's: of the first 64 runs that are long enough those that lie right,
 * then of those that are long enough wherever they begin, then of all. */
static inline size_t expected_place(size_t need, size_t align, unsigned flags)
{
    enum { TRIES = 64 };
    int down = (flags & CAIRN_POOL_LAST_FIT) != 0, high = (flags & CAIRN_POOL_HIGH_END) != 0, tries = 0;
    size_t first = SIZE_MAX;
    for (size_t k = 0; k < units; k++) {
        size_t from = down ? units - 1 - k : k, to = from;
        if (model[from] != FREE)
            continue;
        if (down) {
            to++;
            while (from > 0 && model[from - 1] == FREE)
                from--;
            k = units - 1 - from;
        } else {
            while (to < units && model[to] == FREE)
                to++;
            k = to;
        }
        size_t found = in_run(from, to, need, align, high);
        if (found != SIZE_MAX && (tries < TRIES || (to - from) * unit >= need + align - unit))
            return found;
        first = first == SIZE_MAX ? found : first;
        tries += (to - from) * unit >= need;
    }
    return first;
}

static inline void mark(char *at, size_t bytes, int value)
{
    memset(model + (size_t)(at - base) / unit, value, bytes / unit);
}

static inline int seen(void *block, size_t size, void *context)
{
    size_t *count = context;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at == block) {
            CHECK_EQ(size, round_up(blocks[i].size));
            (*count)++;
            return 0;
        }
    CHECKF(0, "%p is no block", block);
    return 1;
}

static inline void check_whole(cairn_pool *pool)
{
    size_t live = 0, count = 0, found = 0, free_units = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at != NULL) {
            live += round_up(blocks[i].size);
            count++;
        }
    for (size_t i = 0; i < units; i++)
        free_units += model[i] == FREE;
    cairn_stats stats = stats_of(pool);
    CHECK_EQ(stats.live, live);
    CHECK_EQ(stats.free, free_units * unit);
    CHECK_EQ(stats.live_blocks, count);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    CHECK(cairn_pool_walk(pool, seen, &found) == 0);
    CHECK_EQ(found, count);
}

/* The model learns the pool's extent from its one allocation of everything. */
static inline void learn_buffer(cairn_pool *pool)
{
    size_t free_bytes = stats_of(pool).free;
    char *all = cairn_pool_malloc(pool, free_bytes);
    CHECK(all != NULL);
    CHECK(cairn_pool_malloc(pool, 1) == NULL && errno == ENOMEM);
    cairn_pool_free(pool, all);
    base = all;
    units = free_bytes / unit;
    model = check_table(units);
    memset(model, FREE, units);
    memset(blocks, 0, sizeof blocks);
}

#endif
