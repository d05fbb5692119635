/* fixed.c - the class CAIRN_FIXED: blocks of one size, a pointer's work for each.
 *
 *   extent over a source, aligned to its largest size, so that a block's address leads to it:
 *     [ struct extent | block | block | block | ...  | rest ]
 *   in a buffer there is one, which begins where it may, and its descriptor is part of `struct fixed`.
 *
 * What is free, in each extent:
 *   without marks   a list threaded through the free blocks, and behind `carved` all that never was handed out; so a
 *                   block costs nothing.  A second free is found when nothing else was freed in between
 *   with marks      (CAIRN_POOL_MARKS, CAIRN_POOL_OUTSIDE) a slot set in the store: blocks are never touched, and
 *                   every wrong free is found
 *
 * Invariants, under the pool's lock:
 *   an extent is in the list of open ones if and only if it has free blocks
 *   live = capacity - free slots, or carved - length(free)
 *   one extent at most is kept without any live block (but for the only one in a buffer, or what the source keeps) */
#include "pool/slots.h"
#include "pool/supply.h"

#include "engine/pagemap.h"
#include "os/report.h"

#include <string.h>

#define EXTENT_FIRST (16 * KiB) /* a pool begins small */
#define EXTENT_USUAL (64 * KiB)
#define EXTENT_BLOCKS 32 /* and at least so many blocks, so that little is left over */
#define WALK_BLOCKS 32768

struct extent {
    struct extent *next, *previous;           /* all, the youngest first */
    struct extent *open_next, *open_previous; /* those with free blocks */
    struct block *free;                       /* without marks */
    struct slots slots;                       /* with marks */
    uintptr_t base;                           /* where the extent begins */
    uintptr_t blocks;                         /* where its first block begins */
    size_t size;                              /* of the extent, bytes */
    size_t capacity;                          /* blocks that fit */
    size_t carved;                            /* blocks handed out at least once; without marks */
    size_t live;
    uint64_t serial; /* rises with each extent of the pool */
    bool zero;       /* what is not carved is zero */
};

/* Words of a slot set whose extent is gone; in the first words of itself. */
struct spare_words {
    struct spare_words *next;
    size_t words;
};

struct fixed {
    struct lock lock;
    struct supply supply;
    size_t block_size;  /* a multiple of the pool's alignment */
    size_t extent_size; /* a power of two; what extents are aligned to, and none is larger */
    size_t extend_by;   /* least size of an extent */
    bool marks;         /* slot sets, not lists */
    struct extent *all, *open;
    struct spare_words *spare_words;
    size_t extents;
    size_t empty; /* extents without live blocks */
    size_t live;
    uint64_t allocs, frees;
    uint64_t serial;     /* of the last extent made */
    uint64_t released;   /* extents given back so far: what a walk remembers of them is void */
    size_t header_bytes; /* of all extents: what lies before their first blocks */
    struct extent only;  /* the one of a buffer */
};

static struct fixed *fixed_of(const struct cairn_pool *pool)
{
    return pool->state;
}

/* ---- Extents ---------------------------------------------------------------------------------------- */

static void open_link(struct fixed *fixed, struct extent *extent)
{
    extent->open_previous = NULL;
    extent->open_next = fixed->open;
    if (fixed->open != NULL)
        fixed->open->open_previous = extent;
    fixed->open = extent;
}

static void open_unlink(struct fixed *fixed, struct extent *extent)
{
    if (extent->open_next != NULL)
        extent->open_next->open_previous = extent->open_previous;
    if (extent->open_previous != NULL)
        extent->open_previous->open_next = extent->open_next;
    else
        fixed->open = extent->open_next;
}

/* Words for a slot set: those of an extent that is gone, or new ones. */
static uint64_t *get_words(struct fixed *fixed, size_t words)
{
    words = size_max(words, sizeof(struct spare_words) / sizeof(uint64_t));
    for (struct spare_words **at = &fixed->spare_words; *at != NULL; at = &(*at)->next)
        if ((*at)->words >= words) {
            struct spare_words *found = *at;
            *at = found->next;
            return (uint64_t *)found;
        }
    return supply_store(&fixed->supply, words * sizeof(uint64_t));
}

static void put_words(struct fixed *fixed, struct slots *slots)
{
    struct spare_words *spare = (struct spare_words *)slots->words;
    spare->words = size_max(slots_words(slots->count), sizeof *spare / sizeof(uint64_t));
    spare->next = fixed->spare_words;
    fixed->spare_words = spare;
}

static void link_extent(struct fixed *fixed, struct extent *extent)
{
    extent->serial = ++fixed->serial;
    extent->previous = NULL;
    extent->next = fixed->all;
    if (fixed->all != NULL)
        fixed->all->previous = extent;
    fixed->all = extent;
    fixed->extents++;
    fixed->empty++;
    fixed->header_bytes += extent->blocks - extent->base;
    open_link(fixed, extent);
}

/* Divides what came: `at` is where blocks may begin. */
static void divide(const struct cairn_pool *pool, struct extent *extent, uintptr_t at)
{
    uintptr_t end = extent->base + extent->size;
    extent->blocks = align_up(at, pool->alignment);
    extent->capacity = extent->blocks < end ? (end - extent->blocks) / fixed_of(pool)->block_size : 0;
}

static enum error grow(struct cairn_pool *pool)
{
    struct fixed *fixed = fixed_of(pool);
    enum error error = ERROR_MEMORY;
    size_t header = align_up(sizeof(struct extent), pool->alignment), size;
    size_t least = header + fixed->block_size;
    size_t wanted = fixed->all == NULL ? size_max(fixed->extend_by, least) : fixed->extent_size;
    bool zero;
    if (pool->buffer != 0)
        return ERROR_MEMORY; /* its one extent came when it was opened */
    struct extent *extent =
        supply_get(&fixed->supply, least, wanted, fixed->extent_size, &size, &zero, &error);
    if (extent == NULL)
        return error;
    *extent = (struct extent){.base = (uintptr_t)extent, .size = size, .zero = zero};
    divide(pool, extent, (uintptr_t)(extent + 1));
    if (fixed->marks) {
        uint64_t *words = get_words(fixed, slots_words(extent->capacity));
        if (words == NULL) {
            (void)supply_give(&fixed->supply, extent,
                              size); /* what the source keeps is lost to us until the end */
            return ERROR_MEMORY;
        }
        slots_init(&extent->slots, words, extent->capacity);
    }
    link_extent(fixed, extent);
    return OK;
}

/* Gives an extent without live blocks back.  False: it stays. */
static bool release(struct cairn_pool *pool, struct extent *extent)
{
    struct fixed *fixed = fixed_of(pool);
    struct extent old = *extent;
    if (pool->buffer != 0)
        return false;
    if (!supply_give(&fixed->supply, extent, old.size))
        return false;
    if (fixed->marks)
        put_words(fixed, &old.slots);
    if (old.next != NULL)
        old.next->previous = old.previous;
    if (old.previous != NULL)
        old.previous->next = old.next;
    else
        fixed->all = old.next;
    if (old.open_next != NULL)
        old.open_next->open_previous = old.open_previous;
    if (old.open_previous != NULL)
        old.open_previous->open_next = old.open_next;
    else
        fixed->open = old.open_next;
    fixed->extents--;
    fixed->empty--;
    fixed->released++;
    fixed->header_bytes -= old.blocks - old.base;
    return true;
}

/* The buffer's extent, and before it the slot set. */
static enum error open_buffer(struct cairn_pool *pool)
{
    struct fixed *fixed = fixed_of(pool);
    struct extent *extent = &fixed->only;
    enum error error;
    uint64_t *words = NULL;
    size_t room = supply_room(&fixed->supply), most = room / fixed->block_size, size;
    if (most == 0)
        return ERROR_MEMORY;
    if (fixed->marks) {
        if ((pool->flags & CAIRN_POOL_OUTSIDE) == 0) /* the set takes some of the room that it describes */
            most = size_max(room / 64 * 64 * 8 / (fixed->block_size * 8 + 1), 1);
        words = supply_store(&fixed->supply, slots_words(most) * sizeof *words);
        if (words == NULL)
            return ERROR_MEMORY;
    }
    void *base = supply_get(&fixed->supply, fixed->block_size, SIZE_MAX, pool->alignment, &size,
                            &extent->zero, &error);
    if (base == NULL)
        return error;
    extent->base = (uintptr_t)base;
    extent->size = size;
    divide(pool, extent, extent->base);
    if (fixed->marks) {
        extent->capacity = size_min(extent->capacity, most);
        slots_init(&extent->slots, words, extent->capacity);
    }
    link_extent(fixed, extent);
    return OK;
}

/* ---- Opening and closing ------------------------------------------------------------------------------ */

static size_t extent_size_for(const struct cairn_pool *pool, const cairn_pool_config *config,
                              size_t block_size)
{
    size_t most = (size_t)1 << (ADDRESS_BITS - 2);
    size_t wanted = size_max(EXTENT_USUAL, config->extend_by);
    if (pool->source == &pool->own_source)
        wanted = size_max(wanted, size_max(pool->source->step, pool->source->align));
    size_t header = align_up(sizeof(struct extent), pool->alignment);
    if (block_size >= most / EXTENT_BLOCKS || wanted >= most)
        return most;
    wanted = size_max(wanted, header + EXTENT_BLOCKS * block_size);
    return (size_t)1 << (high_bit(wanted - 1) + 1);
}

static enum error fixed_open(struct cairn_pool *pool, const cairn_pool_config *config)
{
    struct supply supply;
    supply_init(&supply, pool, config);
    struct fixed *fixed = supply_state(&supply, sizeof *fixed);
    if (fixed == NULL)
        return ERROR_MEMORY;
    fixed->lock.rank = LOCK_RANK_POOL;
    fixed->supply = supply;
    fixed->block_size = align_up(size_max(config->block_size, sizeof(struct block)), pool->alignment);
    fixed->extent_size = size_max(extent_size_for(pool, config, fixed->block_size), supply.granule);
    fixed->extend_by = size_min(size_max(EXTENT_FIRST, config->extend_by), fixed->extent_size);
    fixed->marks = (pool->flags & (CAIRN_POOL_MARKS | CAIRN_POOL_OUTSIDE)) != 0;
    pool->state = fixed;
    enum error error = pool->buffer != 0 ? open_buffer(pool) : OK;
    if (error != OK)
        supply_close(&fixed->supply, true);
    return error;
}

static void fixed_close(struct cairn_pool *pool)
{
    supply_close(&fixed_of(pool)->supply, true);
}

/* ---- Allocating --------------------------------------------------------------------------------------- */

static void *block_at(const struct fixed *fixed, const struct extent *extent, size_t i)
{
    return (void *)(extent->blocks + i * fixed->block_size);
}

/* A block of an open extent.  *is_zero stays false where its bytes are not known. */
static void *take(struct fixed *fixed, struct extent *extent, bool *is_zero)
{
    struct block *block;
    if (fixed->marks)
        return block_at(fixed, extent, slots_take(&extent->slots));
    block = extent->free;
    if (block != NULL) {
        extent->free = block->next;
        return block;
    }
    *is_zero = extent->zero;
    return block_at(fixed, extent, extent->carved++);
}

static void *fixed_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    struct fixed *fixed = fixed_of(pool);
    bool is_zero = false;
    *error = ERROR_SIZE;
    if (size > fixed->block_size || align > pool->alignment)
        return NULL;
    lock_take(&fixed->lock);
    if (fixed->open == NULL) {
        *error = grow(pool);
        if (fixed->open == NULL) {
            lock_release(&fixed->lock);
            return NULL;
        }
    }
    struct extent *extent = fixed->open;
    void *block = take(fixed, extent, &is_zero);
    fixed->empty -= extent->live == 0;
    if (++extent->live == extent->capacity)
        open_unlink(fixed, extent);
    fixed->live++;
    fixed->allocs++;
    lock_release(&fixed->lock);
    return zero && !is_zero ? memset(block, 0, fixed->block_size) : block;
}

/* ---- Freeing and asking -------------------------------------------------------------------------------- */

/* The extent of a block of this pool and the block's number in it; any other address ends the process. */
static struct extent *extent_of(const struct cairn_pool *pool, const char *call, const void *block,
                                size_t *number)
{
    struct fixed *fixed = fixed_of(pool);
    uintptr_t at = (uintptr_t)block;
    struct extent *extent = &fixed->only;
    if (pool->buffer == 0) {
        const struct span *span = pagemap_find(block);
        if (span != &pool->extent)
            report_fatal(call, block, span != NULL ? "block of another heap" : "invalid pointer");
        extent = (struct extent *)align_down(at, fixed->extent_size);
    } else if (at < extent->base || at >= extent->base + extent->size) {
        report_fatal(call, block, "invalid pointer");
    }
    if (at < extent->blocks)
        report_fatal(call, block, "invalid pointer");
    *number = (at - extent->blocks) / fixed->block_size;
    if (*number >= extent->capacity)
        report_fatal(call, block, "invalid pointer");
    if ((at - extent->blocks) % fixed->block_size != 0)
        report_fatal(call, block, "misaligned pointer");
    return extent;
}

/* Under the lock.  What was never handed out, or is known to be free, ends the process. */
static void must_be_live(const struct fixed *fixed, const struct extent *extent, const char *call,
                         const void *block, size_t number)
{
    if (fixed->marks ? slots_is_free(&extent->slots, number)
                     : extent->free == block || (number < extent->carved && extent->live == 0))
        report_fatal(call, block, "double free of");
    if (!fixed->marks && number >= extent->carved)
        report_fatal(call, block, "invalid pointer");
}

static void fixed_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct fixed *fixed = fixed_of(pool);
    size_t number;
    lock_take(&fixed->lock);
    struct extent *extent = extent_of(pool, call, block, &number);
    must_be_live(fixed, extent, call, block, number);
    if (size != SIZE_MAX && size > fixed->block_size)
        report_fatal(call, block, "wrong size for");
    if (fixed->marks) {
        slots_put(&extent->slots, number);
    } else {
        ((struct block *)block)->next = extent->free;
        extent->free = block;
    }
    fixed->live--;
    fixed->frees++;
    if (extent->live-- == extent->capacity)
        open_link(fixed, extent);
    if (extent->live == 0 && ++fixed->empty > 1)
        (void)release(pool, extent);
    lock_release(&fixed->lock);
}

static size_t fixed_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    struct fixed *fixed = fixed_of(pool);
    size_t number;
    lock_take(&fixed->lock);
    struct extent *extent = extent_of(pool, call, block, &number);
    if (fixed->marks ? slots_is_free(&extent->slots, number)
                     : number >= extent->carved || extent->free == block)
        report_fatal(call, block, "free block");
    lock_release(&fixed->lock);
    return fixed->block_size;
}

static bool fixed_resize(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    return size <= fixed_usable(pool, call, block);
}

static bool fixed_trim(struct cairn_pool *pool, size_t keep)
{
    struct fixed *fixed = fixed_of(pool);
    bool some = false;
    lock_take(&fixed->lock);
    size_t free = 0;
    for (struct extent *extent = fixed->open; extent != NULL; extent = extent->open_next)
        free += extent->live == 0 ? extent->size : 0;
    for (struct extent *extent = fixed->open, *next; extent != NULL && free > keep; extent = next) {
        next = extent->open_next;
        size_t size = extent->size;
        if (extent->live == 0 && size <= free - keep && release(pool, extent)) {
            free -= size;
            some = true;
        }
    }
    lock_release(&fixed->lock);
    return some;
}

static void fixed_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    struct fixed *fixed = fixed_of(pool);
    lock_take(&fixed->lock);
    supply_limit(&fixed->supply, hard, soft);
    lock_release(&fixed->lock);
}

/* ---- Walking --------------------------------------------------------------------------------------------
 * From the youngest extent to the oldest, some blocks at a time: under the lock it is noted which of them are live,
 * then they are visited without it.  Extents that come meanwhile are younger and not seen; when one goes, the place is
 * found again by its serial. */

struct walk {
    uint64_t serial; /* of the extent to go on with: the youngest with at most this */
    size_t number;   /* and the block in it */
    struct extent *extent;
    uint64_t released; /* when `extent` was looked up; another value: it may be gone */
    size_t count;      /* blocks noted */
    uintptr_t first;   /* the first of them */
    uint64_t live[WALK_BLOCKS / 64];
};

/* Goes to the extent that is due; false: there is none any more. */
static bool walk_seek(const struct fixed *fixed, struct walk *walk)
{
    if (walk->extent == NULL || walk->released != fixed->released) {
        struct extent *at = fixed->all;
        while (at != NULL && at->serial > walk->serial)
            at = at->next;
        walk->extent = at;
        walk->released = fixed->released;
    }
    if (walk->extent == NULL)
        return false;
    if (walk->extent->serial != walk->serial) {
        walk->serial = walk->extent->serial;
        walk->number = 0;
    }
    return true;
}

/* Which of the blocks from walk->number on are live.  Without marks: all that are carved but those in the list. */
static void walk_note(const struct fixed *fixed, struct walk *walk)
{
    const struct extent *extent = walk->extent;
    size_t most = fixed->marks ? 64 : WALK_BLOCKS; /* noting marks is cheap, so they are fresher */
    size_t known = fixed->marks ? extent->capacity : extent->carved;
    walk->count = size_min(known - size_min(walk->number, known), most);
    walk->first = extent->blocks + walk->number * fixed->block_size;
    bits_set(walk->live, 0, walk->count);
    if (fixed->marks) {
        for (size_t i = 0; i < walk->count; i++)
            if (slots_is_free(&extent->slots, walk->number + i))
                bits_clear(walk->live, i, i + 1);
        return;
    }
    for (const struct block *block = extent->free; block != NULL; block = block->next) {
        size_t i = ((uintptr_t)block - walk->first) / fixed->block_size;
        if ((uintptr_t)block >= walk->first && i < walk->count)
            bits_clear(walk->live, i, i + 1);
    }
}

/* The next blocks; false at the end. */
static bool walk_next(struct fixed *fixed, struct walk *walk)
{
    bool some = false;
    lock_take(&fixed->lock);
    while (walk->serial > 0 && walk_seek(fixed, walk)) {
        walk_note(fixed, walk);
        walk->number += walk->count;
        some = walk->count > 0;
        if (some)
            break;
        walk->serial--;
        walk->number = 0;
        walk->extent = walk->extent->next;
    }
    lock_release(&fixed->lock);
    return some;
}

static int fixed_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct fixed *fixed = fixed_of(pool);
    struct walk walk = {.serial = UINT64_MAX};
    while (walk_next(fixed, &walk)) {
        for (size_t i = bits_next_set(walk.live, 0, walk.count); i < walk.count;
             i = bits_next_set(walk.live, i + 1, walk.count)) {
            int result = visit((void *)(walk.first + i * fixed->block_size), fixed->block_size, context);
            if (result != 0)
                return result;
        }
    }
    return 0;
}

/* ---- Checking and statistics ---------------------------------------------------------------------------- */

/* The free blocks of an extent without marks; SIZE_MAX: its list is broken. */
static size_t list_length(const struct fixed *fixed, const struct extent *extent)
{
    size_t length = 0;
    for (const struct block *block = extent->free; block != NULL; block = block->next) {
        size_t offset = (uintptr_t)block - extent->blocks;
        if ((uintptr_t)block < extent->blocks || offset / fixed->block_size >= extent->carved ||
            offset % fixed->block_size != 0 || ++length > extent->carved)
            return SIZE_MAX;
    }
    return length;
}

static const char *check_extent(const struct fixed *fixed, const struct extent *extent)
{
    if (extent->blocks < extent->base || extent->capacity > extent->size / fixed->block_size ||
        extent->blocks + extent->capacity * fixed->block_size > extent->base + extent->size)
        return "fixed: an extent does not hold its blocks";
    if (fixed->marks) {
        if (!slots_check(&extent->slots))
            return "fixed: the marks of an extent contradict each other";
        return extent->live == extent->capacity - bits_count(extent->slots.words, 0, extent->capacity)
                   ? NULL
                   : "fixed: the marks of an extent do not add up";
    }
    if (extent->carved > extent->capacity)
        return "fixed: an extent has handed out more than it has";
    size_t free = list_length(fixed, extent);
    if (free == SIZE_MAX)
        return "fixed: the list of free blocks leads astray";
    return extent->live == extent->carved - free ? NULL : "fixed: the free blocks do not add up";
}

static const char *check_all(const struct fixed *fixed)
{
    size_t live = 0, extents = 0, empty = 0, open = 0, open_listed = 0;
    const char *fault = supply_check(&fixed->supply);
    for (const struct extent *extent = fixed->all; fault == NULL && extent != NULL; extent = extent->next) {
        fault = check_extent(fixed, extent);
        live += extent->live;
        extents++;
        empty += extent->live == 0;
        open += extent->live < extent->capacity;
    }
    if (fault != NULL)
        return fault;
    for (const struct extent *extent = fixed->open; extent != NULL && open_listed <= extents;
         extent = extent->open_next)
        open_listed++;
    if (live != fixed->live || fixed->live != fixed->allocs - fixed->frees)
        return "fixed: the live blocks do not add up";
    return extents == fixed->extents && empty == fixed->empty && open == open_listed
               ? NULL
               : "fixed: the extents do not add up";
}

static const char *fixed_check(struct cairn_pool *pool)
{
    struct fixed *fixed = fixed_of(pool);
    lock_take(&fixed->lock);
    const char *fault = check_all(fixed);
    lock_release(&fixed->lock);
    return fault;
}

static void fixed_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct fixed *fixed = fixed_of(pool);
    lock_take(&fixed->lock);
    supply_stats(&fixed->supply, out);
    out->metadata += fixed->header_bytes;
    out->live_blocks = fixed->live;
    out->live = fixed->live * fixed->block_size;
    out->allocations = fixed->allocs;
    out->frees = fixed->frees;
    out->spans = fixed->extents;
    for (const struct extent *extent = fixed->open; extent != NULL; extent = extent->open_next)
        out->free += extent->live == 0 ? extent->base + extent->size - extent->blocks : 0;
    out->cached = out->committed - out->metadata - out->live - out->free;
    lock_release(&fixed->lock);
}

static size_t fixed_committed(const struct cairn_pool *pool)
{
    struct fixed *fixed = fixed_of(pool);
    lock_take(&fixed->lock);
    size_t committed = supply_committed(&fixed->supply);
    lock_release(&fixed->lock);
    return committed;
}

static bool fixed_before_fork(struct cairn_pool *pool)
{
    return lock_try_for_fork(&fixed_of(pool)->lock);
}

static void fixed_after_fork(struct cairn_pool *pool, bool child)
{
    (void)child;
    lock_release_after_fork(&fixed_of(pool)->lock);
}

const struct pool_ops pool_fixed = {
    .open = fixed_open,
    .close = fixed_close,
    .alloc = fixed_alloc,
    .free = fixed_free,
    .resize = fixed_resize,
    .usable = fixed_usable,
    .walk = fixed_walk,
    .check = fixed_check,
    .stats = fixed_stats,
    .committed = fixed_committed,
    .trim = fixed_trim,
    .limit = fixed_limit,
    .before_fork = fixed_before_fork,
    .after_fork = fixed_after_fork,
};
