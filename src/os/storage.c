/* storage.c - see storage.h. */
#define _GNU_SOURCE
#include "os/storage.h"

#include "base/print.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_STEP_MIN ((uint64_t)64 * KiB)

int storage_open(const char *path, bool create)
{
    return open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
}

int storage_open_to_read(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

bool storage_remove(const char *path)
{
    return unlink(path) == 0 || errno == ENOENT;
}

bool storage_read(int fd, void *data, size_t size, uint64_t offset)
{
    char *at = data;
    while (size > 0) {
        ssize_t done = pread(fd, at, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO;
        if (done <= 0)
            return false;
        at += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return true;
}

bool storage_ends_before(int fd, uint64_t end)
{
    uint64_t size;
    int error = errno;
    bool ends = storage_size(fd, &size) && size < end;
    errno = error;
    return ends;
}

bool storage_write(int fd, const void *data, size_t size, uint64_t offset)
{
    const char *at = data;
    while (size > 0) {
        ssize_t done = pwrite(fd, at, size, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return false;
        at += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return true;
}

bool storage_size(int fd, uint64_t *size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    *size = (uint64_t)status.st_size;
    return true;
}

bool storage_resize(int fd, uint64_t size)
{
    int result;
    do
        result = ftruncate(fd, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

bool storage_next_data(int fd, uint64_t *from, uint64_t *to, uint64_t end)
{
    off_t data = lseek(fd, (off_t)*from, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return false;
    if (data < 0 || (uint64_t)data >= end) {
        *from = *to = end;
        return true;
    }
    off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0)
        return false;
    *from = (uint64_t)data;
    *to = (uint64_t)hole < end ? (uint64_t)hole : end;
    return true;
}

/* posix_fallocate falls back to writing where the file system has no call for it.  A signal may undo all of a call, so
 * what is asked for after one is less, or a program with a timer would never come to the end. */
bool storage_reserve(int fd, uint64_t offset, uint64_t size)
{
    uint64_t step = size;
    while (size > 0) {
        if (step > size)
            step = size;
        int error = posix_fallocate(fd, (off_t)offset, (off_t)step);
        if (error == EINTR) {
            step = step / 2 > RESERVE_STEP_MIN ? align_up(step / 2, RESERVE_STEP_MIN) : step;
        } else if (error != 0) {
            errno = error;
            return false;
        } else {
            offset += step;
            size -= step;
        }
    }
    return true;
}

bool storage_sync(int fd)
{
    int result;
    do
        result = fdatasync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0;
}

bool storage_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (length >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, path, length);
    folder[length] = 0;
    const char *name = slash == NULL ? "." : length == 0 ? "/" : folder;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    int result = fsync(fd);
    int error = errno;
    (void)close(fd);
    errno = error;
    return result == 0;
}

bool storage_path(int fd, char *out, size_t size)
{
    char link[40];
    print_to_buffer(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, out, size);
    if (length >= 0 && (size_t)length >= size) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (length < 0)
        return false;
    out[length] = 0;
    return true;
}

void storage_copy_rights(int from, int to)
{
    int saved = errno;
    struct stat status;
    if (fstat(from, &status) == 0) {
        if (fchown(to, status.st_uid, status.st_gid) != 0)
            status.st_mode &= ~(mode_t)077; /* another's group is not to read it */
        (void)fchmod(to, status.st_mode & 07777);
    }
    errno = saved;
}

uint64_t storage_taken(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_blocks * 512 : 0;
}

/* No blocks at all: the file system does not count them (tmpfs without a limit). */
uint64_t storage_room(int fd)
{
    int saved = errno;
    struct statvfs status;
    uint64_t room = UINT64_MAX;
    if (fstatvfs(fd, &status) == 0 && status.f_blocks != 0)
        room = (uint64_t)status.f_bavail * status.f_frsize;
    errno = saved;
    return room;
}

bool storage_clone(int from, int to, uint64_t offset, uint64_t size)
{
    if (offset == 0 && size == 0)
        return ioctl(to, FICLONE, from) == 0;
    struct file_clone_range range = {from, offset, size, offset};
    return ioctl(to, FICLONERANGE, &range) == 0;
}
