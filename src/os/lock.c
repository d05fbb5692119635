/* lock.c - the slow half of lock.h. */
#include "os/lock.h"

#include "base/cpu.h"
#include "os/os.h"
#include "os/report.h"

#define FORK_LOOKS 400
#define SPINS 40 /* a holder on the other core is usually done by then */

static bool held_for_fork(const struct lock *lock)
{
    return load_relaxed(&lock->fork_thread) == os_thread_id();
}

void lock_wait(struct lock *lock)
{
    if (held_for_fork(lock))
        return;
    for (int i = 0; i < SPINS; i++) {
        uint32_t expected = 0;
        if (load_relaxed(&lock->state) == 0 && cas_acquire(&lock->state, &expected, 1))
            return;
        cpu_relax();
    }
    while (exchange_acquire(&lock->state, 2) != 0) /* pairs with lock_release */
        os_futex_wait(&lock->state, 2);
}

void lock_wake(struct lock *lock)
{
    os_futex_wake_one(&lock->state);
}

/* Without the check of ranks: around fork all locks of a kind are held together. */
void lock_take_for_fork(struct lock *lock)
{
    uint32_t expected = 0;
    if (!cas_acquire(&lock->state, &expected, 1)) /* pairs with lock_release */
        lock_wait(lock);
    store_relaxed(&lock->fork_thread, os_thread_id());
}

bool lock_try_for_fork(struct lock *lock)
{
    for (int looks = 1;; looks++) {
        uint32_t expected = 0;
        if (cas_acquire(&lock->state, &expected, 1)) /* pairs with lock_release */
            break;
        if (held_for_fork(lock))
            return true;
        if (looks == FORK_LOOKS)
            return false;
        if (looks % SPINS != 0)
            cpu_relax();
        else
            os_yield();
    }
    store_relaxed(&lock->fork_thread, os_thread_id());
    return true;
}

void lock_take_next_for_fork(struct lock *lock)
{
    uint32_t expected = 0;
    if (!cas_acquire(&lock->state, &expected, 1)) /* pairs with lock_release */
        lock_wait(lock);
    store_relaxed(&lock->fork_thread, os_thread_id());
}

bool lock_try_both_for_fork(struct lock *first, struct lock *second)
{
    if (!lock_try_for_fork(first))
        return false;
    if (lock_try_for_fork(second))
        return true;
    lock_release_after_fork(first);
    return false;
}

void lock_release_after_fork(struct lock *lock)
{
    store_relaxed(&lock->fork_thread, 0);
    lock_release(lock); /* wakes in the child, too: a handler there may have started threads */
}

#if CAIRN_DEBUG
/* The ranks that this thread holds, one bit each; in release builds thread-local storage is too precious. */
static __thread uint32_t held;

void lock_rank_check(const struct lock *lock, bool taking)
{
    uint32_t bit = UINT32_C(1) << lock->rank;
    if (taking && held_for_fork(lock))
        return;
    if (taking && held >= bit)
        report_fatal("lock", lock, "taken out of rank");
    held = taking ? held | bit : held & ~bit;
}
#endif
