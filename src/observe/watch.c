/* watch.c - see watch.h.  A slot of the table is taken once and kept: whoever reads it while the watcher stops still
 * finds it. */
#include "observe/watch.h"

#include "engine/cache.h"
#include "engine/pagemap.h"
#include "engine/span.h"

/* `on` is read by every call that is watched. */
struct slot {
    struct watcher *watcher;
    uint32_t on;
    bool forks; /* told of the fork that is under way; forks come one at a time */
};

static struct slot slots[WATCHERS_MAX];
static struct sampler *sampler;

/* ---- Starting and stopping ----------------------------------------------------------------------- */

/* The watcher's slot, a new one if it has none; NULL: the table is full. */
static struct slot *slot_of(const struct watcher *watcher, struct watcher *enter)
{
    for (struct slot *slot = slots; slot < slots + WATCHERS_MAX; slot++) {
        struct watcher *found = load_acquire(&slot->watcher); /* pairs with the CAS */
        if (found == NULL && enter != NULL && cas_acq_rel(&slot->watcher, &found, enter))
            return slot;
        if (found == watcher)
            return slot;
    }
    return NULL;
}

static bool any_on(void)
{
    for (const struct slot *slot = slots; slot < slots + WATCHERS_MAX; slot++)
        if (load_relaxed(&slot->on) != 0)
            return true;
    return false;
}

bool watch_start(struct heap *heap, struct watcher *watcher)
{
    struct slot *slot = slot_of(watcher, watcher);
    if (slot == NULL)
        return false;
    store_release(&slot->on, 1); /* pairs with each_on */
    cache_watch(heap, WATCH_ALL, 0);
    return true;
}

void watch_stop(struct heap *heap, struct watcher *watcher)
{
    struct slot *slot = slot_of(watcher, NULL);
    if (slot == NULL)
        return;
    store_relaxed(&slot->on, 0);
    if (any_on())
        return;
    cache_watch(heap, 0, WATCH_ALL);
    if (any_on()) /* started meanwhile by another thread */
        cache_watch(heap, WATCH_ALL, 0);
}

void watch_sample(struct heap *heap, struct sampler *wanted)
{
    store_release(&sampler, wanted); /* pairs with the loads below */
    cache_watch(heap, WATCH_SAMPLE | WATCH_MARKED, 0);
}

/* WATCH_MARKED stays: samples that are live when sampling stops are still to be seen going. */
void watch_sample_stop(struct heap *heap)
{
    cache_watch(heap, 0, WATCH_SAMPLE);
}

/* ---- Telling ------------------------------------------------------------------------------------- */

static struct watcher *on(unsigned i)
{
    if (load_acquire(&slots[i].on) == 0) /* pairs with watch_start */
        return NULL;
    return load_acquire(&slots[i].watcher); /* pairs with slot_of */
}

static struct sampler *sampler_now(void)
{
    return load_acquire(&sampler); /* pairs with watch_sample */
}

size_t watch_next_sample(void)
{
    struct sampler *now = sampler_now();
    return now != NULL ? now->next(now) : SIZE_MAX;
}

void watch_allocated(uint32_t watch, void *block, size_t size, size_t align)
{
    if ((watch & WATCH_ALL) == 0)
        return;
    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        struct watcher *watcher = on(i);
        if (watcher != NULL && watcher->allocated != NULL)
            watcher->allocated(watcher, block, size, align);
    }
}

/* The block, which has a span to itself, is marked so that its free is seen. */
void watch_sampled(void *block, size_t size, size_t align)
{
    struct sampler *now = sampler_now();
    if (now == NULL)
        return;
    store_relaxed(&pagemap_find(block)->is_marked, 1);
    now->watcher.allocated(&now->watcher, block, size, align);
}

/* Whether the block is a sample: its span's mark, which is then taken away. */
static bool unmark(void *block)
{
    struct span *span = pagemap_find(block);
    if (span == NULL || load_relaxed(&span->is_marked) == 0 || !span_is_block(span, block))
        return false;
    store_relaxed(&span->is_marked, 0);
    return true;
}

void watch_freed(uint32_t watch, void *block)
{
    if ((watch & WATCH_MARKED) != 0 && unmark(block))
        sampler_now()->watcher.freed(&sampler_now()->watcher, block);
    if ((watch & WATCH_ALL) == 0)
        return;
    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        struct watcher *watcher = on(i);
        if (watcher != NULL && watcher->freed != NULL)
            watcher->freed(watcher, block);
    }
}

void watch_moving(uint32_t watch, void *block, struct watch_known *known)
{
    *known = (struct watch_known){.marked = (watch & WATCH_MARKED) != 0 && unmark(block)};
    if (known->marked)
        known->of_sampler = sampler_now()->watcher.moving(&sampler_now()->watcher, block);
    for (unsigned i = 0; (watch & WATCH_ALL) != 0 && i < WATCHERS_MAX; i++) {
        struct watcher *watcher = on(i);
        if (watcher != NULL && watcher->moving != NULL)
            known->of[i] = watcher->moving(watcher, block);
    }
}

void watch_moved(const struct watch_known *known, void *old, void *block, size_t size)
{
    if (known->marked) {
        if (block == NULL)
            store_relaxed(&pagemap_find(old)->is_marked, 1);
        sampler_now()->watcher.moved(&sampler_now()->watcher, known->of_sampler, old, block, size);
    }
    for (unsigned i = 0; i < WATCHERS_MAX; i++) {
        struct watcher *watcher = load_acquire(&slots[i].watcher); /* pairs with slot_of */
        if (watcher != NULL && watcher->moved != NULL && (known->of[i] != NULL || on(i) != NULL))
            watcher->moved(watcher, known->of[i], old, block, size);
    }
}

static void tell_fork(struct slot *slot, struct watcher *watcher, enum watch_fork when)
{
    if (when == FORK_BEFORE)
        slot->forks = watcher != NULL && watcher->fork != NULL;
    if (watcher != NULL && slot->forks)
        watcher->fork(watcher, when);
}

void watch_fork(enum watch_fork when)
{
    static struct slot of_sampler;
    struct sampler *now = sampler_now();
    tell_fork(&of_sampler, now != NULL ? &now->watcher : NULL, when);
    for (struct slot *slot = slots; slot < slots + WATCHERS_MAX; slot++)
        tell_fork(slot, load_acquire(&slot->watcher), when); /* pairs with slot_of */
}
