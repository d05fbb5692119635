/* classes.c - see classes.h. */
#include "engine/classes.h"

/* clang-format off */
const uint8_t class_of_eighths[QUICK_COUNT] = {
    [0 ... 1] = 0, [2] = 1, [3 ... 4] = 2, [5 ... 6] = 3, [7 ... 8] = 4, [9 ... 10] = 5, [11 ... 12] = 6,
    [13 ... 14] = 7, [15 ... 16] = 8, [17 ... 18] = 9, [19 ... 20] = 10, [21 ... 22] = 11, [23 ... 24] = 12,
    [25 ... 26] = 13, [27 ... 28] = 14, [29 ... 30] = 15, [31 ... 32] = 16, [33 ... 36] = 17,
    [37 ... 40] = 18, [41 ... 44] = 19, [45 ... 48] = 20, [49 ... 52] = 21, [53 ... 56] = 22,
    [57 ... 60] = 23, [61 ... 64] = 24, [65 ... 72] = 25, [73 ... 80] = 26, [81 ... 88] = 27,
    [89 ... 96] = 28, [97 ... 104] = 29, [105 ... 112] = 30, [113 ... 120] = 31, [121 ... 128] = 32,
};
/* clang-format on */

#define SPAN_BLOCKS_MIN 4
#define SPAN_WASTE_SHARE 12                 /* at most one in so many bytes is left over at a span's end */
#define SPAN_BYTES_USUAL ((size_t)64 << 10) /* no doubling beyond this */

size_t class_aligned_size(size_t size, size_t alignment)
{
    size_t wanted = align_up(size_max(size, 1), alignment);
    while (wanted <= CLASS_SIZE_MAX && class_size(class_of(wanted)) % alignment != 0)
        wanted = class_size(class_of(wanted)) + 1;
    return wanted <= CLASS_SIZE_MAX ? class_size(class_of(wanted)) : wanted;
}

/* The smallest span that holds enough blocks and wastes little. */
static size_t least_pages(size_t size)
{
    size_t pages = (SPAN_BLOCKS_MIN * size + PAGE_SIZE - 1) / PAGE_SIZE;
    while (pages < SPAN_PAGES_MAX && (pages * PAGE_SIZE) % size > pages * PAGE_SIZE / SPAN_WASTE_SHARE)
        pages++;
    return pages;
}

unsigned class_level_max(unsigned size_class)
{
    unsigned level = 0;
    for (size_t bytes = least_pages(class_size(size_class)) * PAGE_SIZE; bytes * 2 <= SPAN_BYTES_USUAL;
         bytes *= 2)
        level++;
    return level;
}

size_t class_span_pages(unsigned size_class, unsigned level)
{
    return least_pages(class_size(size_class)) << level;
}
