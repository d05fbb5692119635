/* lock.h - the mutex of the engine: one word, a futex when there is contention, no allocation, usable
 * before main and across fork.
 *
 *   state   meaning                                who changes it
 *   0       free                                   taker: 0 -> 1
 *   1       held, nobody sleeps                    holder: 1 -> 0; waiter: 1 -> 2
 *   2       held, somebody may sleep               holder: 2 -> 0 and wakes one; waiter that wakes keeps 2
 *
 * Source: U. Drepper, "Futexes are tricky" (2011), the third mutex.
 *
 * Not recursive, but for fork.  What it guards is to be whole in the child, so the thread that forks holds it
 * meanwhile; and other libraries' fork handlers, which may run before or after ours, may allocate.  So the thread
 * that took it by lock_take_for_fork, in parent and child, may take and release it again, until
 * lock_release_after_fork.
 *
 * Ranks: a thread takes locks in rising rank only; debug builds (CAIRN_DEBUG) abort otherwise. */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include "base/atomic.h"

enum lock_rank {
    LOCK_RANK_START = 1,      /* process start-up and the list of heaps */
    LOCK_RANK_POOLS = 2,      /* the list of pools, and which thread has a cache in which */
    LOCK_RANK_LATE = 3,       /* the cache that threads without one share, in each heap */
    LOCK_RANK_POOL = 4,       /* the ranges, blocks or stack of one pool */
    LOCK_RANK_HEAP = 5,       /* pages, descriptors and shared spans of one heap */
    LOCK_RANK_DEPOT = 6,      /* the pages that pools get theirs from */
    LOCK_RANK_CHECKPOINT = 7, /* a checkpoint that is being taken */

    LOCK_RANK_HOOKS = 18,    /* the stack of interfaces */
    LOCK_RANK_TOOLS = 19,    /* the list of ready interfaces in place */
    LOCK_RANK_TOOL = 20,     /* what one of them keeps */
    LOCK_RANK_RECORDER = 21, /* starting and ending a trace */
    LOCK_RANK_WATCH = 22,    /* the books of what watches a heap; held by who forks with all of the above */
    LOCK_RANK_TRACE = 23,    /* writing a trace to its file */
    LOCK_RANK_PLACES = 24,   /* the places that calls come from */
};

struct lock {
    uint32_t state;
    uint32_t rank; /* enum lock_rank, constant after init */
    uintptr_t
        fork_thread; /* os_thread_id() of the holder if it forks, else 0; written by the holder; atomic */
};

void lock_take_for_fork(struct lock *lock);
bool lock_try_for_fork(
    struct lock *lock); /* false: its holder keeps it for long, and may wait for one of ours */
void lock_take_next_for_fork(
    struct lock *lock); /* one more of the rank of those held, in an order that all keep */
bool lock_try_both_for_fork(struct lock *first, struct lock *second); /* both or none */
void lock_release_after_fork(struct lock *lock);                      /* in the parent, and in the child */

void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);
void lock_rank_check(const struct lock *lock, bool taking);

ALWAYS_INLINE void lock_take(struct lock *lock)
{
    uint32_t expected = 0;
    if (CAIRN_DEBUG)
        lock_rank_check(lock, true);
    if (UNLIKELY(!cas_acquire(&lock->state, &expected, 1))) /* pairs with lock_release */
        lock_wait(lock);
}

ALWAYS_INLINE bool lock_try(struct lock *lock)
{
    uint32_t expected = 0;
    bool taken = cas_acquire(&lock->state, &expected, 1); /* pairs with lock_release */
    if (CAIRN_DEBUG && taken)
        lock_rank_check(lock, true);
    return taken;
}

ALWAYS_INLINE void lock_release(struct lock *lock)
{
    if (UNLIKELY(load_relaxed(&lock->fork_thread) != 0))
        return;
    if (CAIRN_DEBUG)
        lock_rank_check(lock, false);
    if (UNLIKELY(__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2))
        lock_wake(lock);
}

/* ---- While there is one thread ------------------------------------------------------------------- */

/* The C library's word for it, where it has one: false once a second thread is about to begin. */
extern char __libc_single_threaded __attribute__((weak, visibility("default")));

ALWAYS_INLINE bool lock_alone(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

/* As lock_take and lock_release, without atomic instructions while nobody else could be in the way: for locks that are
 * taken at every call.  The word has the same states, so a thread that begins meanwhile finds the lock as it is. */
ALWAYS_INLINE void lock_take_quick(struct lock *lock)
{
    if (!CAIRN_DEBUG && lock_alone() && load_relaxed(&lock->state) == 0)
        store_relaxed(&lock->state, 1);
    else
        lock_take(lock);
}

ALWAYS_INLINE void lock_release_quick(struct lock *lock)
{
    if (!CAIRN_DEBUG && lock_alone() && load_relaxed(&lock->state) == 1 &&
        load_relaxed(&lock->fork_thread) == 0)
        store_relaxed(&lock->state, 0);
    else
        lock_release(lock);
}

/* ---- After fork ------------------------------------------------------------------------------------ */

/* In the child of a fork, for a lock that another thread of the parent may have held: nobody holds it here. */
ALWAYS_INLINE void lock_reset(struct lock *lock)
{
    if (CAIRN_DEBUG)
        lock_rank_check(lock, false);
    store_relaxed(&lock->state, 0);
}

#endif
