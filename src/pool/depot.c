/* depot.c - see depot.h. */
#include "pool/depot.h"

#include "engine/arena.h"
#include "engine/heap.h"
#include "engine/meta.h"
#include "engine/purge.h"
#include "os/os.h"

#define KEEP_SHIFT 2 /* a quarter of what pools hold may stay dirty */
#define KEEP_LEAST (16 * MiB)

struct depot {
    struct heap heap;
    bool ready; /* atomic; under the heap's lock until it is true */
};

static struct depot os_depot = {.heap.lock.rank = LOCK_RANK_DEPOT};
static struct depot brk_depot = {.heap.lock.rank = LOCK_RANK_DEPOT};

static void start(struct depot *depot, struct source *source)
{
    lock_take(&depot->heap.lock);
    if (!depot->ready) {
        struct heap_config config = heap_config_default(source);
        config.keep_shift = KEEP_SHIFT;
        config.keep_least = KEEP_LEAST;
        depot->heap.config = config; /* all else is zero, as heap_init leaves it */
        depot->heap.late_lock.rank = LOCK_RANK_LATE;
        store_release(&depot->ready, true); /* pairs with depot_of */
    }
    lock_release(&depot->heap.lock);
}

static struct heap *depot_of(struct source *source)
{
    struct depot *depot = source == &depot_os ? &os_depot : &brk_depot;
    if (UNLIKELY(!load_acquire(&depot->ready))) /* pairs with start */
        start(depot, source == &depot_os ? &source_os : &source_brk);
    return &depot->heap;
}

/* Under the lock: the arena that holds `address`. */
static struct arena *arena_of(struct heap *heap, uintptr_t address)
{
    struct arena *arena = heap->arenas;
    while (address - arena->base >= arena->pages << PAGE_SHIFT)
        arena = arena->next;
    return arena;
}

static void *reserve(struct source *source, size_t size, size_t align)
{
    struct heap *heap = depot_of(source);
    struct run run;
    lock_take(&heap->lock);
    enum error error =
        pages_take(heap, align_up(size, PAGE_SIZE) >> PAGE_SHIFT, size_max(align, PAGE_SIZE), &run);
    if (error == OK)
        purge_for_peak(heap);
    lock_release(&heap->lock);
    return error == OK ? (void *)arena_address(run.arena, run.first) : NULL;
}

static bool release(struct source *source, void *base, size_t size)
{
    struct heap *heap = depot_of(source);
    lock_take(&heap->lock);
    for (size_t part; size > 0; base = (char *)base + part, size -= part) { /* arenas may lie side by side */
        struct arena *arena = arena_of(heap, (uintptr_t)base);
        size_t first = ((uintptr_t)base - arena->base) >> PAGE_SHIFT;
        part = size_min(size, (arena->pages - first) << PAGE_SHIFT);
        pages_give_back(heap, arena, first, part >> PAGE_SHIFT, true);
    }
    purge_by_rules(heap);
    lock_release(&heap->lock);
    return true;
}

static bool purge(struct source *source, void *base, size_t size)
{
    (void)source;
    return os_purge(base, size);
}

/* A page that was dirty when it was handed out keeps its bit until it comes back (pages_next_dirty). */
static bool is_stale(struct source *source, void *base, size_t size)
{
    struct heap *heap = depot_of(source);
    lock_take(&heap->lock);
    struct arena *arena = arena_of(heap, (uintptr_t)base);
    size_t at = ((uintptr_t)base - arena->base) >> PAGE_SHIFT, end;
    bool stale = pages_next_dirty(arena, at + (size >> PAGE_SHIFT), &at, &end);
    lock_release(&heap->lock);
    return stale;
}

#define DEPOT(source_name)                                                                                   \
    {                                                                                                        \
        .name = source_name, .reserve = reserve, .release = release, .purge = purge, .is_stale = is_stale,   \
        .align = 4 * KiB, .step = 64 * KiB, .unit = 64 * KiB, .largest = 16 * MiB, .splits = true,           \
    }

struct source depot_os = DEPOT("os");
struct source depot_brk = DEPOT("brk");

void *depot_keep(size_t size)
{
    struct heap *heap = depot_of(&depot_os);
    lock_take(&heap->lock);
    void *got = meta_alloc(heap, size);
    lock_release(&heap->lock);
    return got;
}

void depots_before_fork(void)
{
    lock_take_for_fork(&os_depot.heap.lock);
    lock_take_for_fork(&brk_depot.heap.lock);
}

void depots_after_fork(bool child)
{
    struct depot *depots[] = {&os_depot, &brk_depot};
    for (size_t i = 0; i < 2; i++) {
        if (child && depots[i]->ready)
            heap_forget_threads(&depots[i]->heap, NULL);
        lock_release_after_fork(&depots[i]->heap.lock);
    }
}
