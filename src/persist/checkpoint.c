/* checkpoint.c - see checkpoint.h: begin, take and end, the choice of the way, and the slots of the control file. */
#include "persist/checkpoint.h"

#include "base/checksum.h"
#include "base/print.h"
#include "os/os.h"
#include "os/storage.h"

#include <errno.h>
#include <string.h>

#define JOURNAL_LEAST (8 * MiB)
#define JOURNAL_SHIFT 3 /* the journal may have 1/8 of the pool */

/* ---- Files ---------------------------------------------------------------------------------------- */

bool checkpoint_name(char *out, const char *path, int copy)
{
    static const char *const endings[] = {".ckpt", ".ckpt0", ".ckpt1"};
    const char *ending = endings[copy + 1];
    if (strlen(path) + strlen(ending) >= CHECKPOINT_PATH_MAX) {
        os_errno_set(ENAMETOOLONG);
        return false;
    }
    print_to_buffer(out, CHECKPOINT_PATH_MAX, "%s%s", path, ending);
    return true;
}

int checkpoint_open_file(struct checkpoint *checkpoint, int copy)
{
    char name[CHECKPOINT_PATH_MAX];
    if (!checkpoint_name(name, checkpoint->target.path, copy))
        return -1;
    int fd = storage_open(name, true);
    if (fd < 0)
        return -1;
    storage_copy_rights(checkpoint->target.fd, fd);
    if (storage_sync_folder(name))
        return fd;
    os_close(fd);
    return -1;
}

bool checkpoint_remove(const char *path)
{
    char name[CHECKPOINT_PATH_MAX];
    for (int copy = CHECKPOINT_CONTROL; copy <= 1; copy++)
        if (!checkpoint_name(name, path, copy) || !storage_remove(name))
            return false;
    return true;
}

/* ---- Slots ---------------------------------------------------------------------------------------- */

static const char *write_slot(struct checkpoint *checkpoint, struct slot slot)
{
    slot.magic = SLOT_MAGIC;
    slot.version = SLOT_VERSION;
    slot.byte_order = SLOT_BYTE_ORDER;
    slot.page_bytes = CHECKPOINT_PAGE;
    memcpy(slot.id, checkpoint->target.id, sizeof slot.id);
    slot.checksum = checksum64(0, &slot, offsetof(struct slot, checksum));
    checkpoint->slot_uncertain = true; /* from here on it may come to the disk */
    checkpoint->counts.all_bytes += sizeof slot;
    if (!storage_write(checkpoint->control, &slot, sizeof slot, (slot.serial & 1) * SLOT_DISTANCE))
        return "the checkpoint's control file could not be written";
    if (!storage_sync(checkpoint->control))
        return "the checkpoint's control file could not be flushed";
    checkpoint->slot_uncertain = false;
    checkpoint->slot = slot;
    return NULL;
}

/* After a slot that may or may not be on the disk: what that one says is about to be overwritten, so the one before it is
 * written again, with a serial that makes it count in any case. */
static const char *restate_slot(struct checkpoint *checkpoint)
{
    if (!checkpoint->slot_uncertain)
        return NULL;
    struct slot slot = checkpoint->slot;
    if (slot.serial == 0) { /* there was none: a slot of no way, so that the uncertain one does not count */
        slot.way = CHECKPOINT_NONE;
        slot.length = checkpoint->target.length;
    }
    slot.serial += 2;
    return write_slot(checkpoint, slot);
}

const char *checkpoint_commit(struct checkpoint *checkpoint, enum checkpoint_way way, unsigned copy,
                              uint64_t generation, uint64_t length)
{
    struct slot slot = {.serial = checkpoint->slot.serial + 1,
                        .generation = generation,
                        .length = length,
                        .way = way,
                        .copy = copy};
    return write_slot(checkpoint, slot);
}

unsigned checkpoint_other_copy(const struct checkpoint *checkpoint)
{
    return checkpoint->slot.way == CHECKPOINT_NONE ? 0 : 1 - checkpoint->slot.copy;
}

/* A new control file starts empty, whatever an earlier pool of this name has left. */
static const char *open_control(struct checkpoint *checkpoint)
{
    if (checkpoint->control >= 0)
        return NULL;
    int fd = checkpoint_open_file(checkpoint, CHECKPOINT_CONTROL);
    if (fd < 0)
        return "the checkpoint's control file could not be opened";
    if (!storage_resize(fd, 0) || !storage_reserve(fd, 0, JOURNAL_START) || !storage_sync(fd)) {
        os_close(fd);
        return "there is no room for the checkpoint's control file";
    }
    checkpoint->control = fd;
    return NULL;
}

/* ---- Begin, take, end ----------------------------------------------------------------------------- */

/* Opens what an earlier process has left, if it is of this pool. */
static const char *open_old(struct checkpoint *checkpoint, uint64_t same_as)
{
    struct checkpoint_found found;
    const char *trouble = checkpoint_find(checkpoint->target.path, checkpoint->target.id, &found);
    if (trouble != NULL)
        return os_errno_get() == ENOENT || os_errno_get() == EUCLEAN ? NULL : trouble;
    checkpoint->control = checkpoint_open_file(checkpoint, CHECKPOINT_CONTROL);
    if (checkpoint->control < 0)
        return "the checkpoint's control file could not be opened";
    checkpoint->slot = found.slot;
    checkpoint->generation = found.generation;
    checkpoint->journal_end = found.journal_end;
    checkpoint->copied_to = JOURNAL_START;
    checkpoint->copied = found.slot.generation;
    checkpoint->slot_uncertain = true; /* that process may have died before its flush, or seen it fail */
    trouble = restate_slot(checkpoint);
    if (trouble == NULL && found.slot.way == CHECKPOINT_JOURNAL)
        trouble = journal_begin(checkpoint, same_as);
    return trouble;
}

const char *checkpoint_begin(struct checkpoint *checkpoint, const struct checkpoint_target *target,
                             uint64_t same_as)
{
    *checkpoint =
        (struct checkpoint){.lock = {.rank = LOCK_RANK_CHECKPOINT},
                            .target = *target,
                            .control = -1,
                            .copy = -1,
                            .journal_end = JOURNAL_START,
                            .journal_limit = size_max(JOURNAL_LEAST, target->length >> JOURNAL_SHIFT),
                            .watch = {-1, -1}};
    const char *trouble = open_old(checkpoint, same_as);
    if (trouble != NULL)
        checkpoint_end(checkpoint);
    return trouble;
}

/* A clone, if there can be one.  Every page may be stored to afterwards and then needs room of its own, or the store
 * faults: so only where that room is.  False: not possible here. */
static bool cloned(struct checkpoint *checkpoint, const char **trouble)
{
    if (checkpoint->cannot_clone || storage_room(checkpoint->target.fd) < checkpoint->target.length)
        return false;
    *trouble = reflink_take(checkpoint);
    checkpoint->cannot_clone = *trouble != NULL && os_errno_get() == ENOTSUP;
    return !checkpoint->cannot_clone;
}

/* The journal is the cheaper way by far when pages here and there were written: a clone writes each of them to a place of
 * its own, and gets slower with every piece that the file falls into.  A clone is for when the kernel cannot tell which
 * pages were written, and for threads that never pause; after one of those this process stays with it. */
static const char *take_best(struct checkpoint *checkpoint)
{
    const char *trouble = NULL;
    bool restless = checkpoint->restless;
    if ((restless || !journal_tracks(checkpoint)) && cloned(checkpoint, &trouble))
        return trouble;
    trouble = journal_take(checkpoint);
    if (trouble == NULL || restless || os_errno_get() != EAGAIN)
        return trouble;
    if (!cloned(checkpoint, &trouble)) {
        os_errno_set(EAGAIN);
        return trouble;
    }
    checkpoint->restless = true;
    return trouble;
}

static const char *take(struct checkpoint *checkpoint)
{
    const char *trouble = open_control(checkpoint);
    if (trouble == NULL)
        trouble = restate_slot(checkpoint);
    if (trouble != NULL)
        return trouble;
    if (checkpoint->wish == CHECKPOINT_WISH_JOURNAL)
        return journal_take(checkpoint);
    if (checkpoint->wish == CHECKPOINT_WISH_REFLINK)
        return reflink_take(checkpoint);
    return take_best(checkpoint);
}

const char *checkpoint_take(struct checkpoint *checkpoint, const struct checkpoint_part *parts,
                            unsigned count)
{
    int saved = os_errno_get();
    lock_take(&checkpoint->lock);
    memcpy(checkpoint->target.parts, parts, count * sizeof *parts);
    checkpoint->target.part_count = count;
    const char *trouble = take(checkpoint);
    if (trouble == NULL) {
        checkpoint->counts.taken++;
        os_errno_set(saved);
    }
    lock_release(&checkpoint->lock);
    return trouble;
}

bool checkpoint_in_use(const struct checkpoint *checkpoint)
{
    return checkpoint->generation > 0;
}

const char *checkpoint_settle(struct checkpoint *checkpoint)
{
    lock_take(&checkpoint->lock);
    const char *trouble = restate_slot(checkpoint);
    if (trouble == NULL && checkpoint->slot.way == CHECKPOINT_JOURNAL &&
        checkpoint->journal_end > JOURNAL_START)
        trouble = journal_restart(checkpoint);
    lock_release(&checkpoint->lock);
    return trouble;
}

static void unmap(void *memory, size_t size)
{
    if (memory != NULL)
        (void)os_unmap(memory, align_up(size, os_page_size()));
}

void checkpoint_end(struct checkpoint *checkpoint)
{
    size_t bit_bytes = checkpoint->target.length / CHECKPOINT_PAGE / 8 + 8;
    dirty_watch_end(&checkpoint->watch);
    if (checkpoint->control >= 0)
        os_close(checkpoint->control);
    if (checkpoint->copy >= 0)
        os_close(checkpoint->copy);
    unmap(checkpoint->pending, bit_bytes);
    unmap(checkpoint->fresh, bit_bytes);
    unmap(checkpoint->buffer, CHECKPOINT_BUFFER);
    checkpoint->control = checkpoint->copy = -1;
    checkpoint->pending = checkpoint->fresh = NULL;
    checkpoint->buffer = NULL;
}

void checkpoint_forget(struct checkpoint *checkpoint)
{
    lock_reset(&checkpoint->lock);
    checkpoint_end(checkpoint);
    checkpoint->generation = 0;
}
