/* pool.h - inside a pool: the handle that every class shares, what a class has to do, and the list of all pools.
 *
 *     cairn_pool ── ops ──> slab.c    heap + thread caches: the engine
 *                           guard.c   the same config with CAIRN_POOL_GUARD: a page for each block
 *                           fit.c     address-ordered ranges over extents
 *                           fixed.c   equal blocks over extents
 *                           stack.c   mark and release over extents
 *                  source ─> depot.c (os, brk), user.c (callbacks), buffer.c (the caller's bytes)
 *
 * api.c checks arguments, turns errors into errno and messages, calls the pressure callback, and dispatches; a class sees
 * valid arguments only.  Slab pools have a short way past the dispatch in api.c: thread.h.
 * Handles are never unmapped (but those inside a buffer, which is the caller's): a stale handle finds id 0. */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "cairn/pool.h"
#include "engine/types.h"

#define POOL_NAME_MAX 32 /* with the terminating 0 */

struct pool_ops {
    /* Sets pool->state up.  Errors: ERROR_MEMORY. */
    enum error (*open)(struct cairn_pool *pool, const cairn_pool_config *config);

    /* Gives everything back that the class holds: extents, caches.  Nobody else is inside. */
    void (*close)(struct cairn_pool *pool);

    /* A block of `size` bytes at a multiple of `align` (a power of two, at least pool->alignment); `zero`: zeroed.
     * NULL with *error set: ERROR_MEMORY, ERROR_LIMIT.  size <= PTRDIFF_MAX. */
    void *(*alloc)(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error);

    /* Frees a block; not NULL.  `size` is what the caller says it has, or SIZE_MAX.  Misuse: report_fatal(call, ...). */
    void (*free)(struct cairn_pool *pool, const char *call, void *block, size_t size);

    /* Makes the block `size` bytes long where it is; false: it cannot be.  NULL: never. */
    bool (*resize)(struct cairn_pool *pool, const char *call, void *block, size_t size);

    /* Usable bytes of a block.  Misuse: report_fatal. */
    size_t (*usable)(struct cairn_pool *pool, const char *call, const void *block);

    int (*walk)(struct cairn_pool *pool, cairn_visit *visit, void *context);

    /* NULL, or what is wrong. */
    const char *(*check)(struct cairn_pool *pool);

    /* Fills every field that it knows; the rest is zero. */
    void (*stats)(struct cairn_pool *pool, cairn_stats *out);

    bool (*trim)(struct cairn_pool *pool, size_t keep);
    void (*limit)(struct cairn_pool *pool, size_t hard, size_t soft);

    /* Around fork: takes every lock of the class; gives them back in the parent; resets them in the child. */
    void (*before_fork)(struct cairn_pool *pool);
    void (*after_fork)(struct cairn_pool *pool, bool child);
};

extern const struct pool_ops pool_slab, pool_guard, pool_fit, pool_fixed, pool_stack;

struct cairn_pool {
    uint64_t id; /* never used twice; changes at reset; 0: destroyed; atomic */
    const struct pool_ops *ops;
    cairn_pool_class pool_class;
    unsigned flags;   /* CAIRN_POOL_* */
    size_t alignment; /* of every block, at least */
    struct source *source;
    struct source own_source; /* of a buffer, or of callbacks */
    cairn_pressure *pressure;
    void *pressure_context;
    bool pressed; /* the soft limit has been told of; atomic */
    char name[POOL_NAME_MAX];
    uintptr_t buffer, buffer_end;       /* the caller's bytes; 0: none */
    struct cairn_pool *next, *previous; /* all pools; pools_lock */
    struct span extent;                 /* what the page map says of every extent: size class CLASS_EXTENT */
    void *state;                        /* of the class: struct heap, struct fit, ... */
};

#define CLASS_EXTENT (CLASS_LARGE + 1)

/* The pool of a span, or NULL for one of the process heap. */
struct cairn_pool *pool_of_span(const struct span *span);

#endif
