/* tools.h - ready interfaces for <cairn/hooks.h>: one call each puts them in place.
 *
 *     cairn_tool *leaks = cairn_leaks_start(NULL);       live blocks by place
 *     ...
 *     cairn_tool_print(leaks, 2, CAIRN_STATS_TEXT);
 *     cairn_tool_stop(leaks);
 *
 * They see the calls of <cairn/hooks.h> that are made while they are in place, and with CAIRN_TOOL_ALL_CALLS those of
 * malloc and its like, too.  They stand on top of what is there when they start: a tool started later sees calls first.
 * CAIRN_CONF can start them without a line of code (docs/options.md): the keys faults, limits and guard for any program,
 * those that begin with hook_ for calls through <cairn/hooks.h>.
 *
 * Common to every call here, unless it says otherwise:
 *   threads   any thread may call anything at any time
 *   config    NULL means the defaults, as does a structure that is all zero but for struct_size; it is copied
 *   failure   NULL or -1 with errno set; cairn_errormsg() says it in words.  Starting: EINVAL (struct_size is 0, a text
 *             is too long, or as said at the tool), ENOMEM, ENOSPC (CAIRN_HOOKS_MAX are in place)
 *   memory    tools take theirs from the system, not from the heap that they watch
 *   time      what a pair of calls takes more is said at the tool; measured by bench/figures/observe.c where reading the
 *             clock takes 20 ns
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_TOOLS_H
#define CAIRN_TOOLS_H

#include "cairn/hooks.h"
#include "cairn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A tool in place. */
typedef struct cairn_tool cairn_tool;

/* ---- Which calls --------------------------------------------------------------------------------- */

/* Calls that all of this holds for; zero and NULL: any.  In `file` and `func` a star stands for any text; a file is
 * compared by its whole name and by what is behind the last slash.  Texts have at most 127 bytes.
 * Of a call that says no file, the function is that which made it, as the linker knows it (C++: mangled; "" if the file
 * was stripped of its symbols), and the file is the library or program that this is in. */
typedef struct cairn_where {
    const char *file, *func;
    int line;
    size_t min_size, max_size; /* bytes asked for; max_size 0: no bound */
} cairn_where;

/* ---- Common to all tools ------------------------------------------------------------------------- */

/* Flags of every config. */
#define CAIRN_TOOL_AT_EXIT 1u /* prints when the process exits, as cairn_tool_print does */
#define CAIRN_TOOL_JSON 2u    /* then in JSON */
#define CAIRN_TOOL_QUIET 4u   /* says nothing while the program runs */
#define CAIRN_TOOL_ALL_CALLS                                                                                 \
    8u /* sees cairn_malloc and its like, too, and where the heap is replaced malloc and operator new; a pair of calls
        * takes 120 ns more then, and what the tool itself takes */

/* Writes what the tool knows to a file descriptor: a text for people, or one object of JSON in a line.
 * -1 with the errno of write(2) when that fails. */
CAIRN_API int cairn_tool_print(cairn_tool *tool, int fd, cairn_stats_format format);

/* Takes the tool out of place, waits until no call is inside it, and releases it; the handle is void then.  -1 with EDEADLK
 * from inside an interface, with EINVAL for a tool that is not in place; with the errno of write(2) when a trace is not
 * whole, though it is stopped. */
CAIRN_API int cairn_tool_stop(cairn_tool *tool);

/* The tool's interface, for cairn_hook_stats_get; it is removed by cairn_tool_stop only. */
CAIRN_API cairn_hook *cairn_tool_hook(cairn_tool *tool);

/* ---- Leak tracker -------------------------------------------------------------------------------- */

/* Keeps every live block with its place: what was allocated and not freed since it started.  Prints bytes, blocks and
 * place, most bytes first.  Costs some 100 ns for each pair of calls and 32 bytes for each live block. */
typedef struct cairn_leaks_config {
    size_t struct_size;
    unsigned flags;
    const char *output; /* file for CAIRN_TOOL_AT_EXIT, %p in it is the process id; NULL: standard error */
    cairn_where where;  /* which blocks are kept */
} cairn_leaks_config;

CAIRN_API CAIRN_NODISCARD cairn_tool *cairn_leaks_start(const cairn_leaks_config *config);

/* One place: blocks that are live, their bytes as asked for, and the largest of them. */
typedef struct cairn_leak {
    const char *file, *func; /* NULL: unknown; valid as long as the process */
    int line;
    const void *address; /* of the code behind the first call that came from there */
    uint64_t blocks, bytes, largest;
} cairn_leak;

/* Calls `visit` for each place that has live blocks, most bytes first, until it returns nonzero; returns that.  What other
 * threads allocate and free meanwhile may be in it or not.  -1 with ENOMEM; with EINVAL for another tool. */
CAIRN_API int cairn_leaks_visit(cairn_tool *leaks, int (*visit)(const cairn_leak *leak, void *context),
                                void *context);

/* ---- Fault injector ------------------------------------------------------------------------------ */

/* Lets allocations fail (malloc, calloc, realloc, aligned_alloc; not free).  Those that `where` chooses are counted from 1;
 * number n fails if nth == n, or every divides n, or by chance, which depends on seed and n alone.  Each failure is told
 * on standard error, the first 20 of them, with the setting that repeats it.  Costs some 70 ns for each pair of calls. */
typedef struct cairn_faults_config {
    size_t struct_size;
    unsigned flags;
    const char *output; /* as for the leak tracker */
    cairn_where where;
    uint64_t nth;       /* this one alone; 0: none */
    uint64_t every;     /* every so many; 0: none */
    double probability; /* 0 to 1 (EINVAL otherwise) */
    uint64_t seed;      /* 0: from the clock, and told */
    uint64_t most;      /* failures at most; 0: no bound */
    int error;          /* errno of a failure; 0: ENOMEM */
} cairn_faults_config;

CAIRN_API CAIRN_NODISCARD cairn_tool *cairn_faults_start(const cairn_faults_config *config);

/* How many allocations were counted so far; to *failed, unless NULL, how many of them failed. */
CAIRN_API uint64_t cairn_faults_count(cairn_tool *faults, uint64_t *failed);

/* ---- Limits by place ----------------------------------------------------------------------------- */

/* Each place that `where` chooses may have so much live at a time; what would go beyond fails with ENOMEM.  A place that hits
 * its limit is told on standard error once.  Costs some 120 ns for each pair of calls. */
typedef struct cairn_limits_config {
    size_t struct_size;
    unsigned flags;
    const char *output;
    cairn_where where;
    uint64_t bytes, blocks; /* of each place; 0: no bound; one of them is required (EINVAL) */
} cairn_limits_config;

CAIRN_API CAIRN_NODISCARD cairn_tool *cairn_limits_start(const cairn_limits_config *config);

/* ---- Guard --------------------------------------------------------------------------------------- */

/* Puts blocks of chosen places against inaccessible pages: an overrun beyond the alignment of 16 bytes, and any use after
 * free, ends the process with SIGSEGV after one line on standard error that names the block and where it was allocated and
 * freed.  A smaller overrun is found when the block is freed, told the same way, and ends in abort().
 * Blocks lie in a pool with CAIRN_POOL_GUARD, so cairn_free and free take them back, too, and they may outlive the
 * tool; but only frees that the tool sees are told with their place.  Two pages and two system calls for each block. */
typedef struct cairn_guard_config {
    size_t struct_size;
    unsigned flags;
    const char *output;
    cairn_where where;
    uint64_t every; /* only every so many of the chosen; 0: all */
    size_t limit;   /* bytes that guarded blocks may take; further ones are placed as usual; 0: 128 MiB */
} cairn_guard_config;

CAIRN_API CAIRN_NODISCARD cairn_tool *cairn_guard_start(const cairn_guard_config *config);

/* ---- Trace --------------------------------------------------------------------------------------- */

/* Writes every call with time, thread, size and place to a file, some 10 bytes each (docs/trace-format.md).  Fails with
 * the errno of open(2), too.  The child of a fork writes none.  cairn_tool_stop ends the file, as does the process's exit.
 * Costs some 150 ns for each pair of calls. */
typedef struct cairn_tracing_config {
    size_t struct_size;
    unsigned flags;
    const char *output; /* the file, %p in it is the process id; required (EINVAL) */
    cairn_where where;
} cairn_tracing_config;

CAIRN_API CAIRN_NODISCARD cairn_tool *cairn_tracing_start(const cairn_tracing_config *config);

/* ---- Pool as target ------------------------------------------------------------------------------ */

/* What has `pool` answer in place of the process heap: push it, or set it.  Blocks of other heaps that come back are freed
 * where they belong; realloc keeps them there.  The pool must stay until it is removed and cairn_hook_grace has
 * returned; its blocks are freed as those of any pool. */
CAIRN_API cairn_interface cairn_interface_of_pool(cairn_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
