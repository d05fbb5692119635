/* tracing.c - the trace: every call into a file.  See <cairn/tools.h>; trace_file.h says when an event's time is read. */
#include "observe/tool.h"
#include "observe/trace_file.h"

#include "base/atomic.h"
#include "engine/types.h"
#include "os/lock.h"
#include "os/os.h"
#include "pool/thread.h"

#include <errno.h>

struct tracing {
    struct cairn_tool tool;
    struct trace_file *file; /* NULL in the child of a fork, which writes none */
    struct lock defining;
    uintptr_t forking;           /* the thread that is in a fork and has the file's locks, 0: none; atomic */
    uint8_t defined[PLACES_MAX]; /* 1: the file has the place; atomic */
};

/* A thread's cache with the number of threads that had it before; a thread that has none any more goes by its handle. */
static uint64_t thread_key(void)
{
    const struct cache *cache = thread_own_cache();
    if (UNLIKELY(cache == NULL))
        return (uint64_t)os_thread_id() | 1;
    return (uint64_t)(uintptr_t)cache >> 6 << 24 ^ (load_relaxed(&cache->life) & 0xffffff);
}

/* The lock makes the definition stand in the file before anybody uses the number. */
NOINLINE static void define(struct tracing *tracing, const struct place *place)
{
    uintptr_t frame = (uintptr_t)place->address;
    lock_take(&tracing->defining);
    if (load_relaxed(&tracing->defined[place->id]) == 0) {
        trace_file_site(tracing->file,
                        &(struct trace_site){place->id, place->line, place->file, place->func, &frame, 1});
        store_release(&tracing->defined[place->id], 1); /* pairs with number_of */
    }
    lock_release(&tracing->defining);
}

static uint32_t number_of(struct tracing *tracing, const cairn_call *call)
{
    const struct place *place = place_of(call);
    if (place->id != 0 && UNLIKELY(load_acquire(&tracing->defined[place->id]) == 0)) /* pairs with define */
        define(tracing, place);
    return place->id;
}

/* What other fork handlers allocate during a fork is left out. */
static bool is_open(const struct tracing *tracing)
{
    uintptr_t forker = load_relaxed(&tracing->forking);
    return tracing->file != NULL && LIKELY(forker == 0 || forker != os_thread_id());
}

static bool is_traced(const struct tracing *tracing, const cairn_call *call, size_t size)
{
    return is_open(tracing) && tool_chooses(&tracing->tool.where, call, size);
}

static void put(struct tracing *tracing, const cairn_call *call, struct trace_event *event)
{
    event->site = number_of(tracing, call);
    trace_file_put(tracing->file, thread_key(), event);
}

/* What gave a block, or not. */
static void *put_got(struct tracing *tracing, const cairn_call *call, enum trace_kind kind, void *block,
                     size_t size, size_t alignment)
{
    struct trace_event event = {
        .kind = block != NULL ? kind : TRACE_FAILED,
        .failed = kind,
        .time = trace_file_now(tracing->file),
        .address = (uintptr_t)block,
        .size = size,
        .alignment = alignment,
    };
    put(tracing, call, &event);
    return block;
}

/* ---- The interface ------------------------------------------------------------------------------- */

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    void *block = cairn_below_malloc(call, size);
    return is_traced(context, call, size) ? put_got(context, call, TRACE_MALLOC, block, size, 0) : block;
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    void *block = cairn_below_calloc(call, count, size);
    size_t total = count * size;
    return is_traced(context, call, total) ? put_got(context, call, TRACE_CALLOC, block, total, 0) : block;
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    void *block = cairn_below_aligned_alloc(call, alignment, size);
    return is_traced(context, call, size) ? put_got(context, call, TRACE_ALIGNED, block, size, alignment)
                                          : block;
}

static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    struct tracing *tracing = context;
    if (!is_traced(tracing, call, size))
        return cairn_below_realloc(call, block, old_size, size);
    struct trace_event event = {
        .kind = TRACE_REALLOC, .old = (uintptr_t)block, .size = size, .time = trace_file_now(tracing->file)};
    void *moved = cairn_below_realloc(call, block, old_size, size);
    event.took = trace_file_now(tracing->file) - event.time;
    event.address = (uintptr_t)moved;
    if (moved == NULL) {
        event.kind = TRACE_FAILED;
        event.failed = TRACE_REALLOC;
    }
    put(tracing, call, &event);
    return moved;
}

/* All frees: whether their block was chosen is not known. */
static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    struct tracing *tracing = context;
    if (is_open(tracing)) {
        struct trace_event event = {
            .kind = TRACE_FREE, .address = (uintptr_t)block, .time = trace_file_now(tracing->file)};
        put(tracing, call, &event);
    }
    cairn_below_free(call, block, old_size);
}

/* ---- Output and life ----------------------------------------------------------------------------- */

static void tracing_print(struct cairn_tool *tool, struct printer *p, bool json)
{
    const struct tracing *tracing = (const struct tracing *)tool;
    uint64_t lost = 0, events = tracing->file != NULL ? trace_file_events(tracing->file, &lost) : 0;
    if (json)
        print(p, "{\"cairn\": \"%s\", \"tool\": \"trace\", \"events\": %ju, \"lost\": %ju}\n",
              cairn_version(), events, lost);
    else
        print(p, "cairn: trace: %ju events, %ju of them lost\n", events, lost);
}

static void tracing_fork(struct cairn_tool *tool, enum tool_fork when)
{
    struct tracing *tracing = (struct tracing *)tool;
    if (tracing->file == NULL)
        return;
    if (when == TOOL_FORK_BEFORE) {
        lock_take_next_for_fork(&tracing->defining);
        trace_file_before_fork(tracing->file);
        store_relaxed(&tracing->forking, os_thread_id());
        return;
    }
    store_relaxed(&tracing->forking, 0);
    if (when == TOOL_FORK_PARENT) {
        trace_file_after_fork_parent(tracing->file);
    } else {
        trace_file_abandon_in_child(tracing->file);
        tracing->file = NULL;
    }
    lock_release_after_fork(&tracing->defining);
}

static void say_lost(const struct tracing *tracing)
{
    struct printer p;
    tool_say_begin(&p, &tracing->tool);
    print(&p, "%s: part of the trace could not be written", tracing->tool.output);
    tool_say_end(&p);
}

/* Other threads may go on meanwhile. */
static void tracing_at_exit(struct cairn_tool *tool)
{
    struct tracing *tracing = (struct tracing *)tool;
    if (tracing->file != NULL && !trace_file_end(tracing->file) && (tool->flags & CAIRN_TOOL_QUIET) == 0)
        say_lost(tracing);
}

static bool tracing_end(struct cairn_tool *tool)
{
    struct tracing *tracing = (struct tracing *)tool;
    return tracing->file == NULL || trace_file_close(tracing->file);
}

static const struct tool_kind tracing_kind = {.name = "trace",
                                              .print = tracing_print,
                                              .fork = tracing_fork,
                                              .at_exit = tracing_at_exit,
                                              .end = tracing_end};

struct cairn_tool *tracing_make(const cairn_tracing_config *given)
{
    cairn_tracing_config config = {.struct_size = sizeof config};
    if (!tool_config_read(&config, sizeof config, given))
        return NULL;
    if (config.output == NULL || config.output[0] == 0)
        return thread_fail(EINVAL, "no file is given for the trace");
    struct tool_config common = {sizeof common, config.flags, config.output, config.where};
    struct tracing *tracing = tool_make(&tracing_kind, sizeof *tracing, &common);
    if (tracing == NULL)
        return NULL;
    tracing->defining.rank = LOCK_RANK_TOOL;
    tracing->file = trace_file_open(config.output);
    if (tracing->file == NULL) {
        int error = os_errno_get();
        tool_release(&tracing->tool);
        return thread_fail(error, "the file for the trace cannot be created");
    }
    cairn_interface *interface = &tracing->tool.interface;
    interface->on_malloc = on_malloc;
    interface->on_calloc = on_calloc;
    interface->on_aligned_alloc = on_aligned_alloc;
    interface->on_realloc = on_realloc;
    interface->on_free = on_free;
    return &tracing->tool;
}
