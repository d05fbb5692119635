/* cache.c - see cache.h.  Neighbours: alloc.h has the fast paths, remote.c the frees by other threads. */
#include "engine/cache.h"

#include "engine/alloc.h"
#include "engine/classes.h"
#include "engine/meta.h"
#include "engine/remote.h"
#include "engine/span.h"
#include "os/os.h"

#include <string.h>

#define ALIGNED __attribute__((aligned(CACHE_LINE)))
#define RETAINED_PAGES_MAX 128 /* of empty spans that a thread keeps, one per class at most */

#define LOOK_PAGES (16 * CHUNK_PAGES) /* about a millisecond's worth */

#define EMPTY_CACHE                                                                                          \
    {                                                                                                        \
        .quick = {[0 ... QUICK_COUNT - 1] = &span_none},                                                     \
        .firsts = {[0 ... CLASS_COUNT - FIRSTS_CLASS - 1] = &span_none}, .guard = &span_none, .bins = {      \
            [0 ... CLASS_COUNT - 1] = {.first = &span_none}                                                  \
        }                                                                                                    \
    }

struct cache cache_none ALIGNED = EMPTY_CACHE;
struct cache cache_gone ALIGNED = EMPTY_CACHE;
struct cache cache_held ALIGNED = EMPTY_CACHE;

_Static_assert(offsetof(struct cache, firsts) == sizeof(struct span *) * QUICK_COUNT,
               "a watched cache reads one further");

/* ---- Bins ---------------------------------------------------------------------------------------- */

/* Where the fast paths find a class of up to QUICK_SIZE_MAX: in cache->quick or cache->sampled. */
static void show_in(struct span **table, const struct heap *heap, unsigned size_class, struct span *first)
{
    size_t size = class_size(size_class);
    bool least = size_class == 0 || size <= heap->config.least_size;
    size_t from = least ? 0 : class_size(size_class - 1) / 8 + 1;
    for (size_t i = from; i <= size / 8; i++)
        store_relaxed(&table[i], first);
}

static void show(struct cache *cache, unsigned size_class, struct span *first)
{
    if (size_class >= FIRSTS_CLASS)
        store_relaxed(&cache->firsts[size_class - FIRSTS_CLASS], first);
    else
        show_in(cache->quick, cache->heap, size_class, first);
}

static void show_sampled(struct cache *cache, unsigned size_class, struct span *first)
{
    if (size_class < FIRSTS_CLASS)
        show_in(cache->sampled, cache->heap, size_class, first);
}

/* While somebody watches, or the thread has not followed the end of it: nothing where malloc looks first, and behind the
 * veil only what a thread may find of which no more is to be seen than samples. */
COLD static void show_watched(struct cache *cache, unsigned size_class, struct span *first)
{
    uint32_t watch;
    do {
        watch = load_relaxed(&cache->heap->watch);
        bool veil = (watch & WATCH_VEIL) != 0 || cache->tag_count > 0;
        bool sampled = watch == cache->seen && (watch & WATCH_VEIL) == WATCH_SAMPLE && cache->tag_count == 0;
        show(cache, size_class, veil ? &span_none : first);
        if ((cache->seen & WATCH_SAMPLE) != 0)
            show_sampled(cache, size_class, sampled ? first : &span_none);
        order_here(); /* for the other threads, os_barrier_everywhere in veil_all makes it one */
    } while (UNLIKELY(load_relaxed(&cache->heap->watch) != watch));
}

static void set_first(struct cache *cache, unsigned size_class, struct span *first)
{
    uint32_t watch = load_relaxed(&cache->heap->watch);
    cache->bins[size_class].first = first;
    if (LIKELY(((watch | cache->seen) & WATCH_VEIL) == 0 && cache->tag_count == 0)) {
        show(cache, size_class, first);
        order_here(); /* as above */
        if (LIKELY(load_relaxed(&cache->heap->watch) == watch))
            return;
    }
    show_watched(cache, size_class, first);
}

void cache_follow(struct cache *cache, uint32_t seen)
{
    cache->seen = seen;
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++)
        set_first(cache, size_class, cache->bins[size_class].first);
}

/* Twice, for a kernel that knows no such barrier: the second round catches what was on its way in the first. */
static void veil_all(struct heap *heap)
{
    for (int round = 0; round < 2; round++) {
        os_barrier_everywhere();
        struct cache *cache = load_acquire(&heap->all_caches); /* pairs with cache_make */
        for (; cache != NULL; cache = cache->next_all)
            for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
                show(cache, size_class, &span_none);
                show_sampled(cache, size_class, &span_none);
            }
    }
    os_barrier_everywhere();
}

void cache_watch(struct heap *heap, uint32_t set, uint32_t clear)
{
    uint32_t old = load_relaxed(&heap->watch), new;
    do {
        new = ((old + WATCH_CHANGE) & ~clear) | set;
    } while (!cas_acq_rel(&heap->watch, &old, new)); /* pairs with itself */
    if ((new &WATCH_VEIL) == 0)
        return;
    veil_all(heap);
    old = load_relaxed(&heap->watch);
    while ((old & WATCH_VEIL) == 0 && !cas_acq_rel(&heap->watch, &old, old + WATCH_CHANGE)) /* as above */
        ;
}

static void add_first(struct cache *cache, struct span *span)
{
    struct bin *bin = &cache->bins[span->size_class];
    span->previous = NULL;
    span->next = bin->spans > 0 ? bin->first : NULL;
    if (bin->spans++ > 0)
        bin->first->previous = span;
    else
        bin->last = span;
    set_first(cache, span->size_class, span);
}

void cache_add_last(struct cache *cache, struct span *span)
{
    struct bin *bin = &cache->bins[span->size_class];
    if (bin->spans == 0) {
        add_first(cache, span);
        return;
    }
    span->next = NULL;
    span->previous = bin->last;
    bin->last->next = span;
    bin->last = span;
    bin->spans++;
}

/* From now on `span`, or none, is the one that stays in the bin even when it is empty. */
static void retain(struct cache *cache, struct bin *bin, struct span *span)
{
    if (bin->retained != NULL) {
        bin->retained->empty_at = 0;
        cache->retained_pages -= (uint32_t)bin->retained->pages;
    }
    bin->retained = span;
    if (span != NULL) {
        span->empty_at = SPAN_RETAINED;
        cache->retained_pages += (uint32_t)span->pages;
    }
}

void cache_remove(struct cache *cache, struct span *span)
{
    struct bin *bin = &cache->bins[span->size_class];
    if (bin->retained == span)
        retain(cache, bin, NULL);
    bin->spans--;
    if (span->next != NULL)
        span->next->previous = span->previous;
    else
        bin->last = span->previous;
    if (span->previous != NULL)
        span->previous->next = span->next;
    else
        set_first(cache, span->size_class, span->next != NULL ? span->next : &span_none);
    span->next = span->previous = NULL;
}

/* ---- Allocating ---------------------------------------------------------------------------------- */

/* Nothing is left to pop in the bin's first span: it leaves the bin, and goes to the end of it again if
 * others freed blocks just now. */
static void leave_full(struct cache *cache, struct span *span)
{
    uint64_t expected = 0;
    cache_remove(cache, span);
    store_relaxed(&span->last_owner, cache);
    store_relaxed(&span->last_life, cache->life);
    store_relaxed(&span->owner, NULL);
    if (cas_acq_rel(&span->remote, &expected, REMOTE_UNOWNED)) /* pairs with whoever takes it over */
        return;
    store_relaxed(&span->owner, cache);
    (void)span_collect(span);
    cache_add_last(cache, span);
}

/* Spans with free blocks of an earlier process are found as far as that takes no time to speak of: before the thread
 * gets new pages, not instead of them. */
static bool look_for_shared(struct cache *cache, unsigned size_class)
{
    struct heap *heap = cache->heap;
    if (heap->config.events == NULL)
        return false;
    lock_take(&heap->lock);
    bool any = heap->config.events->look(heap, LOOK_PAGES);
    lock_release(&heap->lock);
    return any && shared_take(cache, size_class);
}

static bool add_new_span(struct cache *cache, unsigned size_class, enum error *error)
{
    struct bin *bin = &cache->bins[size_class];
    struct span *span = span_make(cache->heap, size_class, bin->level, cache, error);
    if (span == NULL && bin->level > 0) {
        bin->level = 0; /* a smaller one may still be had */
        span = span_make(cache->heap, size_class, 0, cache, error);
    }
    if (span == NULL)
        return false;
    if (bin->level < class_level_max(size_class))
        bin->level++;
    add_first(cache, span);
    return true;
}

void *cache_refill(struct cache *cache, unsigned size_class, enum error *error)
{
    struct bin *bin = &cache->bins[size_class];
    for (;;) {
        struct span *span = bin->first;
        if (bin->spans == 0) {
            if (!shared_take(cache, size_class) && !look_for_shared(cache, size_class) &&
                !add_new_span(cache, size_class, error) && !shared_take(cache, size_class))
                return NULL;
        } else if (span->free != NULL || span_collect(span) || span_carve(span)) {
            return span_pop(span);
        } else {
            leave_full(cache, span);
        }
    }
}

/* ---- Freeing ------------------------------------------------------------------------------------- */

static void drop_empty(struct cache *cache, struct span *span)
{
    cache_remove(cache, span);
    cache->last_released = span->free;
    span_release(span, cache);
}

/* A thread that takes as much as it gave back shall find it, whatever the order in which it frees: so of each class
 * the largest span stays, and its next spans are as large as the last. */
void cache_span_empty(struct cache *cache, struct span *span)
{
    struct bin *bin = &cache->bins[span->size_class];
    struct span *kept = bin->retained;
    if (kept == span)
        return;
    size_t pages = cache->retained_pages + span->pages - (kept != NULL ? kept->pages : 0);
    if ((kept == NULL || kept->pages < span->pages) && pages <= RETAINED_PAGES_MAX) {
        retain(cache, bin, span);
        if (kept == NULL || kept->allocs != kept->frees)
            return;
        span = kept;
    }
    if (bin->retained == NULL && bin->level > 0)
        bin->level--;
    drop_empty(cache, span);
}

/* ---- Making and dropping ------------------------------------------------------------------------- */

/* `life` and `next_all` outlive the thread. */
static void init(struct cache *cache, struct heap *heap)
{
    for (unsigned i = 0; i < QUICK_COUNT; i++)
        store_relaxed(&cache->quick[i], &span_none); /* who veils may be at it */
    for (unsigned i = 0; i < CLASS_COUNT - FIRSTS_CLASS; i++)
        store_relaxed(&cache->firsts[i], &span_none);
    memcpy(cache->bins, cache_none.bins, sizeof cache->bins);
    cache->guard = &span_none;
    cache->sample_left = cache->sample_guard = 0;
    cache->seen = 0;
    cache->heap = heap;
    cache->last_released = NULL;
    cache->retained_pages = 0;
    cache->slot = NULL;
    cache->tag_count = 0;
    if (cache->given_next > 0)
        memset(cache->given, 0, sizeof cache->given);
    cache->given_next = 0;
    cache->inside = 0;
    memset(cache->slots, 0, sizeof cache->slots);
    cache->in_use = true;
}

struct cache *cache_make(struct heap *heap)
{
    lock_take(&heap->lock);
    struct cache *cache = heap->meta.idle_caches;
    if (cache != NULL) {
        heap->meta.idle_caches = cache->next_idle;
        init(cache, heap);
    } else if ((cache = meta_alloc(heap, sizeof *cache)) != NULL) {
        init(cache, heap);
        cache->next_all = heap->all_caches;
        store_release(&heap->all_caches, cache); /* pairs with find in pool/thread.c */
    }
    if (cache != NULL)
        heap->caches_in_use++;
    lock_release(&heap->lock);
    return cache;
}

void cache_make_late(struct heap *heap)
{
    if (heap->late != NULL || (heap->late = cache_make(heap)) == NULL)
        return;
    lock_take(&heap->lock);
    heap->caches_in_use--; /* it is no thread's */
    lock_release(&heap->lock);
}

static void drop_span(struct cache *cache, struct span *span)
{
    (void)span_collect(span);
    cache_remove(cache, span);
    if (span->allocs == span->frees)
        span_release(span, NULL);
    else
        span_disown(span);
}

void cache_drop(struct cache *cache)
{
    struct heap *heap = cache->heap;
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++) {
        while (cache->bins[size_class].spans > 0)
            drop_span(cache, cache->bins[size_class].first);
        count_up(&cache->life, 1); /* from here on others may take over what it left */
    }
    lock_take(&heap->lock);
    cache->in_use = false;
    cache->next_idle = heap->meta.idle_caches;
    heap->meta.idle_caches = cache;
    heap->caches_in_use--;
    lock_release(&heap->lock);
}

/* ---- Holding ------------------------------------------------------------------------------------- */

void cache_attach(struct cache *cache, struct cache **slot)
{
    lock_take(&cache->heap->lock);
    cache->slot = slot;
    lock_release(&cache->heap->lock);
}

/* In the slot the cache has one of two names, and the thread may change which until it finds it held. */
bool cache_hold(struct cache *cache)
{
    struct cache *now = cache->slot != NULL ? load_relaxed(cache->slot) : NULL;
    while (cache_real(now) == cache) {
        cache->held_as = now;
        if (cas_acquire(cache->slot, &now, &cache_held))
            return true;
    }
    return false;
}

/* Relaxed: the thread takes the heap's lock before it looks again. */
void cache_let_go(struct cache *cache)
{
    store_relaxed(cache->slot, cache->held_as);
}
