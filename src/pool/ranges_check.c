/* ranges_check.c - looking at ranges as a whole: lookups of blocks in order, and the check of ranges.h's invariants. */
#include "pool/ranges.h"

/* ---- Blocks in order ----------------------------------------------------------------------------- */

struct tract *ranges_next_tract(struct ranges *r, size_t unit)
{
    struct range_node *p = r->root;
    if (p == NULL)
        return NULL;
    if (unit < p->first)
        unit = p->first;
    else if ((unit - p->first) >> RANGES_FAN_SHIFT >= child_units(r, p->level))
        return NULL;
    unsigned i = (unsigned)((unit - p->first) / child_units(r, p->level));
    while (p != NULL) {
        while (i < RANGES_FAN && p->child[i] == NULL)
            i++;
        if (i == RANGES_FAN) { /* p is behind us */
            i = p->index + 1;
            p = p->parent;
        } else if (p->level == 1) {
            return p->child[i];
        } else {
            p = p->child[i];
            i = unit > p->first ? (unsigned)((unit - p->first) / child_units(r, p->level)) : 0;
        }
    }
    return NULL;
}

/* The first bit from `from` on at which a block may begin: a start bit, or without them an allocated unit. */
static size_t next_start(struct ranges *r, struct tract *t, size_t from)
{
    if (r->blocks)
        return bits_next_set(tract_starts(r, t), from, tract_units(r));
    return bits_next_clear(t->bits, from, tract_units(r));
}

/* Ends of a block: the next unit that is free, a start, or not ours. */
static size_t block_end(struct ranges *r, size_t at)
{
    size_t unit = at + 1;
    while (unit < r->end) {
        struct tract *t = ranges_tract(r, unit);
        if (t == NULL)
            return unit;
        size_t i = unit - t->first, k = i / BITS_PER_WORD;
        uint64_t mask = ~UINT64_C(0) << (i % BITS_PER_WORD);
        for (; k < r->words; k++, mask = ~UINT64_C(0)) {
            uint64_t ends = (t->bits[k] | (r->blocks ? tract_starts(r, t)[k] : 0)) & mask;
            if (!r->blocks && ~t->ours != 0) { /* no start bits mark what is not ours */
                unsigned shift = r->tract_shift - 6;
                for (size_t j = k * BITS_PER_WORD; j < (k + 1) * BITS_PER_WORD; j += (size_t)1 << shift)
                    if ((t->ours & tract_part(r, j)) == 0)
                        ends |= word_mask(j % BITS_PER_WORD, j % BITS_PER_WORD + ((size_t)1 << shift)) & mask;
            }
            if (ends != 0)
                return size_min(t->first + k * BITS_PER_WORD + low_bit(ends), r->end);
        }
        unit = t->first + tract_units(r);
    }
    return r->end;
}

size_t ranges_block_long(struct ranges *r, size_t at)
{
    return block_end(r, at) - at;
}

size_t ranges_next_block(struct ranges *r, size_t from, size_t *units)
{
    size_t part = tract_units(r) >> 6;
    for (struct tract *t = ranges_next_tract(r, from); t != NULL; t = ranges_next_tract(r, from)) {
        size_t i = from > t->first ? from - t->first : 0;
        while ((i = next_start(r, t, i)) < tract_units(r)) {
            if (t->first + i >= r->end)
                return NOWHERE;
            if ((t->ours & tract_part(r, i)) != 0) {
                *units = ranges_block(r, t->first + i);
                return t->first + i;
            }
            i = align_down(i, part) + part;
        }
        from = t->first + tract_units(r);
    }
    return NOWHERE;
}

size_t ranges_next_free(struct ranges *r, size_t from)
{
    for (struct tract *t; (t = ranges_next_tract(r, from)) != NULL; from = t->first + tract_units(r)) {
        size_t i = bits_next_set(t->bits, from > t->first ? from - t->first : 0, tract_units(r));
        if (i < tract_units(r))
            return t->first + i;
    }
    return NOWHERE;
}

/* ---- Check --------------------------------------------------------------------------------------- */

struct edges {
    size_t low, high, most; /* exact */
    size_t free_units, units;
};

static const char *check_tract(struct ranges *r, struct tract *t, struct edges *e)
{
    size_t full = tract_units(r), part = full >> 6;
    if (t->ours == 0 || (t->begins & ~t->ours) != 0)
        return "fit: a tract's own parts";
    e->low = tract_run_end(r, t, 0);
    e->high = full - tract_run_start(t, full);
    for (size_t from = 0, to; (from = bits_next_set(t->bits, from, full)) < full; from = to) {
        to = tract_run_end(r, t, from);
        e->most = size_max(e->most, to - from);
        e->free_units += to - from;
        if (r->blocks && bits_next_set(tract_starts(r, t), from, to) != to)
            return "fit: a block begins in a free range";
        if (r->blocks && to < full && !bits_test(tract_starts(r, t), to))
            return "fit: what follows a free range begins no block";
    }
    for (size_t i = 0; i < full; i += part) {
        if ((t->ours & tract_part(r, i)) != 0)
            e->units += part;
        else if (bits_next_set(t->bits, i, i + part) != i + part)
            return "fit: free memory that is not the pool's";
        else if (r->blocks && bits_next_clear(tract_starts(r, t), i, i + part) != i + part)
            return "fit: start bits of memory that is not the pool's";
    }
    return e->free_units == t->free ? NULL : "fit: a tract's count of free units";
}

static const char *check_node(struct ranges *r, struct range_node *p, struct edges *e);

static const char *check_child(struct ranges *r, struct range_node *p, unsigned i, struct edges *e)
{
    size_t first = p->first + i * child_units(r, p->level);
    if (p->level == 1) {
        struct tract *t = p->child[i];
        if (t->parent != p || t->index != i || t->first != first)
            return "fit: a tract's place";
        r->tracts--; /* counted down to 0, and back by the caller */
        return check_tract(r, t, e);
    }
    struct range_node *below = p->child[i];
    if (below->parent != p || below->index != i || below->first != first || below->level != p->level - 1)
        return "fit: a node's place";
    if (p->most[i] < range_node_most(r, below))
        return "fit: a node promises less than its children";
    return check_node(r, below, e);
}

static const char *check_node(struct ranges *r, struct range_node *p, struct edges *e)
{
    size_t full = child_units(r, p->level), run = 0;
    unsigned used = 0;
    bool low = true;
    for (unsigned i = 0; i < RANGES_FAN; i++) {
        struct edges child = {0};
        const char *wrong = p->child[i] != NULL ? check_child(r, p, i, &child) : NULL;
        if (wrong != NULL)
            return wrong;
        used += p->child[i] != NULL;
        if (child.low != p->low[i] || child.high != p->high[i])
            return "fit: the edges of a tract or node";
        if (child.most > p->most[i])
            return "fit: a free range longer than promised";
        e->most = size_max(e->most, size_max(child.most, run + child.low));
        run = child.low == full ? run + full : child.high;
        e->low += low ? child.low : 0;
        low = low && child.low == full;
        e->free_units += child.free_units;
        e->units += child.units;
    }
    e->high = run;
    return used == p->used ? NULL : "fit: the count of a node's children";
}

/* No run of at least a hint's length begins below it (ends above it). */
static const char *check_hints(struct ranges *r)
{
    ranges_renew_hints(r);
    for (unsigned k = 0; k < RANGES_HINTS; k++) {
        const struct range_hint *h = &r->hints[k];
        size_t at = r->last ? ranges_last(r, h->units, SIZE_MAX) : ranges_first(r, h->units, 0);
        if (at != NOWHERE && (r->last ? at > h->at : at < h->at))
            return "fit: a search would begin too late";
    }
    return NULL;
}

const char *ranges_check(struct ranges *r)
{
    struct edges e = {0};
    ranges_settle(r);
    size_t tracts = r->tracts;
    const char *wrong = r->root != NULL ? check_node(r, r->root, &e) : NULL;
    bool counted = r->tracts == 0;
    r->tracts = tracts;
    if (wrong != NULL)
        return wrong;
    if (!counted)
        return "fit: the count of tracts";
    if (e.free_units != r->free_units || (r->end == SIZE_MAX && e.units != r->units))
        return "fit: the counts of units";
    return check_hints(r);
}
