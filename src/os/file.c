/* file.c - see file.h. */
#define _GNU_SOURCE
#include "os/file.h"

#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* ---- Opening ------------------------------------------------------------------------------------- */

int os_file_open(const char *path, bool write)
{
    return open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

int os_file_create(const char *path, unsigned mode)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
}

bool os_file_remove(const char *path)
{
    int saved = errno;
    bool done = unlink(path) == 0;
    errno = saved;
    return done;
}

bool os_file_status(int fd, struct os_file_status *out)
{
    struct stat status;
    struct statfs system;
    if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0)
        return false;
    out->device = status.st_dev;
    out->inode = status.st_ino;
    out->size = (uint64_t)status.st_size;
    out->regular = S_ISREG(status.st_mode);
    out->in_memory = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
    return true;
}

/* ---- Bytes --------------------------------------------------------------------------------------- */

ptrdiff_t os_file_read_at(int fd, void *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, (char *)out + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ptrdiff_t)done;
}

/* ---- Locks --------------------------------------------------------------------------------------- */

static struct flock whole_lock(short type)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0;
    lock.l_len = 1; /* one byte stands for the file */
    return lock;
}

bool os_file_lock(int fd, bool exclusive)
{
    struct flock lock = whole_lock(exclusive ? F_WRLCK : F_RDLCK);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return true;
    if (errno == EACCES)
        errno = EAGAIN;
    return false;
}

bool os_file_is_locked(int fd)
{
    struct flock lock = whole_lock(F_RDLCK); /* what excludes a reader is a writer */
    int saved = errno;
    bool locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    errno = saved;
    return locked;
}

/* ---- Mapping ------------------------------------------------------------------------------------- */

void *os_reserve(void *at, size_t size, size_t align)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (at != NULL) {
        void *got = mmap(at, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        if (got == MAP_FAILED)
            return NULL;
        if (got == at)
            return got;
        (void)munmap(got, size); /* a kernel that does not know the flag took it for a hint */
        errno = EEXIST;
        return NULL;
    }
    char *got = mmap(NULL, size + align, PROT_NONE, flags, -1, 0);
    if (got == MAP_FAILED)
        return NULL;
    char *aligned = (char *)align_up((uintptr_t)got, align);
    if (aligned > got)
        (void)munmap(got, (size_t)(aligned - got));
    if (aligned < got + align)
        (void)munmap(aligned + size, (size_t)(got + align - aligned));
    return aligned;
}

bool os_file_map(void *at, size_t size, int fd, uint64_t offset, enum os_map how)
{
    int protection = how == OS_MAP_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    int flags = (how == OS_MAP_COPY ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED) | MAP_FIXED;
    if (mmap(at, size, protection, flags, fd, (off_t)offset) == MAP_FAILED)
        return false;
    return madvise(at, size, MADV_DONTFORK) == 0;
}

bool os_file_protect(void *at, size_t size)
{
    return mprotect(at, size, PROT_READ) == 0;
}

bool os_map_sync(void *at, size_t size)
{
    return msync(at, size, MS_SYNC) == 0;
}

/* ---- Who and when -------------------------------------------------------------------------------- */

bool os_random(void *out, size_t size)
{
    return getrandom(out, size, 0) == (ssize_t)size;
}

uint64_t os_seconds(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

/* The first bytes of a small file, terminated; 0: none. */
static size_t read_small(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ptrdiff_t got = os_file_read_at(fd, out, room - 1, 0);
    int error = errno;
    os_close(fd);
    errno = error;
    out[got > 0 ? got : 0] = 0;
    return got > 0 ? (size_t)got : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool os_boot_id(uint8_t out[16])
{
    char text[64];
    int saved = errno;
    size_t digits = 0;
    errno = 0;
    if (read_small("/proc/sys/kernel/random/boot_id", text, sizeof text) > 0) {
        for (const char *at = text; *at != 0 && digits < 32; at++) {
            int digit = hex_digit(*at);
            if (digit < 0)
                continue;
            uint8_t *byte = &out[digits / 2];
            *byte = (uint8_t)(digits % 2 == 0 ? digit << 4 : *byte | digit);
            digits++;
        }
    }
    if (digits == 32)
        errno = saved;
    else if (errno == 0)
        errno = EIO;
    return digits == 32;
}

uint64_t os_process_started(void)
{
    char text[1024];
    int saved = errno;
    uint64_t ticks = 0;
    if (read_small("/proc/self/stat", text, sizeof text) > 0) {
        /* the second field is a name in parentheses that may hold anything; the 22nd is the start */
        const char *at = strrchr(text, ')');
        for (int field = 2; at != NULL && field < 22; field++)
            at = strchr(at + 1, ' ');
        ticks = at != NULL ? strtoull(at + 1, NULL, 10) : 0;
    }
    errno = saved;
    return ticks;
}
