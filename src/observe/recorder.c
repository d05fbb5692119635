/* recorder.c - see recorder.h.  A watcher (watch.h) that puts each call into the file.
 *
 * After recorder_stop some calls may still be on their way here, so the trace_file stays for ever: what comes late is
 * dropped by it, or falls into the next trace, where it belongs just as well. */
#include "observe/recorder.h"

#include "observe/trace_file.h"
#include "observe/watch.h"
#include "os/os.h"
#include "os/report.h"

#include <errno.h>
#include <string.h>

#define PATH_BYTES 1024

static struct trace_file *file; /* once made, constant, but in the child of a fork; atomic */
static uintptr_t forking;       /* the thread that is in a fork, 0: none; atomic */
static uint64_t (*key)(void);   /* constant once `file` is there */
static struct heap *recorded;   /* the same */
static struct lock control = {.rank = LOCK_RANK_RECORDER};
static bool recording; /* under `control`, as what follows */
static bool can_fork;  /* a child gets a file of its own */
static char pattern[PATH_BYTES];

/* ---- Calls --------------------------------------------------------------------------------------- */

/* Where events go; NULL: nowhere.  During a fork its thread has the file's locks, and what it allocates in the fork
 * handlers of others is left out. */
static struct trace_file *target(void)
{
    uintptr_t forker = load_relaxed(&forking);
    if (UNLIKELY(forker != 0 && forker == os_thread_id()))
        return NULL;
    return load_acquire(&file); /* pairs with open_file */
}

static void allocated(struct watcher *self, void *block, size_t size, size_t align)
{
    (void)self;
    struct trace_file *to = target();
    if (to == NULL)
        return;
    struct trace_event event = {.kind = TRACE_MALLOC, .address = (uintptr_t)block, .size = size};
    if (align == WATCH_ZEROED) {
        event.kind = TRACE_CALLOC;
    } else if (align != 0) {
        event.kind = TRACE_ALIGNED;
        event.alignment = align;
    }
    event.time = trace_file_now(to);
    trace_file_put(to, key(), &event);
}

static void freed(struct watcher *self, void *block)
{
    (void)self;
    struct trace_file *to = target();
    if (to == NULL)
        return;
    struct trace_event event = {.kind = TRACE_FREE, .address = (uintptr_t)block};
    event.time = trace_file_now(to);
    trace_file_put(to, key(), &event);
}

/* What is known of the block is the time at which it is given up. */
static void *moving(struct watcher *self, void *block)
{
    (void)self;
    (void)block;
    struct trace_file *to = target();
    return to != NULL ? (void *)(uintptr_t)(trace_file_now(to) | 1) : NULL;
}

static void moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    (void)self;
    struct trace_file *to = target();
    if (to == NULL || known == NULL)
        return;
    struct trace_event event = {
        .kind = TRACE_REALLOC, .address = (uintptr_t)block, .old = (uintptr_t)old, .size = size};
    event.took = (uintptr_t)trace_file_now(to) - (uintptr_t)known;
    event.time = trace_file_now(to) - event.took;
    if (block == NULL) {
        event.kind = TRACE_FAILED;
        event.failed = TRACE_REALLOC;
    }
    trace_file_put(to, key(), &event);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

static bool open_file(const char *path);
static void forked(struct watcher *self, enum watch_fork when);

static struct watcher watcher = {allocated, freed, moving, moved, forked};

/* The child's file is another, or none. */
static void in_child(void)
{
    struct trace_file *parents = load_relaxed(&file);
    store_relaxed(&file, NULL);
    trace_file_abandon_in_child(parents);
    recording = recording && can_fork && open_file(pattern);
    if (!recording)
        watch_stop(recorded, &watcher);
}

static void forked(struct watcher *self, enum watch_fork when)
{
    (void)self;
    struct trace_file *of = load_acquire(&file); /* pairs with open_file */
    if (when == FORK_BEFORE) {
        lock_take_for_fork(&control);
        store_relaxed(&forking, os_thread_id());
    }
    if (of != NULL && when == FORK_BEFORE)
        trace_file_before_fork(of);
    else if (of != NULL && when == FORK_PARENT)
        trace_file_after_fork_parent(of);
    else if (of != NULL)
        in_child();
    if (when != FORK_BEFORE) {
        store_relaxed(&forking, 0);
        lock_release_after_fork(&control);
    }
}

/* ---- Starting and stopping ----------------------------------------------------------------------- */

static bool open_file(const char *path)
{
    struct trace_file *known = load_relaxed(&file);
    if (known != NULL)
        return trace_file_again(known, path);
    known = trace_file_open(path);
    store_release(&file, known); /* pairs with the acquires above */
    return known != NULL;
}

static int start(struct heap *heap, const char *path, uint64_t (*thread_key)(void))
{
    if (recording)
        return EBUSY;
    if (strlen(path) >= PATH_BYTES)
        return ENAMETOOLONG;
    if (load_relaxed(&file) == NULL) { /* later ones are the same, and may be read already */
        key = thread_key;
        recorded = heap;
    }
    memcpy(pattern, path, strlen(path) + 1);
    can_fork = strstr(path, "%p") != NULL;
    if (!open_file(path))
        return os_errno_get();
    recording = watch_start(heap, &watcher);
    if (!recording)
        (void)trace_file_end(load_relaxed(&file));
    return recording ? 0 : EBUSY;
}

bool recorder_start(struct heap *heap, const char *path, uint64_t (*thread_key)(void))
{
    lock_take(&control);
    int error = start(heap, path, thread_key);
    lock_release(&control);
    if (error != 0)
        os_errno_set(error);
    return error == 0;
}

bool recorder_stop(struct heap *heap)
{
    int error = 0;
    lock_take(&control);
    if (!recording) {
        error = EINVAL;
    } else {
        watch_stop(heap, &watcher);
        recording = false;
        if (!trace_file_end(load_relaxed(&file)))
            error = os_errno_get();
    }
    lock_release(&control);
    if (error != 0)
        os_errno_set(error);
    return error == 0;
}
