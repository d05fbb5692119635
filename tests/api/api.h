/* api.h - the headers of every API test, and the standard names that no installed header declares yet. */
#ifndef CAIRN_TESTS_API_H
#define CAIRN_TESTS_API_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#include <cmocka.h>
#ifdef __cplusplus
}
#endif

#include "check.h"
#include <cairn/cairn.h>
#include <malloc.h>

/* cmocka defines `fail`, `skip` and the like as macros; nothing here may use those names. */

#ifndef __cplusplus
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

/* The two faces of the heap: most tests run through both. */
typedef struct face {
    const char *name;
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*reallocarray)(void *, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void (*free)(void *);
    void (*free_sized)(void *, size_t);
    void (*free_aligned_sized)(void *, size_t, size_t);
    size_t (*usable_size)(void *);
} face;

static inline size_t face_cairn_usable_size(void *block)
{
    return cairn_usable_size(block);
}

static const face faces[] = {
    {"standard", malloc, calloc, realloc, reallocarray, aligned_alloc, posix_memalign, free, free_sized,
     free_aligned_sized, malloc_usable_size},
    {"cairn", cairn_malloc, cairn_calloc, cairn_realloc, cairn_reallocarray, cairn_aligned_alloc,
     cairn_posix_memalign, cairn_free, cairn_free_sized, cairn_free_aligned_sized, face_cairn_usable_size},
};
#define FOR_FACES(f) for (const face *f = faces; f < faces + sizeof faces / sizeof *faces; f++)
#endif

static inline cairn_stats stats_now(void)
{
    cairn_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    CHECK(cairn_stats_get(&stats) == 0);
    return stats;
}

/* The numbers add up to the byte; call it only while no other thread allocates. */
static inline cairn_stats stats_checked(void)
{
    cairn_stats s = stats_now();
    CHECKF(s.live + s.cached + s.free + s.metadata == s.committed,
           "live %llu + cached %llu + free %llu + metadata %llu != committed %llu",
           (unsigned long long)s.live, (unsigned long long)s.cached, (unsigned long long)s.free,
           (unsigned long long)s.metadata, (unsigned long long)s.committed);
    CHECK(s.committed <= s.reserved);
    CHECK(s.committed <= s.committed_peak);
    CHECK(s.live_large <= s.live);
    CHECK(s.live_blocks == s.allocations - s.frees);
    return s;
}

#endif
