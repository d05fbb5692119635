/* bits.h - bit sets in arrays of 64-bit words: set and clear ranges, find the next bit, count.
 * Bit i is bit i % 64 of word i / 64.  Ranges are half open.  No locking: the caller owns the set. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/base.h"

#define BITS_PER_WORD 64
#define BITS_WORDS(n) (((n) + BITS_PER_WORD - 1) / BITS_PER_WORD)

ALWAYS_INLINE unsigned low_bit(uint64_t x) /* x != 0 */
{
    return (unsigned)__builtin_ctzll(x);
}

ALWAYS_INLINE unsigned high_bit(uint64_t x) /* x != 0 */
{
    return 63u - (unsigned)__builtin_clzll(x);
}

/* The number whose bytes lie there, the lowest first. */
ALWAYS_INLINE uint64_t low_first(const void *bytes)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes, sizeof word);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/* The bits [from, to) of one word, 0 <= from < to <= 64. */
ALWAYS_INLINE uint64_t word_mask(size_t from, size_t to)
{
    return (~UINT64_C(0) >> (BITS_PER_WORD - (to - from))) << from;
}

ALWAYS_INLINE bool bits_test(const uint64_t *bits, size_t i)
{
    return (bits[i / BITS_PER_WORD] >> (i % BITS_PER_WORD)) & 1;
}

void bits_set(uint64_t *bits, size_t from, size_t to);
void bits_clear(uint64_t *bits, size_t from, size_t to);
size_t bits_count(const uint64_t *bits, size_t from, size_t to);

/* The first set (clear) bit in [from, to), or `to` when there is none. */
size_t bits_next_set(const uint64_t *bits, size_t from, size_t to);
size_t bits_next_clear(const uint64_t *bits, size_t from, size_t to);

/* One past the last clear bit before `from` and above `to` (to <= result <= from): the start of the run of
 * set bits that ends at `from`. */
size_t bits_run_start(const uint64_t *bits, size_t from, size_t to);

#endif
