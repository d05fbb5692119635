/* announce.c - a class around another one: tells valgrind or the address sanitizer of each block's beginning and end.
 *
 * An allocator writes links into free blocks, hands them out again at once, and gives their pages to others.  So a block
 * that the program frees stays allocated in the real class for a while, in a quarantine of QUARANTINE_BLOCKS and
 * QUARANTINE_BYTES per pool, where every access to it is an error; only then is it freed.  A block in quarantine counts
 * as cached, and is not walked.
 *
 * All memory in quarantine is accessible again before the real class gets it back: the class never sees that a tool is
 * there.  Slab pools lose their short way past the dispatch.  Not announced: CAIRN_STACK, whose memory comes back
 * by marks, in one piece, and is used again at once; pools with CAIRN_POOL_GUARD, which find misuse themselves; pools
 * that never touch their memory (CAIRN_POOL_OUTSIDE) or know no blocks (CAIRN_POOL_SIZED); and pools in files. */
#include "pool/announce.h"

#include "os/os.h"
#include "os/report.h"
#include "os/tools.h"

#define QUARANTINE_BLOCKS 1024
#define QUARANTINE_BYTES (16 * MiB)

struct held {
    void *block;
    size_t size;  /* usable */
    size_t given; /* what the caller said that it has, or SIZE_MAX */
};

struct announced {
    const struct pool_ops *real;
    struct lock lock; /* of what follows */
    size_t first, count, bytes;
    struct held held[QUARANTINE_BLOCKS]; /* a ring, the oldest first */
};

static size_t mapped_size(void)
{
    return align_up(sizeof(struct announced), os_page_size());
}

/* ---- The quarantine ------------------------------------------------------------------------------ */

/* Under the lock. */
static bool is_held(const struct announced *a, const void *block)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->held[(a->first + i) % QUARANTINE_BLOCKS].block == block)
            return true;
    return false;
}

/* Takes the oldest out, if there is one and (`all`, or it is too much). */
static bool take_oldest(struct announced *a, bool all, struct held *out)
{
    lock_take(&a->lock);
    bool due = a->count > 0 && (all || a->count == QUARANTINE_BLOCKS || a->bytes > QUARANTINE_BYTES);
    if (due) {
        *out = a->held[a->first];
        a->first = (a->first + 1) % QUARANTINE_BLOCKS;
        a->count--;
        a->bytes -= out->size;
    }
    lock_release(&a->lock);
    return due;
}

/* Frees for good what is too much, or all; true if anything. */
static bool let_go(struct cairn_pool *pool, const char *call, bool all)
{
    struct announced *a = pool->announced;
    struct held oldest;
    bool any = false;
    while (take_oldest(a, all, &oldest)) {
        tools_memory_ours(oldest.block, oldest.size);
        a->real->free(pool, call, oldest.block, oldest.given);
        any = true;
    }
    return any;
}

static void hold(struct cairn_pool *pool, const char *call, const struct held *held)
{
    struct announced *a = pool->announced;
    lock_take(&a->lock);
    while (a->count == QUARANTINE_BLOCKS) { /* others were quicker */
        lock_release(&a->lock);
        (void)let_go(pool, call, false);
        lock_take(&a->lock);
    }
    a->held[(a->first + a->count++) % QUARANTINE_BLOCKS] = *held;
    a->bytes += held->size;
    lock_release(&a->lock);
}

/* ---- Blocks -------------------------------------------------------------------------------------- */

/* Where memory is short the quarantine gives what it has. */
static void *announced_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    const struct pool_ops *real = pool->announced->real;
    void *block = real->alloc(pool, align, size, zero, error);
    if (block == NULL && let_go(pool, "cairn_pool_malloc", true))
        block = real->alloc(pool, align, size, zero, error);
    if (block != NULL)
        tools_block_begin(pool, block, real->usable(pool, "cairn_pool_malloc", block), zero);
    return block;
}

static void *announced_alloc_most(struct cairn_pool *pool, size_t least, size_t *size, enum error *error)
{
    const struct pool_ops *real = pool->announced->real;
    void *block = real->alloc_most(pool, least, size, error);
    if (block == NULL && let_go(pool, "cairn_pool_malloc_most", true))
        block = real->alloc_most(pool, least, size, error);
    if (block != NULL)
        tools_block_begin(pool, block, *size, false);
    return block;
}

static size_t announced_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    struct announced *a = pool->announced;
    lock_take(&a->lock);
    bool held = is_held(a, block);
    lock_release(&a->lock);
    if (held)
        report_fatal(call, block, "freed block");
    return a->real->usable(pool, call, block);
}

static void announced_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct announced *a = pool->announced;
    lock_take(&a->lock);
    bool held = is_held(a, block);
    lock_release(&a->lock);
    if (held)
        report_fatal(call, block, "double free of");
    struct held gone = {block, a->real->usable(pool, call, block), size};
    tools_block_end(pool, block, gone.size);
    hold(pool, call, &gone);
    (void)let_go(pool, call, false);
}

/* ---- The whole pool ------------------------------------------------------------------------------ */

static const struct pool_ops *real_of(const struct pool_ops *announced);

static enum error announced_open(struct cairn_pool *pool, const cairn_pool_config *config)
{
    const struct pool_ops *real = real_of(pool->ops);
    if (pool->announced == NULL) { /* else it is being reset */
        pool->announced = os_map(NULL, mapped_size());
        if (pool->announced == NULL)
            return ERROR_MEMORY;
        pool->announced->real = real;
        pool->announced->lock.rank = LOCK_RANK_POOL;
    }
    enum error error = real->open(pool, config);
    if (error == OK) {
        tools_pool_begin(pool);
        return OK;
    }
    (void)os_unmap(pool->announced, mapped_size());
    pool->announced = NULL;
    return error;
}

static int make_ours(void *block, size_t size, void *context)
{
    (void)context;
    tools_memory_ours(block, size);
    return 0;
}

/* Every block is the allocator's again, and the tool forgets the pool. */
static void withdraw(struct cairn_pool *pool)
{
    struct announced *a = pool->announced;
    tools_pool_end(pool);
    for (size_t i = 0; i < a->count; i++)
        tools_memory_ours(a->held[(a->first + i) % QUARANTINE_BLOCKS].block,
                          a->held[(a->first + i) % QUARANTINE_BLOCKS].size);
    (void)a->real->walk(pool, make_ours, NULL);
    a->first = a->count = a->bytes = 0;
}

static void announced_close(struct cairn_pool *pool)
{
    struct announced *a = pool->announced;
    withdraw(pool);
    a->real->close(pool);
    pool->announced = NULL;
    (void)os_unmap(a, mapped_size());
}

static void announced_reset(struct cairn_pool *pool)
{
    const struct pool_ops *real = pool->announced->real;
    withdraw(pool);
    pool_empty(pool, real);
    tools_pool_begin(pool);
}

/* ---- Asking -------------------------------------------------------------------------------------- */

struct seen {
    struct announced *announced;
    cairn_visit *visit;
    void *context;
};

static int skip_held(void *block, size_t size, void *context)
{
    const struct seen *seen = context;
    lock_take(&seen->announced->lock);
    bool held = is_held(seen->announced, block);
    lock_release(&seen->announced->lock);
    return held ? 0 : seen->visit(block, size, seen->context);
}

static int announced_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct seen seen = {pool->announced, visit, context};
    return pool->announced->real->walk(pool, skip_held, &seen);
}

static const char *announced_check(struct cairn_pool *pool)
{
    return pool->announced->real->check(pool);
}

/* A part of a block: the tool goes on to see the block as a whole. */
static bool announced_free_range(struct cairn_pool *pool, void *at, size_t size)
{
    return pool->announced->real->free_range(pool, at, size);
}

static int announced_walk_free(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    return pool->announced->real->walk_free(pool, visit, context);
}

static void announced_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct announced *a = pool->announced;
    lock_take(&a->lock);
    uint64_t count = a->count, bytes = a->bytes;
    lock_release(&a->lock);
    a->real->stats(pool, out);
    if (out->live_blocks < count || out->live < bytes)
        return; /* others are at work */
    out->live_blocks -= count;
    out->frees += count;
    out->live -= bytes;
    out->cached += bytes;
}

static size_t announced_committed(const struct cairn_pool *pool)
{
    return pool->announced->real->committed(pool);
}

static bool announced_trim(struct cairn_pool *pool, size_t keep)
{
    (void)let_go(pool, "cairn_pool_trim", true);
    return pool->announced->real->trim(pool, keep);
}

static void announced_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    pool->announced->real->limit(pool, hard, soft);
}

static bool announced_before_fork(struct cairn_pool *pool)
{
    if (!lock_try_for_fork(&pool->announced->lock))
        return false;
    if (pool->announced->real->before_fork == NULL || pool->announced->real->before_fork(pool))
        return true;
    lock_release_after_fork(&pool->announced->lock);
    return false;
}

static void announced_after_fork(struct cairn_pool *pool, bool child)
{
    if (pool->announced->real->after_fork != NULL)
        pool->announced->real->after_fork(pool, child);
    lock_release_after_fork(&pool->announced->lock);
}

/* ---- Choosing ------------------------------------------------------------------------------------ */

#define ANNOUNCED(range, most, frees)                                                                        \
    {                                                                                                        \
        .open = announced_open, .close = announced_close, .alloc = announced_alloc, .free = announced_free,  \
        .usable = announced_usable, .walk = announced_walk, .check = announced_check,                        \
        .reset = announced_reset, .free_range = range, .alloc_most = most, .walk_free = frees,               \
        .stats = announced_stats, .committed = announced_committed, .trim = announced_trim,                  \
        .limit = announced_limit, .before_fork = announced_before_fork, .after_fork = announced_after_fork,  \
    }

static const struct pool_ops announced_slab = ANNOUNCED(NULL, NULL, NULL),
                             announced_fit =
                                 ANNOUNCED(announced_free_range, announced_alloc_most, announced_walk_free),
                             announced_fixed = ANNOUNCED(NULL, NULL, NULL);

static const struct pool_ops *real_of(const struct pool_ops *announced)
{
    return announced == &announced_slab ? &pool_slab : announced == &announced_fit ? &pool_fit : &pool_fixed;
}

const struct pool_ops *announce_choose(const struct pool_ops *real, const cairn_pool_config *config)
{
    const unsigned blind = CAIRN_POOL_OUTSIDE | CAIRN_POOL_SIZED;
    if (LIKELY(!tools_present()) || (config->flags & blind) != 0)
        return real;
    return real == &pool_slab    ? &announced_slab
           : real == &pool_fit   ? &announced_fit
           : real == &pool_fixed ? &announced_fixed
                                 : real;
}
