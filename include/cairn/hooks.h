/* hooks.h - the memory interface: calls that know where they come from, and interfaces that stand between them and
 * the heap.
 *
 *     char *p = cairn_malloc_here(100);        as cairn_malloc, and says line, file and function of this place
 *     cairn_free_here(p);
 *
 * As long as no interface is in place, that is what it costs: three arguments and one predictable branch.
 * An interface is a structure of functions.  It is pushed on a stack; each call goes to the one on top, which does
 * what it likes and hands it down, or does not:
 *
 *      cairn_malloc_here --> tracker --> fault injector --> pool            (each by cairn_below_malloc)
 *                              top                           bottom: the process heap, if nothing else answers
 *
 * Interfaces may be pushed and removed at any time, while other threads are in the middle of calls.  <cairn/tools.h>
 * has ready ones.  Only the calls of this header see them; malloc, cairn_malloc and the calls on pools do not, but for
 * tools that ask for all calls.
 *
 * Common to every call here, unless it says otherwise:
 *   threads   any thread may call anything at any time
 *   failure   NULL or -1 with errno set; cairn_errormsg() says it in words
 *   blocks    of the calls _here and _at are those of the process heap, as long as no interface has it otherwise: such
 *             blocks may be freed by cairn_free, and by free where the heap is replaced
 * Compiles as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_HOOKS_H
#define CAIRN_HOOKS_H

#include "cairn/cairn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Calls with their place ---------------------------------------------------------------------- */

/* As the call of <cairn/cairn.h> of the same name, through the interfaces in place.  A function that allocates for its
 * callers can be given their place by a macro of its own that passes CAIRN_HERE on. */
#define CAIRN_HERE __LINE__, __FILE__, __func__
#define cairn_malloc_here(size) cairn_malloc_at((size), CAIRN_HERE)
#define cairn_calloc_here(count, size) cairn_calloc_at((count), (size), CAIRN_HERE)
#define cairn_realloc_here(block, size) cairn_realloc_at((block), (size), CAIRN_HERE)
#define cairn_reallocarray_here(block, count, size)                                                          \
    cairn_reallocarray_at((block), (count), (size), CAIRN_HERE)
#define cairn_aligned_alloc_here(alignment, size) cairn_aligned_alloc_at((alignment), (size), CAIRN_HERE)
#define cairn_strdup_here(string) cairn_strdup_at((string), CAIRN_HERE)
#define cairn_strndup_here(string, max) cairn_strndup_at((string), (max), CAIRN_HERE)
#define cairn_free_here(block) cairn_free_at((block), CAIRN_HERE)

/* What the macros call.  `file` and `func` must be strings that stay, or NULL: unknown.  The arguments and results are
 * those of cairn_malloc and its like; realloc of NULL is malloc, free of NULL does nothing, and neither NULL nor a
 * product that overflows nor an alignment that is no power of two gets to an interface. */
CAIRN_API void *cairn_malloc_at(size_t size, int line, const char *file, const char *func)
    CAIRN_ALLOCATES CAIRN_SIZED(1);
CAIRN_API void *cairn_calloc_at(size_t count, size_t size, int line, const char *file, const char *func)
    CAIRN_ALLOCATES CAIRN_SIZED(1, 2);
CAIRN_API void *cairn_realloc_at(void *block, size_t size, int line, const char *file, const char *func)
    CAIRN_NODISCARD CAIRN_SIZED(2);
CAIRN_API void *cairn_reallocarray_at(void *block, size_t count, size_t size, int line, const char *file,
                                      const char *func) CAIRN_NODISCARD CAIRN_SIZED(2, 3);
CAIRN_API void *cairn_aligned_alloc_at(size_t alignment, size_t size, int line, const char *file,
                                       const char *func) CAIRN_ALLOCATES CAIRN_SIZED(2);
CAIRN_API char *cairn_strdup_at(const char *string, int line, const char *file, const char *func)
    CAIRN_ALLOCATES;
CAIRN_API char *cairn_strndup_at(const char *string, size_t max, int line, const char *file, const char *func)
    CAIRN_ALLOCATES;
CAIRN_API void cairn_free_at(void *block, int line, const char *file, const char *func);

/* The usable size of a block that the calls above gave, asked of the interfaces in place: where an interface has blocks of
 * its own, cairn_usable_size knows nothing of them.  0 for NULL. */
CAIRN_API size_t cairn_hook_usable_size(const void *block);

/* ---- Interfaces ---------------------------------------------------------------------------------- */

/* What is known of a call.  Valid until the interface's function returns; only read it. */
typedef struct cairn_call {
    const char *file, *func; /* where it was written; NULL: unknown */
    int line;                /* 0: unknown */
    const void *address;     /* of the code behind the call */
    const void *below[2];    /* for the cairn_below_ calls */
} cairn_call;

/* An interface.  A function that is NULL leaves its calls to what is below.
 *
 *   context    the structure's own, as it was when pushed
 *   old_size   what may be used of `block`: on_usable_size of the first interface that has one, else as
 *              cairn_usable_size; at least what was asked for
 *   block      never NULL; size may be 0, and count * size does not overflow
 *   failure    NULL with errno set (cairn_hook_fail does it); on_realloc then leaves `block` as it was
 *
 * Whatever an interface allocates for itself it takes from cairn_malloc or a pool, not from the calls above: they would
 * come back to it.  Its functions may be called by several threads at once; they may not leave by longjmp or an
 * exception.  They may push and remove interfaces, but not wait for them (cairn_hook_grace).
 *
 * An interface whose blocks are not those of what is below (it puts something in front of them, or takes them from
 * elsewhere) has to be in place when they are freed, and has on_usable_size.  Blocks of a pool are no such case, as
 * the heap takes them back, too. */
typedef struct cairn_interface {
    size_t struct_size; /* sizeof(cairn_interface) */
    const char *name;   /* for cairn_hook_list; copied, at most 31 bytes; NULL: "" */
    void *context;
    void *(*on_malloc)(void *context, const cairn_call *call, size_t size);
    void *(*on_calloc)(void *context, const cairn_call *call, size_t count, size_t size);
    void *(*on_realloc)(void *context, const cairn_call *call, void *block, size_t old_size, size_t size);
    void *(*on_aligned_alloc)(void *context, const cairn_call *call, size_t alignment, size_t size);
    void (*on_free)(void *context, const cairn_call *call, void *block, size_t old_size);
    size_t (*on_usable_size)(void *context, const cairn_call *call, const void *block);
} cairn_interface;

/* Hand a call down from inside an interface, with the `call` that it got; any kind of call may be made of any, and any
 * number.  `old_size` is what the one below gets to see.  cairn_below_realloc wants a block, and cairn_below_free, too. */
CAIRN_API void *cairn_below_malloc(const cairn_call *call, size_t size) CAIRN_NODISCARD;
CAIRN_API void *cairn_below_calloc(const cairn_call *call, size_t count, size_t size) CAIRN_NODISCARD;
CAIRN_API void *cairn_below_realloc(const cairn_call *call, void *block, size_t old_size, size_t size)
    CAIRN_NODISCARD;
CAIRN_API void *cairn_below_aligned_alloc(const cairn_call *call, size_t alignment, size_t size)
    CAIRN_NODISCARD;
CAIRN_API void cairn_below_free(const cairn_call *call, void *block, size_t old_size);
CAIRN_API size_t cairn_below_usable_size(const cairn_call *call, const void *block);

/* How an interface fails: sets errno and the words of cairn_errormsg (static text), returns NULL. */
CAIRN_API void *cairn_hook_fail(int error, const char *message);

/* ---- Putting in place and removing --------------------------------------------------------------- */

#define CAIRN_HOOKS_MAX 16 /* interfaces in place at a time */

/* An interface in place. */
typedef struct cairn_hook cairn_hook;

/* Puts an interface on top of those in place.  The structure is copied, so it may go away at once; what `context`
 * points to may not.  Calls that begin after the return go through it; calls of other threads that are under way
 * end as they began.  NULL with EINVAL (struct_size), ENOSPC (CAIRN_HOOKS_MAX are in place) or ENOMEM. */
CAIRN_API cairn_hook *cairn_hook_push(const cairn_interface *interface) CAIRN_NODISCARD;

/* The same, and puts all others out of use: what is below the new one is the process heap.  NULL as interface: calls go
 * straight to the heap.  Removing it restores what was there before. */
CAIRN_API cairn_hook *cairn_hook_set(const cairn_interface *interface) CAIRN_NODISCARD;

/* Removes an interface, wherever in the stack it is.  No call that begins after the return gets to it, but calls of
 * other threads may still be inside: its context (and the code of its functions, when it is about to be unloaded) may be
 * released after cairn_hook_grace.  The handle is void from here on.  -1 with EINVAL: not in place; with ENOMEM: all
 * stays as it was. */
CAIRN_API int cairn_hook_remove(cairn_hook *hook);

/* Waits until every call that was inside an interface when it was called has left it.  What was removed before may then be
 * released.  -1 with EDEADLK when the calling thread is inside an interface itself.  Time: that of the calls waited for;
 * below a microsecond when there are none. */
CAIRN_API int cairn_hook_grace(void);

/* ---- Asking -------------------------------------------------------------------------------------- */

/* What went through an interface while it has been in place.  Each figure is exact when no call is under way. */
typedef struct cairn_hook_stats {
    size_t struct_size; /* set by the caller; fields beyond it stay unwritten */
    uint64_t mallocs, callocs, reallocs, aligned_allocs, frees; /* calls of its functions */
    uint64_t failures;                                          /* of them, those that returned NULL */
    uint64_t bytes_allocated; /* asked for in all calls that gave a block, realloc included */
    uint64_t bytes_freed;     /* old sizes in all calls that took one, realloc included */
} cairn_hook_stats;

/* -1 with EINVAL: not in place, or struct_size is 0. */
CAIRN_API int cairn_hook_stats_get(cairn_hook *hook, cairn_hook_stats *out);

/* The interfaces in place, top first, those out of use included: up to `room` of them go to `hooks`, and their number is
 * returned, which may be more. */
CAIRN_API size_t cairn_hook_list(cairn_hook **hooks, size_t room);

/* The name of an interface in place; "" when it has none or is not in place.  Valid until it is removed. */
CAIRN_API const char *cairn_hook_name(cairn_hook *hook);

#ifdef __cplusplus
}
#endif
#endif
