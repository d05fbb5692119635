/* checksum.c - see checksum.h.
 *
 * Four lanes take 8 bytes each in turn.  A step is (lane + word) * ODD, rotated: for a given lane a bijection of the
 * word, and for a given word one of the lane, so that a change of a single word always changes the result. */
#include "base/checksum.h"

#include <string.h>

#define LANES 4
#define STEP_FACTOR UINT64_C(0xd6e8feb86659fd93)
#define MIX_FACTOR UINT64_C(0xa0761d6478bd642f)

static inline uint64_t rotated(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline uint64_t step(uint64_t lane, uint64_t word)
{
    return rotated((lane + word) * STEP_FACTOR, 29);
}

static uint64_t mixed(uint64_t x)
{
    x ^= x >> 32;
    x *= MIX_FACTOR;
    x ^= x >> 29;
    x *= STEP_FACTOR;
    return x ^ x >> 32;
}

static inline uint64_t word_at(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

uint64_t checksum64(uint64_t seed, const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t lanes[LANES];
    for (unsigned i = 0; i < LANES; i++)
        lanes[i] = mixed(seed + (i + 1) * MIX_FACTOR);
    size_t left = size;
    for (; left >= LANES * 8; left -= LANES * 8, at += LANES * 8)
        for (unsigned i = 0; i < LANES; i++)
            lanes[i] = step(lanes[i], word_at(at + i * 8));
    uint64_t sum = mixed(seed ^ size);
    for (; left >= 8; left -= 8, at += 8)
        sum = step(sum, word_at(at));
    uint64_t last = 0;
    if (left > 0)
        memcpy(&last, at, left);
    sum = step(sum, last);
    for (unsigned i = 0; i < LANES; i++)
        sum = step(sum, lanes[i]);
    return mixed(sum);
}
