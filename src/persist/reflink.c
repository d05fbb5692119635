/* reflink.c - a checkpoint that is a clone of the pool file: the file system copies no data, but remembers that both files
 * share it, and what is stored to afterwards goes elsewhere.
 *
 * The clone is of one moment: the kernel holds back stores to the file's pages while it makes it.  It is made into the
 * copy that the slot does not name, so the last checkpoint stays whole until the new one is on the disk. */
#include "persist/checkpoint.h"

#include "os/os.h"
#include "os/storage.h"

#include <errno.h>

/* What a file system says that has no clones, or none between these two files. */
static bool means_never(int error)
{
    return error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == EINVAL || error == ENOSYS;
}

static const char *clone_into(struct checkpoint *checkpoint, int copy)
{
    if (!storage_resize(copy, 0))
        return "the checkpoint could not be emptied";
    if (!storage_clone(checkpoint->target.fd, copy, 0, 0)) {
        if (means_never(os_errno_get()))
            os_errno_set(ENOTSUP);
        return "the pool file could not be cloned";
    }
    return storage_sync(copy) ? NULL : "the checkpoint could not be flushed";
}

const char *reflink_take(struct checkpoint *checkpoint)
{
    unsigned other = checkpoint_other_copy(checkpoint);
    int copy = checkpoint_open_file(checkpoint, (int)other);
    if (copy < 0)
        return "the checkpoint's file could not be opened";
    const char *trouble = clone_into(checkpoint, copy);
    uint64_t length = 0;
    if (trouble == NULL && !storage_size(copy, &length))
        trouble = "the checkpoint could not be looked at";
    os_close(copy);
    if (trouble == NULL)
        trouble =
            checkpoint_commit(checkpoint, CHECKPOINT_REFLINK, other, checkpoint->generation + 1, length);
    if (trouble != NULL)
        return trouble;
    checkpoint->generation++;
    checkpoint->counts.last_pages = 0;
    checkpoint->counts.last_bytes = sizeof(struct slot);
    if (checkpoint->copy >= 0) { /* the last one was a journal's: that copy does not count any more */
        os_close(checkpoint->copy);
        checkpoint->copy = -1;
    }
    checkpoint->known = false;
    checkpoint->journal_end = JOURNAL_START;
    return NULL;
}
