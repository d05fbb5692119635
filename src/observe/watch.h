/* watch.h - who wants to see a heap's calls, and how they are told.
 *
 * A watcher is told of every call, the sampler of those that chance chooses: a block of n bytes with the
 * probability 1 - exp(-n / interval), and then of that block's end.  Neither costs anything while it is off; how the
 * fast paths are made to notice is in engine/types.h ("How a heap is watched").  The calls come from front/, in the
 * thread that allocates, with no lock held; they may come from several threads at once, and a few may still come
 * after watch_stop.  A watcher must not allocate from the heap; it may call stack_capture (stack.h).
 *
 * Order: `freed` and `moving` come before the block can go to anybody else, `allocated` and `moved` when it is the
 * caller's; so of two calls about one address the first is always told first. */
#ifndef OBSERVE_WATCH_H
#define OBSERVE_WATCH_H

#include "engine/types.h"

enum watch_fork { FORK_BEFORE, FORK_PARENT, FORK_CHILD };

/* For `align` below: calloc's call, with malloc's alignment. */
#define WATCH_ZEROED 1

/* What a watcher wants to be told; each may be NULL.  The structure must last as long as the process. */
struct watcher {
    void (*allocated)(struct watcher *self, void *block, size_t size,
                      size_t align); /* align 0: malloc's; or WATCH_ZEROED */
    void (*freed)(struct watcher *self, void *block);

    /* Around realloc.  `moving` takes out what is known of the block, and what it returns goes to `moved`, where
     * `block` is the new place, or NULL: it failed, and `old` is as it was. */
    void *(*moving)(struct watcher *self, void *block);
    void (*moved)(struct watcher *self, void *known, void *old, void *block, size_t size);

    /* Around fork, once the watcher has been started: takes its locks for fork (lock.h), and releases them. */
    void (*fork)(struct watcher *self, enum watch_fork when);
};

/* The sampler's `moved` says only that the block is no longer the old one, or that realloc failed; a new sample comes
 * as `allocated`. */
struct sampler {
    struct watcher watcher;
    size_t (*next)(
        struct sampler *self); /* bytes to the next sample, at least 1, exponentially distributed */
};

#define WATCHERS_MAX 8

/* Starts and stops; false when WATCHERS_MAX others have been started before.  For any thread, and for signal handlers. */
bool watch_start(struct heap *heap, struct watcher *watcher);
void watch_stop(struct heap *heap, struct watcher *watcher);

/* One sampler per process; starting it again makes every thread draw anew. */
void watch_sample(struct heap *heap, struct sampler *wanted);
void watch_sample_stop(struct heap *heap);

/* ---- For front/ ---------------------------------------------------------------------------------- */

/* What was taken out of the watchers' books before a realloc. */
struct watch_known {
    void *of[WATCHERS_MAX];
    void *of_sampler;
    bool marked; /* the block was a sample */
};

size_t watch_next_sample(void);
void watch_allocated(uint32_t watch, void *block, size_t size, size_t align);
void watch_sampled(void *block, size_t size, size_t align);
void watch_freed(uint32_t watch, void *block);
void watch_moving(uint32_t watch, void *block, struct watch_known *known);
void watch_moved(const struct watch_known *known, void *old, void *block, size_t size);
void watch_fork(enum watch_fork when);

#endif
