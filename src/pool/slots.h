/* slots.h - which of n equal slots are free: a tree of bit sets, kept apart from what it describes.
 *
 *   level 0   one bit for each slot, set: free
 *   level k   one bit for each word of level k - 1, set: some bit of it is
 *   the top   one word
 *
 * So the lowest free slot is found in as many steps as there are levels: 2 up to 4096 slots, 4 up to 16 million.
 * No locking: the caller owns the set. */
#ifndef POOL_SLOTS_H
#define POOL_SLOTS_H

#include "base/bits.h"

#define SLOTS_LEVELS_MAX 8

struct slots {
    uint64_t *words; /* the levels from 0 on, one behind the other; NULL: no set */
    size_t count;
};

/* The words that a set of `count` slots (at least 1) takes. */
size_t slots_words(size_t count);

/* Begins in `words`, with all slots free. */
void slots_init(struct slots *slots, uint64_t *words, size_t count);

/* Takes the lowest free slot; SIZE_MAX: there is none. */
size_t slots_take(struct slots *slots);

/* Gives slot `i` back, which was taken. */
void slots_put(struct slots *slots, size_t i);

ALWAYS_INLINE bool slots_is_free(const struct slots *slots, size_t i)
{
    return bits_test(slots->words, i);
}

/* Whether each level says what is below it. */
bool slots_check(const struct slots *slots);

#endif
