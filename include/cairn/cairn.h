/* cairn.h - the process heap: malloc and friends by name, its limits and its statistics.
 *
 * Linking libcairn (or LD_PRELOADing it) puts the standard names malloc, free, operator new, ... on the
 * same heap; the cairn_ names below work in every build, also in libcairn-local, which leaves the
 * standard names alone.
 *
 * Common to every call here, unless it says otherwise:
 *   threads   any thread may call anything at any time, and may free what another thread allocated
 *   failure   NULL or -1 with errno set; cairn_errormsg() says it in words
 *   alignment every block is aligned to 16 bytes; a block of 8 bytes or less may be aligned to 8
 *   misuse    a pointer into memory that is not Cairn's, one into the middle of a block, and a second free
 *             of the block freed last are named on standard error in one line, then the process aborts
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_CAIRN_H
#define CAIRN_CAIRN_H

#include <stddef.h>
#include <stdint.h>

#define CAIRN_VERSION_MAJOR 0
#define CAIRN_VERSION_MINOR 1
#define CAIRN_VERSION_PATCH 0

#if defined(__GNUC__)
#define CAIRN_API __attribute__((visibility("default")))
#define CAIRN_NODISCARD __attribute__((warn_unused_result))
#define CAIRN_ALLOCATES __attribute__((malloc, warn_unused_result))
#define CAIRN_SIZED(...) __attribute__((alloc_size(__VA_ARGS__)))
#else
#define CAIRN_API
#define CAIRN_NODISCARD
#define CAIRN_ALLOCATES
#define CAIRN_SIZED(...)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Allocating -------------------------------------------------------------------------------- */

/* At least `size` bytes, contents undefined.  size 0 gives a unique block that can be freed.
 * NULL with ENOMEM: no memory, a limit reached, or size above PTRDIFF_MAX.
 * Time: constant, a few nanoseconds up to 16 KiB; above that a search for pages under one lock. */
CAIRN_API void *cairn_malloc(size_t size) CAIRN_ALLOCATES CAIRN_SIZED(1);

/* count * size bytes, all zero.  NULL with ENOMEM also when the product overflows.
 * Pages that the system has just handed over are known to be zero and are not written. */
CAIRN_API void *cairn_calloc(size_t count, size_t size) CAIRN_ALLOCATES CAIRN_SIZED(1, 2);

/* Changes the size of `block` (NULL: as cairn_malloc), keeping the contents up to the smaller size; the
 * block may move.  size 0 frees `block` and returns a new minimum block, so that NULL always means
 * failure.  NULL with ENOMEM leaves the block as it was.  Blocks of 128 KiB and more grow in place where there
 * is room and otherwise move by remapping pages, so old and new are never held at once. */
CAIRN_API void *cairn_realloc(void *block, size_t size) CAIRN_NODISCARD CAIRN_SIZED(2);

/* cairn_realloc(block, count * size); NULL with ENOMEM when the product overflows. */
CAIRN_API void *cairn_reallocarray(void *block, size_t count, size_t size) CAIRN_NODISCARD CAIRN_SIZED(2, 3);

/* A block at a multiple of `alignment`, which must be a power of two (otherwise NULL with EINVAL).
 * `size` need not be a multiple of it. */
CAIRN_API void *cairn_aligned_alloc(size_t alignment, size_t size) CAIRN_ALLOCATES CAIRN_SIZED(2);

/* As posix_memalign: 0, EINVAL (alignment not a power of two that is a multiple of sizeof(void *)) or
 * ENOMEM.  errno is left alone, and *out too on failure. */
CAIRN_API int cairn_posix_memalign(void **out, size_t alignment, size_t size) CAIRN_NODISCARD;

/* A copy of the string; at most `max` bytes of it for strndup, always terminated. */
CAIRN_API char *cairn_strdup(const char *string) CAIRN_ALLOCATES;
CAIRN_API char *cairn_strndup(const char *string, size_t max) CAIRN_ALLOCATES;

/* ---- Freeing ----------------------------------------------------------------------------------- */

/* Gives a block back; NULL does nothing.  Keeps errno.
 * Time: constant; a block of another thread costs one atomic operation. */
CAIRN_API void cairn_free(void *block);

/* As cairn_free, checking that `block` could have been asked for with `size` (and `alignment`): a size
 * that the block could not have had is named on standard error, then the process aborts. */
CAIRN_API void cairn_free_sized(void *block, size_t size);
CAIRN_API void cairn_free_aligned_sized(void *block, size_t alignment, size_t size);

/* ---- Asking ------------------------------------------------------------------------------------ */

/* The bytes of `block` that may be used: at least what was asked for.  0 for NULL. */
CAIRN_API size_t cairn_usable_size(const void *block);

/* The usable size that cairn_malloc(size) would give, so that containers can grow into it. */
CAIRN_API size_t cairn_good_size(size_t size);

/* The calling thread's last failure in words, "" before the first one.  Valid until the thread's next
 * failing call. */
CAIRN_API const char *cairn_errormsg(void);

/* "major.minor.patch" of the library that runs, where CAIRN_VERSION_* are those of this header. */
CAIRN_API const char *cairn_version(void);

/* ---- Memory kept and limits -------------------------------------------------------------------- */

/* Gives free pages back to the system at once, all but about `keep` bytes.  1 if any went back, else 0. */
CAIRN_API int cairn_trim(size_t keep);

/* Limits on the process heap's committed bytes; SIZE_MAX means none, also for one of the two alone.  At the soft limit free pages are
 * given back first; at the hard one requests end in NULL with ENOMEM.  -1 with EINVAL when hard < soft.
 * A hard limit below what is committed now is accepted and holds for what is asked for from here on. */
CAIRN_API int cairn_limit_set(size_t hard, size_t soft);

/* ---- Statistics -------------------------------------------------------------------------------- */

/* All in bytes unless named a count.  While no other thread allocates,
 *     live + cached + free + metadata == committed
 * holds to the byte.  Figures taken while threads run are consistent each by itself, never negative. */
typedef struct cairn_stats {
    size_t struct_size;      /* set by the caller: sizeof(cairn_stats); fields beyond it stay unwritten */
    uint64_t live;           /* in blocks handed out, counted by their usable size */
    uint64_t cached;         /* free inside spans: free blocks of every thread, uncut rest, rounding */
    uint64_t free;           /* free pages that have not been given back to the system */
    uint64_t metadata;       /* held by the allocator for itself, its page map (0.2 %) left out */
    uint64_t committed;      /* the sum of the four above, counted independently of them */
    uint64_t committed_peak; /* highest value of committed so far */
    uint64_t reserved;       /* address space held, committed or not */
    uint64_t limit_hard;     /* UINT64_MAX: none */
    uint64_t limit_soft;     /* UINT64_MAX: none */
    uint64_t live_blocks;    /* count of blocks handed out */
    uint64_t live_large;     /* part of live that is in blocks above the largest size class */
    uint64_t allocations;    /* count of all blocks ever handed out (a realloc in place is none) */
    uint64_t frees;          /* count of all blocks ever given back */
    uint64_t spans;          /* count of spans in use */
    uint64_t threads;        /* count of thread caches in use */
    uint64_t arenas;         /* count of address ranges held */
    uint64_t purged;         /* bytes given back to the system so far */
    uint64_t purges;         /* count of calls to the system that gave them back */
} cairn_stats;

/* Fills *out as far as out->struct_size says.  -1 with EINVAL if that is 0.  Takes time linear in the
 * number of spans, under the heap's lock. */
CAIRN_API int cairn_stats_get(cairn_stats *out);

typedef enum cairn_stats_format { CAIRN_STATS_TEXT = 0, CAIRN_STATS_JSON = 1 } cairn_stats_format;

/* Writes the statistics, per size class too, to a file descriptor.  Allocates nothing.
 * -1 with the errno of write(2) when that fails. */
CAIRN_API int cairn_stats_print(int fd, cairn_stats_format format);

/* Writes the table of options that CAIRN_CONF knows to a file descriptor: as plain text, or with `markdown` as
 * the page docs/options.md.  -1 with the errno of write(2) when that fails. */
CAIRN_API int cairn_options_print(int fd, int markdown);

/* ---- Looking into the heap --------------------------------------------------------------------- */

/* What a walk calls for each block: its address, its usable size, and the walk's context.  0 goes on; anything else
 * ends the walk and is what it returns. */
typedef int cairn_visit(void *block, size_t size, void *context);

/* Visits the live blocks of the process heap, by rising address, while other threads allocate and free.
 *
 * A block that is live from the beginning of the walk to its end is visited exactly once; one that comes, goes or is
 * resized meanwhile, once or not at all, and the visitor may find it freed already: who reads a block's contents must
 * know that it stays.  What the allocator itself keeps free is never visited.  No lock is held while `visit` runs: it
 * may allocate and free, the visited block too.  A span whose lists are damaged is left out (see cairn_heap_check).
 *
 * 0, or what `visit` returned; -1 with ENOMEM when there is no memory for the walk itself (some 130 KiB, given back at
 * the end).  Time: linear in spans and blocks; other threads wait for one span's lists at most, some microseconds.
 * Not for signal handlers. */
CAIRN_API int cairn_heap_walk(cairn_visit *visit, void *context);

/* Checks the process heap's structures: pages, page map, spans, lists of free blocks (a write to a freed block shows
 * here, as does a block that was freed twice), counters.  Other threads may go on; of what they are at work on, all
 * but the thread's own lists is checked.
 *
 * 0: nothing is wrong.  -1 with EUCLEAN: cairn_errormsg() says what is, and where, in a text that stays until seven
 * more checks have failed; -1 with ENOMEM as above.  Time: as a walk, and all pages once under the heap's lock. */
CAIRN_API int cairn_heap_check(void);

#ifdef __cplusplus
}
#endif
#endif
