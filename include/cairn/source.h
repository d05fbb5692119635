/* source.h - where a pool gets its memory: the system, the program break, or callbacks of yours.
 *
 * A pool asks its source for address ranges and gives them back; between the two it may ask that parts of
 * a range be made usable and let them go again.  A pool inside memory that you already have needs no
 * source: see `buffer` in <cairn/pool.h>.
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_SOURCE_H
#define CAIRN_SOURCE_H

#include "cairn/cairn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The memory that `commit` (or, without it, `reserve`) hands over reads as zero. */
#define CAIRN_SOURCE_ZEROED 1u
/* `release` takes any part of a range, in multiples of `granule`, not only the whole. */
#define CAIRN_SOURCE_SPLIT 2u

/* A source of your own.  The pool keeps the pointer: the structure must outlive every pool that uses it.
 * Calls come from any thread that uses such a pool, and may come from several at once: callbacks lock what they
 * share.  They must not call anything on a pool that uses the source, nor make or destroy pools; other pools they may
 * use, also while the process forks.  All but decommit are called with the pool kept from its other threads.
 * CAIRN_SLAB with a granule above the page size commits whole ranges and decommits none.
 * Sizes and addresses are multiples of `granule`. */
typedef struct cairn_source {
    size_t struct_size; /* sizeof(cairn_source) */
    const char *name;   /* for statistics; static text */
    void *context;      /* first argument of every callback */

    /* A range of `size` bytes at a multiple of `alignment` (a power of two); NULL: there is none. */
    void *(*reserve)(void *context, size_t size, size_t alignment);

    /* Takes a range back.  0, or -1 when it has to stay: the pool goes on using it, or, when the pool is
     * destroyed or reset, forgets it. */
    int (*release)(void *context, void *base, size_t size);

    /* Makes part of a range readable and writable, which is not asked for twice before it was decommitted or
     * released.  0, or -1: no memory, and nothing of it committed.  NULL: ranges are usable as they come. */
    int (*commit)(void *context, void *address, size_t size);

    /* Part of a range is not needed for now; its contents may go.  0, or -1: it stays committed.  With `commit`,
     * the pool commits it again before the next use; without, it must read as zero then (CAIRN_SOURCE_ZEROED) or
     * may hold anything.  NULL: nothing goes back before the range does.  The pool's other threads go on meanwhile:
     * it may wait for what they do. */
    int (*decommit)(void *context, void *address, size_t size);

    size_t granule; /* bytes, a power of two; 0: the system's page size */
    size_t step;    /* least bytes to reserve at a time; 0: the pool's choice */
    unsigned flags; /* CAIRN_SOURCE_* */
} cairn_source;

/* The system: anonymous pages, shared out among all pools that use it.  The default. */
CAIRN_API const cairn_source *cairn_source_os(void);

/* The program break.  Ranges follow each other as long as nobody else moves the break; falls back to the system. */
CAIRN_API const cairn_source *cairn_source_brk(void);

#ifdef __cplusplus
}
#endif
#endif
