/* dirty.h - which pages of a shared file mapping were written since one last asked: by the kernel's write protection
 * that resolves itself (userfaultfd in its asynchronous mode) and PAGEMAP_SCAN, Linux 6.7 and later.
 *
 *   watch   one call, whatever the size; every page counts as written until it is first asked for
 *   take    says which pages were written, and write-protects them again, page by page: a store that comes after its
 *           page was looked at is seen by the next take.  22 ns for each dirty page, 0.2 to 1 ms per GiB for the walk
 *   a store to a page that was taken costs 2 to 3 us, once
 *
 * Seen: stores, system calls that write through the mapping, also of pages that were reclaimed or dropped since.
 * Not seen: write(2) to the file, other mappings of it, and O_DIRECT reads into it that are under way. */
#ifndef OS_DIRTY_H
#define OS_DIRTY_H

#include "base/base.h"

struct dirty_watch {
    int faults;  /* the userfaultfd; -1: not watching */
    int pagemap; /* /proc/self/pagemap */
};

struct dirty_range {
    uintptr_t from, to;
};

/* False where the kernel or its settings do not allow it. */
bool dirty_watch_begin(struct dirty_watch *watch, void *base, size_t size);
void dirty_watch_end(struct dirty_watch *watch);

/* Watches another range, too. */
bool dirty_watch_add(struct dirty_watch *watch, void *base, size_t size);

/* Looks at [*at, end), fills up to `max` ranges, moves *at to where it stopped; call until *at == end.  The number of
 * ranges, or -1 with errno. */
ptrdiff_t dirty_take(struct dirty_watch *watch, uintptr_t *at, uintptr_t end, struct dirty_range *ranges,
                     size_t max);

#endif
