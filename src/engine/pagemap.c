/* pagemap.c - see pagemap.h. */
#include "engine/pagemap.h"

#include "os/os.h"

pagemap_leaf *pagemap_root[PAGEMAP_ROOT_COUNT];

static enum error cover_one(size_t index)
{
    if (load_acquire(&pagemap_root[index]) != NULL)
        return OK;
    pagemap_leaf *leaf = os_map(NULL, sizeof *leaf);
    if (leaf == NULL)
        return ERROR_MEMORY;
    os_huge_pages(leaf, sizeof *leaf, false);
    os_name(leaf, sizeof *leaf, "cairn page map");
    pagemap_leaf *expected = NULL;
    if (!cas_acq_rel(&pagemap_root[index], &expected, leaf)) /* pairs with pagemap_find */
        (void)os_unmap(leaf, sizeof *leaf);                  /* another heap was quicker */
    return OK;
}

enum error pagemap_cover(uintptr_t base, size_t size)
{
    if ((base + size - 1) >> ADDRESS_BITS != 0)
        return ERROR_MEMORY;
    for (size_t index = base >> PAGEMAP_LEAF_SHIFT; index <= (base + size - 1) >> PAGEMAP_LEAF_SHIFT;
         index++) {
        enum error error = cover_one(index);
        if (error != OK)
            return error;
    }
    return OK;
}

void pagemap_set(uintptr_t base, size_t pages, struct span *span)
{
    for (size_t page = base >> PAGE_SHIFT, end = page + pages; page < end; page++) {
        pagemap_leaf *leaf = load_relaxed(&pagemap_root[page / PAGEMAP_LEAF_COUNT]);
        store_release(&(*leaf)[page % PAGEMAP_LEAF_COUNT], span); /* pairs with pagemap_find */
    }
}
