/* classes.h - from a size to its class and back.
 *
 *   class  0   1   2  ...   8 |   9   10 ...  16 |  17 ...
 *   size   8  16  32  ... 128 | 144  160 ... 256 | 288 ...     8 steps per doubling, to 16 KiB
 *
 * All but class 0 are multiples of 16, and a power of two from 16 on is always a class of its own, so that
 * alignment can be had by choosing a class (class_aligned_size). */
#ifndef ENGINE_CLASSES_H
#define ENGINE_CLASSES_H

#include "base/bits.h"
#include "engine/types.h"

#define CLASS_LINEAR_LOG2 7

_Static_assert(CLASS_LINEAR_MAX == 1 << CLASS_LINEAR_LOG2, "the linear classes end at a power of two");
_Static_assert(CLASS_SIZE_MAX <= SPAN_PAGES_MAX * PAGE_SIZE / 4, "a span holds at least four blocks");

/* size <= CLASS_SIZE_MAX */
ALWAYS_INLINE unsigned class_of(size_t size)
{
    if (size <= 8)
        return 0;
    if (size <= CLASS_LINEAR_MAX)
        return (unsigned)((size + 15) / 16);
    unsigned top = high_bit(size - 1);
    unsigned step = (unsigned)((size - 1) >> (top - CLASS_STEPS_LOG2)) & ((1u << CLASS_STEPS_LOG2) - 1);
    return CLASS_LINEAR_COUNT + ((top - CLASS_LINEAR_LOG2) << CLASS_STEPS_LOG2) + step;
}

/* class_of(8 * i), for those who have no other table (test_classes checks it). */
extern const uint8_t class_of_eighths[QUICK_COUNT] __attribute__((visibility("hidden")));

ALWAYS_INLINE size_t class_size(unsigned size_class)
{
    if (size_class == 0)
        return 8;
    if (size_class < CLASS_LINEAR_COUNT)
        return (size_t)size_class * 16;
    unsigned doubling = (size_class - CLASS_LINEAR_COUNT) >> CLASS_STEPS_LOG2;
    size_t step = (size_class - CLASS_LINEAR_COUNT) & ((1u << CLASS_STEPS_LOG2) - 1);
    return ((size_t)CLASS_LINEAR_MAX << doubling) +
           (step + 1) * ((size_t)(CLASS_LINEAR_MAX >> CLASS_STEPS_LOG2) << doubling);
}

/* The size to ask for so that every block of its class is aligned: blocks lie at multiples of their size from
 * a page boundary, so any multiple of the alignment will do.  alignment <= PAGE_SIZE, a power of two.
 * May be above CLASS_SIZE_MAX. */
size_t class_aligned_size(size_t size, size_t alignment);

/* Pages of a span of `class` at `level`, and the highest level that makes a difference. */
size_t class_span_pages(unsigned size_class, unsigned level);
unsigned class_level_max(unsigned size_class);

#endif
