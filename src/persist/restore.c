/* restore.c - finding the last checkpoint of a pool, and putting it back into the pool file.  Neighbour: checkpoint.h.
 *
 * Putting back, each step on the disk before the next:
 *   1  the journal's records -> the copy           after they were written again; they stay, so this can be repeated
 *   2  RESTORING_MAGIC -> the file's first sector  from here on the file is nothing but a place to restore to
 *   3  all but the first sector                    (a clone where it can be)
 *   4  the first sector                            one sector, so old or new
 * Whoever finds the magic, or a file that was open in another boot, begins again at 1. */
#include "persist/checkpoint.h"

#include "base/checksum.h"
#include "os/os.h"
#include "os/storage.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512
#define HEAD_MAX ((size_t)64 * KiB)

/* ---- Finding -------------------------------------------------------------------------------------- */

static bool slot_is_good(const struct slot *slot)
{
    return slot->magic == SLOT_MAGIC &&
           slot->checksum == checksum64(0, slot, offsetof(struct slot, checksum)) &&
           slot->version == SLOT_VERSION && slot->byte_order == SLOT_BYTE_ORDER &&
           slot->page_bytes == CHECKPOINT_PAGE && slot->way <= CHECKPOINT_JOURNAL && slot->copy <= 1 &&
           slot->length % CHECKPOINT_PAGE == 0;
}

static const char *say(int error, const char *text)
{
    os_errno_set(error);
    return text;
}

/* Finds the one that counts.  One that cannot be read may be it, so then there is no answer. */
static const char *read_slots(int control, struct slot *out)
{
    bool any = false;
    for (unsigned i = 0; i < 2; i++) {
        struct slot slot;
        if (!storage_read(control, &slot, sizeof slot, i * SLOT_DISTANCE)) {
            if (!storage_ends_before(control, i * SLOT_DISTANCE + sizeof slot))
                return "the checkpoint's control file cannot be read";
        } else if (slot_is_good(&slot) && (!any || slot.serial >= out->serial)) {
            *out = slot;
            any = true;
        }
    }
    return any ? NULL : say(EUCLEAN, "the checkpoint's control file is damaged");
}

/* Whether the copy that the slot names can be what it says. */
static const char *check_copy(const char *path, const struct slot *slot)
{
    char name[CHECKPOINT_PATH_MAX];
    uint64_t size;
    if (!checkpoint_name(name, path, (int)slot->copy))
        return "the path is too long";
    int fd = storage_open_to_read(name);
    if (fd < 0)
        return say(os_errno_get() == ENOENT ? EUCLEAN : os_errno_get(),
                   "the checkpoint's copy of the pool is missing");
    bool known = storage_size(fd, &size);
    os_close(fd);
    if (!known)
        return "the checkpoint's copy of the pool cannot be read";
    return size == slot->length ? NULL : say(EUCLEAN, "the checkpoint's copy of the pool has another size");
}

static const char *look_into(int control, const char *path, const uint8_t *id, struct checkpoint_found *found)
{
    const char *trouble = read_slots(control, &found->slot);
    if (trouble != NULL)
        return trouble;
    if (found->slot.way == CHECKPOINT_NONE)
        return say(ENOENT, "there is no checkpoint");
    if (id != NULL && memcmp(id, found->slot.id, CHECKPOINT_ID_BYTES) != 0)
        return say(EUCLEAN, "the checkpoint is one of another pool");
    found->generation = found->slot.generation;
    found->length = found->slot.length;
    found->records = 0;
    found->journal_end = JOURNAL_START;
    trouble = check_copy(path, &found->slot);
    if (trouble != NULL || found->slot.way == CHECKPOINT_REFLINK)
        return trouble;
    size_t size = align_up(CHUNK_BYTES_MAX, os_page_size());
    char *buffer = os_map(NULL, size);
    if (buffer == NULL)
        return say(ENOMEM, "no memory to read the checkpoint with");
    trouble = journal_find(control, buffer, found);
    (void)os_unmap(buffer, size);
    return trouble;
}

const char *checkpoint_find(const char *path, const uint8_t *id, struct checkpoint_found *found)
{
    char name[CHECKPOINT_PATH_MAX];
    if (!checkpoint_name(name, path, CHECKPOINT_CONTROL))
        return "the path is too long";
    int control = storage_open_to_read(name);
    if (control < 0)
        return os_errno_get() == ENOENT ? "there is no checkpoint"
                                        : "the checkpoint's control file cannot be opened";
    const char *trouble = look_into(control, path, id, found);
    os_close(control);
    return trouble;
}

/* ---- Putting back --------------------------------------------------------------------------------- */

struct restore {
    const struct checkpoint_found *found;
    const char *path;
    int fd; /* the pool file */
    int copy;
    int control;
    char *buffer; /* CHUNK_BYTES_MAX: for a chunk, or half and half for comparing */
    char *head;   /* the new one, stamped; behind the buffer */
    size_t head_size;
};

/* Makes [from, from + size) of the file what the copy has; what is equal is not written. */
static const char *copy_piece(const struct restore *restore, uint64_t from, size_t size)
{
    char *wanted = restore->buffer;
    char *present = restore->buffer + CHUNK_BYTES_MAX / 2 / CHECKPOINT_PAGE * CHECKPOINT_PAGE;
    if (!storage_read(restore->copy, wanted, size, from))
        return "the checkpoint cannot be read";
    if (!storage_read(restore->fd, present, size, from))
        return "the pool file cannot be read";
    for (size_t at = 0; at < size; at += CHECKPOINT_PAGE) {
        size_t bytes = size_min(CHECKPOINT_PAGE, size - at);
        if (memcmp(wanted + at, present + at, bytes) != 0 &&
            !storage_write(restore->fd, wanted + at, bytes, from + at))
            return "the pool file cannot be written";
    }
    return NULL;
}

/* Everything behind `from` that is data in one of the two files. */
static const char *copy_differing(const struct restore *restore, uint64_t from)
{
    uint64_t end = restore->found->length;
    const size_t most = COMPARE_PAGES * CHECKPOINT_PAGE;
    const char *trouble = NULL;
    while (from < end && trouble == NULL) {
        uint64_t wanted = from, present = from, stop;
        if (!storage_next_data(restore->copy, &wanted, &stop, end) ||
            !storage_next_data(restore->fd, &present, &stop, end))
            return "the checkpoint cannot be read";
        from = wanted < present ? wanted : present;
        size_t size = (size_t)(end - from < most ? end - from : most);
        if (size > 0)
            trouble = copy_piece(restore, from, size);
        from += size;
    }
    return trouble;
}

static const char *mark(const struct restore *restore)
{
    char sector[SECTOR] = {0};
    uint64_t magic = RESTORING_MAGIC;
    memcpy(sector, &magic, sizeof magic);
    if (!storage_write(restore->fd, sector, sizeof sector, 0) || !storage_sync(restore->fd))
        return "the pool file cannot be written";
    return NULL;
}

static const char *put_body(const struct restore *restore)
{
    uint64_t length = restore->found->length;
    if (!storage_resize(restore->fd, length))
        return "the pool file cannot be given its size";
    bool cloned = restore->found->slot.way == CHECKPOINT_REFLINK &&
                  storage_clone(restore->copy, restore->fd, restore->head_size, length - restore->head_size);
    const char *trouble = cloned ? NULL : copy_differing(restore, restore->head_size);
    if (trouble != NULL)
        return trouble;
    if (!storage_write(restore->fd, restore->head + SECTOR, restore->head_size - SECTOR, SECTOR) ||
        !storage_sync(restore->fd))
        return "the pool file cannot be written";
    return NULL;
}

static const char *put_back(const struct restore *restore, checkpoint_stamp *stamp, void *context)
{
    const char *trouble = journal_rewrite(restore->control, restore->buffer, restore->found);
    if (trouble == NULL)
        trouble = journal_apply(restore->control, restore->buffer, restore->found, JOURNAL_START,
                                restore->found->slot.generation, restore->copy);
    if (trouble != NULL)
        return trouble;
    if (!storage_read(restore->copy, restore->head, restore->head_size, 0))
        return "the checkpoint cannot be read";
    stamp(restore->head, restore->head_size, context);
    trouble = mark(restore);
    if (trouble == NULL)
        trouble = put_body(restore);
    if (trouble == NULL &&
        (!storage_write(restore->fd, restore->head, SECTOR, 0) || !storage_sync(restore->fd)))
        trouble = "the pool file cannot be written";
    return trouble;
}

static int open_one(const char *path, int copy)
{
    char name[CHECKPOINT_PATH_MAX];
    return checkpoint_name(name, path, copy) ? storage_open(name, false) : -1;
}

const char *checkpoint_restore(const char *path, int fd, const struct checkpoint_found *found, size_t head,
                               checkpoint_stamp *stamp, void *context)
{
    if (head > HEAD_MAX || head > found->length)
        return say(EUCLEAN, "the checkpoint is too short for a pool");
    struct restore restore = {.found = found,
                              .path = path,
                              .fd = fd,
                              .copy = open_one(path, (int)found->slot.copy),
                              .control = open_one(path, CHECKPOINT_CONTROL),
                              .head_size = head};
    size_t size = align_up(CHUNK_BYTES_MAX + HEAD_MAX, os_page_size());
    const char *trouble = restore.copy < 0 || restore.control < 0 ? "the checkpoint cannot be opened" : NULL;
    if (trouble == NULL && (restore.buffer = os_map(NULL, size)) == NULL)
        trouble = say(ENOMEM, "no memory to restore the checkpoint with");
    if (trouble == NULL) {
        restore.head = restore.buffer + CHUNK_BYTES_MAX;
        trouble = put_back(&restore, stamp, context);
    }
    if (restore.buffer != NULL)
        (void)os_unmap(restore.buffer, size);
    if (restore.copy >= 0)
        os_close(restore.copy);
    if (restore.control >= 0)
        os_close(restore.control);
    return trouble;
}
