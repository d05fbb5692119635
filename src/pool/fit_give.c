/* fit_give.c - which free memory of a fit pool goes back to its source, and when.
 *
 * After a free that leaves free >= spare * total, whole free granules go back until free <= spare * total / 2: out of the
 * longest free range first, from its far end (that which is used last).  Where a source takes whole extents only,
 * those go that are wholly free within the range just freed. */
#include "pool/fit.h"

void fit_give_at(struct fit *fit)
{
    double at = fit->spare * (double)fit->ranges.units;
    fit->give_at = (size_t)at;
    if ((double)fit->give_at < at)
        fit->give_at++;
    if (fit->give_at == 0 || fit->supply.pool->buffer != 0)
        fit->give_at = fit->supply.pool->buffer != 0 ? SIZE_MAX : 1;
}

static size_t granule_units(const struct fit *fit)
{
    return fit->supply.granule >> fit->ranges.unit_shift;
}

/* So many units are to go for free <= spare * total / 2 to hold; 0: it does. */
static size_t surplus(const struct fit *fit)
{
    double half = fit->spare / 2, free_units = (double)fit->ranges.free_units;
    double over = free_units - half * (double)fit->ranges.units;
    if (over <= 0)
        return 0;
    double units = over / (1 - half);
    return units >= free_units ? fit->ranges.free_units : (size_t)units + ((double)(size_t)units < units);
}

/* Gives back [from, to), whole granules and free; false: the source keeps it. */
static bool give(struct fit *fit, size_t from, size_t to)
{
    size_t bytes = fit_bytes(fit, to - from);
    if (!supply_give(&fit->supply, fit_address(fit, from), bytes))
        return false;
    ranges_drop(&fit->ranges, from, to - from);
    fit_give_at(fit);
    fit->purged += bytes;
    fit->purges++;
    return true;
}

/* Of the free run [from, to) the whole granules, but not many more than `units`; false: none went. */
static bool give_granules(struct fit *fit, size_t from, size_t to, size_t units)
{
    size_t granule = granule_units(fit);
    from = align_up(from, granule);
    to = align_down(to, granule);
    if (from >= to)
        return false;
    size_t part = size_min(align_up(units, granule), to - from);
    return fit->ranges.last ? give(fit, from, from + part) : give(fit, to - part, to);
}

/* Of the free run [from, to) whole extents, until `units` have gone. */
static bool give_extents(struct fit *fit, size_t from, size_t to, size_t units)
{
    size_t granule = granule_units(fit), given = 0;
    for (size_t at = align_up(from, granule), end; at + granule <= to && given < units; at = end) {
        struct tract *t = ranges_tract(&fit->ranges, at);
        bool begins = (t->begins & tract_part(&fit->ranges, at - t->first)) != 0;
        /* Asked for one unit more than there is: an extent that ends at `to` must not go on there. */
        end = size_max(ranges_extent_end(&fit->ranges, at, to + 1), at + granule);
        if (begins && end <= to && give(fit, at, end))
            given += end - at;
    }
    return given > 0;
}

static bool give_run(struct fit *fit, size_t from, size_t to, size_t units)
{
    return supply_splits(&fit->supply) ? give_granules(fit, from, to, units)
                                       : give_extents(fit, from, to, units);
}

/* The longest free run with a whole granule in it. */
static bool longest(struct fit *fit, size_t *from, size_t *to)
{
    size_t granule = granule_units(fit), units = ranges_longest(&fit->ranges, from);
    if (units < granule)
        return false;
    *to = *from + units;
    if (align_up(*from, granule) < align_down(*to, granule))
        return true;
    /* A run of less than two granules: none is longer, but another may lie better. */
    size_t at = ranges_find(&fit->ranges, granule, granule, true);
    if (at == NOWHERE)
        return false;
    ranges_run(&fit->ranges, at, from, to);
    return true;
}

void fit_give_spare(struct fit *fit, size_t at)
{
    size_t from, to, granule = granule_units(fit);
    ranges_run(&fit->ranges, at, &from, &to);
    if (!supply_splits(&fit->supply)) {
        (void)give_run(fit, from, to, surplus(fit));
        return;
    }
    if (fit->drained && align_up(from, granule) >= align_down(to, granule))
        return;
    for (size_t more; (more = surplus(fit)) > 0;) {
        fit->drained = !longest(fit, &from, &to) || !give_run(fit, from, to, more);
        if (fit->drained)
            return;
    }
}

bool fit_give_all(struct fit *fit, size_t keep)
{
    struct ranges *r = &fit->ranges;
    size_t granule = granule_units(fit), end = SIZE_MAX, from, to;
    bool any = false;
    if (fit->supply.pool->buffer != 0)
        return false;
    while (r->free_units > keep && (end = ranges_last(r, granule, end)) != NOWHERE) {
        ranges_run(r, end - 1, &from, &to);
        any |= give_run(fit, from, to, r->free_units - keep);
        end = from;
    }
    return any;
}
