/* atomic.h - atomics that name their order.
 *
 * A field that more than one thread touches without a common lock is read and written through these
 * only.  Each acquire says in a comment which release it pairs with.  There is no volatile here and no
 * race that is called benign: a counter that its owner updates and a statistics reader looks at is a
 * relaxed atomic on both sides. */
#ifndef BASE_ATOMIC_H
#define BASE_ATOMIC_H

#include "base/base.h"
#include "base/cpu.h"

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)

#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)

/* Compare and swap; on failure *expected holds what was found. */
#define cas_acquire(p, expected, desired)                                                                    \
    __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define cas_acq_rel(p, expected, desired)                                                                    \
    __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* The compiler keeps what is before it before it, and what is after it after; other threads may see it otherwise. */
#define order_here() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* For protocols in which two sides each write one word and read the other's: all of these, in all threads, happen in one
 * order. */
#define load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define store_seq(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define cas_seq(p, expected, desired)                                                                        \
    __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)

/* Adds to a counter that several threads write. */
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define add_relaxed(p, v) ((void)fetch_add_relaxed((p), (v)))

/* Adds to a counter that only the caller's thread (or lock) writes and that others may read. */
#define count_up(p, v) store_relaxed((p), load_relaxed(p) + (v))
#define count_down(p, v) store_relaxed((p), load_relaxed(p) - (v))

/* count_up by one, for the fast paths. */
ALWAYS_INLINE void count_one(uint64_t *counter)
{
    cpu_increment(counter);
}

#endif
