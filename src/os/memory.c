/* memory.c - pages from the Linux kernel.  See os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* From the kernel's headers, for a libc that is older than they are. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define BARRIER_GLOBAL 1
#define BARRIER_PRIVATE 8
#define BARRIER_REGISTER_PRIVATE 16

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

bool os_protect(void *address, size_t size, bool accessible)
{
    int saved = errno;
    bool done = mprotect(address, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;
    errno = saved;
    return done;
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

/* A call that fails in any case looks at its argument before it looks at what it is to do. */
bool os_readable(const void *address)
{
    enum { NO_SUCH_WAY = -1, MASK_BYTES = 8 };
    if (address == NULL) /* to the call it means that there is no argument */
        return false;
    int saved = errno;
    bool readable =
        syscall(SYS_rt_sigprocmask, NO_SUCH_WAY, address, NULL, MASK_BYTES) == 0 || errno != EFAULT;
    errno = saved;
    return readable;
}

/* ---- Looking at memory in motion ----------------------------------------------------------------- */

/* Where process_vm_readv is forbidden: into a pipe and out of it. */
static bool peek_by_pipe(char *to, const char *from, size_t size)
{
    enum { STEP = 4096 }; /* a pipe has room for that */
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    bool good = true;
    for (size_t done = 0, step; done < size && good; done += step) {
        step = size - done < STEP ? size - done : STEP;
        good = write(ends[1], from + done, step) == (ssize_t)step &&
               read(ends[0], to + done, step) == (ssize_t)step;
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return good;
}

bool os_peek(void *to, const void *from, size_t size)
{
    int saved = errno;
    struct iovec target = {to, size}, origin = {(void *)(uintptr_t)from, size};
    bool good = syscall(SYS_process_vm_readv, (long)getpid(), &target, 1L, &origin, 1L, 0L) == (long)size ||
                peek_by_pipe(to, from, size);
    errno = saved;
    return good;
}

void os_barrier_everywhere(void)
{
    static uint32_t command; /* 0: not asked yet; every thread finds the same */
    int saved = errno;
    uint32_t how = load_relaxed(&command);
    if (how == 0) {
        how = syscall(SYS_membarrier, BARRIER_REGISTER_PRIVATE, 0, 0) == 0 ? BARRIER_PRIVATE : BARRIER_GLOBAL;
        store_relaxed(&command, how);
    }
    (void)syscall(SYS_membarrier, how, 0, 0);
    errno = saved;
}

void *os_sbrk(intptr_t by)
{
    int saved = errno;
    void *got = sbrk(by);
    errno = saved;
    return got;
}
