/* pagemap.h - from any address to the span it lies in, for every heap of the process.
 *
 * Two levels: a root of 65,536 words in the library's zero pages, one for each 4 GiB of addresses, and
 * leaves of one word per page, mapped when an arena needs them and never taken away.  An address
 * outside all spans finds NULL, whatever its bits: nothing is read that is not ours.
 *
 *   address  63   48 47        32 31          12 11      0
 *            [ zero ][ root index ][ leaf index ][ in page ]
 *
 * The pages of a span with size class all map to it; of a large block only the first page does.
 * Written under the lock of the heap that owns the pages; read by anyone without one.  Who holds a valid
 * pointer got it after its span was entered, so relaxed order is enough for him; entries are still
 * published with release, for those who look up pointers that they have no right to. */
#ifndef ENGINE_PAGEMAP_H
#define ENGINE_PAGEMAP_H

#include "engine/types.h"

#define PAGEMAP_LEAF_SHIFT 32
#define PAGEMAP_ROOT_COUNT ((size_t)1 << (ADDRESS_BITS - PAGEMAP_LEAF_SHIFT))
#define PAGEMAP_LEAF_COUNT ((size_t)1 << (PAGEMAP_LEAF_SHIFT - PAGE_SHIFT))

typedef struct span *pagemap_leaf[PAGEMAP_LEAF_COUNT];

extern pagemap_leaf *pagemap_root[PAGEMAP_ROOT_COUNT] __attribute__((visibility("hidden")));

/* The span that `address` lies in, or NULL. */
ALWAYS_INLINE struct span *pagemap_find(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    if (UNLIKELY(at >> ADDRESS_BITS != 0))
        return NULL;
    pagemap_leaf *leaf = load_acquire(&pagemap_root[at >> PAGEMAP_LEAF_SHIFT]); /* pairs with pagemap_cover */
    if (UNLIKELY(leaf == NULL))
        return NULL;
    return load_acquire(&(*leaf)[(at >> PAGE_SHIFT) & (PAGEMAP_LEAF_COUNT - 1)]); /* pairs with pagemap_set */
}

/* Makes room for entries of [base, base + size); ERROR_MEMORY when a leaf cannot be mapped. */
enum error pagemap_cover(uintptr_t base, size_t size);

/* Enters `span` (NULL: nothing) for `pages` pages from `base`, which must be covered. */
void pagemap_set(uintptr_t base, size_t pages, struct span *span);

/* Enters nothing for a whole range, whose entries need not be covered, and gives back their memory.  The range belongs to
 * the caller. */
void pagemap_clear(uintptr_t base, size_t size);

#endif
