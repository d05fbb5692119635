/* thread.h - what a thread keeps: its two words of thread-local storage, and the ways to its caches in pools.
 *
 *   thread_cache ──> the thread's cache in the process heap ── slots, by the pool's id ──> its cache in a slab pool
 *                                                          └── pool_caches: all of those, for the thread's end
 *
 * A slot is valid if it holds the pool's present id; ids are never used twice, so a destroyed or reset pool is not
 * found, and destroying it need not look at other threads' slots.  A cache in a pool knows its owner by `own`.
 * Who links and unlinks caches of threads holds pools_lock: the thread itself when it makes one, the thread when it
 * ends, and who destroys the pool. */
#ifndef POOL_THREAD_H
#define POOL_THREAD_H

#include "pool/pool.h"

#define HIDDEN __attribute__((visibility("hidden")))

extern __thread struct cache *thread_cache HIDDEN; /* who holds it writes it, too (cache.h): relaxed */
extern __thread const char *thread_message HIDDEN; /* the last failure in words; NULL: none */

/* The calling thread's own cache in the process heap, made if need be; NULL: it has given it back, or there is no
 * memory.  front/process.c has it. */
struct cache *thread_own_cache(void);

/* The same, but none is made. */
struct cache *process_cache(void);

/* The calling thread's cache in a slab pool, made if need be, and its slot filled if `quick`; NULL as above. */
struct cache *thread_pool_cache(struct cairn_pool *pool, bool quick);

/* The same, but none is made. */
struct cache *thread_pool_cache_if_any(struct cairn_pool *pool);

/* The calling thread's cache in the pool, if it is found the short way. */
ALWAYS_INLINE struct cache *thread_quick_cache(const struct cairn_pool *pool)
{
    uint64_t id = load_relaxed(&pool->id);
    const struct cache_slot *slot = pool_slot(load_relaxed(&thread_cache), id);
    if (UNLIKELY(slot->id != id))
        return NULL;
    if (slot->cache == NULL)
        __builtin_unreachable(); /* not tested again by who calls */
    return slot->cache;
}

/* The thread that had `own` ends: its caches in pools go back. */
void thread_leave_pools(struct cache *own);

/* The pool goes: its caches are nobody's.  Waits for threads that are just giving one back. */
void thread_forget_pool(struct cairn_pool *pool);

/* The part of it under pools_lock. */
void thread_unlink_pool(struct cairn_pool *pool);

/* Notes the thread's failure in words (static text) and sets errno; returns NULL. */
COLD void *thread_fail(int code, const char *message);

/* The same with text composed as by print(), kept until the thread's next failure. */
COLD void *thread_fail_text(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
