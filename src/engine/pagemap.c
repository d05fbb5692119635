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

/* Entries [from, to) of a leaf. */
static void clear_entries(pagemap_leaf *leaf, size_t from, size_t to)
{
    uintptr_t begin = (uintptr_t) & (*leaf)[from], end = (uintptr_t) & (*leaf)[to];
    uintptr_t first = align_up(begin, os_page_size()), last = align_down(end, os_page_size());
    bool whole = first < last && os_purge((void *)first, last - first);
    for (uintptr_t at = begin; at < end; at += sizeof(struct span *))
        if (whole && at == first)
            at = last - sizeof(struct span *);
        else
            store_release((struct span **)at, NULL); /* pairs with pagemap_find */
}

void pagemap_clear(uintptr_t base, size_t size)
{
    size_t page = base >> PAGE_SHIFT, end = (base + size) >> PAGE_SHIFT;
    while (page < end) {
        size_t stop = size_min((page / PAGEMAP_LEAF_COUNT + 1) * PAGEMAP_LEAF_COUNT, end);
        pagemap_leaf *leaf =
            load_acquire(&pagemap_root[page / PAGEMAP_LEAF_COUNT]); /* pairs with pagemap_cover */
        if (leaf != NULL)
            clear_entries(leaf, page % PAGEMAP_LEAF_COUNT,
                          stop % PAGEMAP_LEAF_COUNT != 0 ? stop % PAGEMAP_LEAF_COUNT : PAGEMAP_LEAF_COUNT);
        page = stop;
    }
}
