/* persist.h - pools in files: a heap that outlives its process, and survives its death.
 *
 *     cairn_pool *pool = cairn_pool_open("words.pool", NULL);
 *     if (pool == NULL)
 *         pool = cairn_pool_create_at("words.pool", &(cairn_file_config){.struct_size = sizeof(cairn_file_config),
 *                                                                         .size = 64 << 20});
 *     struct index *index = cairn_pool_root(pool);
 *     ...
 *     if (cairn_pool_close(pool) != 0)
 *         fprintf(stderr, "%s\n", cairn_errormsg());
 *
 * What create and open return is a cairn_pool like any other: everything in <cairn/pool.h> works on it, from any
 * thread, and cairn_free takes its blocks.  Blocks are of the class CAIRN_SLAB.  The program works on the file's pages
 * directly; nothing is copied, read or written on the way.
 *
 * Three promises (docs/persistence.md says how they are kept, and what they cost):
 *
 *   closed properly       cairn_pool_close returned 0: the next open finds every block, and nothing else.
 *   the process dies      at any instruction, by any signal, in any number of threads: the next open recovers the file
 *                         where it is.  Every block that was live is live, with its contents; no block is handed out
 *                         twice; at most one block leaks for each thread that was inside a call, and none for a thread
 *                         that used cairn_pool_malloc_to, _realloc_to and _free_from.
 *                         Cost: two stores to a byte beside the block for each malloc and free.
 *   the machine dies      the pool opens at the state of the last cairn_pool_checkpoint whose call had returned, or of a
 *                         later one whose call had begun; never at a mixture.  Without a checkpoint nothing is promised:
 *                         the pool is refused.
 *
 * What is not promised: that the program's own data are in order.  A program that dies in the middle of its own update
 * finds it half done: publish what is complete by one store of a pointer, as cairn_pool_malloc_to does.
 * cairn_pool_realloc that moves a block has freed the old one before the program can store the new address: where that
 * matters, use cairn_pool_realloc_to.
 *
 * Addresses.  A pool is mapped where it was made, so pointers in it stay valid.  When that place is taken, opening
 * fails with ENOMEM, unless the pool was made with CAIRN_FILE_RELOCATABLE: its users keep cairn_ptr (below) instead of
 * pointers, and it opens anywhere.
 *
 * Fork.  A child does not inherit the pool's memory and cannot harm it.  Calls on the pool there fail: allocation
 * with NULL and EBADF, others as documented; its blocks are not there, and touching them faults.  The addresses stay
 * taken: a child that wants to open the pool itself, after the parent has closed it, closes what it inherited first.
 *
 * Errors, besides those of the single calls: EINVAL for an argument, the message names it.
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_PERSIST_H
#define CAIRN_PERSIST_H

#include "cairn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Making and opening --------------------------------------------------------------------------- */

/* Flags of cairn_file_config, for creating. */

/* Nothing in the pool is a raw pointer: it may open at any address. */
#define CAIRN_FILE_RELOCATABLE 1u

/* Flags for opening. */

/* The file is never written.  Any number of processes may have it open so, but none beside a writer.  Calls that
 * would change the pool fail with EROFS; but freeing a block of it by cairn_pool_free, cairn_free or free, and
 * cairn_pool_reset, which cannot fail, end the process with a message.  A pool whose process died is recovered in this
 * process's memory only. */
#define CAIRN_FILE_READ_ONLY 2u
/* With READ_ONLY: takes no lock, so it opens beside a writer, and sees every store of the writer as it happens.  What
 * can be read safely then is between the two programs: whoever follows a pointer may meet a freed block. */
#define CAIRN_FILE_UNLOCKED 4u
/* Refuses a pool that was not closed properly: EUCLEAN, the message contains "inconsistent pool". */
#define CAIRN_FILE_STRICT 8u
/* Takes a pool that was open when the machine went down as it is, as if only the process had died.  Right when the file
 * system was unmounted in order after the process was killed; otherwise the contents may be a mixture.  The pool's
 * own structures are checked first, all of them, and damage is refused. */
#define CAIRN_FILE_TRUST 16u
/* Forgoes the one flush at open that lets a power cut be noticed later (some ms on a disk).  For pools that are
 * rebuilt when the machine goes down.  No effect where files are in memory anyway (tmpfs). */
#define CAIRN_FILE_NO_SYNC 32u

#define CAIRN_LAYOUT_MAX 1024  /* bytes of a layout's name, terminating 0 included */
#define CAIRN_ROOT_NAME_MAX 56 /* the same for the name of a root */
#define CAIRN_ROOTS_MAX 256    /* named roots of one pool */
#define CAIRN_FILE_SIZE_MIN ((size_t)1 << 20)

/* What an open found and did. */
typedef enum cairn_recovered {
    CAIRN_WAS_CLOSED = 0,    /* nothing to do */
    CAIRN_WAS_KILLED = 1,    /* the process had died: recovered in place */
    CAIRN_WAS_POWER_CUT = 2, /* the machine had gone down: back at the last checkpoint */
    CAIRN_WAS_TRUSTED = 3    /* the same, taken as it was by CAIRN_FILE_TRUST */
} cairn_recovered;

typedef struct cairn_recovery {
    size_t struct_size;
    cairn_recovered found;
    uint64_t pages;           /* 4 KiB pages looked at; 0 when there was nothing to do */
    uint64_t blocks;          /* live ones found */
    uint64_t bytes;           /* in them */
    uint64_t pages_freed;     /* that held no live block any more and are free again */
    uint64_t calls_completed; /* malloc_to, realloc_to, free_from: interrupted and carried through */
    uint64_t calls_undone;    /* the same, taken back */
    uint64_t generation;      /* of the checkpoint it opened at; 0: none */
    uint64_t nanoseconds;     /* that it took */
    uint64_t owner;           /* process id of the process that died */
} cairn_recovery;

/* All zero (but struct_size) means the defaults. */
typedef struct cairn_file_config {
    size_t struct_size; /* sizeof(cairn_file_config) */
    unsigned flags;     /* CAIRN_FILE_* */
    unsigned mode;      /* creating: permissions of the file, less the umask; 0: 0600 */
    size_t size;     /* creating: bytes of disk that the pool takes, at least CAIRN_FILE_SIZE_MIN, all of them
                               * allocated at once; 0: the file is there, its size is taken, and its first 64 KiB must
                               * be zero */
    size_t max_size; /* creating: up to where cairn_pool_grow can grow it; 0: not at all.  It costs address
                               * space and a file whose apparent length (not what it takes on disk) is longer by 6.5 %
                               * of it; memory only for what is in use, about 1 % of that */
    const char
        *layout; /* creating: a name for what is in the pool, at most CAIRN_LAYOUT_MAX - 1 bytes; NULL: "".
                               * opening: the name that must be there; NULL: any */
    const char *name;         /* as in cairn_pool_config; NULL: the last part of the path */
    cairn_pressure *pressure; /* as in cairn_pool_config: called before an allocation fails, and
                               * that is here also when the file is full */
    void *pressure_context;
} cairn_file_config;

/* Makes a pool in a new file, all of its disk space allocated, mapped and locked.  `config` must give a size, or the file
 * be there (see `size`).  NULL with
 *   EINVAL   a size below the minimum, max_size < size, layout too long; the file is there but not zero or too small
 *   EEXIST   the file is there, and a size was given
 *   ENOSPC   no room on the disk; nothing is left behind
 *   EAGAIN   size 0, and somebody has the file open as a pool
 *   ENOMEM   no address range
 * or what open(2) gives: EACCES, ENOENT, EROFS ...  Time: that of allocating the file. */
CAIRN_API CAIRN_NODISCARD cairn_pool *cairn_pool_create_at(const char *path, const cairn_file_config *config);

/* Opens a pool; `config` NULL: the defaults (for writing, recovering if need be).  NULL with
 *   EINVAL   no pool, a damaged header, another layout; another byte order or page size
 *   ENOTSUP  made by a newer version with something that this one does not know; the message names it
 *   EAGAIN   open already, here or in another process
 *   EUCLEAN  not closed properly: CAIRN_FILE_STRICT; or the machine went down, and there is no checkpoint; or damaged
 *   ENOMEM   the addresses where it was made are taken, and it is not relocatable
 * or what open(2) gives.  Time: well under a millisecond, whatever the size, for a pool that was closed (and a flush of
 * one page, see CAIRN_FILE_NO_SYNC); recovery is linear in pages: 5 GB of pool per second and more. */
CAIRN_API CAIRN_NODISCARD cairn_pool *cairn_pool_open(const char *path, const cairn_file_config *config);

/* Flushes every page, then marks the pool closed, then unmaps it.  No other thread may be inside a call on it, or use its
 * blocks afterwards.  NULL does nothing and returns 0.
 * 0; -1 with the errno of the flush (EIO, ENOSPC, EDQUOT) when it failed: the pool is unmapped and unlocked all the same,
 * and stays marked as not closed.  cairn_pool_destroy on a pool in a file is this, errors unseen: the file stays.
 * Time: writing what changed; there is nothing else to flush. */
CAIRN_API int cairn_pool_close(cairn_pool *pool);

/* Makes the pool take `size` bytes of disk, at most its max_size, without moving anything.  The disk space is allocated
 * first.  0; -1 with ENOSPC (and nothing changed), EINVAL (size below the present one: does nothing when equal; or above
 * max_size), EROFS.  Other threads may go on allocating. */
CAIRN_API int cairn_pool_grow(cairn_pool *pool, size_t size);

/* Where byte 0 of the pool's file is mapped: block - base is the block's offset in the file.  NULL: not a pool in a
 * file. */
CAIRN_API void *cairn_pool_file_base(const cairn_pool *pool);

/* What the open of this pool found and did.  -1 with EINVAL: not a pool in a file, or out->struct_size is 0. */
CAIRN_API int cairn_pool_recovery(const cairn_pool *pool, cairn_recovery *out);

/* ---- Roots ---------------------------------------------------------------------------------------- */

/* The pool's main root: where its data begin.  Must be NULL or an address inside the pool; one store, so a kill leaves
 * the old or the new one.  0; -1 with EINVAL, EROFS. */
CAIRN_API int cairn_pool_set_root(cairn_pool *pool, const void *root);

/* NULL until it is set. */
CAIRN_API void *cairn_pool_root(const cairn_pool *pool);

/* The same by name.  NULL as root takes the name away.  -1 with ENOSPC: CAIRN_ROOTS_MAX names are there; EINVAL also for
 * an empty name or one that is too long.  Time: linear in the number of names. */
CAIRN_API int cairn_pool_set_named_root(cairn_pool *pool, const char *name, const void *root);
CAIRN_API void *cairn_pool_named_root(const cairn_pool *pool, const char *name);

/* Calls `visit` for every named root until it returns nonzero, and returns that.  `visit` may not set named roots. */
CAIRN_API int cairn_pool_named_roots_walk(const cairn_pool *pool,
                                          int (*visit)(const char *name, void *root, void *context),
                                          void *context);

/* ---- Allocating without leaks ---------------------------------------------------------------------- */

/* A self-relative pointer, 8 bytes: valid wherever the pool is mapped, as long as it lies in the pool that it points
 * into.  All zero is NULL.  Assign with cairn_ptr_set, never by copying the structure. */
typedef struct cairn_ptr {
    int64_t delta; /* (target - address of this) * 2 + 1; 0: NULL */
} cairn_ptr;

static inline void *cairn_ptr_get(const cairn_ptr *pointer)
{
    return pointer->delta != 0 ? (void *)((intptr_t)pointer + (intptr_t)(pointer->delta >> 1)) : NULL;
}

static inline void cairn_ptr_set(cairn_ptr *pointer, const void *target)
{
    pointer->delta =
        target != NULL ? (int64_t)((uint64_t)((intptr_t)target - (intptr_t)pointer) * 2u + 1u) : 0;
}

/* These allocate and free, and store the pointer, as one step that a kill cannot tear: afterwards the slot points to the
 * block and the block is live, or neither.  The slot must lie in a live block of the same pool (else EINVAL), or be
 * NULL: then the pool's main root is the slot.  Whoever else uses the slot has to wait until the call has returned.
 * Cost: about 0.1 microseconds for each call. */

/* *slot = malloc(size); what was in the slot is overwritten.  Returns the block.  NULL: ENOMEM, EINVAL, EROFS, and the
 * slot is as it was.  calloc_to: the block is zeroed before the slot points to it. */
CAIRN_API void *cairn_pool_malloc_to(cairn_pool *pool, size_t size, void **slot);
CAIRN_API void *cairn_pool_calloc_to(cairn_pool *pool, size_t count, size_t size, void **slot);

/* *slot = realloc(*slot, size): a kill leaves the old block, unchanged but perhaps longer, or the new one.  NULL: as
 * above.  A slot that holds NULL: as malloc_to. */
CAIRN_API void *cairn_pool_realloc_to(cairn_pool *pool, void **slot, size_t size);

/* free(*slot), *slot = NULL.  A slot that holds NULL does nothing.  0; -1 with EINVAL, EROFS. */
CAIRN_API int cairn_pool_free_from(cairn_pool *pool, void **slot);

/* The same for self-relative pointers. */
CAIRN_API void *cairn_pool_malloc_to_ptr(cairn_pool *pool, size_t size, cairn_ptr *slot);
CAIRN_API void *cairn_pool_calloc_to_ptr(cairn_pool *pool, size_t count, size_t size, cairn_ptr *slot);
CAIRN_API void *cairn_pool_realloc_to_ptr(cairn_pool *pool, cairn_ptr *slot, size_t size);
CAIRN_API int cairn_pool_free_from_ptr(cairn_pool *pool, cairn_ptr *slot);

/* ---- Checkpoints ----------------------------------------------------------------------------------- */

/* How checkpoints are made.
 *   AUTO      JOURNAL; but REFLINK, where the file system has it and room for the whole pool, if the kernel cannot say
 *             which pages were written, or if threads never pause
 *   REFLINK   clones of the file (XFS, Btrfs).  A store to the pool then needs room on the disk, once for each page, and
 *             is a SIGBUS if there is none
 *   JOURNAL   a copy of the file, and a journal of the pages written since the last one.  Takes as much disk again as the
 *             pool has data; stores never need room */
typedef enum cairn_checkpoint_way {
    CAIRN_CHECKPOINT_AUTO = 0,
    CAIRN_CHECKPOINT_REFLINK = 1,
    CAIRN_CHECKPOINT_JOURNAL = 2
} cairn_checkpoint_way;

/* Makes the present state durable as a whole: once it has returned 0, a power cut leaves this state or that of a later
 * checkpoint.  The state is that of one moment during the call, never a mixture, and the pool's own structures are in
 * order in it; a program that wants its own data in order must not be in the middle of changing them.
 * Other threads and the journal: the moment is one at which nothing was stored during the last look at the pages; when
 * threads keep storing, the call takes what they stored again, a few times, and then makes a clone, or fails with EAGAIN.  Where
 * cairn_pool_checkpoint_stats says that pages are compared (Linux before 6.7), stores meanwhile are not noticed: no
 * other thread may be storing then.  Clones need no care.
 * Files: FILE.ckpt, FILE.ckpt0 and FILE.ckpt1 beside the pool; docs/persistence.md has their format.  From the first
 * checkpoint on, cairn_pool_close makes one, too.
 * 0; -1 with EIO, ENOSPC, EDQUOT: this checkpoint failed, the previous one holds, the next call tries again; EAGAIN;
 * EROFS.  Cost: in proportion to what changed since the last one; the first with the journal copies the pool, and the
 * first after the process died compares it.  See docs/persistence.md for figures. */
CAIRN_API int cairn_pool_checkpoint(cairn_pool *pool);

/* Says how, from the next checkpoint on.  -1 with EINVAL, EROFS. */
CAIRN_API int cairn_pool_checkpoint_way(cairn_pool *pool, cairn_checkpoint_way way);

typedef struct cairn_checkpoint_stats {
    size_t struct_size;
    uint64_t generation; /* of the last one; 0: there is none */
    uint64_t taken;      /* by this process */
    uint64_t last_pages; /* of 4 KiB, written by the last one; 0 for a clone */
    uint64_t last_bytes; /* written by the last one before it held */
    uint64_t all_bytes;  /* written for all of them */
    uint64_t again; /* times that pages had to be taken again, because threads stored to them meanwhile */
    uint64_t
        compared_pages; /* compared with the last one, because the kernel could not say whether they were written */
    uint64_t journal_bytes;   /* that the journal has now */
    cairn_checkpoint_way way; /* of the last one; AUTO: there is none */
    int is_tracked;           /* the kernel says which pages are written */
} cairn_checkpoint_stats;

CAIRN_API int cairn_pool_checkpoint_stats(cairn_pool *pool, cairn_checkpoint_stats *out);

/* Puts the last checkpoint back into the file at `path`, which nobody has open, whatever state it is in: what was stored
 * since is lost.  A cairn_pool_open after a power cut does this by itself.  Can be cut off at any moment, and repeated.
 * 0; -1 with ENOENT (no checkpoint), EUCLEAN (damaged, or of another pool), EAGAIN (open), or what open(2) gives. */
CAIRN_API int cairn_pool_rollback(const char *path);

/* ---- Leaks ------------------------------------------------------------------------------------------ */

typedef struct cairn_tracer cairn_tracer;

/* Says for one reached block what it points to, by calling cairn_trace_to for each pointer in it. */
typedef void cairn_trace(cairn_tracer *tracer, const void *block, size_t size, void *context);

/* `address`, anywhere in a block (NULL: nothing), is reachable. */
CAIRN_API void cairn_trace_to(cairn_tracer *tracer, const void *address);

/* Told by work that takes long, some hundred times in all, how much of it is done; may call nothing of the pool. */
typedef void cairn_progress(uint64_t done, uint64_t all, void *context);

typedef struct cairn_leaks_config {
    size_t struct_size;
    cairn_trace *
        trace; /* NULL: conservative: every aligned word of a block that, as a pointer or (relocatable pools) as a
                         * cairn_ptr, leads to any byte of a block keeps that block */
    void *trace_context;
    cairn_visit *
        visit; /* called for each unreachable block; nonzero: free it.  NULL: they are only counted.  May call
                         * nothing else on the pool */
    void *visit_context;
    cairn_progress *progress; /* NULL: nobody wants to know */
    void *progress_context;
} cairn_leaks_config;

typedef struct cairn_leaks {
    size_t struct_size;
    uint64_t reached_blocks, reached_bytes;
    uint64_t leaked_blocks, leaked_bytes;
    uint64_t freed_blocks, freed_bytes; /* among the leaked ones */
} cairn_leaks;

/* Finds the blocks that cannot be reached from the roots, main and named.  No other thread may use the pool meanwhile.
 * `config` NULL: conservative, and only counts.  0; -1 with ENOMEM, EINVAL, EROFS (blocks are to be freed).
 * Time: linear in the live bytes; memory: 1/64 of the touched pages. */
CAIRN_API int cairn_pool_leaks(cairn_pool *pool, const cairn_leaks_config *config, cairn_leaks *out);

/* ---- Looking at files ---------------------------------------------------------------------------- */

typedef struct cairn_file_info {
    size_t struct_size;
    uint32_t version;                                        /* of the format */
    uint32_t compatible, read_only_compatible, incompatible; /* feature flags */
    uint8_t uuid[16];
    uint64_t created;       /* seconds since 1970 */
    uint64_t address;       /* where it was made, and is mapped */
    uint64_t size;          /* bytes of disk, now */
    uint64_t max_size;      /* as given at creation */
    uint64_t pages;         /* for blocks, of 4 KiB */
    uint64_t pages_touched; /* all pages in use are among so many first ones */
    uint64_t data;          /* offset in the file of the first of these pages */
    uint64_t generation;    /* checkpoints made so far */
    uint64_t owner;         /* process that has it open, or had when it died; 0: closed */
    int is_closed;          /* properly */
    int is_relocatable;
    int is_open;          /* somebody has it locked for writing now */
    int is_of_other_boot; /* not closed, and the machine was started anew since */
    char layout[CAIRN_LAYOUT_MAX];
    uint64_t bytes_missing; /* the file is so much shorter than the pool in it: it was cut */
} cairn_file_info;

/* Reads the header and nothing else.  Takes no lock.  -1 as cairn_pool_open. */
CAIRN_API int cairn_pool_file_info(const char *path, cairn_file_info *out);

/* Called for every fault that a check finds, with the place in the file; nonzero ends the check. */
typedef int cairn_fault(uint64_t offset, const char *text, void *context);

typedef struct cairn_file_check {
    size_t struct_size;
    cairn_fault *fault; /* NULL: they are only counted */
    void *fault_context;
    int is_closed;            /* out: closed properly; if not, the next open recovers it */
    uint64_t faults;          /* out */
    uint64_t blocks;          /* out: live ones */
    uint64_t bytes;           /* out: in them */
    uint64_t pages;           /* out: looked at */
    uint64_t calls_open;      /* out: malloc_to and its like that were interrupted */
    cairn_progress *progress; /* NULL: nobody wants to know */
    void *progress_context;
} cairn_file_check;

/* Checks a pool file without opening it as one: never writes, never crashes, whatever the file holds.  `layout`: as for
 * opening.  `check` may be NULL.
 * 1: consistent and closed properly; 0: not; -1: it could not be checked: another layout (EINVAL), open for writing
 * (EAGAIN), or the errno of open(2).  Time: linear in the touched pages. */
CAIRN_API int cairn_pool_check_file(const char *path, const char *layout, cairn_file_check *check);

/* A run of pages in a pool file that holds blocks of one size, or one large block. */
typedef struct cairn_file_span {
    uint64_t offset;     /* in the file, of its first byte */
    uint64_t bytes;      /* whole pages of 4 KiB */
    uint64_t block_size; /* bytes */
    uint64_t blocks;     /* that fit */
    uint64_t live;       /* of them */
} cairn_file_span;

/* Nonzero ends the walk. */
typedef int cairn_file_span_visit(const cairn_file_span *span, void *context);
typedef int cairn_file_block_visit(uint64_t offset, size_t size, void *context);

/* Reads a pool file without opening it as one, and calls `span` for each span in rising order, and behind that `block`
 * for each live block in it (either may be NULL).  Never writes, never crashes; what is damaged is passed over.  Takes no
 * lock: in a pool that is open it sees what it sees.  What the last visit returned, 0 at the end; -1 as
 * cairn_pool_file_info. */
CAIRN_API int cairn_pool_file_walk(const char *path, cairn_file_span_visit *span,
                                   cairn_file_block_visit *block, void *context);

#ifdef __cplusplus
}
#endif
#endif
