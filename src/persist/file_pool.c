/* file_pool.c - see file_pool.h.
 *
 * Allocation is the slab class's; what is added: spans of an earlier process are adopted before a call needs them
 * (adopt.h), a pool open for reading refuses changes, and a child of fork finds a pool that is not there (`lost`). */
#include "persist/file_pool.h"

#include "engine/classes.h"
#include "engine/heap.h"
#include "engine/pagemap.h"
#include "engine/span.h"
#include "os/os.h"
#include "os/report.h"
#include "persist/adopt.h"
#include "persist/book.h"
#include "persist/protocol.h"
#include "persist/roots.h"
#include "pool/depot.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define META_PIECE_FILE (16 * KiB)

static const struct pool_ops ops_file, ops_lost;

/* ---- Making and dropping -------------------------------------------------------------------------- */

static enum error file_pool_open(struct cairn_pool *pool, const cairn_pool_config *given)
{
    struct pool_file *file = pool->file;
    struct heap_config config = heap_config_default(book_source(file));
    config.owner = pool;
    config.meta_source = &depot_os;
    config.meta_piece = META_PIECE_FILE;
    config.events = &book_events;
    config.map_all = true;
    config.least_size = BLOCK_ALIGN;
    config.keep_least = SIZE_MAX; /* the disk space is the pool's anyway */
    config.limit_hard = given->limit != 0 ? given->limit : SIZE_MAX;
    config.limit_soft = given->limit_soft != 0 ? given->limit_soft : SIZE_MAX;
    heap_init(pool_heap(pool), &config);
    file->pool = pool;
    file->looked = 0;
    pool->source = &file->source;
    pool->range = (uintptr_t)file->pages;
    pool->range_size = file->max_pages * PAGE_SIZE;
    enum error error = book_open(file, pool_heap(pool));
    if (error != OK)
        heap_destroy(pool_heap(pool));
    return error;
}

static void drop_heap(struct cairn_pool *pool)
{
    thread_forget_pool(pool);
    uint64_t *kept = pool->file->arena->kept;
    heap_destroy(pool_heap(pool));
    (void)os_unmap(kept, pool->file->kept_size);
}

static void file_pool_close(struct cairn_pool *pool)
{
    struct trouble unseen;
    struct pool_file *file = pool->file;
    drop_heap(pool);
    (void)file_close(file, file->closing != NULL ? file->closing : &unseen);
}

struct cairn_pool *file_pool_make(struct pool_file *file, const cairn_pool_config *config)
{
    return pool_make(config, &ops_file, file);
}

struct pool_file *file_pool_file(const struct cairn_pool *pool)
{
    if (load_relaxed(&pool->id) == POOL_DESTROYED)
        report_fatal("cairn_pool", pool, "destroyed pool");
    if (pool->file == NULL)
        return thread_fail(EINVAL, "the pool is in no file");
    if (pool->ops == &ops_lost)
        return thread_fail(EBADF, "the pool in a file is the parent's: a child of fork does not have it");
    return pool->file;
}

struct pool_file *file_pool_writable(const struct cairn_pool *pool)
{
    struct pool_file *file = file_pool_file(pool);
    return file == NULL || !file->read_only ? file : thread_fail(EROFS, "the pool is open for reading only");
}

/* ---- Blocks --------------------------------------------------------------------------------------- */

static void meet(struct cairn_pool *pool, const void *block)
{
    if (UNLIKELY(pagemap_find(block) == NULL))
        (void)adopt_find(pool->file, block);
}

/* What a file has is the limit of its pool. */
static void name_limit(enum error *error)
{
    if (*error == ERROR_MEMORY)
        *error = ERROR_FULL;
}

static void *file_pool_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    *error = ERROR_READ_ONLY;
    if (pool->file->read_only)
        return NULL;
    void *block = pool_slab.alloc(pool, align, size, zero, error);
    if (block == NULL)
        name_limit(error);
    return block;
}

static void file_pool_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    if (pool->file->read_only)
        report_fatal(call, block, "block of a pool that is open for reading only:");
    meet(pool, block);
    pool_slab.free(pool, call, block, size);
}

static void *file_pool_realloc(struct cairn_pool *pool, const char *call, void *block, size_t size,
                               enum error *error)
{
    *error = ERROR_READ_ONLY;
    if (pool->file->read_only)
        return NULL;
    meet(pool, block);
    void *moved = pool_slab.realloc(pool, call, block, size, error);
    if (moved == NULL)
        name_limit(error);
    return moved;
}

static size_t file_pool_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    meet(pool, block);
    return pool_slab.usable(pool, call, block);
}

/* ---- The whole pool ------------------------------------------------------------------------------- */

static void meet_all(struct cairn_pool *pool)
{
    lock_take(&pool_heap(pool)->lock);
    adopt_all(pool->file);
    lock_release(&pool_heap(pool)->lock);
}

static int file_pool_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    meet_all(pool);
    return pool_slab.walk(pool, visit, context);
}

/* Each descriptor is that of the span in the page map, and the other way round. */
static const char *check_descriptors(const struct pool_file *file)
{
    struct page_descriptor descriptor;
    uint64_t capacity = load_relaxed(&file->capacity);
    for (uint64_t page = 0; page < capacity;) {
        uint64_t word = load_relaxed(&file->descriptors[page]);
        const struct span *span = pagemap_find(file->pages + page * PAGE_SIZE);
        const char *fault = format_read_descriptor(word, page, capacity, &descriptor);
        if (fault != NULL)
            return fault;
        if ((span != NULL) != (word != 0))
            return span != NULL ? "a span without descriptor" : "a descriptor without span";
        if (span != NULL && (span->pages != descriptor.pages || span->size_class != descriptor.size_class))
            return "a descriptor that does not match its span";
        page += span != NULL ? span->pages : 1;
    }
    return NULL;
}

static const char *file_pool_check(struct cairn_pool *pool)
{
    meet_all(pool);
    const char *fault = pool_slab.check(pool);
    if (fault == NULL && !pool->file->read_only) {
        lock_take(&pool_heap(pool)->lock);
        fault = check_descriptors(pool->file);
        lock_release(&pool_heap(pool)->lock);
    }
    return fault;
}

static void file_pool_stats(struct cairn_pool *pool, cairn_stats *out)
{
    meet_all(pool);
    pool_slab.stats(pool, out);
}

/* Roots first, so that a kill leaves no root to a block that is gone. */
static void file_pool_reset(struct cairn_pool *pool)
{
    struct pool_file *file = pool->file;
    struct page_descriptor descriptor;
    if (file->read_only)
        report_fatal("cairn_pool_reset", pool, "open for reading only:");
    drop_heap(pool);
    roots_clear(file);
    for (uint64_t page = 0; page < file->touched; page++) {
        uint64_t word = load_relaxed(&file->descriptors[page]);
        if (word == 0 || format_read_descriptor(word, page, file->capacity, &descriptor) != NULL)
            continue;
        if (descriptor.kind == PAGE_BLOCKS)
            memset(file->marks + page * FORMAT_MARKS_PER_PAGE, 0, descriptor.pages * FORMAT_MARKS_PER_PAGE);
        file_store(&file->descriptors[page], 0);
    }
    if (file_pool_open(pool, &pool->config) != OK)
        report_fatal("cairn_pool_reset", pool, "no memory for");
}

static size_t file_pool_committed(const struct cairn_pool *pool)
{
    return pool_slab.committed(pool);
}

static void file_pool_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    pool_slab.limit(pool, hard, soft);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static bool file_pool_before_fork(struct cairn_pool *pool)
{
    return pool_slab.before_fork(pool);
}

static void file_pool_after_fork(struct cairn_pool *pool, bool child)
{
    if (child) {
        thread_unlink_pool(pool); /* their caches hold blocks that are not here */
        pool_renumber(pool);
        pool->ops = &ops_lost;
        file_forget(pool->file);
    }
    pool_slab.after_fork(pool, child);
}

static const struct pool_ops ops_file = {
    .open = file_pool_open,
    .close = file_pool_close,
    .alloc = file_pool_alloc,
    .free = file_pool_free,
    .realloc = file_pool_realloc,
    .usable = file_pool_usable,
    .walk = file_pool_walk,
    .check = file_pool_check,
    .reset = file_pool_reset,
    .stats = file_pool_stats,
    .committed = file_pool_committed,
    .limit = file_pool_limit,
    .before_fork = file_pool_before_fork,
    .after_fork = file_pool_after_fork,
};

/* ---- In the child of a fork ------------------------------------------------------------------------ */

static void lost_close(struct cairn_pool *pool)
{
    drop_heap(pool);
    file_drop_lost(pool->file);
}

static void *lost_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    (void)pool, (void)align, (void)size, (void)zero;
    *error = ERROR_FORKED;
    return NULL;
}

static void *lost_realloc(struct cairn_pool *pool, const char *call, void *block, size_t size,
                          enum error *error)
{
    (void)pool, (void)call, (void)block, (void)size;
    *error = ERROR_FORKED;
    return NULL;
}

static void lost_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    (void)pool, (void)call, (void)block, (void)size;
}

static size_t lost_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    (void)pool, (void)call, (void)block;
    return 0;
}

static int lost_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    (void)pool, (void)visit, (void)context;
    (void)thread_fail(EBADF, "the pool in a file is the parent's: a child of fork does not have it");
    return -1;
}

static const char *lost_check(struct cairn_pool *pool)
{
    (void)pool;
    return "the pool in a file is the parent's: a child of fork does not have it";
}

static void lost_stats(struct cairn_pool *pool, cairn_stats *out)
{
    (void)pool, (void)out;
}

static size_t lost_committed(const struct cairn_pool *pool)
{
    (void)pool;
    return 0;
}

static void lost_reset(struct cairn_pool *pool)
{
    (void)pool;
}

static const struct pool_ops ops_lost = {
    .close = lost_close,
    .alloc = lost_alloc,
    .free = lost_free,
    .realloc = lost_realloc,
    .usable = lost_usable,
    .walk = lost_walk,
    .check = lost_check,
    .reset = lost_reset,
    .stats = lost_stats,
    .committed = lost_committed,
    .limit = file_pool_limit,
    .before_fork = file_pool_before_fork,
    .after_fork = file_pool_after_fork,
};
