/* observe.h - whose memory it is and what has changed: tags, snapshots, traces.
 *
 *     cairn_tag_push(requests);            everything that this thread allocates from here on ...
 *     parse(input);                        ... by malloc, new, strdup, in whatever library ...
 *     cairn_tag_pop();                     ... is in the pool `requests`: counted there, and freed with it
 *
 * Common to every call here, unless it says otherwise: any thread may call it at any time; failure is NULL or -1 with
 * errno set, and cairn_errormsg() says it in words.
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_OBSERVE_H
#define CAIRN_OBSERVE_H

#include "cairn/cairn.h"
#include "cairn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Tags ------------------------------------------------------------------------------------------ */

/* A tag is a pool (<cairn/pool.h>).  While a thread is in its scope, what the thread allocates from the process heap
 * comes from that pool instead: through malloc and the like where they are Cairn's, operator new, and cairn_malloc.
 * So what a library or a request needs is
 *   named       cairn_pool_name; cairn_pool_of(block) tells whose a block is
 *   counted     cairn_pool_stats: live, live_blocks, allocations, frees, committed (resident at most) and its peak
 *   limited     the pool's limit: beyond it malloc in the scope returns NULL
 *   walked      cairn_pool_walk
 *   freed       block by block, as usual and by any thread, inside or outside the scope; or all at once by
 *               cairn_pool_reset or cairn_pool_destroy, in no thread's scope any more
 * A block stays where it is: realloc keeps it in its pool, or in the heap if it was there before.  What is allocated
 * in a scope is in no trace and no heap profile.
 *
 * Costs: nothing in threads that are in no scope.  Entering the outermost scope and leaving it some 0.5 microseconds;
 * in between a pair of malloc and free takes some 25 ns more (measured by bench/figures/observe.c). */

/* Enters a scope of the calling thread; scopes nest, up to 16.  -1 with EINVAL: NULL, or a pool whose blocks free()
 * cannot free (CAIRN_POOL_OUTSIDE, CAIRN_POOL_SIZED); EOVERFLOW: more than 16; ENOMEM: no memory for the thread. */
CAIRN_API int cairn_tag_push(cairn_pool *pool);

/* Leaves the innermost scope.  -1 with EINVAL when the thread is in none. */
CAIRN_API int cairn_tag_pop(void);

/* The pool of the innermost scope, or NULL. */
CAIRN_API cairn_pool *cairn_tag_current(void);

/* ---- Snapshots ------------------------------------------------------------------------------------- */

/* What the process heap and every pool hold at one moment. */
typedef struct cairn_snapshot cairn_snapshot;

/* Takes one.  NULL with ENOMEM.  Memory: some 8 KiB from the system, not from the heap.  Time: linear in the spans of
 * the process heap and in what cairn_pool_stats takes for each pool.  No thread may destroy a pool meanwhile. */
CAIRN_API CAIRN_NODISCARD cairn_snapshot *cairn_snapshot_take(void);

/* Gives it back; NULL does nothing. */
CAIRN_API void cairn_snapshot_free(cairn_snapshot *snapshot);

/* Live bytes and blocks: of the process heap in blocks of up to `size` bytes (usable size of a class; SIZE_MAX: all),
 * or of one pool.  For a pool that the snapshot does not know all is 0.  NULL for what is not wanted. */
CAIRN_API void cairn_snapshot_live(const cairn_snapshot *snapshot, size_t size, uint64_t *bytes,
                                   uint64_t *blocks);
CAIRN_API void cairn_snapshot_pool(const cairn_snapshot *snapshot, const cairn_pool *pool, uint64_t *bytes,
                                   uint64_t *blocks);

/* Writes what has changed from `before` (NULL: from nothing) to `after` to a file descriptor: live bytes and blocks, by
 * size class and by pool, those that have not changed left out, what has grown most first.  Allocates nothing.
 * -1 with the errno of write(2), or ENOMEM. */
CAIRN_API int cairn_snapshot_print(int fd, const cairn_snapshot *before, const cairn_snapshot *after,
                                   cairn_stats_format format);

/* ---- Traces ---------------------------------------------------------------------------------------- */

/* From now on every call to the process heap goes into the file `path`, created or emptied; %p in the name is the
 * process number, and the child of a fork then has a trace of its own.  `cairn trace --info` and `cairn replay` read it.
 * -1 with EBUSY while there is one, or with the errno of open(2).  A call then takes some 50 ns more (the
 * same file); calls to pools take no longer. */
CAIRN_API int cairn_trace_start(const char *path);

/* Ends it.  -1 with EINVAL: there is none; any other errno: the file lacks a part of the trace. */
CAIRN_API int cairn_trace_stop(void);

#ifdef __cplusplus
}
#endif
#endif
