/* fit.c - the class fit: blocks of any size and alignment, address-ordered, any part of them freed.  See fit.h.
 *
 * All that freeing may need exists before a block is handed out: bits for every unit come with the memory itself
 * (ranges.h), so freeing never asks for memory, never writes into what is free, and never fails. */
#include "pool/fit.h"

#include "os/report.h"

#include <string.h>

/* ---- Opening and closing -------------------------------------------------------------------------- */

static void *store(void *context, size_t size)
{
    return supply_store(&((struct fit *)context)->supply, size);
}

/* Nodes over so many tracts whose first is at a multiple of everything. */
static size_t nodes_over(size_t tracts)
{
    size_t nodes = 0;
    do {
        tracts = (tracts + RANGES_FAN - 1) / RANGES_FAN;
        nodes += tracts;
    } while (tracts > 1);
    return nodes;
}

/* A buffer is one extent, all that the store leaves, and the store ends with that: tracts and nodes come first. */
static bool provide_for_buffer(struct fit *fit)
{
    struct ranges *r = &fit->ranges;
    size_t tract_bytes = fit_bytes(fit, tract_units(r)), tracts = 0, nodes = 0;
    do {
        if (!ranges_provide_tract(r))
            return false;
        for (tracts++; nodes < nodes_over(tracts); nodes++)
            if (!ranges_provide_node(r))
                return false;
    } while (supply_room(&fit->supply) / tract_bytes >= tracts);
    return true;
}

static enum error take_buffer(struct fit *fit)
{
    struct ranges *r = &fit->ranges;
    size_t unit = (size_t)1 << r->unit_shift, size;
    bool zero;
    enum error error;
    if (fit->supply.buffer_store && !provide_for_buffer(fit))
        return ERROR_MEMORY;
    void *base = supply_get(&fit->supply, unit, SIZE_MAX, unit, &size, &zero, &error);
    if (base == NULL)
        return error;
    r->origin = (uintptr_t)base;
    r->end = size >> r->unit_shift;
    return ranges_hold(r, 0, r->end, true) ? OK : ERROR_MEMORY;
}

static enum error fit_open(struct cairn_pool *pool, const cairn_pool_config *config)
{
    struct supply supply;
    supply_init(&supply, pool, config);
    struct fit *fit = supply_store(&supply, sizeof *fit);
    if (fit == NULL)
        return ERROR_MEMORY;
    unsigned unit_shift = high_bit(pool->alignment);
    fit->supply = supply;
    fit->lock.rank = LOCK_RANK_POOL;
    fit->extend_by = config->extend_by != 0 ? config->extend_by : FIT_EXTEND_BY;
    fit->spare = config->spare < 0    ? 0
                 : config->spare == 0 ? FIT_SPARE
                 : config->spare > 1  ? 1
                                      : config->spare;
    fit->ranges.store = store;
    fit->ranges.context = fit;
    ranges_init(&fit->ranges, unit_shift,
                ranges_tract_shift(unit_shift, fit->supply.granule, supply_room(&fit->supply)),
                (pool->flags & CAIRN_POOL_SIZED) == 0, (pool->flags & CAIRN_POOL_LAST_FIT) != 0,
                (pool->flags & CAIRN_POOL_HIGH_END) != 0);
    fit_give_at(fit);
    enum error error = pool->buffer != 0 ? take_buffer(fit) : OK;
    if (error != OK)
        supply_close(&fit->supply, true);
    else
        pool->state = fit;
    return error;
}

static void fit_close(struct cairn_pool *pool)
{
    supply_close(&fit_of(pool)->supply, true);
    pool->state = NULL;
}

/* ---- Allocating ----------------------------------------------------------------------------------- */

/* More memory: what a miss of `units` calls for, or just enough for it. */
static enum error extend(struct fit *fit, size_t units, size_t align)
{
    size_t need = fit_bytes(fit, units), wanted = size_max(need, fit->extend_by), size;
    bool zero;
    enum error error;
    if (supply_past_soft(&fit->supply, wanted))
        (void)fit_give_all(fit, 0);
    void *base = supply_get(&fit->supply, need, wanted, align, &size, &zero, &error);
    if (base == NULL && error == ERROR_LIMIT && fit_give_all(fit, 0))
        base = supply_get(&fit->supply, need, wanted, align, &size, &zero, &error);
    if (base == NULL)
        return error;
    if (!ranges_hold(&fit->ranges, fit_unit(fit, base), size >> fit->ranges.unit_shift, true)) {
        (void)supply_give(&fit->supply, base, size); /* what a source keeps is lost */
        return ERROR_MEMORY;
    }
    fit->drained = false;
    fit_give_at(fit);
    return OK;
}

static size_t grab(struct fit *fit, size_t units, size_t align, bool exact)
{
    struct ranges *r = &fit->ranges;
    if (LIKELY(align == 1))
        return ranges_grab(r, units);
    size_t at = ranges_find(r, units, align, exact);
    if (at != NOWHERE)
        ranges_take(r, at, units);
    return at;
}

static NOINLINE size_t miss(struct fit *fit, size_t units, size_t align, enum error *error)
{
    size_t at = NOWHERE;
    *error = extend(fit, units, align << fit->ranges.unit_shift);
    if (*error == OK)
        at = grab(fit, units, align, false);
    if (at == NOWHERE && align > 1) /* a place that the first search did not try */
        at = grab(fit, units, align, true);
    return at;
}

/* A block that was allocated at the first place for its size. */
ALWAYS_INLINE void *newest(struct fit *fit, size_t at, size_t units)
{
    fit->newest = fit_address(fit, at);
    fit->newest_units = units;
    fit->first = true;
    return fit->newest;
}

/* The first place that fits, if it is known: what rests, or behind the block allocated last.  NULL: it is not. */
ALWAYS_INLINE void *known_place(struct fit *fit, size_t units)
{
    if (fit->resting) {
        fit->resting = !fit->first || units != fit->newest_units;
        return fit->resting ? NULL : fit->newest;
    }
    size_t at = ranges_grab_front(&fit->ranges, units);
    return LIKELY(at != NOWHERE) ? newest(fit, at, units) : NULL;
}

static NOINLINE void *other_place(struct fit *fit, size_t units, size_t align, enum error *error)
{
    fit_settle(fit);
    size_t at = grab(fit, units, align, false);
    if (UNLIKELY(at == NOWHERE))
        at = miss(fit, units, align, error);
    if (UNLIKELY(at == NOWHERE))
        return NULL;
    return LIKELY(align == 1) ? newest(fit, at, units) : fit_address(fit, at);
}

static void *fit_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    struct fit *fit = fit_of(pool);
    size_t units = fit_units(fit, size);
    align = size_max(align >> fit->ranges.unit_shift, 1);
    lock_take_quick(&fit->lock);
    void *block = LIKELY(align == 1) ? known_place(fit, units) : NULL;
    if (block == NULL)
        block = other_place(fit, units, align, error);
    if (LIKELY(block != NULL)) {
        fit->allocations++;
        fit->blocks++;
    }
    lock_release_quick(&fit->lock);
    if (UNLIKELY(zero) && block != NULL && (pool->flags & CAIRN_POOL_OUTSIDE) == 0)
        memset(block, 0, fit_bytes(fit, units));
    return block;
}

static void *fit_alloc_most(struct cairn_pool *pool, size_t least, size_t *size, enum error *error)
{
    struct fit *fit = fit_of(pool);
    size_t units = fit_units(fit, least), at, most;
    *error = OK;
    fit_enter(fit);
    for (bool again = true; (most = ranges_longest(&fit->ranges, &at)) < units && again; again = false)
        *error = extend(fit, units, (size_t)1 << fit->ranges.unit_shift);
    void *block = most >= units ? fit_address(fit, at) : NULL;
    if (block != NULL) {
        ranges_take(&fit->ranges, at, most);
        fit->allocations++;
        fit->blocks++;
        *size = fit_bytes(fit, most);
    }
    lock_release(&fit->lock);
    return block;
}

/* ---- Freeing -------------------------------------------------------------------------------------- */

static _Noreturn COLD void misuse(struct fit *fit, const char *call, const void *block, const char *fact)
{
    lock_release(&fit->lock);
    report_fatal(call, block, fact);
}

/* The place of a block that the caller names, under the lock. */
ALWAYS_INLINE size_t place(struct fit *fit, const char *call, const void *block)
{
    struct ranges *r = &fit->ranges;
    uintptr_t offset = (uintptr_t)block - r->origin;
    size_t at = offset >> r->unit_shift;
    struct tract *t = at < r->end ? ranges_tract(r, at) : NULL;
    size_t i = at & (tract_units(r) - 1);
    if (UNLIKELY(t == NULL || (t->ours & tract_part(r, i)) == 0))
        misuse(fit, call, block, "invalid pointer");
    if (UNLIKELY((offset & (((uintptr_t)1 << r->unit_shift) - 1)) != 0))
        misuse(fit, call, block, "misaligned pointer");
    if (UNLIKELY(bits_test(t->bits, i)))
        misuse(fit, call, block, "double free of");
    if (UNLIKELY(r->blocks && !bits_test(tract_starts(r, t), i)))
        misuse(fit, call, block, "invalid pointer");
    return at;
}

/* The length of the block at `at`, of which the caller says `size`; SIZE_MAX: nothing. */
ALWAYS_INLINE size_t length(struct fit *fit, const char *call, const void *block, size_t at, size_t size)
{
    size_t units = size <= PTRDIFF_MAX ? fit_units(fit, size) : 0;
    if (LIKELY(fit->ranges.blocks)) {
        size_t known = ranges_block(&fit->ranges, at);
        if (UNLIKELY(size != SIZE_MAX && units != known))
            misuse(fit, call, block, "wrong size for");
        return known;
    }
    if (size == SIZE_MAX)
        misuse(fit, call, block, "the pool keeps no sizes (CAIRN_POOL_SIZED):");
    if (units == 0 || !ranges_allocated(&fit->ranges, at, units))
        misuse(fit, call, block, "wrong size for");
    return units;
}

/* Whether `units` more may become free and nothing has to go back for it. */
ALWAYS_INLINE bool keeps(const struct fit *fit, size_t units)
{
    return fit->ranges.free_units + units < fit->give_at;
}

/* Whether it is the newest block that is freed, rightly. */
ALWAYS_INLINE bool is_newest(const struct fit *fit, const void *block, size_t size)
{
    size_t units = fit->newest_units;
    return block == fit->newest && !fit->resting && keeps(fit, units) &&
           (size == SIZE_MAX ? fit->ranges.blocks : size <= PTRDIFF_MAX && fit_units(fit, size) == units);
}

/* [at, at + units) is freed, and rests: alone, or joined to what does. */
ALWAYS_INLINE void rest(struct fit *fit, size_t at, size_t units)
{
    struct ranges *r = &fit->ranges;
    size_t known = fit->resting ? fit_unit(fit, fit->newest) : 0;
    if (fit->resting && at == known + fit->newest_units) {
        fit->newest_units += units;
        fit->first = false;
        return;
    }
    bool joins = fit->resting && at + units == known;
    size_t all = joins ? units + fit->newest_units : units;
    if (!joins)
        fit_settle(fit);
    fit->newest = fit_address(fit, at);
    fit->newest_units = all;
    fit->first = !joins && ranges_would_be_first(r, ranges_tract(r, at), at, units);
    fit->resting = true;
}

/* Whether what rests may keep the bits from telling that a free is wrong: of a block in it, or, where no starts
 * are kept, of one that is said to reach into it. */
ALWAYS_INLINE bool hides(const struct fit *fit, const void *block)
{
    uintptr_t offset = (uintptr_t)block - (uintptr_t)fit->newest;
    return offset < fit_bytes(fit, fit->newest_units) ||
           (!fit->ranges.blocks && (uintptr_t)block < (uintptr_t)fit->newest);
}

static void fit_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct fit *fit = fit_of(pool);
    lock_take_quick(&fit->lock);
    if (is_newest(fit, block, size)) {
        fit->resting = true;
    } else {
        if (fit->resting && hides(fit, block))
            fit_settle(fit);
        size_t at = place(fit, call, block), units = length(fit, call, block, at, size);
        if (LIKELY(keeps(fit, units + (fit->resting ? fit->newest_units : 0)))) {
            rest(fit, at, units);
        } else {
            fit_settle(fit);
            ranges_put(&fit->ranges, at, units);
            fit_give_spare(fit, at);
        }
    }
    fit->frees++;
    fit->blocks--;
    lock_release_quick(&fit->lock);
}

/* How many blocks there are fewer when [at, at + units) is freed; a rest behind it is a block more. */
static uint64_t blocks_in(struct fit *fit, size_t at, size_t units)
{
    struct ranges *r = &fit->ranges;
    uint64_t count = 0;
    for (size_t unit = at, end = at + units; unit < end;) {
        struct tract *t = ranges_tract(r, unit);
        size_t from = unit - t->first, to = size_min(tract_units(r), from + (end - unit));
        count += bits_count(tract_starts(r, t), from, to);
        unit += to - from;
    }
    size_t next = at + units;
    struct tract *t = ranges_held(r, next) ? ranges_tract(r, next) : NULL;
    if (t != NULL && !bits_test(t->bits, next - t->first) && !bits_test(tract_starts(r, t), next - t->first))
        count--;
    return count;
}

static bool fit_free_range(struct cairn_pool *pool, void *address, size_t size)
{
    struct fit *fit = fit_of(pool);
    struct ranges *r = &fit->ranges;
    uintptr_t offset = (uintptr_t)address - r->origin;
    if ((offset & (((uintptr_t)1 << r->unit_shift) - 1)) != 0 || size > PTRDIFF_MAX)
        return false;
    if (size == 0)
        return true;
    fit_enter(fit);
    size_t at = offset >> r->unit_shift, units = fit_units(fit, size);
    bool allocated = ranges_allocated(r, at, units);
    if (allocated) {
        fit->frees++;
        fit->blocks -= r->blocks ? blocks_in(fit, at, units) : 1;
        ranges_put_part(r, at, units);
        if (r->free_units >= fit->give_at)
            fit_give_spare(fit, at);
    }
    lock_release(&fit->lock);
    return allocated;
}

/* ---- Other calls on blocks ------------------------------------------------------------------------ */

static size_t fit_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    struct fit *fit = fit_of(pool);
    fit_enter(fit);
    size_t units = length(fit, call, block, place(fit, call, block), SIZE_MAX);
    lock_release(&fit->lock);
    return fit_bytes(fit, units);
}

static bool fit_resize(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct fit *fit = fit_of(pool);
    fit_enter(fit);
    size_t at = place(fit, call, block), old = length(fit, call, block, at, SIZE_MAX),
           new = fit_units(fit, size);
    bool fits = new <= old || ranges_free_behind(&fit->ranges, at + old) >= new - old;
    if (fits && new > old) {
        ranges_lengthen(&fit->ranges, at + old, new - old);
    } else if (new < old) {
        ranges_put(&fit->ranges, at + new, old - new);
        if (fit->ranges.free_units >= fit->give_at)
            fit_give_spare(fit, at + new);
    }
    lock_release(&fit->lock);
    if (fits && new > old && (pool->flags & (CAIRN_POOL_ZERO | CAIRN_POOL_OUTSIDE)) == CAIRN_POOL_ZERO)
        memset(fit_address(fit, at + old), 0, fit_bytes(fit, new - old));
    return fits;
}

/* ---- The rest ------------------------------------------------------------------------------------- */

static size_t fit_committed(const struct cairn_pool *pool)
{
    struct fit *fit = fit_of(pool);
    lock_take(&fit->lock);
    size_t committed = supply_committed(&fit->supply);
    lock_release(&fit->lock);
    return committed;
}

static bool fit_trim(struct cairn_pool *pool, size_t keep)
{
    struct fit *fit = fit_of(pool);
    fit_enter(fit);
    bool any = fit_give_all(fit, keep >> fit->ranges.unit_shift);
    lock_release(&fit->lock);
    return any;
}

static void fit_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    struct fit *fit = fit_of(pool);
    lock_take(&fit->lock);
    supply_limit(&fit->supply, hard, soft);
    lock_release(&fit->lock);
}

static bool fit_before_fork(struct cairn_pool *pool)
{
    return lock_try_for_fork(&fit_of(pool)->lock);
}

static void fit_after_fork(struct cairn_pool *pool, bool child)
{
    (void)child;
    lock_release_after_fork(&fit_of(pool)->lock);
}

const struct pool_ops pool_fit = {
    .open = fit_open,
    .close = fit_close,
    .alloc = fit_alloc,
    .free = fit_free,
    .resize = fit_resize,
    .usable = fit_usable,
    .walk = fit_walk,
    .check = fit_check,
    .free_range = fit_free_range,
    .alloc_most = fit_alloc_most,
    .walk_free = fit_walk_free,
    .stats = fit_stats,
    .committed = fit_committed,
    .trim = fit_trim,
    .limit = fit_limit,
    .before_fork = fit_before_fork,
    .after_fork = fit_after_fork,
};
