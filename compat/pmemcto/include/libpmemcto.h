/* libpmemcto.h - close-to-open persistence: the interface of libpmemcto 1.0, over Cairn's pools in files.
 *
 * Source compatible with the library of that name.  docs/pmemcto.md has the whole of it: each call, the errors, the
 * environment, and where this one differs from the original (it does not lose memory, and it tells when a flush failed).
 *
 * A pool keeps its address: raw pointers between its blocks stay valid from one run to the next.  Every call may come from
 * any thread; create, open and close of different pools too.  Failure is NULL or -1 with errno, and the words are in
 * pmemcto_errormsg().  Compiles as C and as C++.  MIT licence. */
#ifndef LIBPMEMCTO_H
#define LIBPMEMCTO_H 1

#include <stddef.h>
#include <sys/types.h>
#include <wchar.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pmemcto PMEMctopool;

#define PMEMCTO_MAJOR_VERSION 1
#define PMEMCTO_MINOR_VERSION 0

#define PMEMCTO_MIN_POOL ((size_t)(1024 * 1024 * 16)) /* bytes of the smallest pool */
#define PMEMCTO_MIN_PART ((size_t)(1024 * 1024 * 2))  /* bytes of the smallest part of a pool set */
#define PMEMCTO_MAX_LAYOUT ((size_t)1024)             /* bytes of a layout's name, with its terminating 0 */

/* ---- The library ---- */

/* NULL if the library serves programs written for this version, else why not. */
const char *pmemcto_check_version(unsigned major_required, unsigned minor_required);

/* The calling thread's last error in words. */
const char *pmemcto_errormsg(void);

/* Functions to use instead of malloc, free, realloc and strdup for what the library needs for itself, and for its output;
 * NULL: the default again.  To be called before any other call. */
void pmemcto_set_funcs(void *(*malloc_func)(size_t size), void (*free_func)(void *ptr),
                       void *(*realloc_func)(void *ptr, size_t size), char *(*strdup_func)(const char *s),
                       void (*print_func)(const char *s));

/* ---- Pools ---- */

/* A new pool in a file of `poolsize` bytes, all of them allocated; poolsize 0: the file is there, and its size is taken.
 * EINVAL, EEXIST, EACCES, ENOSPC, ENOMEM and those of open(2). */
PMEMctopool *pmemcto_create(const char *path, const char *layout, size_t poolsize, mode_t mode);

/* A pool that was closed; `layout` NULL: whatever it has.  EINVAL: no pool, another layout, not closed properly
 * ("inconsistent pool"); EAGAIN: open already; ENOMEM: its addresses are taken; and those of open(2). */
PMEMctopool *pmemcto_open(const char *path, const char *layout);

/* Flushes and closes.  If the flush failed, the pool stays marked as open, and pmemcto_errormsg() begins with "flush". */
void pmemcto_close(PMEMctopool *pcp);

/* 1: consistent; 0: not; -1: cannot be checked, or has another layout.  Writes nothing. */
int pmemcto_check(const char *path, const char *layout);

/* Statistics, to the print function.  Letters of `opts` leave parts out: g general, m totals, a arenas, b small sizes,
 * l large ones. */
void pmemcto_stats_print(PMEMctopool *pcp, const char *opts);

/* ---- Blocks: as the functions of the C library, in a pool ---- */

void *pmemcto_malloc(PMEMctopool *pcp, size_t size);
void pmemcto_free(PMEMctopool *pcp, void *ptr);
void *pmemcto_calloc(PMEMctopool *pcp, size_t nmemb, size_t size);
void *pmemcto_realloc(PMEMctopool *pcp, void *ptr, size_t size);
void *pmemcto_aligned_alloc(PMEMctopool *pcp, size_t alignment, size_t size);
char *pmemcto_strdup(PMEMctopool *pcp, const char *s);
wchar_t *pmemcto_wcsdup(PMEMctopool *pcp, const wchar_t *s);
size_t pmemcto_malloc_usable_size(PMEMctopool *pcp, void *ptr);

/* ---- The root ---- */

/* The one pointer that a program finds again; NULL until it is set. */
void pmemcto_set_root_pointer(PMEMctopool *pcp, void *ptr);
void *pmemcto_get_root_pointer(PMEMctopool *pcp);

#ifdef __cplusplus
}
#endif
#endif
