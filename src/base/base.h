/* base.h - the few macros that every module uses.  Neighbours: atomic.h, bits.h. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef CAIRN_DEBUG
#define CAIRN_DEBUG 0 /* 1: deeper checks, lock ranks */
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold, noinline))
#define CACHE_LINE 64

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)

/* What an internal function that can fail returns; 0 is success. */
enum error {
    OK = 0,
    ERROR_MEMORY,    /* the system or the source has none */
    ERROR_READ_ONLY, /* the pool may not be changed */
    ERROR_FORKED,    /* the pool was left behind by a fork */
    ERROR_LIMIT,     /* a limit of the heap would be passed */
    ERROR_FULL,      /* the file that the pool lies in has no room left */
    ERROR_SIZE,      /* the kind of memory asked has no blocks of that size */
};

ALWAYS_INLINE bool is_power_of_two(size_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* `to` is a power of two; the caller keeps x + to from wrapping. */
ALWAYS_INLINE uintptr_t align_up(uintptr_t x, size_t to)
{
    return (x + to - 1) & ~(uintptr_t)(to - 1);
}

ALWAYS_INLINE uintptr_t align_down(uintptr_t x, size_t to)
{
    return x & ~(uintptr_t)(to - 1);
}

ALWAYS_INLINE size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

ALWAYS_INLINE size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
