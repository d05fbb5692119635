/* slab.c - the class CAIRN_SLAB: a heap of the engine for each pool, a cache in it for each thread that uses it.
 *
 * The short way of allocating and freeing is in api.c; what it leaves over comes here.
 *
 * Liveness marks (CAIRN_POOL_MARKS, and every pool in a file): set after a block was popped, cleared before it is
 * pushed.  So whoever looks at the marks alone sees no block twice, and a block whose bytes hold a free list's link is
 * never marked.  A large block has none: its span is its mark.
 *
 * Inside a buffer there is one cache for all threads, under the heap's late lock: a cache for each would fill it. */
#include "engine/alloc.h"
#include "engine/arena.h"
#include "engine/cache.h"
#include "engine/heap.h"
#include "engine/large.h"
#include "engine/statistics.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/depot.h"
#include "pool/pool.h"
#include "pool/thread.h"

#include <string.h>

#define META_PIECE_POOL (16 * KiB)
#define KEEP_LEAST_POOL (256 * KiB)

/* ---- Making and dropping ------------------------------------------------------------------------- */

static bool uses_one_cache(const struct cairn_pool *pool)
{
    return pool->buffer != 0;
}

/* Whether api.c may serve it. */
static bool is_quick(const struct cairn_pool *pool)
{
    return (pool->flags & CAIRN_POOL_ZERO) == 0 && pool->alignment <= BLOCK_ALIGN && !uses_one_cache(pool) &&
           pool->announced == NULL;
}

/* What the one cache and the descriptors of every page need, in the buffer behind the handle. */
static size_t buffer_meta_size(const struct cairn_pool *pool, size_t pages)
{
    size_t marks = (pool->flags & CAIRN_POOL_MARKS) != 0 ? pages * PAGE_SIZE / MARK_BYTES : 0;
    size_t bits = 2 * sizeof(uint64_t) * (pages / 64 + 1);
    size_t chunks = sizeof(struct chunk) * (pages / CHUNK_PAGES + 1);
    return sizeof(struct cache) + pages * sizeof(struct span) + sizeof(struct arena) + marks + bits + chunks +
           6 * CACHE_LINE;
}

static void *reserve_buffer(struct source *source, size_t size, size_t align)
{
    struct cairn_pool *pool = source->context;
    if (size > source->step || align > PAGE_SIZE || source->growth != 0)
        return NULL;
    source->growth = size; /* it is handed out */
    return (void *)(pool->buffer_end - source->step);
}

static void *reserve_nothing(struct source *source, size_t size, size_t align)
{
    (void)source, (void)size, (void)align;
    return NULL;
}

static bool keep_buffer(struct source *source, void *base, size_t size)
{
    (void)source, (void)base, (void)size;
    return false;
}

static bool always_stale(struct source *source, void *base, size_t size)
{
    (void)source, (void)base, (void)size;
    return true;
}

static struct source no_source = {.name = "none", .reserve = reserve_nothing, .release = keep_buffer};

/* Divides the buffer: handle, heap, metadata, pages.  ERROR_MEMORY: it is too small. */
static enum error open_in_buffer(struct cairn_pool *pool, struct heap_config *config, struct meta_store *meta)
{
    uintptr_t at = align_up((uintptr_t)pool->state + sizeof(struct heap), CACHE_LINE);
    uintptr_t end = align_down(pool->buffer_end, PAGE_SIZE);
    size_t pages = end > at ? (end - at) >> PAGE_SHIFT : 0;
    while (pages > 0 && at + buffer_meta_size(pool, pages) > end - (pages << PAGE_SHIFT))
        pages--;
    if (pages == 0)
        return ERROR_MEMORY;
    size_t size = pages << PAGE_SHIFT;
    pool->buffer_end = end;
    pool->outer = pagemap_find((void *)(end - size));
    memset((void *)at, 0, end - size - at);
    *meta = (struct meta_store){.at = (char *)at, .end = (char *)(end - size)};
    pool->own_source = (struct source){
        .name = "buffer",
        .reserve = reserve_buffer,
        .release = keep_buffer,
        .is_stale = always_stale,
        .context = pool,
        .align = PAGE_SIZE,
        .step = size,
        .unit = PAGE_SIZE,
        .largest = size,
    };
    config->meta_source = &no_source;
    config->meta_piece = 0;
    config->keep_least = SIZE_MAX;
    return OK;
}

struct heap_config pool_heap_config(struct cairn_pool *pool, const cairn_pool_config *given)
{
    struct heap_config config = heap_config_default(pool->source);
    config.owner = pool;
    config.meta_source = &depot_os;
    config.meta_piece = META_PIECE_POOL;
    config.map_all = true;
    config.limit_hard = given->limit != 0 ? given->limit : SIZE_MAX;
    config.limit_soft = given->limit_soft != 0 ? given->limit_soft : SIZE_MAX;
    if (pool->name[0] != 0 && pool->buffer == 0 && pool->source != &pool->own_source)
        config.name = pool->name;
    return config;
}

static enum error slab_open(struct cairn_pool *pool, const cairn_pool_config *given)
{
    struct heap_config config = pool_heap_config(pool, given);
    struct meta_store meta = {0};
    config.keep_least = KEEP_LEAST_POOL;
    config.marks = (pool->flags & CAIRN_POOL_MARKS) != 0;
    config.least_size = BLOCK_ALIGN;
    if (pool->source == &pool->own_source && pool->buffer == 0 && pool->own_source.unit > os_page_size())
        user_source_by_range(&pool->own_source);
    if (pool->buffer != 0 && open_in_buffer(pool, &config, &meta) != OK)
        return ERROR_MEMORY;
    struct heap *heap = pool->state;
    heap_init(heap, &config);
    heap->meta = meta;
    heap->counts.meta_bytes = (size_t)(meta.end - meta.at);
    return OK;
}

static void slab_close(struct cairn_pool *pool)
{
    thread_forget_pool(pool);
    heap_destroy(pool_heap(pool));
    if (pool->outer != NULL) /* the buffer is a block of another pool, which wants to be found there again */
        pagemap_set(pool->buffer_end - pool->own_source.step, pool->own_source.step >> PAGE_SHIFT,
                    pool->outer);
}

/* ---- Allocating ---------------------------------------------------------------------------------- */

static void *serve(struct cache *cache, size_t align, size_t size, bool zero, enum error *error)
{
    void *block = align > BLOCK_ALIGN ? heap_aligned_alloc(cache, align, size, error)
                                      : heap_alloc(cache, size, zero, error);
    if (block != NULL && zero && align > BLOCK_ALIGN)
        memset(block, 0, size);
    return block;
}

/* For threads without a cache of their own: one for all of them, one at a time. */
static void *serve_late(struct heap *heap, size_t align, size_t size, bool zero, enum error *error)
{
    void *block = NULL;
    lock_take(&heap->late_lock);
    cache_make_late(heap);
    if (heap->late != NULL)
        block = serve(heap->late, align, size, zero, error);
    lock_release(&heap->late_lock);
    return block;
}

static void *slab_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    struct cache *cache = uses_one_cache(pool) ? NULL : thread_pool_cache(pool, is_quick(pool));
    *error = ERROR_MEMORY;
    void *block = cache != NULL ? serve(cache, align, size, zero, error)
                                : serve_late(pool_heap(pool), align, size, zero, error);
    if (block == NULL)
        return NULL;
    const struct span *span = pagemap_find(block);
    if (span->marks != 0)
        store_relaxed(span_mark(span, block), MARK_LIVE);
    return block;
}

/* ---- Freeing and asking -------------------------------------------------------------------------- */

/* The span of a block of this pool; anything else is reported. */
static struct span *span_of(struct cairn_pool *pool, const char *call, const void *block)
{
    struct span *span = pagemap_find(block);
    if (UNLIKELY(span == NULL || pool_of_span(span) != pool)) {
        bool last = block == load_relaxed(&pool_heap(pool)->last_large);
        report_fatal(call, block,
                     span != NULL ? "block of another heap"
                     : last       ? "double free of"
                                  : "invalid pointer");
    }
    if (UNLIKELY(!span_is_block(span, block)))
        report_fatal(call, block, "misaligned pointer");
    return span;
}

/* The rules of front/process.c for a block in a pool. */
static void check_size(const struct cairn_pool *pool, const char *call, const struct span *span,
                       const void *block, size_t size)
{
    size_t usable = span_usable_size(span);
    bool fits = size <= usable;
    if (fits && span->size_class == CLASS_LARGE)
        fits = size > usable - PAGE_SIZE;
    else if (fits)
        fits = size >= usable / 2 || class_of(size_max(size, BLOCK_ALIGN)) == span->size_class ||
               pool->alignment > BLOCK_ALIGN;
    if (!fits && !(size <= usable && load_relaxed(&span_heap(span)->has_oversized)))
        report_fatal(call, block, "wrong size for");
}

static void slab_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct span *span = span_of(pool, call, block);
    if (size != SIZE_MAX)
        check_size(pool, call, span, block, size);
    if (span->marks != 0) {
        if (load_relaxed(span_mark(span, block)) == 0)
            report_fatal(call, block, "double free of");
        store_relaxed(span_mark(span, block), 0);
        order_here(); /* the mark goes before the block's bytes do */
    }
    heap_free(uses_one_cache(pool) ? NULL : thread_pool_cache_if_any(pool), call, block);
}

static size_t slab_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    return span_usable_size(span_of(pool, call, block));
}

static void *slab_realloc(struct cairn_pool *pool, const char *call, void *block, size_t size,
                          enum error *error)
{
    struct span *span = span_of(pool, call, block);
    if (heap_block_stays(span, size))
        return block;
    if (span->size_class == CLASS_LARGE && size > CLASS_SIZE_MAX)
        return large_resize(span, size, error);
    size_t usable = span_usable_size(span);
    void *fresh = slab_alloc(pool, pool->alignment, size, false, error);
    if (fresh == NULL && size <= usable) {
        store_relaxed(&span_heap(span)->has_oversized, true);
        return block;
    }
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, block, size_min(usable, size));
    slab_free(pool, call, block, SIZE_MAX);
    return fresh;
}

/* ---- Walking ------------------------------------------------------------------------------------- */

#define BATCH 128

struct walk_batch {
    uintptr_t at; /* all blocks that begin below have been taken */
    size_t count;
    struct {
        void *block;
        size_t size;
    } found[BATCH];
};

/* Which blocks of a span without marks are free: one bit each.  Nobody may be at work on the span. */
static void find_free(const struct span *span, uint64_t free[])
{
    memset(free, 0, BITS_WORDS(span->capacity) * sizeof free[0]);
    const struct block *lists[] = {
        span->free, (const struct block *)(uintptr_t)(load_relaxed(&span->remote) & REMOTE_BLOCK_MASK)};
    for (size_t i = 0; i < 2; i++)
        for (const struct block *block = lists[i]; block != NULL; block = block->next) {
            size_t index = ((uintptr_t)block - span->base) / span->block_size;
            bits_set(free, index, index + 1);
        }
    if (span->carved < span->capacity)
        bits_set(free, span->carved, span->capacity);
}

/* Takes live blocks of the span from batch->at on, as far as the batch has room. */
static void take_span(const struct span *span, struct walk_batch *batch)
{
    uintptr_t end = span->base + (span->pages << PAGE_SHIFT);
    if (span->size_class == CLASS_LARGE) {
        if (span->base >= batch->at && load_relaxed(&span->frees) == 0) {
            batch->found[batch->count].block = (void *)span->base;
            batch->found[batch->count++].size = span->pages << PAGE_SHIFT;
        }
        batch->at = end;
        return;
    }
    uint64_t free[BITS_WORDS(SPAN_PAGES_MAX * PAGE_SIZE / BLOCK_ALIGN)];
    if (span->marks == 0)
        find_free(span, free);
    size_t i =
        batch->at > span->base ? (batch->at - span->base + span->block_size - 1) / span->block_size : 0;
    for (; i < span->capacity && batch->count < BATCH; i++) {
        void *block = (void *)(span->base + i * span->block_size);
        bool live = span->marks != 0 ? load_relaxed(span_mark(span, block)) != 0 : !bits_test(free, i);
        if (live) {
            batch->found[batch->count].block = block;
            batch->found[batch->count++].size = span->block_size;
        }
    }
    batch->at = i < span->capacity ? span->base + i * span->block_size : end;
}

/* Fills the batch, under the lock; empty: nothing is left. */
static void fill_batch(struct heap *heap, struct walk_batch *batch)
{
    const struct arena *arena;
    batch->count = 0;
    lock_take(&heap->lock);
    while (batch->count < BATCH && (arena = arena_above(heap, batch->at)) != NULL) {
        size_t page = batch->at > arena->base ? (batch->at - arena->base) >> PAGE_SHIFT : 0;
        size_t used = bits_next_clear(arena->free, page, arena->pages);
        const struct span *span =
            used < arena->pages ? pagemap_find((void *)arena_address(arena, used)) : NULL;
        if (span != NULL) {
            batch->at = size_max(batch->at, span->base);
            take_span(span, batch);
        } else {
            batch->at = arena_address(arena, size_min(used + 1, arena->pages)); /* on its way to the system */
        }
    }
    lock_release(&heap->lock);
}

static int slab_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct walk_batch batch = {.at = 0};
    for (;;) {
        fill_batch(pool_heap(pool), &batch);
        if (batch.count == 0)
            return 0;
        for (size_t i = 0; i < batch.count; i++) {
            int result = visit(batch.found[i].block, batch.found[i].size, context);
            if (result != 0)
                return result;
        }
    }
}

/* ---- Checking, statistics ------------------------------------------------------------------------ */

static const char *check_marks(const struct span *span)
{
    uint64_t live = 0;
    for (size_t i = 0; i < span->capacity; i++)
        live += *span_mark(span, (void *)(span->base + i * span->block_size)) != 0;
    return live == span_live(span) ? NULL : "liveness marks do not match the blocks in use";
}

static const char *check_arena(const struct arena *arena)
{
    const char *fault = arena_check(arena);
    for (size_t page = 0; fault == NULL && page < arena->pages;) {
        page = bits_next_clear(arena->free, page, arena->pages);
        const struct span *span =
            page < arena->pages ? pagemap_find((void *)arena_address(arena, page)) : NULL;
        if (page == arena->pages)
            break;
        if (span == NULL || span->arena != arena || span_first_page(span) != page)
            return "a page is neither free nor of a span";
        fault = span_check(span);
        if (fault == NULL && span->marks != 0)
            fault = check_marks(span);
        page += span->pages;
    }
    return fault;
}

static const char *slab_check(struct cairn_pool *pool)
{
    struct heap *heap = pool_heap(pool);
    const char *fault = NULL;
    lock_take(&heap->lock);
    for (const struct arena *arena = heap->arenas; fault == NULL && arena != NULL; arena = arena->next)
        fault = check_arena(arena);
    lock_release(&heap->lock);
    return fault;
}

static void slab_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct statistics statistics;
    statistics_read(pool_heap(pool), &statistics);
    *out = statistics.total;
}

static size_t slab_committed(const struct cairn_pool *pool)
{
    return heap_committed(pool_heap(pool));
}

static bool slab_trim(struct cairn_pool *pool, size_t keep)
{
    return heap_trim(pool_heap(pool), keep);
}

static void slab_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    struct heap *heap = pool_heap(pool);
    lock_take(&heap->lock);
    heap->config.limit_hard = hard;
    heap->config.limit_soft = soft;
    lock_release(&heap->lock);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static bool slab_before_fork(struct cairn_pool *pool)
{
    return lock_try_both_for_fork(&pool_heap(pool)->late_lock, &pool_heap(pool)->lock);
}

static void slab_after_fork(struct cairn_pool *pool, bool child)
{
    struct heap *heap = pool_heap(pool);
    if (child)
        heap_forget_threads(heap, thread_pool_cache_if_any(pool));
    lock_release_after_fork(&heap->lock);
    lock_release_after_fork(&heap->late_lock);
}

const struct pool_ops pool_slab = {
    .open = slab_open,
    .close = slab_close,
    .alloc = slab_alloc,
    .free = slab_free,
    .realloc = slab_realloc,
    .usable = slab_usable,
    .walk = slab_walk,
    .check = slab_check,
    .stats = slab_stats,
    .committed = slab_committed,
    .trim = slab_trim,
    .limit = slab_limit,
    .before_fork = slab_before_fork,
    .after_fork = slab_after_fork,
};
