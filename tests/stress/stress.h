/* stress.h - what the stress programs share.  They use the cairn_ names only, so that they run in the
 * sanitizer builds, too, where malloc is the sanitizer's; those named drop_* use the standard names.
 *
 * A stress program runs its threads for some seconds, checks every block it gets back, and ends with
 * stress_at_rest(): all is freed, and the figures add up. */
#ifndef CAIRN_TESTS_STRESS_H
#define CAIRN_TESTS_STRESS_H

#include "check.h"
#include <cairn/cairn.h>
#include <stdatomic.h>

static inline cairn_stats stress_stats(void)
{
    cairn_stats s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK(cairn_stats_get(&s) == 0);
    return s;
}

/* No block of ours is left, and the figures add up; libc may hold a few blocks per thread it has seen. */
static inline void stress_at_rest(uint64_t libc_blocks)
{
    cairn_stats s = stress_stats();
    CHECKF(s.live + s.cached + s.free + s.metadata == s.committed,
           "live %llu + cached %llu + free %llu + metadata %llu != committed %llu",
           (unsigned long long)s.live, (unsigned long long)s.cached, (unsigned long long)s.free,
           (unsigned long long)s.metadata, (unsigned long long)s.committed);
    CHECK(s.live_blocks == s.allocations - s.frees);
    CHECKF(s.live_blocks <= libc_blocks, "%llu blocks are left", (unsigned long long)s.live_blocks);
    CHECKF(s.threads <= 1, "%llu thread caches are left", (unsigned long long)s.threads);
}

/* When this run ends; main() sets it before threads start. */
static double stress_end;

static inline void stress_for(double seconds)
{
    check_seed();
    stress_end = check_now() + check_scale(seconds);
}

static inline int stress_goes_on(void)
{
    return check_now() < stress_end;
}

/* Runs `count` threads, numbered from 0, to their end. */
static inline void stress_threads(int count, void *(*body)(void *))
{
    static pthread_t threads[256];
    CHECK(count <= 256);
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* The seed of thread `number`. */
static inline uint64_t stress_seed(void *number)
{
    return check_seed() + (uint64_t)(intptr_t)number * 0x1234567u;
}

/* A block that knows its size and how it was filled: the pattern follows this head. */
struct stress_block {
    size_t size;
    uint64_t key;
};

static inline void stress_fill(struct stress_block *block, size_t size, uint64_t key)
{
    block->size = size;
    block->key = key;
    check_fill(block + 1, size - sizeof *block, key);
}

static inline void stress_verify(const struct stress_block *block)
{
    CHECK_FILLED((block + 1), block->size - sizeof *block, block->key);
}

static inline struct stress_block *stress_new(uint64_t *seed, size_t max)
{
    size_t size = sizeof(struct stress_block) + check_random_size(seed, max);
    struct stress_block *block = (struct stress_block *)cairn_malloc(size);
    CHECK(block != NULL);
    stress_fill(block, size, check_random(seed));
    return block;
}

static inline void stress_free(struct stress_block *block)
{
    if (block != NULL)
        stress_verify(block);
    cairn_free(block);
}

#endif
