/* bits.c - see bits.h. */
#include "base/bits.h"

/* The part of word `word` that lies in [from, to). */
static uint64_t mask_in(size_t word, size_t from, size_t to)
{
    size_t first = word * BITS_PER_WORD;
    size_t low = from > first ? from - first : 0;
    size_t high = size_min(to - first, BITS_PER_WORD);
    return low < high ? word_mask(low, high) : 0;
}

void bits_set(uint64_t *bits, size_t from, size_t to)
{
    for (size_t word = from / BITS_PER_WORD; word * BITS_PER_WORD < to; word++)
        bits[word] |= mask_in(word, from, to);
}

void bits_clear(uint64_t *bits, size_t from, size_t to)
{
    for (size_t word = from / BITS_PER_WORD; word * BITS_PER_WORD < to; word++)
        bits[word] &= ~mask_in(word, from, to);
}

size_t bits_count(const uint64_t *bits, size_t from, size_t to)
{
    size_t count = 0;
    for (size_t word = from / BITS_PER_WORD; word * BITS_PER_WORD < to; word++)
        count += (size_t)__builtin_popcountll(bits[word] & mask_in(word, from, to));
    return count;
}

/* First bit in [from, to), which is not empty, that is set after each word was xor-ed with `flip`. */
static size_t next_set(const uint64_t *bits, size_t from, size_t to, uint64_t flip)
{
    size_t word = from / BITS_PER_WORD;
    uint64_t here = (bits[word] ^ flip) & (~UINT64_C(0) << (from % BITS_PER_WORD));
    while (here == 0) {
        if (++word * BITS_PER_WORD >= to)
            return to;
        here = bits[word] ^ flip;
    }
    return size_min(word * BITS_PER_WORD + low_bit(here), to);
}

size_t bits_next_set(const uint64_t *bits, size_t from, size_t to)
{
    return from < to ? next_set(bits, from, to, 0) : to;
}

size_t bits_next_clear(const uint64_t *bits, size_t from, size_t to)
{
    return from < to ? next_set(bits, from, to, ~UINT64_C(0)) : to;
}

size_t bits_run_start(const uint64_t *bits, size_t from, size_t to)
{
    while (from > to) {
        size_t word = (from - 1) / BITS_PER_WORD;
        size_t low = size_max(word * BITS_PER_WORD, to);
        uint64_t clear = ~bits[word] & mask_in(word, low, from);
        if (clear != 0)
            return word * BITS_PER_WORD + high_bit(clear) + 1;
        from = low;
    }
    return to;
}
