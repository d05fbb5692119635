/* file.h - files as memory: opening, locking, mapping, flushing what is mapped; and who this process is.  Files as storage
 * are in storage.h.  Calls that can fail leave the reason in errno, unless they say otherwise; none allocates. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include "base/base.h"

struct os_file_status {
    uint64_t device, inode;
    uint64_t size; /* bytes, as the file's length says */
    bool regular;
    bool in_memory; /* on tmpfs and the like: nothing there survives the machine anyway */
};

/* The descriptor, closed on exec; -1.  Creating fails with EEXIST when something has the name. */
int os_file_open(const char *path, bool write);
int os_file_create(const char *path, unsigned mode);
bool os_file_remove(const char *path);
bool os_file_status(int fd, struct os_file_status *out);

/* Up to `size` bytes from `offset`; less at the end of the file.  -1 on error. */
ptrdiff_t os_file_read_at(int fd, void *out, size_t size, uint64_t offset);

/* A lock on the open file itself: other opens of the file, also by this process, conflict with it; it ends when every
 * descriptor and mapping of this open is gone, at the latest with the processes that have them.
 * False with EAGAIN when somebody else has one that excludes it. */
bool os_file_lock(int fd, bool exclusive);

/* Whether a lock for writing would be refused now. */
bool os_file_is_locked(int fd);

/* An address range without memory, exactly at `at`, or anywhere for NULL at a multiple of `align`.  NULL. */
void *os_reserve(void *at, size_t size, size_t align);

enum os_map { OS_MAP_READ, OS_MAP_WRITE, OS_MAP_COPY }; /* COPY: writable, and nobody else sees it */

/* Maps part of a file over what was reserved at `at`; a child of fork does not inherit it. */
bool os_file_map(void *at, size_t size, int fd, uint64_t offset, enum os_map how);

/* Makes pages read-only. */
bool os_file_protect(void *at, size_t size);

/* Waits until the pages of a shared mapping are on the disk. */
bool os_map_sync(void *at, size_t size);

bool os_random(void *out, size_t size);
uint64_t os_seconds(void); /* since 1970 */

/* What tells this start of the machine from others; false: not known. */
bool os_boot_id(uint8_t out[16]);

/* When the calling process began, in clock ticks after the start of the machine; 0: not known. */
uint64_t os_process_started(void);

#endif
