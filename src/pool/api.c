/* api.c - the calls of <cairn/pool.h> on blocks: arguments checked, errors put into words, and the short way of slab
 * pools: a valid slot in the thread's cache leads to its cache in the pool, as thread_cache does for the process heap. */
#include "engine/alloc.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/depot.h"
#include "pool/pool.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

/* ---- Sources ------------------------------------------------------------------------------------- */

/* Known by their address: the depots stand behind them. */
static const cairn_source os_face = {.struct_size = sizeof os_face, .name = "os"};
static const cairn_source brk_face = {.struct_size = sizeof brk_face, .name = "brk"};

const cairn_source *cairn_source_os(void)
{
    return &os_face;
}

const cairn_source *cairn_source_brk(void)
{
    return &brk_face;
}

/* ---- Allocating ---------------------------------------------------------------------------------- */

COLD static void *fail(enum error error)
{
    if (error == ERROR_READ_ONLY)
        return thread_fail(EROFS, "the pool is open for reading only");
    if (error == ERROR_FORKED)
        return thread_fail(EBADF, "the pool in a file is the parent's: a child of fork does not have it");
    return thread_fail(ENOMEM, error == ERROR_LIMIT ? "the pool's limit is reached"
                               : error == ERROR_FULL
                                   ? "there is no more memory for the pool: its file is full"
                               : error == ERROR_SIZE ? "the size is above the pool's block size"
                                                     : "there is no more memory for the pool");
}

static _Noreturn COLD void destroyed(const struct cairn_pool *pool)
{
    report_fatal("cairn_pool", pool, "destroyed pool");
}

ALWAYS_INLINE void must_exist(const struct cairn_pool *pool)
{
    if (UNLIKELY(load_relaxed(&pool->id) == POOL_DESTROYED))
        destroyed(pool);
}

/* Whether the program has freed something for us. */
static bool relieved(struct cairn_pool *pool, size_t wanted)
{
    return pool->pressure != NULL && pool->pressure(pool, wanted, pool->pressure_context) != 0;
}

bool pool_relieve(struct cairn_pool *pool, enum error error, int tries, size_t wanted)
{
    return (error == ERROR_LIMIT || error == ERROR_FULL) && tries < POOL_PRESSURE_TRIES &&
           relieved(pool, wanted);
}

void pool_watch_soft_limit(struct cairn_pool *pool, size_t size)
{
    size_t committed = pool->ops->committed(pool);
    if (committed + size <= load_relaxed(&pool->limit_soft) || committed + size < committed) {
        store_relaxed(&pool->pressed, false);
    } else if (!load_relaxed(&pool->pressed)) {
        store_relaxed(&pool->pressed, true);
        (void)relieved(pool, size);
    }
}

/* After `error`: once more each time that the program has freed something. */
COLD static void *alloc_again(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error error)
{
    void *block = NULL;
    for (int tries = 0; block == NULL; tries++) {
        if (!pool_relieve(pool, error, tries, size))
            return fail(error);
        error = ERROR_MEMORY;
        block = pool->ops->alloc(pool, align, size, zero, &error);
    }
    return block;
}

void *pool_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero)
{
    enum error error = ERROR_MEMORY;
    must_exist(pool);
    if (size > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (UNLIKELY(zero && (pool->flags & CAIRN_POOL_OUTSIDE) != 0))
        return thread_fail(EINVAL, "CAIRN_POOL_OUTSIDE: the memory is not to be written");
    align = size_max(align, pool->alignment);
    zero = zero || (pool->flags & CAIRN_POOL_ZERO) != 0;
    if (UNLIKELY(load_relaxed(&pool->limit_soft) != SIZE_MAX))
        pool_watch_soft_limit(pool, size);
    void *block = pool->ops->alloc(pool, align, size, zero, &error);
    return LIKELY(block != NULL) ? block : alloc_again(pool, align, size, zero, error);
}

ALWAYS_INLINE void *quick_alloc(const struct cairn_pool *pool, size_t size)
{
    struct cache *cache = thread_quick_cache(pool);
    if (UNLIKELY(cache == NULL || size > QUICK_SIZE_MAX))
        return NULL;
    struct span *span = cache->quick[(size + 7) / 8];
    void *block = span_pop(span);
    if (LIKELY(block != NULL) && UNLIKELY(span->marks != 0))
        store_relaxed(span_mark(span, block), MARK_LIVE);
    return block;
}

NOINLINE static void *alloc_slow(struct cairn_pool *pool, size_t size, bool zero)
{
    return pool_alloc(pool, 0, size, zero);
}

void *cairn_pool_malloc(cairn_pool *pool, size_t size)
{
    void *block = quick_alloc(pool, size);
    return LIKELY(block != NULL) ? block : alloc_slow(pool, size, false);
}

void *cairn_pool_calloc(cairn_pool *pool, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return thread_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    void *block = quick_alloc(pool, total);
    return LIKELY(block != NULL) ? memset(block, 0, total) : alloc_slow(pool, total, true);
}

void *cairn_pool_aligned_alloc(cairn_pool *pool, size_t alignment, size_t size)
{
    if (!is_power_of_two(alignment))
        return thread_fail(EINVAL, "the alignment is not a power of two");
    return pool_alloc(pool, alignment, size, false);
}

void *cairn_pool_malloc_most(cairn_pool *pool, size_t least, size_t *size)
{
    enum error error = ERROR_MEMORY;
    must_exist(pool);
    if (pool->ops->alloc_most == NULL)
        return thread_fail(EINVAL, "only pools of class CAIRN_FIT hand out whole free ranges");
    if (least > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    for (int tries = 0;; tries++) {
        void *block = pool->ops->alloc_most(pool, least, size, &error);
        if (block != NULL)
            return block;
        if (!pool_relieve(pool, error, tries, least))
            return fail(error);
    }
}

char *cairn_pool_strdup(cairn_pool *pool, const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = cairn_pool_malloc(pool, size);
    return copy != NULL ? memcpy(copy, string, size) : NULL;
}

char *cairn_pool_strndup(cairn_pool *pool, const char *string, size_t max)
{
    size_t length = strnlen(string, max);
    char *copy = length < PTRDIFF_MAX ? cairn_pool_malloc(pool, length + 1) : NULL;
    if (copy == NULL)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = 0;
    return copy;
}

/* ---- Freeing ------------------------------------------------------------------------------------- */

/* The end of a free in a span with marks.  Only the first bytes of live blocks have one: with it set and the pointer not
 * into the middle of 16 bytes, it is the place of a block, and no double free. */
ALWAYS_INLINE bool marked_push(struct span *span, void *block)
{
    uint64_t frees;
    uint8_t *mark = span_mark(span, block);
    if (UNLIKELY(load_relaxed(mark) != MARK_LIVE || (uintptr_t)block % MARK_BYTES != 0))
        return false;
    if (UNLIKELY(!span_may_push(span, &frees)))
        return false;
    store_relaxed(mark, 0);
    order_here(); /* the mark goes before the block's bytes do */
    span_link(span, block, frees);
    return true;
}

/* Frees a block that the thread's own cache in the pool owns; false: the slow way has to look. */
ALWAYS_INLINE bool quick_free(const struct cairn_pool *pool, void *block, size_t size)
{
    struct cache *cache = thread_quick_cache(pool);
    if (UNLIKELY(cache == NULL)) /* other classes never have one: no look at the page map for them */
        return false;
    struct span *span = pagemap_find(block);
    if (UNLIKELY(span == NULL || load_relaxed(&span->owner) != cache))
        return false;
    if (UNLIKELY(size != SIZE_MAX && (size > span->block_size || size < span->block_size / 2)))
        return false;
    if (UNLIKELY(span->marks != 0))
        return marked_push(span, block);
    if (UNLIKELY(!span_is_block(span, block) || span->free == block))
        return false;
    return span_push(span, block);
}

NOINLINE static void free_slow(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    must_exist(pool);
    if (block != NULL)
        pool->ops->free(pool, call, block, size);
}

void cairn_pool_free(cairn_pool *pool, void *block)
{
    if (UNLIKELY(!quick_free(pool, block, SIZE_MAX)))
        free_slow(pool, "cairn_pool_free", block, SIZE_MAX);
}

void cairn_pool_free_sized(cairn_pool *pool, void *block, size_t size)
{
    if (UNLIKELY(!quick_free(pool, block, size)))
        free_slow(pool, "cairn_pool_free_sized", block, size);
}

int cairn_pool_free_range(cairn_pool *pool, void *at, size_t size)
{
    must_exist(pool);
    if (pool->ops->free_range == NULL) {
        (void)thread_fail(EINVAL, "only pools of class CAIRN_FIT free ranges");
        return -1;
    }
    if (pool->ops->free_range(pool, at, size))
        return 0;
    (void)thread_fail(EINVAL, "the range is not wholly allocated in the pool, or not aligned");
    return -1;
}

/* ---- Resizing and asking ------------------------------------------------------------------------- */

/* For classes that do not move blocks themselves. */
static void *move(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    size_t usable = pool->ops->usable(pool, call, block);
    if ((pool->flags & CAIRN_POOL_OUTSIDE) != 0)
        return thread_fail(ENOMEM,
                           "CAIRN_POOL_OUTSIDE: no room in place, and the memory is not to be copied");
    void *fresh = pool_alloc(pool, 0, size, false);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, block, size_min(usable, size));
    pool->ops->free(pool, call, block, SIZE_MAX);
    return fresh;
}

void *pool_realloc(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    enum error error = ERROR_MEMORY;
    must_exist(pool);
    if (block == NULL)
        return pool_alloc(pool, 0, size, false);
    if (size > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (size == 0) {
        void *least = pool_alloc(pool, 0, 0, false);
        if (least != NULL)
            pool->ops->free(pool, call, block, SIZE_MAX);
        return least;
    }
    if (pool->ops->realloc == NULL) {
        if (pool->ops->resize != NULL && pool->ops->resize(pool, call, block, size))
            return block;
        return move(pool, call, block, size);
    }
    for (int tries = 0;; tries++) {
        void *moved = pool->ops->realloc(pool, call, block, size, &error);
        if (moved != NULL)
            return moved;
        if (!pool_relieve(pool, error, tries, size))
            return fail(error);
    }
}

void *cairn_pool_realloc(cairn_pool *pool, void *block, size_t size)
{
    return pool_realloc(pool, "cairn_pool_realloc", block, size);
}

size_t pool_usable_size(struct cairn_pool *pool, const char *call, const void *block)
{
    return block != NULL ? pool->ops->usable(pool, call, block) : 0;
}

size_t cairn_pool_usable_size(cairn_pool *pool, const void *block)
{
    must_exist(pool);
    return pool_usable_size(pool, "cairn_pool_usable_size", block);
}

cairn_pool *cairn_pool_of(const void *address)
{
    return pool_of_address(address);
}

const char *cairn_pool_name(const cairn_pool *pool)
{
    return pool->name;
}

cairn_pool_class cairn_pool_class_of(const cairn_pool *pool)
{
    return pool->pool_class;
}

/* ---- Stack discipline ---------------------------------------------------------------------------- */

cairn_mark cairn_pool_mark(cairn_pool *pool)
{
    must_exist(pool);
    if (pool->ops->mark == NULL)
        report_fatal("cairn_pool_mark", pool, "not a pool of class CAIRN_STACK:");
    return pool->ops->mark(pool);
}

void cairn_pool_release(cairn_pool *pool, cairn_mark mark)
{
    must_exist(pool);
    if (pool->ops->release == NULL)
        report_fatal("cairn_pool_release", pool, "not a pool of class CAIRN_STACK:");
    pool->ops->release(pool, mark);
}

/* ---- The whole pool ------------------------------------------------------------------------------ */

int cairn_pool_stats(cairn_pool *pool, cairn_stats *out)
{
    cairn_stats all = {0};
    size_t room = out->struct_size;
    must_exist(pool);
    if (room == 0) {
        (void)thread_fail(EINVAL, "struct_size is 0");
        return -1;
    }
    pool->ops->stats(pool, &all);
    all.struct_size = room;
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

int cairn_pool_walk(cairn_pool *pool, cairn_visit *visit, void *context)
{
    must_exist(pool);
    pool_pin(pool);
    int result = pool->ops->walk(pool, visit, context);
    pool_unpin(pool);
    return result;
}

int cairn_pool_walk_free(cairn_pool *pool, cairn_visit *visit, void *context)
{
    must_exist(pool);
    if (pool->ops->walk_free == NULL) {
        (void)thread_fail(EINVAL, "only pools of class CAIRN_FIT have free ranges to walk");
        return -1;
    }
    pool_pin(pool);
    int result = pool->ops->walk_free(pool, visit, context);
    pool_unpin(pool);
    return result;
}

int cairn_pool_check(cairn_pool *pool)
{
    must_exist(pool);
    const char *fault = pool->ops->check(pool);
    if (fault == NULL)
        return 0;
    (void)thread_fail(EUCLEAN, fault);
    return -1;
}

int cairn_pool_trim(cairn_pool *pool, size_t keep)
{
    must_exist(pool);
    return pool->ops->trim != NULL && pool->ops->trim(pool, keep);
}

int cairn_pool_limit_set(cairn_pool *pool, size_t hard, size_t soft)
{
    must_exist(pool);
    if (hard < soft && soft != SIZE_MAX) {
        (void)thread_fail(EINVAL, "the hard limit is below the soft one");
        return -1;
    }
    lock_take(&pools_lock);
    pool->limited = true;
    pool->limits[0] = hard;
    pool->limits[1] = soft;
    lock_release(&pools_lock); /* not kept: a callback under the pool's lock may want it */
    store_relaxed(&pool->limit_soft, pool->pressure != NULL ? soft : SIZE_MAX);
    pool->ops->limit(pool, hard, soft);
    return 0;
}
