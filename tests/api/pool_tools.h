/* pool_tools.h - for tests of pools: making them over each kind of memory, and a model that every operation is mirrored in.
 *
 * The model is a table of live blocks.  Each knows its size and its pattern; adding one checks that it overlaps no other,
 * dropping one checks its contents, and model_totals compares the pool's walk and statistics with the table. */
#ifndef CAIRN_TESTS_API_POOL_TOOLS_H
#define CAIRN_TESTS_API_POOL_TOOLS_H

#include "api.h"

#include <cairn/pool.h>
#include <stdbool.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- Memory ------------------------------------------------------------------------------------------- */

enum memory { MEMORY_OS, MEMORY_BRK, MEMORY_CALLS, MEMORY_BUFFER, MEMORY_OUTSIDE, MEMORY_KINDS };

static const char *const memory_names[] = {"os", "brk", "callbacks", "buffer", "buffer, outside"};

/* A source of one's own: mmap with counters. */
static struct {
    size_t held; /* bytes reserved and not released */
    size_t reserves, releases;
} calls;

static inline void *calls_reserve(void *context, size_t size, size_t alignment)
{
    CHECK(context == &calls && size % 4096 == 0);
    char *got =
        (char *)mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        return NULL;
    char *base = (char *)(((uintptr_t)got + alignment - 1) & ~(uintptr_t)(alignment - 1));
    if (base > got)
        munmap(got, (size_t)(base - got));
    munmap(base + size, (size_t)(got + alignment - base));
    calls.held += size;
    calls.reserves++;
    return base;
}

static inline int calls_release(void *context, void *base, size_t size)
{
    CHECK(context == &calls && calls.held >= size);
    CHECK(munmap(base, size) == 0);
    calls.held -= size;
    calls.releases++;
    return 0;
}

static const cairn_source calls_source = {
    .struct_size = sizeof calls_source,
    .name = "calls",
    .context = &calls,
    .reserve = calls_reserve,
    .release = calls_release,
    .flags = CAIRN_SOURCE_ZEROED,
};

/* A pool as configured, over memory of that kind; a buffer has `size` bytes between two fences. */
struct place {
    cairn_pool *pool;
    char *buffer; /* NULL: none */
    size_t size;
};

#define FENCE 256
#define FENCE_BYTE 0x5a

static inline struct place place_make(cairn_pool_config config, enum memory memory, size_t size)
{
    struct place place = {NULL, NULL, size};
    config.struct_size = sizeof config;
    if (memory == MEMORY_BRK)
        config.source = cairn_source_brk();
    if (memory == MEMORY_CALLS)
        config.source = &calls_source;
    if (memory == MEMORY_BUFFER || memory == MEMORY_OUTSIDE) {
        place.buffer = (char *)check_table(size + 2 * FENCE);
        memset(place.buffer, FENCE_BYTE, size + 2 * FENCE);
        config.buffer = place.buffer + FENCE;
        config.buffer_size = size;
        config.flags |= memory == MEMORY_OUTSIDE ? CAIRN_POOL_OUTSIDE : 0;
    }
    place.pool = cairn_pool_create(&config);
    return place;
}

/* Destroys the pool, if there is one; nothing around its buffer was touched. */
static inline void place_drop(struct place *place)
{
    cairn_pool_destroy(place->pool);
    if (place->buffer == NULL)
        return;
    for (size_t i = 0; i < FENCE; i++)
        CHECKF(place->buffer[i] == FENCE_BYTE && place->buffer[FENCE + place->size + i] == FENCE_BYTE,
               "byte %zu around a buffer of %zu", i, place->size);
    CHECK(munmap(place->buffer, place->size + 2 * FENCE) == 0);
}

static inline int place_is_buffer(enum memory memory)
{
    return memory == MEMORY_BUFFER || memory == MEMORY_OUTSIDE;
}

/* ---- The model ------------------------------------------------------------------------------------------ */

#define MODEL_MAX 600

struct model {
    cairn_pool *pool;
    size_t count;
    uint64_t allocs, frees;
    struct model_block {
        char *at;
        size_t size;
        uint64_t key;
        int seen;
    } blocks[MODEL_MAX];
};

static inline void model_add(struct model *model, void *block, size_t size, size_t alignment, uint64_t key)
{
    char *at = (char *)block;
    CHECK(at != NULL && model->count < MODEL_MAX);
    CHECKF((uintptr_t)at % alignment == 0, "%p is not aligned to %zu", block, alignment);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_block *b = &model->blocks[i];
        CHECKF(at + (size != 0 ? size : 1) <= b->at || b->at + (b->size != 0 ? b->size : 1) <= at,
               "%p with %zu bytes overlaps %p with %zu", block, size, (void *)b->at, b->size);
    }
    CHECK(cairn_pool_usable_size(model->pool, at) >= size);
    CHECK(cairn_pool_of(at) == model->pool && cairn_pool_of(at + (size != 0 ? size - 1 : 0)) == model->pool);
    check_fill(at, size, key);
    model->blocks[model->count++] = (struct model_block){at, size, key, 0};
    model->allocs++;
}

/* Takes block `i` out of the table, with its contents as they should be; the pool's side is the caller's. */
static inline struct model_block model_take(struct model *model, size_t i)
{
    struct model_block block = model->blocks[i];
    CHECK(i < model->count);
    CHECK_FILLED(block.at, block.size, block.key);
    model->blocks[i] = model->blocks[--model->count];
    model->frees++;
    return block;
}

static inline int model_visit(void *block, size_t size, void *context)
{
    struct model *model = (struct model *)context;
    for (size_t i = 0; i < model->count; i++)
        if (model->blocks[i].at == block) {
            CHECK(!model->blocks[i].seen && size >= model->blocks[i].size);
            CHECK(size == cairn_pool_usable_size(model->pool, block));
            model->blocks[i].seen = 1;
            return 0;
        }
    CHECKF(0, "the walk sees %p with %zu bytes, which is not live", block, size);
    return 1;
}

static inline cairn_stats pool_stats(cairn_pool *pool)
{
    cairn_stats s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK(cairn_pool_stats(pool, &s) == 0);
    return s;
}

static inline cairn_stats pool_stats_checked(cairn_pool *pool)
{
    cairn_stats s = pool_stats(pool);
    CHECKF(s.live + s.cached + s.free + s.metadata == s.committed,
           "live %llu + cached %llu + free %llu + metadata %llu != committed %llu",
           (unsigned long long)s.live, (unsigned long long)s.cached, (unsigned long long)s.free,
           (unsigned long long)s.metadata, (unsigned long long)s.committed);
    CHECK(s.committed <= s.reserved && s.committed <= s.committed_peak);
    CHECK(s.cached < UINT64_MAX / 2);
    CHECK(s.live_blocks == s.allocations - s.frees);
    return s;
}

static inline void pool_check(cairn_pool *pool)
{
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

/* The pool's own view is that of the table. */
static inline void model_totals(struct model *model)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model->count; i++) {
        model->blocks[i].seen = 0;
        bytes += cairn_pool_usable_size(model->pool, model->blocks[i].at);
    }
    CHECK(cairn_pool_walk(model->pool, model_visit, model) == 0);
    for (size_t i = 0; i < model->count; i++)
        CHECKF(model->blocks[i].seen, "the walk does not see %p", (void *)model->blocks[i].at);
    pool_check(model->pool);
    cairn_stats s = pool_stats_checked(model->pool);
    CHECK_EQ(s.live_blocks, model->count);
    CHECK_EQ(s.live, bytes);
    CHECK_EQ(s.allocations, model->allocs);
}

/* NULL with ENOMEM and words about it. */
#define CHECK_REFUSED(call)                                                                                  \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        void *check_got = (call);                                                                            \
        CHECK(check_got == NULL && errno == ENOMEM && cairn_errormsg()[0] != 0);                             \
    } while (0)

#endif
