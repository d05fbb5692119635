/* guard.c - CAIRN_POOL_GUARD: each block ends at an inaccessible page, and stays inaccessible for a while once freed.
 *
 *      span of a large block
 *     +-----------------------+------------------+-------------+
 *     | unused       [ block  |  block ]         | no access   |
 *     +-----------------------+------------------+-------------+
 *                                     ^ ends here, but for the alignment
 *
 * The span's `free` holds the block's address, its `carved` whether it is live, its `block_size` what was asked for,
 * in units of the alignment.  Freed spans wait in a queue; the oldest becomes memory again when the queue is full.
 * Debugging only: two mappings and two system calls for each block. */
#include "base/bits.h"
#include "engine/arena.h"
#include "engine/heap.h"
#include "engine/large.h"
#include "engine/pagemap.h"
#include "engine/span.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/pool.h"

#include <string.h>

#define QUEUE_PAGES_MAX 4096 /* 16 MiB of addresses that stay inaccessible */

/* Behind the handle; the heap comes first, as in every pool with one. */
struct guard {
    struct heap heap;
    struct lock lock;          /* of the queue and the spans' fields */
    struct span *first, *last; /* freed spans, oldest first */
    size_t queued_pages;
    void (*freed)(void *context, const void *block); /* pool_guard_watch; NULL: nobody wants to know */
    void *freed_context;
};

_Static_assert(sizeof(struct guard) <= POOL_STATE_SIZE, "the state has its place behind the handle");

static size_t guard_bytes(void)
{
    return size_max(os_page_size(), PAGE_SIZE);
}

static enum error guard_open(struct cairn_pool *pool, const cairn_pool_config *given)
{
    struct guard *guard = pool->state;
    struct heap_config config = pool_heap_config(pool, given);
    heap_init(&guard->heap, &config);
    guard->lock = (struct lock){.rank = LOCK_RANK_POOL};
    guard->first = guard->last = NULL;
    guard->queued_pages = 0;
    guard->freed = NULL;
    return OK;
}

void pool_guard_watch(struct cairn_pool *pool, void (*freed)(void *context, const void *block), void *context)
{
    struct guard *guard = pool->state;
    guard->freed_context = context;
    guard->freed = freed;
}

/* ---- Blocks -------------------------------------------------------------------------------------- */

static void *block_of(const struct span *span)
{
    return span->free;
}

static size_t guard_size_of(const struct span *span)
{
    return span->base + (span->pages << PAGE_SHIFT) - guard_bytes() - (uintptr_t)span->free;
}

static struct span *span_of(struct cairn_pool *pool, const char *call, const void *block)
{
    struct span *span = pagemap_find(block);
    if (span == NULL || pool_of_span(span) != pool)
        report_fatal(call, block, span != NULL ? "block of another heap" : "invalid pointer");
    if (block_of(span) != block)
        report_fatal(call, block, "misaligned pointer");
    if (span->carved == 0)
        report_fatal(call, block, "double free of");
    return span;
}

/* Takes spans out of the queue until it is short enough, and gives them back; true if any. */
static bool shorten_queue(struct guard *guard, size_t pages)
{
    bool any = false;
    for (;;) {
        lock_take(&guard->lock);
        struct span *span = guard->queued_pages > pages ? guard->first : NULL;
        if (span != NULL) {
            guard->first = span->next;
            if (guard->first == NULL)
                guard->last = NULL;
            guard->queued_pages -= span->pages;
        }
        lock_release(&guard->lock);
        if (span == NULL)
            return any;
        void *base = (void *)span->base;
        span->next = NULL;
        span->free = NULL;
        span->carved = 1;
        if (os_protect(base, span->pages << PAGE_SHIFT, true)) /* else it can never be used again */
            any = large_free(span, base) || any;
    }
}

/* Pages for one block; where memory is short, those of freed blocks. */
static char *get_pages(struct guard *guard, size_t size, enum error *error)
{
    char *base = large_alloc(&guard->heap, size, guard_bytes(), true, error);
    if (base == NULL && shorten_queue(guard, 0))
        base = large_alloc(&guard->heap, size, guard_bytes(), true, error);
    return base;
}

static void *guard_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    struct guard *guard = pool->state;
    size_t page = guard_bytes();
    (void)zero; /* fresh from the system or zeroed here: always zero */
    size = align_up(size_max(size, 1), size_min(align, page));
    size_t slack = align > page ? align : 0;
    if (size > PTRDIFF_MAX - 2 * page - slack) {
        *error = ERROR_MEMORY;
        return NULL;
    }
    char *base = get_pages(guard, align_up(size, page) + page + slack, error);
    if (base == NULL)
        return NULL;
    struct span *span = pagemap_find(base);
    char *end = base + (span->pages << PAGE_SHIFT) - page;
    char *block = (char *)align_down((uintptr_t)end - size, align);
    if (!os_protect(end, page, false)) {
        (void)large_free(span, base);
        *error = ERROR_MEMORY;
        return NULL;
    }
    lock_take(&guard->lock);
    span->free = (struct block *)block;
    span->carved = 1;
    lock_release(&guard->lock);
    return block;
}

static void guard_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct guard *guard = pool->state;
    if (guard->freed != NULL)
        guard->freed(guard->freed_context, block);
    lock_take(&guard->lock);
    struct span *span = span_of(pool, call, block);
    if (size != SIZE_MAX && align_up(size_max(size, 1), pool->alignment) > guard_size_of(span))
        report_fatal(call, block, "wrong size for");
    span->carved = 0;
    span->next = NULL;
    if (guard->last != NULL)
        guard->last->next = span;
    else
        guard->first = span;
    guard->last = span;
    guard->queued_pages += span->pages;
    (void)os_purge((void *)span->base, span->pages << PAGE_SHIFT); /* addresses are kept, memory is not */
    (void)os_protect((void *)span->base, span->pages << PAGE_SHIFT, false);
    lock_release(&guard->lock);
    (void)shorten_queue(guard, QUEUE_PAGES_MAX);
}

static size_t guard_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    struct guard *guard = pool->state;
    lock_take(&guard->lock);
    size_t size = guard_size_of(span_of(pool, call, block));
    lock_release(&guard->lock);
    return size;
}

/* ---- The whole pool ------------------------------------------------------------------------------ */

/* Every page is made accessible again before it goes back: the depot hands it to others. */
static void guard_close(struct cairn_pool *pool)
{
    struct guard *guard = pool->state;
    for (struct arena *arena = guard->heap.arenas; arena != NULL; arena = arena->next)
        (void)os_protect((void *)arena->base, arena->pages << PAGE_SHIFT, true);
    heap_destroy(&guard->heap);
}

static struct span *next_live(struct guard *guard, uintptr_t *at)
{
    struct span *found = NULL;
    lock_take(&guard->lock);
    lock_take(&guard->heap.lock);
    while (found == NULL) {
        const struct arena *arena = arena_above(&guard->heap, *at);
        if (arena == NULL)
            break;
        size_t page = *at > arena->base ? (*at - arena->base) >> PAGE_SHIFT : 0;
        page = bits_next_clear(arena->free, page, arena->pages);
        struct span *span = page < arena->pages ? pagemap_find((void *)arena_address(arena, page)) : NULL;
        *at = arena_address(arena, size_min(page + (span != NULL ? span->pages : 1), arena->pages));
        if (span != NULL && span->carved != 0 && span->free != NULL)
            found = span;
    }
    lock_release(&guard->heap.lock);
    lock_release(&guard->lock);
    return found;
}

static int guard_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct guard *guard = pool->state;
    uintptr_t at = 0;
    const struct span *span;
    while ((span = next_live(guard, &at)) != NULL) {
        int result = visit(block_of(span), guard_size_of(span), context);
        if (result != 0)
            return result;
    }
    return 0;
}

static const char *guard_check(struct cairn_pool *pool)
{
    struct guard *guard = pool->state;
    const char *fault = NULL;
    lock_take(&guard->heap.lock);
    for (const struct arena *arena = guard->heap.arenas; fault == NULL && arena != NULL; arena = arena->next)
        fault = arena_check(arena);
    lock_release(&guard->heap.lock);
    return fault;
}

static void guard_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct guard *guard = pool->state;
    pool_slab.stats(pool, out);
    lock_take(&guard->lock);
    uint64_t queued = 0;
    for (const struct span *span = guard->first; span != NULL; span = span->next)
        queued++;
    uint64_t bytes = guard->queued_pages << PAGE_SHIFT;
    lock_release(&guard->lock);
    out->live -= bytes; /* freed, but kept from use: cached */
    out->live_large -= bytes;
    out->cached += bytes;
    out->live_blocks -= queued;
    out->frees += queued;
}

static bool guard_trim(struct cairn_pool *pool, size_t keep)
{
    struct guard *guard = pool->state;
    bool any = shorten_queue(guard, 0);
    return pool_slab.trim(pool, keep) || any;
}

static bool guard_before_fork(struct cairn_pool *pool)
{
    struct guard *guard = pool->state;
    return lock_try_both_for_fork(&guard->lock, &guard->heap.lock);
}

static void guard_after_fork(struct cairn_pool *pool, bool child)
{
    struct guard *guard = pool->state;
    if (child)
        heap_forget_threads(&guard->heap, NULL);
    lock_release_after_fork(&guard->heap.lock);
    lock_release_after_fork(&guard->lock);
}

static size_t guard_committed(const struct cairn_pool *pool)
{
    return pool_slab.committed(pool);
}

static void guard_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    pool_slab.limit(pool, hard, soft);
}

const struct pool_ops pool_guard = {
    .open = guard_open,
    .close = guard_close,
    .alloc = guard_alloc,
    .free = guard_free,
    .usable = guard_usable,
    .walk = guard_walk,
    .check = guard_check,
    .stats = guard_stats,
    .committed = guard_committed,
    .trim = guard_trim,
    .limit = guard_limit,
    .before_fork = guard_before_fork,
    .after_fork = guard_after_fork,
};
