/* classes.c - see classes.h. */
#include "engine/classes.h"

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
