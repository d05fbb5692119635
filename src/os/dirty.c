/* dirty.c - see dirty.h. */
#define _GNU_SOURCE
#include "os/dirty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From the kernel's headers of 6.7, for a system whose headers are older than its kernel. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#define SCAN_PAGE_IS_WRITTEN 2u
#define SCAN_WP_MATCHING 1u /* write-protect what is reported */
#define SCAN_CHECK_WPASYNC 2u

struct scan_region {
    uint64_t start, end, categories;
};

struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN_CALL _IOWR('f', 16, struct scan)

bool dirty_watch_add(struct dirty_watch *watch, void *base, size_t size)
{
    int saved = errno;
    struct uffdio_register range = {.range = {(uintptr_t)base, size}, .mode = UFFDIO_REGISTER_MODE_WP};
    bool done = ioctl(watch->faults, UFFDIO_REGISTER, &range) == 0;
    if (done) { /* or 2 MiB count as written for one byte: none from now on, and what is mapped so now is let go */
        (void)madvise(base, size, MADV_NOHUGEPAGE);
        (void)madvise(base, size, MADV_DONTNEED);
    }
    errno = saved;
    return done;
}

static bool resolves_itself(int faults)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC};
    return ioctl(faults, UFFDIO_API, &api) == 0;
}

/* Whether PAGEMAP_SCAN is there; asks for nothing of an empty range. */
static bool can_scan(int pagemap, void *base)
{
    struct scan scan = {.size = sizeof scan,
                        .start = (uintptr_t)base,
                        .end = (uintptr_t)base,
                        .category_mask = SCAN_PAGE_IS_WRITTEN,
                        .return_mask = SCAN_PAGE_IS_WRITTEN};
    return ioctl(pagemap, PAGEMAP_SCAN_CALL, &scan) >= 0;
}

bool dirty_watch_begin(struct dirty_watch *watch, void *base, size_t size)
{
    int saved = errno;
    watch->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    watch->faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
    bool good = watch->pagemap >= 0 && watch->faults >= 0 && can_scan(watch->pagemap, base) &&
                resolves_itself(watch->faults) && dirty_watch_add(watch, base, size);
    if (!good)
        dirty_watch_end(watch);
    errno = saved;
    return good;
}

/* Closing the userfaultfd takes the protection back. */
void dirty_watch_end(struct dirty_watch *watch)
{
    int saved = errno;
    if (watch->faults >= 0)
        (void)close(watch->faults);
    if (watch->pagemap >= 0)
        (void)close(watch->pagemap);
    watch->faults = watch->pagemap = -1;
    errno = saved;
}

/* With this very mask the kernel also reports pages that have no entry in the page tables, as those are that were
 * written and reclaimed. */
ptrdiff_t dirty_take(struct dirty_watch *watch, uintptr_t *at, uintptr_t end, struct dirty_range *ranges,
                     size_t max)
{
    enum { REGIONS = 128 };
    struct scan_region regions[REGIONS];
    struct scan scan = {.size = sizeof scan,
                        .flags = SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC,
                        .start = *at,
                        .end = end,
                        .vec = (uintptr_t)regions,
                        .vec_len = max < REGIONS ? max : REGIONS,
                        .category_mask = SCAN_PAGE_IS_WRITTEN,
                        .return_mask = SCAN_PAGE_IS_WRITTEN};
    int found;
    do
        found = ioctl(watch->pagemap, PAGEMAP_SCAN_CALL, &scan);
    while (found < 0 && errno == EINTR);
    if (found < 0)
        return -1;
    for (int i = 0; i < found; i++)
        ranges[i] = (struct dirty_range){regions[i].start, regions[i].end};
    *at = scan.walk_end;
    return found;
}
