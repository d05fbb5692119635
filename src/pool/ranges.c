/* ranges.c - the tree over the tracts: its summaries, memory taken in and let go.  See ranges.h. */
#include "pool/ranges.h"

#include <string.h>

unsigned ranges_tract_shift(unsigned unit_shift, size_t granule, size_t bytes)
{
    size_t units = RANGES_TRACT_MAX;
    if (granule > 1) /* 64 bits of `ours` are to tell granules apart */
        units = size_min(units, BITS_PER_WORD * granule >> unit_shift);
    else
        while (units > BITS_PER_WORD && units / 2 >= bytes >> unit_shift)
            units /= 2;
    return high_bit(size_max(units, BITS_PER_WORD));
}

void ranges_init(struct ranges *r, unsigned unit_shift, unsigned tract_shift, bool blocks, bool last,
                 bool high)
{
    r->end = SIZE_MAX;
    r->unit_shift = unit_shift;
    r->tract_shift = tract_shift;
    r->words = (unsigned)(tract_units(r) / BITS_PER_WORD);
    r->blocks = blocks;
    r->last = last;
    r->high = high;
    r->quick = !last && !high;
    r->freed = last ? 0 : SIZE_MAX;
    for (unsigned k = 0; k < RANGES_HINTS; k++)
        r->hints[k] = (struct range_hint){(size_t)1 << k, last ? SIZE_MAX : 0};
}

/* ---- Summaries ---------------------------------------------------------------------------------- */

/* The lower edge of a node's free units, from what it says of its children; `high` likewise. */
static size_t node_low(const struct ranges *r, const struct range_node *p)
{
    size_t full = child_units(r, p->level), sum = 0;
    for (unsigned i = 0; i < RANGES_FAN; i++) {
        sum += p->low[i];
        if (p->low[i] < full)
            break;
    }
    return sum;
}

static size_t node_high(const struct ranges *r, const struct range_node *p)
{
    size_t full = child_units(r, p->level), sum = 0;
    for (unsigned i = RANGES_FAN; i-- > 0;) {
        sum += p->high[i];
        if (p->high[i] < full)
            break;
    }
    return sum;
}

size_t range_node_most(const struct ranges *r, const struct range_node *p)
{
    size_t full = child_units(r, p->level), run = 0, most = 0;
    for (unsigned i = 0; i < RANGES_FAN; i++) {
        most = size_max(most, size_max(p->most[i], run + p->low[i]));
        run = p->low[i] == full ? run + full : p->high[i];
    }
    return most;
}

/* Units were taken from child i of p, whose edges are now `low` and `high`. */
NOINLINE void range_lower(const struct ranges *r, struct range_node *p, unsigned i, size_t low, size_t high)
{
    size_t full = child_units(r, p->level);
    while (low != p->low[i] || high != p->high[i]) {
        p->low[i] = low;
        p->high[i] = high;
        unsigned j = p->index;
        struct range_node *above = p->parent;
        if (above == NULL)
            return;
        /* The edge of p ends before child i, or in it now. */
        low = size_min(above->low[j], i * full + low);
        high = size_min(above->high[j], (RANGES_FAN - 1 - i) * full + high);
        p = above;
        i = j;
        full <<= RANGES_FAN_SHIFT;
    }
}

/* [from, to) of child i of p has become a free run, which nothing free touches within the child. */
NOINLINE void range_raise(const struct ranges *r, struct range_node *p, unsigned i, size_t from, size_t to)
{
    size_t full = child_units(r, p->level);
    for (;;) {
        size_t low = from == 0 ? to : p->low[i], high = to == full ? full - from : p->high[i];
        size_t most = size_max(p->most[i], to - from);
        if (low == p->low[i] && high == p->high[i] && most == p->most[i])
            return;
        p->low[i] = low;
        p->high[i] = high;
        p->most[i] = most;
        if (p->parent == NULL)
            return;
        size_t before = 0, behind = 0;
        bool on = from == 0;
        for (unsigned j = i; on && j-- > 0; on = p->high[j] == full)
            before += p->high[j];
        on = to == full;
        for (unsigned j = i + 1; on && j < RANGES_FAN; on = p->low[j] == full, j++)
            behind += p->low[j];
        from = i * full + from - before;
        to = i * full + to + behind;
        i = p->index;
        p = p->parent;
        full <<= RANGES_FAN_SHIFT;
    }
}

size_t tract_free_before(const struct ranges *r, const struct tract *t)
{
    size_t full = tract_units(r), sum = 0;
    unsigned i = t->index;
    for (const struct range_node *p = t->parent; p != NULL;
         i = p->index, p = p->parent, full <<= RANGES_FAN_SHIFT)
        while (i-- > 0) {
            sum += p->high[i];
            if (p->high[i] < full)
                return sum;
        }
    return sum;
}

size_t tract_free_behind(const struct ranges *r, const struct tract *t)
{
    size_t full = tract_units(r), sum = 0;
    unsigned i = t->index;
    for (const struct range_node *p = t->parent; p != NULL;
         i = p->index, p = p->parent, full <<= RANGES_FAN_SHIFT)
        while (++i < RANGES_FAN) {
            sum += p->low[i];
            if (p->low[i] < full)
                return sum;
        }
    return sum;
}

/* ---- The tree ------------------------------------------------------------------------------------ */

static struct range_node *new_node(struct ranges *r)
{
    struct range_node *p = r->idle_nodes;
    if (p == NULL)
        return r->store(r->context, sizeof *p);
    r->idle_nodes = p->parent;
    memset(p, 0, sizeof *p);
    return p;
}

static size_t tract_bytes(const struct ranges *r)
{
    return sizeof(struct tract) + r->words * sizeof(uint64_t) * (r->blocks ? 2 : 1);
}

static struct tract *new_tract(struct ranges *r)
{
    struct tract *t = r->idle_tracts;
    if (t == NULL)
        return r->store(r->context, tract_bytes(r));
    r->idle_tracts = (struct tract *)(void *)t->parent;
    memset(t, 0, tract_bytes(r));
    return t;
}

static void idle_tract(struct ranges *r, struct tract *t)
{
    t->parent = (struct range_node *)(void *)r->idle_tracts;
    r->idle_tracts = t;
}

static void idle_node(struct ranges *r, struct range_node *p)
{
    p->parent = r->idle_nodes;
    r->idle_nodes = p;
}

bool ranges_provide_tract(struct ranges *r)
{
    struct tract *t = r->store(r->context, tract_bytes(r));
    if (t != NULL)
        idle_tract(r, t);
    return t != NULL;
}

bool ranges_provide_node(struct ranges *r)
{
    struct range_node *p = r->store(r->context, sizeof *p);
    if (p != NULL)
        idle_node(r, p);
    return p != NULL;
}

static bool node_covers(const struct ranges *r, const struct range_node *p, size_t unit)
{
    return (unit - p->first) >> RANGES_FAN_SHIFT < child_units(r, p->level);
}

static unsigned child_index(const struct ranges *r, const struct range_node *p, size_t unit)
{
    return (unsigned)((unit - p->first) >> (r->tract_shift + (p->level - 1) * RANGES_FAN_SHIFT));
}

static size_t node_first(const struct ranges *r, unsigned level, size_t unit)
{
    return align_down(unit, child_units(r, level) << RANGES_FAN_SHIFT);
}

/* Puts roots above the root until it covers `unit`. */
static bool grow_root(struct ranges *r, size_t unit)
{
    while (r->root == NULL || !node_covers(r, r->root, unit)) {
        struct range_node *old = r->root, *p = new_node(r);
        if (p == NULL)
            return false;
        p->level = old != NULL ? old->level + 1 : 1;
        p->first = node_first(r, p->level, old != NULL ? old->first : unit);
        if (old != NULL) {
            unsigned i = child_index(r, p, old->first);
            p->child[i] = old;
            p->low[i] = node_low(r, old);
            p->high[i] = node_high(r, old);
            p->most[i] = range_node_most(r, old);
            p->used = 1;
            old->parent = p;
            old->index = i;
        }
        r->root = p;
    }
    return true;
}

NOINLINE struct tract *ranges_look_up(struct ranges *r, size_t unit)
{
    struct range_node *p = r->root;
    if (p == NULL || !node_covers(r, p, unit))
        return NULL;
    for (; p->level > 1; p = p->child[child_index(r, p, unit)])
        if (UNLIKELY(p->child[child_index(r, p, unit)] == NULL))
            return NULL;
    struct tract *t = p->child[child_index(r, p, unit)];
    if (t != NULL)
        r->recent = t;
    return t;
}

/* Takes a tract out of the tree that holds nothing any more, and the nodes that are empty without it. */
static void remove_tract(struct ranges *r, struct tract *t)
{
    struct range_node *p = t->parent;
    p->child[t->index] = NULL;
    p->most[t->index] = 0;
    p->used--;
    if (r->recent == t)
        r->recent = NULL;
    if (r->grabbed == t)
        r->grabbed = NULL;
    r->tracts--;
    idle_tract(r, t);
    while (p->used == 0 && p->parent != NULL) {
        struct range_node *above = p->parent;
        above->child[p->index] = NULL;
        above->most[p->index] = 0;
        above->used--;
        idle_node(r, p);
        p = above;
    }
    if (p->used == 0) {
        idle_node(r, p);
        r->root = NULL;
    }
}

/* The tract of `unit`, made when there is none yet: all of it not ours. */
static struct tract *make_tract(struct ranges *r, size_t unit)
{
    struct tract *t = ranges_tract(r, unit);
    if (t != NULL)
        return t;
    t = new_tract(r);
    if (t == NULL)
        return NULL;
    struct range_node *p = grow_root(r, unit) ? r->root : NULL;
    while (p != NULL && p->level > 1) {
        unsigned i = child_index(r, p, unit);
        if (p->child[i] == NULL) {
            struct range_node *below = new_node(r);
            if (below == NULL)
                break;
            below->level = p->level - 1;
            below->first = node_first(r, below->level, unit);
            below->parent = p;
            below->index = i;
            p->child[i] = below;
            p->used++;
        }
        p = p->child[i];
    }
    t->first = align_down(unit, tract_units(r));
    if (p == NULL || p->level > 1) { /* no memory: what was made stays for the next time */
        idle_tract(r, t);
        return NULL;
    }
    t->parent = p;
    t->index = child_index(r, p, unit);
    p->child[t->index] = t;
    p->used++;
    r->tracts++;
    if (r->blocks)
        memset(tract_starts(r, t), 0xff, r->words * sizeof(uint64_t));
    return t;
}

/* ---- Memory that comes and goes ------------------------------------------------------------------ */

static void own(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    t->ours |= word_mask(from >> (r->tract_shift - 6), ((to - 1) >> (r->tract_shift - 6)) + 1);
}

static void disown(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    tract_take(r, t, from, to);
    if (r->blocks)
        tract_set(tract_starts(r, t), from, to);
    uint64_t parts = word_mask(from >> (r->tract_shift - 6), ((to - 1) >> (r->tract_shift - 6)) + 1);
    t->ours &= ~parts;
    t->begins &= ~parts;
    if (t->ours == 0)
        remove_tract(r, t);
}

bool ranges_hold(struct ranges *r, size_t at, size_t units, bool extent)
{
    size_t first = align_down(at, tract_units(r));
    ranges_settle(r);
    for (size_t unit = first; unit < at + units; unit += tract_units(r)) {
        if (make_tract(r, unit) != NULL)
            continue;
        while (unit > first) {
            unit -= tract_units(r);
            struct tract *t = ranges_tract(r, unit);
            if (t->ours == 0)
                remove_tract(r, t);
        }
        return false;
    }
    ranges_each_part(r, at, units, own);
    if (extent) {
        struct tract *t = ranges_tract(r, at);
        t->begins |= tract_part(r, at - t->first);
    }
    r->units += units;
    r->free_units += units;
    ranges_each_part(r, at, units, tract_put);
    return true;
}

void ranges_drop(struct ranges *r, size_t at, size_t units)
{
    ranges_settle(r);
    ranges_renew_hints(r); /* spots must not lead to tracts that go */
    struct tract *behind = at + units < r->end ? ranges_tract(r, at + units) : NULL;
    if (behind != NULL) { /* the rest of an extent whose beginning goes is one of its own */
        size_t i = at + units - behind->first;
        behind->begins |= behind->ours & tract_part(r, i);
    }
    r->units -= units;
    r->free_units -= units;
    ranges_each_part(r, at, units, disown);
}

bool ranges_held(struct ranges *r, size_t unit)
{
    struct tract *t = unit < r->end ? ranges_tract(r, unit) : NULL;
    return t != NULL && (t->ours & tract_part(r, unit - t->first)) != 0;
}

bool ranges_allocated(struct ranges *r, size_t at, size_t units)
{
    if (at >= r->end || units > r->end - at)
        return false;
    while (units > 0) {
        struct tract *t = ranges_tract(r, at);
        if (t == NULL)
            return false;
        size_t from = at - t->first, to = size_min(from + units, tract_units(r));
        uint64_t parts = word_mask(from >> (r->tract_shift - 6), ((to - 1) >> (r->tract_shift - 6)) + 1);
        if ((t->ours & parts) != parts || bits_next_set(t->bits, from, to) != to)
            return false;
        at += to - from;
        units -= to - from;
    }
    return true;
}

size_t ranges_extent_end(struct ranges *r, size_t at, size_t to)
{
    size_t part = tract_units(r) >> 6, unit = at + part;
    for (; unit < to; unit += part) {
        struct tract *t = ranges_tract(r, unit);
        if (t == NULL || (t->ours & ~t->begins & tract_part(r, unit - t->first)) == 0)
            return unit;
    }
    return to;
}
