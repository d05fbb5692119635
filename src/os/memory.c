/* memory.c - pages from the Linux kernel.  See os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/atomic.h"

#include <errno.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* From the kernel's headers, for a libc that is older than they are. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

size_t os_page_size(void)
{
    static size_t page_size; /* 0 until the first call; every thread finds the same */
    size_t size = load_relaxed(&page_size);
    if (size == 0) {
        size = getauxval(AT_PAGESZ);
        store_relaxed(&page_size, size);
    }
    return size;
}

void *os_map(void *hint, size_t size)
{
    int saved = errno;
    void *got = mmap(hint, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    return got == MAP_FAILED ? NULL : got;
}

bool os_unmap(void *address, size_t size)
{
    int saved = errno;
    bool done = munmap(address, size) == 0;
    errno = saved;
    return done;
}

bool os_map_over(void *address, size_t size)
{
    int saved = errno;
    void *got = mmap(address, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    errno = saved;
    return got != MAP_FAILED;
}

#define ADVISE_TRIES 10

static bool advise(void *address, size_t size, int advice)
{
    int saved = errno;
    int result = madvise(address, size, advice);
    for (int again = 0; result != 0 && errno == EAGAIN && again < ADVISE_TRIES; again++)
        result = madvise(address, size, advice);
    errno = saved;
    return result == 0;
}

bool os_purge(void *address, size_t size)
{
    return advise(address, size, MADV_DONTNEED);
}

void os_huge_pages(void *address, size_t size, bool wanted)
{
    (void)advise(address, size, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

bool os_move_pages(void *from, void *to, size_t size)
{
    int saved = errno;
    void *got = mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);
    errno = saved;
    return got != MAP_FAILED;
}

void os_name(void *address, size_t size, const char *name)
{
    int saved = errno;
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, size, name);
    errno = saved;
}

void *os_sbrk(intptr_t by)
{
    int saved = errno;
    void *got = sbrk(by);
    errno = saved;
    return got;
}
