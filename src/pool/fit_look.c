/* fit_look.c - walking the blocks of a fit pool, its statistics, its check. */
#include "pool/fit.h"

/* Block by block: between two of them the lock is open, and others may do as they like. */
int fit_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct fit *fit = fit_of(pool);
    int result = 0;
    for (size_t at = 0, units; result == 0; at += units) {
        fit_enter(fit);
        at = ranges_next_block(&fit->ranges, at, &units);
        lock_release(&fit->lock);
        if (at == NOWHERE)
            return 0;
        result = visit(fit_address(fit, at), fit_bytes(fit, units), context);
    }
    return result;
}

int fit_walk_free(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct fit *fit = fit_of(pool);
    int result = 0;
    for (size_t at = 0, from, to; result == 0; at = to) {
        fit_enter(fit);
        at = ranges_next_free(&fit->ranges, at);
        if (at != NOWHERE)
            ranges_run(&fit->ranges, at, &from, &to);
        lock_release(&fit->lock);
        if (at == NOWHERE)
            return 0;
        result = visit(fit_address(fit, at), fit_bytes(fit, to - at), context);
    }
    return result;
}

static const char *check_counts(struct fit *fit)
{
    uint64_t blocks = 0;
    size_t allocated = 0, units;
    for (size_t at = 0; (at = ranges_next_block(&fit->ranges, at, &units)) != NOWHERE; at += units) {
        blocks++;
        allocated += units;
    }
    if (allocated + fit->ranges.free_units != fit->ranges.units)
        return "fit: blocks and free ranges do not add up";
    return fit->ranges.blocks && blocks != fit->blocks ? "fit: the count of blocks" : NULL;
}

const char *fit_check(struct cairn_pool *pool)
{
    struct fit *fit = fit_of(pool);
    fit_enter(fit);
    const char *wrong = ranges_check(&fit->ranges);
    if (wrong == NULL)
        wrong = supply_check(&fit->supply);
    if (wrong == NULL && fit->supply.extent_bytes >> fit->ranges.unit_shift != fit->ranges.units)
        wrong = "fit: not the units of its extents";
    if (wrong == NULL)
        wrong = check_counts(fit);
    lock_release(&fit->lock);
    return wrong;
}

void fit_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct fit *fit = fit_of(pool);
    const struct ranges *r = &fit->ranges;
    fit_enter(fit);
    supply_stats(&fit->supply, out);
    out->live = fit_bytes(fit, r->units - r->free_units);
    out->free = fit_bytes(fit, r->free_units);
    /* The end of a buffer that is no unit. */
    out->metadata += fit->supply.extent_bytes - fit_bytes(fit, r->units);
    out->live_blocks = r->blocks || fit->allocations > fit->frees ? fit->blocks : 0;
    out->allocations = fit->allocations;
    out->frees = fit->frees;
    out->purged = fit->purged;
    out->purges = fit->purges;
    lock_release(&fit->lock);
}
