/* fit.h - inside the class fit: blocks of any size, packed without rounding, over ranges.h.
 *
 *     fit.c        the class: blocks allocated, freed, resized; extents taken in
 *     fit_give.c   which free granules go back, and when
 *     fit_look.c   walking, statistics, checks
 *
 * One lock for everything.  The structure lies in the store of its own supply.  Units and places are those of ranges.h:
 * counted from address 0 over a source, from the beginning of the extent in a buffer.
 *
 * What is freed only rests at first, and no bit changes, until something is asked that it may matter to.  Blocks beside
 * what rests join it, so blocks freed in order, up or down, go into `ranges` as one.  And a block of the same size is
 * often allocated next: if what rests is the first place for it, it goes there, and nothing has happened.  Whoever looks
 * at `ranges` or changes it calls fit_enter or fit_settle before. */
#ifndef POOL_FIT_H
#define POOL_FIT_H

#include "os/lock.h"
#include "pool/pool.h"
#include "pool/ranges.h"
#include "pool/supply.h"

#define FIT_EXTEND_BY (64 * KiB)
#define FIT_SPARE 0.75

struct fit {
    struct lock lock;
    struct supply supply;
    struct ranges ranges;
    size_t extend_by; /* bytes; constant */
    double spare;     /* 0 to 1; constant */
    size_t give_at;   /* free units from which on granules go back: spare * units */
    bool drained;     /* no whole granule is free but perhaps around what is freed from now on */
    void *newest; /* what rests; else the block allocated last, if nothing has come after; NULL: no such */
    size_t newest_units; /* of it */
    bool first;          /* it is one block, and while it is free the first place for its size */
    bool resting;        /* newest has been freed, and counted so, but `ranges` does not know yet */
    uint64_t allocations, frees;
    uint64_t blocks; /* live; with CAIRN_POOL_SIZED not known */
    uint64_t purged, purges;
};

ALWAYS_INLINE struct fit *fit_of(const struct cairn_pool *pool)
{
    return pool->state;
}

ALWAYS_INLINE size_t fit_unit(const struct fit *fit, const void *address)
{
    return ((uintptr_t)address - fit->ranges.origin) >> fit->ranges.unit_shift;
}

ALWAYS_INLINE void *fit_address(const struct fit *fit, size_t unit)
{
    return (void *)(fit->ranges.origin + (unit << fit->ranges.unit_shift));
}

ALWAYS_INLINE size_t fit_bytes(const struct fit *fit, size_t units)
{
    return units << fit->ranges.unit_shift;
}

/* Units for `size` bytes, at least one; size <= PTRDIFF_MAX. */
ALWAYS_INLINE size_t fit_units(const struct fit *fit, size_t size)
{
    size_t unit = (size_t)1 << fit->ranges.unit_shift;
    return size == 0 ? 1 : (size + unit - 1) >> fit->ranges.unit_shift;
}

/* Frees what rests, and forgets the newest. */
ALWAYS_INLINE void fit_settle(struct fit *fit)
{
    if (fit->resting)
        ranges_put(&fit->ranges, fit_unit(fit, fit->newest), fit->newest_units);
    fit->resting = false;
    fit->newest = NULL;
}

ALWAYS_INLINE void fit_enter(struct fit *fit)
{
    lock_take(&fit->lock);
    fit_settle(fit);
}

/* The units held have changed. */
void fit_give_at(struct fit *fit);

/* Units around `at` have been freed: gives granules back as `spare` says. */
void fit_give_spare(struct fit *fit, size_t at);

/* Gives granules back, from the highest on, until at most `keep` units are free.  Whether any went. */
bool fit_give_all(struct fit *fit, size_t keep);

int fit_walk(struct cairn_pool *pool, cairn_visit *visit, void *context);
int fit_walk_free(struct cairn_pool *pool, cairn_visit *visit, void *context);
const char *fit_check(struct cairn_pool *pool);
void fit_stats(struct cairn_pool *pool, cairn_stats *out);

#endif
