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
 * Handles are never unmapped (but those inside a buffer, which is the caller's): a stale handle finds POOL_DESTROYED. */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "cairn/pool.h"
#include "engine/types.h"

#define POOL_NAME_MAX 32 /* with the terminating 0 */
#define CAIRN_POOL_FLAGS                                                                                     \
    (CAIRN_POOL_MARKS | CAIRN_POOL_ZERO | CAIRN_POOL_GUARD | CAIRN_POOL_OUTSIDE | CAIRN_POOL_SIZED |         \
     CAIRN_POOL_LAST_FIT | CAIRN_POOL_HIGH_END)

struct pool_ops {
    /* Sets pool->state up.  Errors: ERROR_MEMORY. */
    enum error (*open)(struct cairn_pool *pool, const cairn_pool_config *config);

    /* Gives everything back that the class holds: extents, caches.  Nobody else is inside. */
    void (*close)(struct cairn_pool *pool);

    /* A block of `size` bytes at a multiple of `align` (a power of two, at least pool->alignment); `zero`: zeroed.
     * NULL with *error set: ERROR_MEMORY, ERROR_LIMIT, ERROR_SIZE.  size <= PTRDIFF_MAX. */
    void *(*alloc)(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error);

    /* Frees a block; not NULL.  `size` is what the caller says it has, or SIZE_MAX.  Misuse: report_fatal(call, ...). */
    void (*free)(struct cairn_pool *pool, const char *call, void *block, size_t size);

    /* The block at `size` bytes, moved or not, as cairn_realloc; size > 0.  NULL: resize, or allocate, copy and free. */
    void *(*realloc)(struct cairn_pool *pool, const char *call, void *block, size_t size, enum error *error);

    /* Makes the block `size` bytes long where it is; false: it cannot be.  NULL: never. */
    bool (*resize)(struct cairn_pool *pool, const char *call, void *block, size_t size);

    /* Usable bytes of a block.  Misuse: report_fatal. */
    size_t (*usable)(struct cairn_pool *pool, const char *call, const void *block);

    int (*walk)(struct cairn_pool *pool, cairn_visit *visit, void *context);

    /* NULL, or what is wrong. */
    const char *(*check)(struct cairn_pool *pool);

    /* Frees every block, as cheaply as close; nobody else is inside.  NULL: close and open. */
    void (*reset)(struct cairn_pool *pool);

    /* Parts of blocks, for CAIRN_FIT.  False: not wholly allocated.  NULL: the class has none. */
    bool (*free_range)(struct cairn_pool *pool, void *at, size_t size);

    /* The longest free range if it has `least` bytes, else as alloc; and a walk over free ranges: for CAIRN_FIT.
     * NULL: the class has none. */
    void *(*alloc_most)(struct cairn_pool *pool, size_t least, size_t *size, enum error *error);
    int (*walk_free)(struct cairn_pool *pool, cairn_visit *visit, void *context);

    /* Stack discipline, for CAIRN_STACK.  NULL: the class has none. */
    cairn_mark (*mark)(struct cairn_pool *pool);
    void (*release)(struct cairn_pool *pool, cairn_mark mark);

    /* Fills every field that it knows; the rest is zero. */
    void (*stats)(struct cairn_pool *pool, cairn_stats *out);

    /* Bytes committed now, without a walk. */
    size_t (*committed)(const struct cairn_pool *pool);

    bool (*trim)(struct cairn_pool *pool, size_t keep);
    void (*limit)(struct cairn_pool *pool, size_t hard, size_t soft);

    /* Around fork: takes every lock of the class, or none (false): a callback of the program's may hold one and wait for
     * another pool's.  after_fork gives them back, in the parent and in the child. */
    bool (*before_fork)(struct cairn_pool *pool);
    void (*after_fork)(struct cairn_pool *pool, bool child);
};

#define POOL_ID_STEP sizeof(struct cache_slot) /* of ids, so that the way from one to its slot is short */
#define POOL_DESTROYED POOL_ID_STEP            /* the id of a handle that is not in use */
#define POOL_PRESSURE_TRIES 16
#define POOL_STATE_SIZE                                                                                      \
    (sizeof(struct heap) + 64) /* room for a class's state behind every handle outside of buffers */

extern const struct pool_ops pool_slab, pool_guard, pool_fit, pool_fixed, pool_stack;

/* guard.c: from now on `freed` is told of each block of a guarded pool before it is freed, by whatever call, and of
 * pointers that are none, with no lock held.  Before the pool is used; `context` must last as long as the pool. */
void pool_guard_watch(struct cairn_pool *pool, void (*freed)(void *context, const void *block),
                      void *context);

struct cairn_pool {
    uint64_t id; /* a multiple of POOL_ID_STEP, never used twice; changes at reset; POOL_DESTROYED; atomic */
    const struct pool_ops *ops;
    cairn_pool_class pool_class;
    unsigned flags;   /* CAIRN_POOL_* */
    size_t alignment; /* of every block, at least */
    struct source *source;
    struct source own_source; /* of a buffer, or of callbacks */
    struct source own_store;  /* callbacks for the pool's own data; without `reserve`: the system */
    cairn_pressure *pressure;
    void *pressure_context;
    bool pressed; /* the soft limit has been told of; atomic */
    char name[POOL_NAME_MAX];
    uintptr_t buffer, buffer_end;       /* the caller's bytes; 0: none */
    size_t limit_soft;                  /* where `pressure` is called; SIZE_MAX: nowhere; atomic */
    bool limited;                       /* cairn_pool_limit_set has been called, last with: */
    size_t limits[2];                   /* hard, soft; these three under pools_lock */
    cairn_pool_config config;           /* as given, for reset; pointers in it are not followed */
    uint32_t leaving;                   /* threads that are giving their caches back; pools_lock */
    uint32_t pins;                      /* walks that are inside; destroying waits for them; pools_lock */
    struct cairn_pool *next, *previous; /* all pools; pools_lock */
    struct cairn_pool *left, *right;    /* pools in buffers by address; buffers.c */
    struct span *outer;          /* what the page map said of a slab pool's buffer before; NULL: nothing */
    struct cairn_pool *around;   /* the pool whose buffer holds this one's, as a block; NULL: none */
    struct pool_file *file;      /* persist/file.h, for a pool in a file; NULL: it is in none */
    uintptr_t range, range_size; /* where its blocks are, if the page map may not know yet; size 0: it does */
    struct announced *announced; /* under valgrind or a sanitizer: announce.c; else NULL */
    struct span extent;          /* what the page map says of every extent: size class CLASS_EXTENT */
    void *state;                 /* of the class: struct heap, struct fit, ... */
};

#define CLASS_EXTENT (CLASS_LARGE + 1)

extern struct lock pools_lock; /* the list of pools, buffers.c, and the caches of threads in pools */
extern struct cairn_pool *pools_all;

/* The pool of a span, or NULL for one of the process heap. */
ALWAYS_INLINE struct cairn_pool *pool_of_span(const struct span *span)
{
    if (span->size_class == CLASS_EXTENT)
        return (struct cairn_pool *)((char *)(uintptr_t)span - offsetof(struct cairn_pool, extent));
    return span->arena->heap->config.owner;
}

/* A pool that is open and in the list, with these operations; NULL: no memory. */
struct cairn_pool *pool_make(const cairn_pool_config *config, const struct pool_ops *ops,
                             struct pool_file *file);

/* Threads do not find their caches in it any more.  Under pools_lock. */
void pool_renumber(struct cairn_pool *pool);

/* The pool of an address, NULL if none. */
struct cairn_pool *pool_of_address(const void *address);

/* After a call failed with `error` for the `tries`th time: whether the program has freed something, so that it is worth
 * another. */
bool pool_relieve(struct cairn_pool *pool, enum error error, int tries, size_t wanted);

/* Before `size` bytes are taken, in a pool whose limit_soft is not SIZE_MAX: tells the program once for each time that the
 * limit is passed. */
void pool_watch_soft_limit(struct cairn_pool *pool, size_t size);

/* A block at `align` (0: the pool's), with errno and message set when NULL. */
void *pool_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero);

/* As cairn_pool_realloc and cairn_pool_usable_size, for the call of that name. */
void *pool_realloc(struct cairn_pool *pool, const char *call, void *block, size_t size);
size_t pool_usable_size(struct cairn_pool *pool, const char *call, const void *block);

/* Keeps the pool from being destroyed, for a while. */
void pool_pin(struct cairn_pool *pool);
void pool_unpin(struct cairn_pool *pool);

/* Frees every block, by one class's table: its reset, or close and open. */
void pool_empty(struct cairn_pool *pool, const struct pool_ops *ops);

/* What the heaps of slab and guarded pools have in common. */
struct heap_config pool_heap_config(struct cairn_pool *pool, const cairn_pool_config *given);

/* Around fork.  Takes the list's lock, every pool's and the depots'. */
void pools_before_fork(void);
void pools_after_fork(bool child);

/* Where a thread, by its cache in the process heap, has its cache in the pool of that id, if it is there. */
ALWAYS_INLINE struct cache_slot *pool_slot(struct cache *own, uint64_t id)
{
    return (struct cache_slot *)(void *)((char *)own->slots + id % (CACHE_SLOTS * POOL_ID_STEP));
}

/* The heap of a slab pool. */
ALWAYS_INLINE struct heap *pool_heap(const struct cairn_pool *pool)
{
    return pool->state;
}

/* buffers.c; under pools_lock */
void buffers_add(struct cairn_pool *pool);
void buffers_remove(struct cairn_pool *pool);
struct cairn_pool *buffers_find(uintptr_t address); /* the innermost */
bool buffers_any(void);                             /* without the lock */

/* user.c: the engine's face of a source of callbacks. */
void user_source_init(struct source *source, const cairn_source *user);

/* For who works in pages where the granule is larger: ranges are committed as a whole and never decommitted. */
void user_source_by_range(struct source *source);

#endif
