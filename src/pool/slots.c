/* slots.c - see slots.h. */
#include "pool/slots.h"

/* Where the levels begin, and how many there are. */
struct shape {
    size_t start[SLOTS_LEVELS_MAX + 1];
    unsigned levels;
};

static struct shape shape_of(size_t count)
{
    struct shape shape = {.levels = 0};
    size_t at = 0;
    do {
        count = BITS_WORDS(count);
        shape.start[shape.levels++] = at;
        at += count;
    } while (count > 1);
    shape.start[shape.levels] = at;
    return shape;
}

size_t slots_words(size_t count)
{
    struct shape shape = shape_of(count);
    return shape.start[shape.levels];
}

void slots_init(struct slots *slots, uint64_t *words, size_t count)
{
    struct shape shape = shape_of(count);
    slots->words = words;
    slots->count = count;
    for (unsigned level = 0; level < shape.levels; level++) {
        uint64_t *here = words + shape.start[level];
        size_t room = (shape.start[level + 1] - shape.start[level]) * BITS_PER_WORD;
        bits_set(here, 0, count);
        bits_clear(here, count, room);
        count = BITS_WORDS(count);
    }
}

size_t slots_take(struct slots *slots)
{
    struct shape shape = shape_of(slots->count);
    size_t i = 0;
    for (unsigned level = shape.levels; level-- > 0;) {
        uint64_t word = slots->words[shape.start[level] + i];
        if (word == 0)
            return SIZE_MAX; /* at the top only */
        i = i * BITS_PER_WORD + low_bit(word);
    }
    size_t at = i;
    for (unsigned level = 0; level < shape.levels; level++) {
        uint64_t *word = &slots->words[shape.start[level] + at / BITS_PER_WORD];
        *word &= ~(UINT64_C(1) << (at % BITS_PER_WORD));
        if (*word != 0)
            break;
        at /= BITS_PER_WORD;
    }
    return i;
}

void slots_put(struct slots *slots, size_t i)
{
    struct shape shape = shape_of(slots->count);
    for (unsigned level = 0; level < shape.levels; level++) {
        uint64_t *word = &slots->words[shape.start[level] + i / BITS_PER_WORD];
        bool had_some = *word != 0;
        *word |= UINT64_C(1) << (i % BITS_PER_WORD);
        if (had_some)
            break;
        i /= BITS_PER_WORD;
    }
}

bool slots_check(const struct slots *slots)
{
    struct shape shape = shape_of(slots->count);
    size_t count = slots->count;
    for (unsigned level = 0; level < shape.levels; level++) {
        const uint64_t *here = slots->words + shape.start[level];
        size_t words = shape.start[level + 1] - shape.start[level];
        if (bits_count(here, count, words * BITS_PER_WORD) != 0)
            return false;
        for (size_t i = 0; level > 0 && i < count; i++)
            if (bits_test(here, i) != (slots->words[shape.start[level - 1] + i] != 0))
                return false;
        count = BITS_WORDS(count);
    }
    return true;
}
