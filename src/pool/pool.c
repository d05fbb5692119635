/* pool.c - handles and the list of all pools: making, destroying, resetting, finding by address, fork. */
#include "pool/pool.h"

#include "engine/pagemap.h"
#include "engine/span.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/announce.h"
#include "pool/depot.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define FORK_PAUSE_MAX 2000u /* us */

struct lock pools_lock = {.rank = LOCK_RANK_POOLS};
struct cairn_pool *pools_all;

static struct cairn_pool *free_handles;   /* with room for any state; pools_lock */
static uint64_t last_id = POOL_DESTROYED; /* pools_lock */

/* ---- The config ---------------------------------------------------------------------------------- */

static const struct pool_ops *ops_of(const cairn_pool_config *config)
{
    static const struct pool_ops *const table[] = {&pool_slab, &pool_fit, &pool_fixed, &pool_stack};
    if (config->pool_class == CAIRN_SLAB && (config->flags & CAIRN_POOL_GUARD) != 0)
        return &pool_guard;
    return (unsigned)config->pool_class < sizeof table / sizeof table[0] ? table[config->pool_class] : NULL;
}

static size_t least_alignment(cairn_pool_class pool_class)
{
    return pool_class == CAIRN_STACK ? 1 : pool_class == CAIRN_SLAB ? BLOCK_ALIGN : sizeof(void *);
}

static size_t most_alignment(const cairn_pool_config *c, bool callbacks)
{
    return callbacks && c->pool_class == CAIRN_FIT ? size_max(c->source->granule, PAGE_SIZE) : PAGE_SIZE;
}

static const char *fault_of_class(const cairn_pool_config *c)
{
    bool slab = c->pool_class == CAIRN_SLAB, fit = c->pool_class == CAIRN_FIT;
    if ((c->flags & CAIRN_POOL_GUARD) != 0 &&
        (!slab || c->buffer != NULL || (c->flags & CAIRN_POOL_MARKS) != 0))
        return "flags: CAIRN_POOL_GUARD is for CAIRN_SLAB outside of buffers, without marks";
    if ((c->flags & CAIRN_POOL_OUTSIDE) != 0 && (c->buffer == NULL || slab || c->pool_class == CAIRN_STACK))
        return "flags: CAIRN_POOL_OUTSIDE is for CAIRN_FIT and CAIRN_FIXED in a buffer";
    if ((c->flags & CAIRN_POOL_OUTSIDE) != 0 && (c->flags & CAIRN_POOL_ZERO) != 0)
        return "flags: CAIRN_POOL_ZERO would write to memory that CAIRN_POOL_OUTSIDE leaves alone";
    if ((c->flags & (CAIRN_POOL_SIZED | CAIRN_POOL_LAST_FIT | CAIRN_POOL_HIGH_END)) != 0 && !fit)
        return "flags: CAIRN_POOL_SIZED, _LAST_FIT and _HIGH_END are for CAIRN_FIT";
    if ((c->flags & CAIRN_POOL_SIZED) != 0 && (c->flags & CAIRN_POOL_MARKS) != 0)
        return "flags: CAIRN_POOL_SIZED and CAIRN_POOL_MARKS exclude each other";
    if (c->pool_class == CAIRN_FIXED && (c->block_size == 0 || c->block_size > PTRDIFF_MAX / 2))
        return "block_size: CAIRN_FIXED needs one";
    if (c->spare > 1 || c->spare != c->spare)
        return "spare: at most 1";
    return NULL;
}

static bool callbacks_are_valid(const cairn_source *s)
{
    return s == cairn_source_os() || s == cairn_source_brk() ||
           (s->struct_size >= offsetof(cairn_source, commit) && s->reserve != NULL && s->release != NULL &&
            (s->granule == 0 || is_power_of_two(s->granule)));
}

/* NULL, or what is wrong. */
static const char *fault_of(const cairn_pool_config *c)
{
    const cairn_source *s = c->source;
    bool own = s != NULL && s != cairn_source_os() && s != cairn_source_brk();
    if (ops_of(c) == NULL)
        return "pool_class: not one that is known";
    if ((c->flags & ~(unsigned)CAIRN_POOL_FLAGS) != 0)
        return "flags: some are not known";
    if (c->alignment != 0 && (!is_power_of_two(c->alignment) || c->alignment > most_alignment(c, own)))
        return "alignment: not a power of two up to 4096 (CAIRN_FIT over callbacks: up to their granule)";
    if (c->alignment != 0 && c->alignment < least_alignment(c->pool_class))
        return "alignment: too small for the class";
    if (c->limit != 0 && c->limit_soft > c->limit)
        return "limit_soft: above the hard limit";
    if (c->buffer != NULL && s != NULL)
        return "source: a pool in a buffer has none";
    if (c->store != NULL &&
        (c->pool_class == CAIRN_SLAB || (c->buffer != NULL && (c->flags & CAIRN_POOL_OUTSIDE) == 0)))
        return "store: not for CAIRN_SLAB, nor for a pool that lies in its buffer";
    if (c->store != NULL && !callbacks_are_valid(c->store))
        return "store: struct_size, reserve and release are needed, and a granule that is a power of two";
    if (c->buffer == NULL && c->buffer_size != 0)
        return "buffer: NULL with a buffer_size";
    if (c->buffer != NULL && (uintptr_t)c->buffer + c->buffer_size < (uintptr_t)c->buffer)
        return "buffer_size: the buffer would wrap";
    if (own && (s->struct_size < offsetof(cairn_source, commit) || s->reserve == NULL || s->release == NULL))
        return "source: struct_size, reserve and release are needed";
    if (own && s->granule != 0 && !is_power_of_two(s->granule))
        return "source: the granule is not a power of two";
    return fault_of_class(c);
}

/* ---- Handles ------------------------------------------------------------------------------------- */

/* A handle inside the caller's buffer; NULL: no room. */
static struct cairn_pool *handle_in_buffer(const cairn_pool_config *config)
{
    uintptr_t at = align_up((uintptr_t)config->buffer, CACHE_LINE);
    uintptr_t end = (uintptr_t)config->buffer + config->buffer_size;
    size_t size = sizeof(struct cairn_pool) + (config->pool_class == CAIRN_SLAB ? sizeof(struct heap) : 0);
    if (at < (uintptr_t)config->buffer || end < at || end - at < size)
        return NULL;
    memset((void *)at, 0, size);
    return (struct cairn_pool *)at;
}

static struct cairn_pool *handle_make(const cairn_pool_config *config)
{
    if (config->buffer != NULL && (config->flags & CAIRN_POOL_OUTSIDE) == 0)
        return handle_in_buffer(config);
    lock_take(&pools_lock);
    struct cairn_pool *pool = free_handles;
    if (pool != NULL)
        free_handles = pool->next;
    lock_release(&pools_lock);
    if (pool == NULL)
        pool = depot_keep(sizeof *pool + POOL_STATE_SIZE);
    if (pool != NULL)
        memset((char *)pool + sizeof pool->id, 0, sizeof *pool - sizeof pool->id + POOL_STATE_SIZE);
    return pool;
}

static bool handle_is_inside(const struct cairn_pool *pool)
{
    return (uintptr_t)pool >= pool->buffer && (uintptr_t)pool < pool->buffer_end;
}

static void handle_drop(struct cairn_pool *pool)
{
    store_relaxed(&pool->id, POOL_DESTROYED);
    if (handle_is_inside(pool))
        return;
    lock_take(&pools_lock);
    pool->next = free_handles;
    free_handles = pool;
    lock_release(&pools_lock);
}

static void fill_handle(struct cairn_pool *pool, const cairn_pool_config *config)
{
    pool->config = *config;
    pool->pool_class = config->pool_class;
    pool->flags = config->flags;
    pool->alignment = config->alignment != 0 ? config->alignment : BLOCK_ALIGN;
    pool->pressure = config->pressure;
    pool->pressure_context = config->pressure_context;
    pool->limit_soft = config->limit_soft != 0 && config->pressure != NULL ? config->limit_soft : SIZE_MAX;
    pool->state = pool + 1;
    if (config->name != NULL)
        memcpy(pool->name, config->name, strnlen(config->name, POOL_NAME_MAX - 1));
    pool->source = config->source == cairn_source_brk() ? &depot_brk : &depot_os;
    if (config->buffer != NULL) {
        pool->buffer = (uintptr_t)config->buffer;
        pool->buffer_end = pool->buffer + config->buffer_size;
        pool->source = &pool->own_source;
    } else if (config->source != NULL && config->source != cairn_source_os() &&
               config->source != cairn_source_brk()) {
        user_source_init(&pool->own_source, config->source);
        if (config->pool_class == CAIRN_SLAB) /* the engine does not ask for single pages */
            pool->own_source.step = size_max(pool->own_source.step, 64 * KiB);
        pool->source = &pool->own_source;
    }
    if (config->store != NULL && config->store != cairn_source_os() && config->store != cairn_source_brk())
        user_source_init(&pool->own_store, config->store);
    pool->extent.size_class = CLASS_EXTENT;
    pool->extent.inverse = 1;
}

/* ---- The list ------------------------------------------------------------------------------------ */

static void enlist(struct cairn_pool *pool)
{
    lock_take(&pools_lock);
    pool_renumber(pool);
    pool->previous = NULL;
    pool->next = pools_all;
    if (pools_all != NULL)
        pools_all->previous = pool;
    pools_all = pool;
    if (pool->buffer != 0)
        buffers_add(pool);
    lock_release(&pools_lock);
}

void pool_pin(struct cairn_pool *pool)
{
    lock_take(&pools_lock);
    pool->pins++;
    lock_release(&pools_lock);
}

void pool_unpin(struct cairn_pool *pool)
{
    lock_take(&pools_lock);
    pool->pins--;
    lock_release(&pools_lock);
}

static void delist(struct cairn_pool *pool)
{
    lock_take(&pools_lock);
    while (pool->pins > 0) {
        lock_release(&pools_lock);
        os_yield();
        lock_take(&pools_lock);
    }
    if (pool->next != NULL)
        pool->next->previous = pool->previous;
    if (pool->previous != NULL)
        pool->previous->next = pool->next;
    else
        pools_all = pool->next;
    if (pool->buffer != 0)
        buffers_remove(pool);
    lock_release(&pools_lock);
}

/* The innermost pool of an address that the page map knows: that of its span, or one in a buffer that lies in a block
 * there.  Which of the two is inside shows where the buffer begins. */
static struct cairn_pool *innermost(const struct span *span, const void *address)
{
    struct cairn_pool *outer = pool_of_span(span);
    if (LIKELY(!buffers_any()))
        return outer;
    lock_take(&pools_lock);
    struct cairn_pool *pool = buffers_find((uintptr_t)address);
    const struct span *begin = pool != NULL ? pagemap_find((void *)pool->buffer) : NULL;
    bool inside = begin != NULL && pool_of_span(begin) == outer;
    lock_release(&pools_lock);
    return inside ? pool : outer;
}

struct cairn_pool *pool_of_address(const void *address)
{
    const struct span *span = pagemap_find(address);
    if (span != NULL)
        return innermost(span, address);
    lock_take(&pools_lock);
    struct cairn_pool *pool = buffers_find((uintptr_t)address);
    for (struct cairn_pool *at = pool == NULL ? pools_all : NULL; at != NULL && pool == NULL; at = at->next)
        if ((uintptr_t)address - at->range < at->range_size)
            pool = at;
    lock_release(&pools_lock);
    return pool;
}

/* ---- Making and destroying ------------------------------------------------------------------------ */

/* As much of the caller's config as he knows of; the rest is zero. */
static bool read_config(const cairn_pool_config *given, cairn_pool_config *config)
{
    memset(config, 0, sizeof *config);
    if (given == NULL)
        return true;
    if (given->struct_size < offsetof(cairn_pool_config, name))
        return false;
    memcpy(config, given, size_min(given->struct_size, sizeof *config));
    return true;
}

struct cairn_pool *pool_make(const cairn_pool_config *config, const struct pool_ops *ops,
                             struct pool_file *file)
{
    (void)thread_own_cache(); /* the process heap is up, with its fork handlers */
    struct cairn_pool *pool = handle_make(config);
    if (pool == NULL)
        return NULL;
    fill_handle(pool, config);
    pool->ops = ops;
    pool->file = file;
    if (ops->open(pool, config) != OK) {
        handle_drop(pool);
        return NULL;
    }
    enlist(pool);
    return pool;
}

cairn_pool *cairn_pool_create(const cairn_pool_config *given)
{
    cairn_pool_config config;
    if (!read_config(given, &config))
        return thread_fail(EINVAL, "cairn_pool_create: struct_size is not set");
    const char *fault = fault_of(&config);
    if (fault != NULL)
        return thread_fail(EINVAL, fault);
    struct cairn_pool *pool = pool_make(&config, announce_choose(ops_of(&config), &config), NULL);
    if (pool == NULL)
        return thread_fail(ENOMEM, config.buffer != NULL ? "the buffer is too small for a pool of this class"
                                                         : "the system has no memory for a pool");
    return pool;
}

static void must_exist(const char *call, const struct cairn_pool *pool)
{
    if (load_relaxed(&pool->id) == POOL_DESTROYED)
        report_fatal(call, pool, "destroyed pool");
}

void cairn_pool_destroy(cairn_pool *pool)
{
    if (pool == NULL)
        return;
    must_exist("cairn_pool_destroy", pool);
    delist(pool);
    pool->ops->close(pool);
    handle_drop(pool);
}

void pool_renumber(struct cairn_pool *pool)
{
    last_id += POOL_ID_STEP;
    store_relaxed(&pool->id, last_id);
}

void pool_empty(struct cairn_pool *pool, const struct pool_ops *ops)
{
    if (ops->reset != NULL) {
        ops->reset(pool);
        return;
    }
    ops->close(pool);
    if (pool->buffer != 0)
        pool->buffer_end = pool->buffer + pool->config.buffer_size;
    (void)ops->open(pool, &pool->config); /* needs no more memory than the first time: that has come back */
}

void cairn_pool_reset(cairn_pool *pool)
{
    must_exist("cairn_pool_reset", pool);
    delist(pool); /* no walk over all pools comes by meanwhile */
    pool_empty(pool, pool->ops);
    if (pool->limited) /* the class is open: limits that it is above by now refuse what comes, not the pool */
        pool->ops->limit(pool, pool->limits[0], pool->limits[1]);
    store_relaxed(&pool->pressed, false);
    enlist(pool); /* with a new id: threads do not find their caches any more */
}

int cairn_pools_walk(int (*visit)(cairn_pool *pool, void *context), void *context)
{
    int result = 0;
    lock_take(&pools_lock);
    for (struct cairn_pool *pool = pools_all; result == 0 && pool != NULL; pool = pool->next) {
        pool->pins++; /* it keeps its place in the list */
        lock_release(&pools_lock);
        result = visit(pool, context);
        lock_take(&pools_lock);
        pool->pins--;
    }
    lock_release(&pools_lock);
    return result;
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

/* Gives the locks back of the pools up to `end`, and the list's. */
static void let_go_until(const struct cairn_pool *end, bool child)
{
    for (struct cairn_pool *pool = pools_all; pool != end; pool = pool->next) {
        if (child)
            pool->leaving = pool->pins = 0;
        if (pool->ops->after_fork != NULL)
            pool->ops->after_fork(pool, child);
    }
    lock_release_after_fork(&pools_lock);
}

/* Between pools there is no rank: a source's callback is called under the lock of one, and may use others, and the list.
 * So nothing is waited for here with a lock in hand: when one cannot be had, all are given back for a while. */
void pools_before_fork(void)
{
    for (unsigned pause = 50;; pause = 2 * pause < FORK_PAUSE_MAX ? 2 * pause : FORK_PAUSE_MAX) {
        lock_take_for_fork(&pools_lock);
        struct cairn_pool *pool = pools_all;
        while (pool != NULL && (pool->ops->before_fork == NULL || pool->ops->before_fork(pool)))
            pool = pool->next;
        if (pool == NULL)
            break;
        let_go_until(pool, false);
        os_sleep_us(pause); /* who was in the way is to come first */
    }
    depots_before_fork(); /* no callback is called under these */
}

void pools_after_fork(bool child)
{
    depots_after_fork(child);
    let_go_until(NULL, child);
}
