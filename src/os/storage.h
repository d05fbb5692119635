/* storage.h - files as storage: reading and writing at places, room, durability, clones.
 *
 * Every call that returns false (or -1) sets errno.  An interrupted call is repeated.  After a sync that failed, what was
 * written since the last good one may be lost although the system no longer calls it dirty: such a file is to be
 * written again, not synced again. */
#ifndef OS_STORAGE_H
#define OS_STORAGE_H

#include "base/base.h"

/* Opens for reading and writing (close with os_close).  `create`: makes the file, mode 0600, when it is not there. */
int storage_open(const char *path, bool create);
int storage_open_to_read(const char *path);

/* Removes a name; true also when there was none. */
bool storage_remove(const char *path);

/* All of it or false; reading past the end is EIO. */
bool storage_read(int fd, void *data, size_t size, uint64_t offset);

/* After a storage_read that failed: whether because the file ends before `end`, and not for an error, which it keeps in
 * errno. */
bool storage_ends_before(int fd, uint64_t end);
bool storage_write(int fd, const void *data, size_t size, uint64_t offset);

bool storage_size(int fd, uint64_t *size);
bool storage_resize(int fd, uint64_t size);

/* The next part of [*from, end) that is not a hole: [*from, *to); *from == end: there is none. */
bool storage_next_data(int fd, uint64_t *from, uint64_t *to, uint64_t end);

/* Takes room for [offset, offset + size) so that writes there cannot fail for want of it; extends the file.  Where the
 * file system cannot, writes zeros. */
bool storage_reserve(int fd, uint64_t offset, uint64_t size);

/* Contents and size are on the disk. */
bool storage_sync(int fd);

/* The names in the folder of `path` are on the disk. */
bool storage_sync_folder(const char *path);

/* The absolute path of an open file, without symbolic links. */
bool storage_path(int fd, char *out, size_t size);

/* Copies mode and owner, as far as that is allowed. */
void storage_copy_rights(int from, int to);

/* Bytes of disk that the file has; 0 when that is not known. */
uint64_t storage_taken(int fd);

/* Bytes that an ordinary user may still take on the file system; UINT64_MAX when that is not known. */
uint64_t storage_room(int fd);

/* Makes [offset, offset + size) of `to` share the disk blocks of the same part of `from`: a copy of one moment that costs
 * next to nothing; size 0: to the end of `from`.  False where the file system has no such thing. */
bool storage_clone(int from, int to, uint64_t offset, uint64_t size);

#endif
