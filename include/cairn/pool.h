/* pool.h - pools: heaps of your own, over any memory.
 *
 *     cairn_pool *pool = cairn_pool_create(NULL);
 *     char *text = cairn_pool_malloc(pool, 100);
 *     cairn_pool_destroy(pool);                          frees everything at once
 *
 * A pool is a handle, whatever its class, its source and its memory; a pool in a file (<cairn/persist.h>) is
 * one too.  Four classes, chosen in the config:
 *
 *   class        for                                      costs
 *   CAIRN_SLAB   anything; the engine of the process      a few ns for each pair; 12.5 % rounding; a thread
 *                heap, with a cache for each thread       cache of 4 KiB for each thread that uses the pool
 *   CAIRN_FIT    blocks of any size packed without        O(log n) in the free ranges, under one lock;
 *                rounding; sub-ranges freed; small        no rounding beyond the alignment
 *                buffers
 *   CAIRN_FIXED  many blocks of one size                  O(1), under one lock; nothing for each block
 *   CAIRN_STACK  blocks that die in the order in which    a pointer moves, under one lock; two bits for each
 *                they came: mark, allocate, release       unit of the alignment, 32 bytes for each mark
 *
 * Common to every call here, unless it says otherwise:
 *   threads   any thread may call anything on any pool at any time, free what another thread allocated, and hand
 *             pools over.  cairn_pool_reset and cairn_pool_destroy want the pool to themselves: no other thread
 *             may be inside a call on it or use its blocks afterwards
 *   failure   NULL or -1 with errno set, cairn_errormsg() says it in words
 *   alignment every block is aligned to the pool's alignment (16 unless the config says more, or, for
 *             CAIRN_FIT and CAIRN_STACK, less)
 *   misuse    a pointer that is no block of the pool and a block freed twice are named on standard error in one
 *             line, then the process aborts; what is found for certain depends on class and flags, see there
 * cairn_free(p), cairn_realloc, cairn_usable_size, and free(p) where the heap is replaced, accept blocks of any pool.
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_POOL_H
#define CAIRN_POOL_H

#include "cairn/cairn.h"
#include "cairn/source.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cairn_pool cairn_pool;

/* ---- Making ------------------------------------------------------------------------------------- */

typedef enum cairn_pool_class {
    CAIRN_SLAB = 0,
    CAIRN_FIT = 1,
    CAIRN_FIXED = 2,
    CAIRN_STACK = 3
} cairn_pool_class;

/* Flags of cairn_pool_config. */

/* A mark for each live block (1/16 of the memory that holds blocks below 16 KiB, touched as used): walks are exact
 * while other threads allocate, every double free and every free of something that is no block is found. */
#define CAIRN_POOL_MARKS 1u
/* Every block is handed out zeroed. */
#define CAIRN_POOL_ZERO 2u
/* Every block lies against an inaccessible page, and its pages become inaccessible when it is freed: an overrun and a
 * use after free fault at once.  Two pages and two system calls for each block: for debugging.  CAIRN_SLAB only, not
 * in a buffer. */
#define CAIRN_POOL_GUARD 4u
/* With `buffer`: all of Cairn's own data lies outside of it, and Cairn never reads or writes the buffer's bytes: for
 * memory of a device, or shared or pinned memory that the processor should not touch.  CAIRN_FIT and CAIRN_FIXED. */
#define CAIRN_POOL_OUTSIDE 8u
/* CAIRN_FIT: no record of where blocks begin.  Saves 1/64 of the memory (at alignment 16); blocks are then freed by
 * cairn_pool_free_sized or cairn_pool_free_range only, and other calls that need a block's size are errors. */
#define CAIRN_POOL_SIZED 16u
/* CAIRN_FIT: take the last free range that fits, not the first. */
#define CAIRN_POOL_LAST_FIT 32u
/* CAIRN_FIT: take the high end of the free range, not the low one. */
#define CAIRN_POOL_HIGH_END 64u

/* Memory is short: the pool is about to pass its soft limit (`wanted` bytes more), or a call would fail at the hard
 * one.  Called without locks by the thread that allocates; may free blocks of the pool and must not allocate from
 * it.  Nonzero: something was freed, try again. */
typedef int cairn_pressure(cairn_pool *pool, size_t wanted, void *context);

/* All zero (but struct_size) means the defaults: slab, memory from the system, no limit. */
typedef struct cairn_pool_config {
    size_t struct_size;          /* sizeof(cairn_pool_config) */
    cairn_pool_class pool_class; /* see the top of this file */
    unsigned flags;              /* CAIRN_POOL_* */
    const char *name;  /* copied, at most 31 bytes of it; for statistics and /proc/self/maps; NULL: none */
    size_t limit;      /* bytes committed at most, metadata included; 0: none */
    size_t limit_soft; /* from here on free pages go back first, then `pressure` is called; 0: none */
    cairn_pressure *pressure; /* NULL: none */
    void *pressure_context;
    size_t alignment; /* of every block, a power of two up to a page, CAIRN_FIT: or the source's granule;
                                 * 0: 16.  At least 8 */
    const cairn_source *source; /* NULL: cairn_source_os() */
    void *buffer; /* not NULL: the pool lies in these bytes and nowhere else, handle included; no source.
                                * From 4 KiB (slab: 64 KiB) on something can be had from it */
    size_t buffer_size;
    size_t block_size; /* CAIRN_FIXED: of every block, rounded up to the alignment; required */
    size_t extend_by;  /* bytes asked from the source at a time, at least; 0: the class's choice */
    double spare; /* CAIRN_FIT: what part of its memory may be free before whole granules go back, 0 to 1;
                        * 0: the default, 0.75; below 0: none */
    const cairn_source
        *store; /* where the pool's own data comes from (CAIRN_FIT, CAIRN_FIXED, CAIRN_STACK, not in a buffer
                                * but with CAIRN_POOL_OUTSIDE); NULL: the system */
} cairn_pool_config;

/* A new pool; `config` NULL: the defaults.  NULL with EINVAL (the message names the field), or ENOMEM (also for a buffer
 * that is too small; the message says how many bytes the class needs).
 * Time: a few microseconds. */
CAIRN_API CAIRN_NODISCARD cairn_pool *cairn_pool_create(const cairn_pool_config *config);

/* Frees every block and the pool.  NULL does nothing.  Time: linear in its pages, not in its blocks. */
CAIRN_API void cairn_pool_destroy(cairn_pool *pool);

/* Frees every block; the pool stays, as new.  Time: as destroying. */
CAIRN_API void cairn_pool_reset(cairn_pool *pool);

/* ---- Allocating --------------------------------------------------------------------------------- */

/* As cairn_malloc and its like, from the pool.  NULL with ENOMEM: no memory, the limit reached, the buffer full, or
 * (CAIRN_FIXED) a size above the block size.  size 0 gives a unique block. */
CAIRN_API void *cairn_pool_malloc(cairn_pool *pool, size_t size) CAIRN_ALLOCATES CAIRN_SIZED(2);
CAIRN_API void *cairn_pool_calloc(cairn_pool *pool, size_t count, size_t size)
    CAIRN_ALLOCATES CAIRN_SIZED(2, 3);

/* As cairn_realloc: size 0 frees `block` and returns a minimum block, NULL always means failure and leaves the block
 * as it was.  The block must be of this pool.  CAIRN_STACK: grows in place only when it is the last one. */
CAIRN_API void *cairn_pool_realloc(cairn_pool *pool, void *block, size_t size) CAIRN_NODISCARD CAIRN_SIZED(3);

/* A block at a multiple of `alignment`, a power of two (else NULL with EINVAL). */
CAIRN_API void *cairn_pool_aligned_alloc(cairn_pool *pool, size_t alignment, size_t size)
    CAIRN_ALLOCATES CAIRN_SIZED(3);

CAIRN_API char *cairn_pool_strdup(cairn_pool *pool, const char *string) CAIRN_ALLOCATES;
CAIRN_API char *cairn_pool_strndup(cairn_pool *pool, const char *string, size_t max) CAIRN_ALLOCATES;

/* Gives a block of this pool back; NULL does nothing.  Keeps errno.  CAIRN_STACK: only the last block's memory is
 * used again before the release. */
CAIRN_API void cairn_pool_free(cairn_pool *pool, void *block);

/* The same, checking that the block could have been asked for with `size`. */
CAIRN_API void cairn_pool_free_sized(cairn_pool *pool, void *block, size_t size);

/* CAIRN_FIT only: gives any part of what is allocated back, in units of the alignment (both ends are rounded to it:
 * `at` must be a multiple, `size` is rounded up); neighbouring free ranges merge.  0; -1 with EINVAL when the part is not
 * wholly allocated, as far as that is known (CAIRN_POOL_MARKS: always), or for another class.  Never fails for want of
 * memory. */
CAIRN_API int cairn_pool_free_range(cairn_pool *pool, void *at, size_t size);

/* CAIRN_FIT only: the whole of the longest free range, if that has at least `least` bytes; otherwise more memory comes
 * first, as for cairn_pool_malloc(pool, least).  *size says how many bytes it has: a multiple of the alignment.  For those
 * who hand out the parts themselves; cairn_pool_free_range takes back what is not needed.
 * NULL with ENOMEM, or EINVAL for another class.  Time: O(log n). */
CAIRN_API void *cairn_pool_malloc_most(cairn_pool *pool, size_t least, size_t *size) CAIRN_NODISCARD;

/* The bytes of `block` that may be used; 0 for NULL. */
CAIRN_API size_t cairn_pool_usable_size(cairn_pool *pool, const void *block);

/* ---- Stack discipline (CAIRN_STACK) ---------------------------------------------------------------
 *
 *     cairn_mark mark = cairn_pool_mark(pool);
 *     char *line = cairn_pool_malloc(pool, length);            as many blocks as you like, marks among them
 *     cairn_pool_release(pool, mark);                          all of them are gone
 *
 * alloca's job without its danger: blocks may be large, live beyond the function, and run out with NULL.  Of the
 * blocks in between, the last one may grow, shrink and be freed on its own, and then the one before it is the last;
 * another one that is freed counts as free at once, its memory is used again when all that came after it is gone. */

/* A place in the stack. */
typedef struct cairn_mark {
    void *at;
    size_t depth;
    uint64_t serial;
} cairn_mark;

/* Notes the present place.  Never fails: in a pool without room for the 32 bytes of a mark it is noted all the same, but
 * then less is found when it is released wrongly. */
CAIRN_API cairn_mark cairn_pool_mark(cairn_pool *pool);

/* Frees everything allocated since the mark, and the marks made since, which are not to be released any more.  A mark of
 * another pool, one released before, and one made after a mark that has been released are named on standard error, then
 * the process aborts; so does a mark whose bytes in the stack were overwritten.  A mark does not outlive
 * cairn_pool_reset.
 * Time: linear in the marks that go and in the memory given back, usually constant. */
CAIRN_API void cairn_pool_release(cairn_pool *pool, cairn_mark mark);

/* ---- Asking --------------------------------------------------------------------------------------- */

/* The pool that `address` lies in: the start of a block or any byte of one, of a pool of any class; NULL: none, also
 * for the process heap.  Time: constant (a pool in a buffer: logarithmic in the number of such pools). */
CAIRN_API cairn_pool *cairn_pool_of(const void *address);

/* The name given at creation, "" for none. */
CAIRN_API const char *cairn_pool_name(const cairn_pool *pool);

/* The pool's class. */
CAIRN_API cairn_pool_class cairn_pool_class_of(const cairn_pool *pool);

/* Statistics of one pool: fields and meaning as for the process heap.  -1 with EINVAL if out->struct_size is 0. */
CAIRN_API int cairn_pool_stats(cairn_pool *pool, cairn_stats *out);

/* Calls `visit` for every live block, huge ones included, in no particular order.  Blocks allocated or freed while
 * the walk goes on may or may not be seen; all others are seen once.  cairn_pool_destroy waits for walks to end.  `visit` runs without locks held and may call
 * anything on the pool but reset and destroy.  CAIRN_SLAB without CAIRN_POOL_MARKS: other threads must leave the pool
 * alone meanwhile, and visit may not allocate from it.  CAIRN_FIT with CAIRN_POOL_SIZED has no blocks but allocated
 * ranges, and visits those.  CAIRN_FIT goes by address, lowest first.  Returns what visit returned last, 0 at the end; -1 with ENOMEM. */
CAIRN_API int cairn_pool_walk(cairn_pool *pool, cairn_visit *visit, void *context);

/* CAIRN_FIT only: calls `visit` for every free range, lowest address first, as cairn_pool_walk does for blocks.
 * -1 with EINVAL for another class. */
CAIRN_API int cairn_pool_walk_free(cairn_pool *pool, cairn_visit *visit, void *context);

/* Checks the pool's own structures against each other.  0, or -1 with EUCLEAN and the first fault in
 * cairn_errormsg().  No other thread may use the pool meanwhile.  Time: linear in its pages and free blocks. */
CAIRN_API int cairn_pool_check(cairn_pool *pool);

/* Gives free pages back to the source at once, all but about `keep` bytes.  1 if any went back, else 0. */
CAIRN_API int cairn_pool_trim(cairn_pool *pool, size_t keep);

/* Changes the limits; SIZE_MAX means none.  -1 with EINVAL when hard < soft. */
CAIRN_API int cairn_pool_limit_set(cairn_pool *pool, size_t hard, size_t soft);

/* Calls `visit` for every pool of the process until it returns nonzero, and returns that.  Visit may call anything on
 * the pool but cairn_pool_reset and cairn_pool_destroy, which would wait for themselves. */
CAIRN_API int cairn_pools_walk(int (*visit)(cairn_pool *pool, void *context), void *context);

#ifdef __cplusplus
}
#endif
#endif
