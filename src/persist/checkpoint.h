/* checkpoint.h - states of a pool file that survive a power cut.
 *
 *   checkpoint.c  begin, take, end; which way is taken; the slots of the control file
 *   reflink.c     a checkpoint that is a clone of the file
 *   journal.c     a checkpoint that is a copy of the file and a journal of pages
 *   restore.c     finding the last checkpoint, putting it back into the file
 *   checkpoint_format.h  the bytes
 *
 * The pool file itself is never a checkpoint: the system may write its pages back at any time.  It is the truth as long
 * as the machine lives; after a power cut the last checkpoint is, as a whole.
 *
 * Reflink (XFS, Btrfs; see take_best)       Journal (any file system)
 *   FICLONE  FILE -> the copy not in use      written pages -> records behind the journal's end
 *   sync the copy                             sync the control file           <- the checkpoint holds from here on
 *   slot: generation + 1, that copy           when the journal is full: its pages -> the copy; sync the copy;
 *   sync the control file  <- holds           slot: the copy's generation; sync the control file; journal empty
 *
 * A clone is a cut through time by itself.  The journal's pages are one when no page was written between being
 * write-protected and the end: pages found written since are taken again, until a look finds none.  So a state is never
 * torn; a thread that keeps storing makes the call fail, without harm.
 *
 * Calls return NULL, or what failed in words, with errno.  After a failure the previous checkpoint holds (or, when only
 * the last sync failed, perhaps the new one), the pool is as it was, and the next call tries again. */
#ifndef PERSIST_CHECKPOINT_H
#define PERSIST_CHECKPOINT_H

#include "os/dirty.h"
#include "os/lock.h"
#include "persist/checkpoint_format.h"

/* A part of the pool file that holds something; the rest of it are holes.  Both are multiples of the system's page; a part
 * may grow at its end from one call to the next, up to where the next one begins. */
struct checkpoint_part {
    size_t offset, size;
};

#define CHECKPOINT_PARTS_MAX 4

/* What the caller says of its file; `path` and `base` stay as they are until the end. */
struct checkpoint_target {
    const char
        *path; /* where the checkpoint files go, and how their names begin: usually that of the file itself */
    int fd;    /* the pool file, for reading and writing */
    char *base;    /* where the file is mapped, shared: its byte i at base + i */
    size_t length; /* of the file, holes included; constant */
    size_t head;   /* bytes at the front that may change by other means than stores; a multiple of 4096 */
    uint8_t id[CHECKPOINT_ID_BYTES];
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX]; /* in rising order; the first one begins at 0 */
    unsigned part_count;
};

enum checkpoint_wish { CHECKPOINT_WISH_BEST, CHECKPOINT_WISH_REFLINK, CHECKPOINT_WISH_JOURNAL };

struct checkpoint_counts {
    uint64_t taken;      /* checkpoints by this process */
    uint64_t last_pages; /* pages written by the last one; 0 for a clone */
    uint64_t
        last_bytes; /* bytes written by the last one, bookkeeping included, a second writing into the copy not */
    uint64_t all_bytes; /* bytes written by all of them, everything included */
    uint64_t again; /* rounds in which pages had to be taken again, because they were stored to meanwhile */
    uint64_t
        compared_pages; /* pages compared with the copy, because it was not known whether they were written */
};

/* Under `lock`, but what is constant. */
struct checkpoint {
    struct lock lock;
    struct checkpoint_target target;
    enum checkpoint_wish wish;
    bool restless;          /* threads left the journal no moment: clones from now on */
    bool cannot_clone;      /* the file system has no clones */
    int control;            /* FILE.ckpt; -1: not open */
    struct slot slot;       /* the one that counts; serial 0: none */
    bool slot_uncertain;    /* a later one may be on the disk, too */
    uint64_t generation;    /* of the last checkpoint; 0: none */
    int copy;               /* journal: the copy that the slot names; -1: not open */
    uint64_t journal_end;   /* where the next record goes */
    uint64_t copied_to;     /* up to here the journal is in the copy, */
    uint64_t copied;        /* which is the generation that it has then */
    uint64_t journal_limit; /* bytes of journal from which on it is emptied */
    bool copy_broken;       /* the journal cannot be put into the copy: make another */
    bool known; /* pages neither `pending` nor reported by `watch` are as in the last checkpoint */
    struct dirty_watch watch;
    size_t watched[CHECKPOINT_PARTS_MAX]; /* bytes of each part that are watched */
    bool cannot_watch;
    uint64_t *pending; /* one bit per page: differs from the last checkpoint, as far as is known */
    uint64_t *fresh;   /* one bit per page: to be written in this round */
    char *buffer;      /* a chunk, and twice COMPARE_PAGES pages behind it */
    struct checkpoint_counts counts;
};

/* For a file open for writing.  `same_as`: the file is known to hold what checkpoint `same_as` of this pool holds, but for
 * the head (it was closed properly with that one); 0: nothing is known.  To be called before any store. */
const char *checkpoint_begin(struct checkpoint *checkpoint, const struct checkpoint_target *target,
                             uint64_t same_as);

/* The file's present contents, in these parts, as a checkpoint.  Any thread; one at a time.  EAGAIN: threads stored to it
 * all the time (journal only). */
const char *checkpoint_take(struct checkpoint *checkpoint, const struct checkpoint_part *parts,
                            unsigned count);

/* Whether this pool has checkpoints, so that its close should make one. */
bool checkpoint_in_use(const struct checkpoint *checkpoint);

/* After the last take: makes the next begin quick.  For a close that is well. */
const char *checkpoint_settle(struct checkpoint *checkpoint);

void checkpoint_end(struct checkpoint *checkpoint);

/* In the child of a fork: forgets everything without touching a file. */
void checkpoint_forget(struct checkpoint *checkpoint);

/* ---- Finding and putting back (restore.c) ---- */

struct checkpoint_found {
    struct slot slot;
    uint64_t generation;  /* the last one */
    uint64_t length;      /* in that one */
    uint64_t records;     /* in the journal */
    uint64_t journal_end; /* behind the last good record */
};

/* Looks for the checkpoints of the pool at `path`; `id` NULL: of whatever pool.  Reads only.  ENOENT: there are none;
 * EUCLEAN: they are damaged, or those of another pool. */
const char *checkpoint_find(const char *path, const uint8_t *id, struct checkpoint_found *found);

/* Changes the pool's header, `size` bytes of it, so that it says: not closed, but in this boot, in this file. */
typedef void checkpoint_stamp(void *head, size_t size, void *context);

/* Puts what was found into the file, which nobody has mapped.  Can be cut off at any moment: from its first change to the
 * last the file begins with RESTORING_MAGIC, and has to be restored again. */
const char *checkpoint_restore(const char *path, int fd, const struct checkpoint_found *found, size_t head,
                               checkpoint_stamp *stamp, void *context);

#define RESTORING_MAGIC UINT64_C(0x7473526e72696143) /* "CairnRst", in the file's first 8 bytes */

/* Removes the checkpoint files of `path`. */
bool checkpoint_remove(const char *path);

/* ---- Between the files of this module ---- */

#define CHECKPOINT_PATH_MAX 4200
#define COMPARE_PAGES 64
#define CHECKPOINT_CONTROL (-1)

/* The name of the control file (CHECKPOINT_CONTROL) or of a copy; false with ENAMETOOLONG. */
bool checkpoint_name(char *out, const char *path, int copy);

/* Opens one of them, making it when it is not there, with the rights of the pool file. */
int checkpoint_open_file(struct checkpoint *checkpoint, int copy);

/* Makes the control file say this; on success it is on the disk and in checkpoint->slot. */
const char *checkpoint_commit(struct checkpoint *checkpoint, enum checkpoint_way way, unsigned copy,
                              uint64_t generation, uint64_t length);

/* The index that the next copy may have. */
unsigned checkpoint_other_copy(const struct checkpoint *checkpoint);

/* ENOTSUP: no clones here. */
const char *reflink_take(struct checkpoint *checkpoint);

/* Whether the kernel says which pages are written. */
bool journal_tracks(struct checkpoint *checkpoint);

const char *journal_take(struct checkpoint *checkpoint);
const char *journal_begin(struct checkpoint *checkpoint, uint64_t same_as);

/* Brings the copy onto the disk and empties the journal. */
const char *journal_restart(struct checkpoint *checkpoint);

/* Finds the good records of the journal.  `buffer` has room for a chunk.  NULL, or why the journal's end is not known. */
const char *journal_find(int control, char *buffer, struct checkpoint_found *found);

/* Writes all good records to where they are, and flushes them: what can be read need not be on the disk, if the process
 * that wrote it died before its flush, or saw it fail. */
const char *journal_rewrite(int control, char *buffer, const struct checkpoint_found *found);

/* Writes the records of [from, found->journal_end), which follow `generation`, into a copy. */
const char *journal_apply(int control, char *buffer, const struct checkpoint_found *found, uint64_t from,
                          uint64_t generation, int copy);

#define CHUNK_BYTES_MAX ((1 + CHUNK_PAGES_MAX) * CHECKPOINT_PAGE)
#define CHECKPOINT_BUFFER (CHUNK_BYTES_MAX + 2 * COMPARE_PAGES * CHECKPOINT_PAGE)

#endif
