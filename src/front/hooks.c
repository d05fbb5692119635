/* hooks.c - the calls of <cairn/hooks.h>: straight to the process heap as long as no interface is in place, else through
 * the chain of observe/hooks.c, whose bottom is the process heap again. */
#include "cairn/hooks.h"

#include "front/plain.h"
#include "front/process.h"
#include "observe/tool.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

/* The one branch.  Whoever pushed an interface and told this thread of it has been heard by then; no order is needed
 * here, as hooks_enter looks again. */
#define HOOKED() UNLIKELY(load_relaxed(&hooks_chain) != NULL)

#define SITE int line, const char *file, const char *func
#define CALL()                                                                                               \
    {                                                                                                        \
        .file = file, .func = func, .line = line, .address = __builtin_return_address(0)                     \
    }

/* ---- The bottom ---------------------------------------------------------------------------------- */

static void *bottom_malloc(void *context, const cairn_call *call, size_t size)
{
    (void)context, (void)call;
    return process_malloc(size);
}

static void *bottom_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    (void)context, (void)call;
    return process_calloc(count, size);
}

static void *bottom_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    (void)context, (void)call, (void)old_size;
    return process_realloc("realloc", block, size, CALLER);
}

static void *bottom_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    (void)context, (void)call;
    return process_aligned_alloc(alignment, size, CALLER);
}

static void bottom_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    (void)context, (void)call, (void)old_size;
    process_free("free", block);
}

static size_t bottom_usable_size(void *context, const cairn_call *call, const void *block)
{
    (void)context, (void)call;
    return process_usable_size("free", block); /* it is asked by a free or realloc that is under way */
}

static const cairn_interface bottom = {
    .struct_size = sizeof bottom,
    .name = "heap",
    .on_malloc = bottom_malloc,
    .on_calloc = bottom_calloc,
    .on_realloc = bottom_realloc,
    .on_aligned_alloc = bottom_aligned_alloc,
    .on_free = bottom_free,
    .on_usable_size = bottom_usable_size,
};

/* ---- Allocating ---------------------------------------------------------------------------------- */

NOINLINE static void *hooked_malloc(cairn_call call, size_t size)
{
    struct hook_slot *slot = passage_enter(&call, false);
    if (slot == NULL)
        return process_malloc(size);
    void *block = cairn_below_malloc(&call, size);
    passage_leave(slot);
    return block;
}

void *cairn_malloc_at(size_t size, SITE)
{
    if (HOOKED())
        return hooked_malloc((cairn_call)CALL(), size);
    return process_malloc(size);
}

NOINLINE static void *hooked_calloc(cairn_call call, size_t count, size_t size)
{
    struct hook_slot *slot = passage_enter(&call, false);
    if (slot == NULL)
        return process_calloc(count, size);
    void *block = cairn_below_calloc(&call, count, size);
    passage_leave(slot);
    return block;
}

void *cairn_calloc_at(size_t count, size_t size, SITE)
{
    size_t total;
    if (HOOKED() && !multiply_overflows(count, size, &total))
        return hooked_calloc((cairn_call)CALL(), count, size);
    return process_calloc(count, size);
}

NOINLINE static void *hooked_realloc(cairn_call call, void *block, size_t size)
{
    struct hook_slot *slot = passage_enter(&call, false);
    if (slot == NULL)
        return process_realloc("realloc", block, size, CALLER);
    void *moved = block == NULL
                      ? cairn_below_malloc(&call, size)
                      : cairn_below_realloc(&call, block, cairn_below_usable_size(&call, block), size);
    passage_leave(slot);
    return moved;
}

void *cairn_realloc_at(void *block, size_t size, SITE)
{
    if (HOOKED())
        return hooked_realloc((cairn_call)CALL(), block, size);
    return process_realloc("realloc", block, size, CALLER);
}

void *cairn_reallocarray_at(void *block, size_t count, size_t size, SITE)
{
    size_t total;
    if (multiply_overflows(count, size, &total))
        return thread_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    if (HOOKED())
        return hooked_realloc((cairn_call)CALL(), block, total);
    return process_realloc("reallocarray", block, total, CALLER);
}

NOINLINE static void *hooked_aligned_alloc(cairn_call call, size_t alignment, size_t size)
{
    struct hook_slot *slot = passage_enter(&call, false);
    if (slot == NULL)
        return process_aligned_alloc(alignment, size, CALLER);
    void *block = cairn_below_aligned_alloc(&call, alignment, size);
    passage_leave(slot);
    return block;
}

void *cairn_aligned_alloc_at(size_t alignment, size_t size, SITE)
{
    if (!is_power_of_two(alignment))
        return thread_fail(EINVAL, "the alignment is not a power of two");
    if (HOOKED())
        return hooked_aligned_alloc((cairn_call)CALL(), alignment, size);
    return process_aligned_alloc(alignment, size, CALLER);
}

static char *copy_text(char *block, const char *string, size_t length)
{
    if (block == NULL)
        return NULL;
    memcpy(block, string, length);
    block[length] = 0;
    return block;
}

char *cairn_strdup_at(const char *string, SITE)
{
    size_t length = strlen(string);
    void *block = HOOKED() ? hooked_malloc((cairn_call)CALL(), length + 1) : process_malloc(length + 1);
    return copy_text(block, string, length);
}

char *cairn_strndup_at(const char *string, size_t max, SITE)
{
    size_t length = strnlen(string, max);
    void *block = HOOKED() ? hooked_malloc((cairn_call)CALL(), length + 1) : process_malloc(length + 1);
    return copy_text(block, string, length);
}

/* ---- Freeing and asking -------------------------------------------------------------------------- */

NOINLINE static void hooked_free(cairn_call call, void *block)
{
    if (block == NULL)
        return;
    int saved = os_errno_get();
    struct hook_slot *slot = passage_enter(&call, false);
    if (slot == NULL) {
        process_free("free", block);
        return;
    }
    cairn_below_free(&call, block, cairn_below_usable_size(&call, block));
    passage_leave(slot);
    os_errno_set(saved);
}

void cairn_free_at(void *block, SITE)
{
    if (HOOKED())
        hooked_free((cairn_call)CALL(), block);
    else
        process_free("free", block);
}

size_t cairn_hook_usable_size(const void *block)
{
    cairn_call call = {.address = __builtin_return_address(0)};
    struct hook_slot *slot = HOOKED() && block != NULL ? passage_enter(&call, false) : NULL;
    if (slot == NULL)
        return process_usable_size("usable_size", block);
    size_t size = cairn_below_usable_size(&call, block);
    passage_leave(slot);
    return size;
}

/* ---- The stack of interfaces --------------------------------------------------------------------- */

void *cairn_hook_fail(int error, const char *message)
{
    return thread_fail(error, message);
}

static void before_fork(void)
{
    hooks_before_fork();
    tool_fork_all(TOOL_FORK_BEFORE);
}

static void after_fork_parent(void)
{
    tool_fork_all(TOOL_FORK_PARENT);
    hooks_after_fork_parent();
}

static void after_fork_child(void)
{
    tool_fork_all(TOOL_FORK_CHILD);
    hooks_after_fork_child();
}

/* Registered once, by whoever pushes first; the heap's own handlers are registered by then, so these run before them. */
static void watch_forks(void)
{
    static bool done; /* atomic */
    static struct lock lock = {.rank = LOCK_RANK_START};
    process_start();
    lock_take(&lock);
    bool first = !load_relaxed(&done);
    store_relaxed(&done, true);
    lock_release(&lock);
    if (first) /* may allocate */
        os_fork_hooks(before_fork, after_fork_parent, after_fork_child);
}

static const char *words_of(int error)
{
    return error == ENOSPC ? "as many interfaces as there may be are in place"
                           : "the system has no memory for the interface";
}

static cairn_hook *push(const cairn_interface *interface, unsigned flags)
{
    int error;
    if (interface->struct_size == 0)
        return thread_fail(EINVAL, "struct_size is 0");
    watch_forks();
    cairn_hook *hook = hooks_push(interface, &bottom, flags, &error);
    if (hook == NULL)
        return thread_fail(error, words_of(error));
    if ((flags & HOOK_ALL_CALLS) != 0)
        plain_begin();
    return hook;
}

cairn_hook *cairn_hook_push(const cairn_interface *interface)
{
    return push(interface, 0);
}

cairn_hook *hook_push_for_all(const cairn_interface *interface)
{
    return push(interface, HOOK_ALL_CALLS);
}

cairn_hook *cairn_hook_set(const cairn_interface *interface)
{
    static const cairn_interface nothing = {.struct_size = sizeof nothing};
    return push(interface != NULL ? interface : &nothing, HOOK_ALONE);
}

/* -1 with errno and words, when there are any. */
static int status(int error, const char *message)
{
    if (error == 0)
        return 0;
    (void)thread_fail(error, message);
    return -1;
}

#define NOT_IN_PLACE "this interface is not in place"

int cairn_hook_remove(cairn_hook *hook)
{
    int error = hooks_remove(hook);
    if (error == 0 && UNLIKELY((load_relaxed(&process_heap.watch) & WATCH_HOOKS) != 0))
        plain_end();
    return status(error, error == EINVAL ? NOT_IN_PLACE : words_of(error));
}

int cairn_hook_grace(void)
{
    return status(hooks_grace() ? 0 : EDEADLK, "the thread is inside an interface and would wait for itself");
}

int cairn_hook_stats_get(cairn_hook *hook, cairn_hook_stats *out)
{
    cairn_hook_stats all;
    size_t room = out->struct_size;
    if (room == 0)
        return status(EINVAL, "struct_size is 0");
    if (!hooks_stats(hook, &all))
        return status(EINVAL, NOT_IN_PLACE);
    all.struct_size = room;
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

size_t cairn_hook_list(cairn_hook **hooks, size_t room)
{
    return hooks_list(hooks, room);
}

const char *cairn_hook_name(cairn_hook *hook)
{
    return hooks_name(hook);
}
