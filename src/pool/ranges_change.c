/* ranges_change.c - taking and putting back: the bits of tracts, and the hints that spare searches.  See ranges.h. */
#include "pool/ranges.h"

/* ---- Taking and putting back --------------------------------------------------------------------- */

ALWAYS_INLINE void take_part(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    struct range_node *p = t->parent;
    unsigned i = t->index;
    size_t low = size_min(p->low[i], from), high = size_min(p->high[i], tract_units(r) - to);
    tract_clear(t->bits, from, to);
    t->free -= (unsigned)(to - from);
    if (low != p->low[i] || high != p->high[i])
        range_lower(r, p, i, low, high);
}

void ranges_renew_hints(struct ranges *r)
{
    for (unsigned i = 0; i < r->spot_count; i++)
        r->freed = size_min(r->freed, r->spots[i].at);
    r->spot_count = 0;
    for (unsigned k = 0; k < RANGES_HINTS; k++)
        r->hints[k].at = r->last ? size_max(r->hints[k].at, r->freed) : size_min(r->hints[k].at, r->freed);
    r->hints_end = 0;
    for (unsigned k = 0; k < RANGES_HINTS; k++)
        r->hints_end = size_max(r->hints_end, r->hints[k].at);
    r->freed = r->last ? 0 : SIZE_MAX;
}

/* [from, to) of a tract is a free run now.  The newest spot is often in it: what was taken there has come back. */
ALWAYS_INLINE void add_spot(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    size_t at = t->first + from;
    if (r->spot_count > 0 && r->spots[r->spot_count - 1].at - at <= to - from)
        r->spot_count--;
    if (UNLIKELY(r->spot_count == RANGES_SPOTS))
        ranges_renew_hints(r);
    r->spots[r->spot_count++] = (struct range_spot){at, t};
}

ALWAYS_INLINE void put_part(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    tract_set(t->bits, from, to);
    t->free += (unsigned)(to - from);
    if (r->blocks)
        tract_clear(tract_starts(r, t), from, to);
    from = tract_run_start(t, from);
    to = tract_run_end_quick(r, t, to); /* the edges are still those from before */
    if (from == 0 || to == tract_units(r) || to - from > t->parent->most[t->index])
        range_raise(r, t->parent, t->index, from, to);
    if (LIKELY(r->quick && from > 0)) {
        if (t->first + from < r->hints_end)
            add_spot(r, t, from, to);
    } else if (!r->last)
        r->freed = size_min(r->freed, t->first + from - (from == 0 ? tract_free_before(r, t) : 0));
    else
        r->freed = size_max(r->freed, t->first + to + (to == tract_units(r) ? tract_free_behind(r, t) : 0));
}

void tract_take(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    take_part(r, t, from, to);
}

void tract_put(struct ranges *r, struct tract *t, size_t from, size_t to)
{
    put_part(r, t, from, to);
}

/* Calls `change` for the part of [at, at + units) in each tract; these exist. */
NOINLINE void ranges_each_part(struct ranges *r, size_t at, size_t units, tract_change *change)
{
    while (units > 0) {
        struct tract *t = ranges_tract(r, at);
        size_t from = at - t->first, part = size_min(units, tract_units(r) - from);
        change(r, t, from, from + part);
        at += part;
        units -= part;
    }
}

ALWAYS_INLINE void take(struct ranges *r, size_t at, size_t units)
{
    struct tract *t = ranges_tract(r, at);
    size_t from = at - t->first;
    r->free_units -= units;
    if (r->blocks)
        tract_mark_start(r, t, from);
    if (LIKELY(from + units <= tract_units(r)))
        take_part(r, t, from, from + units);
    else
        ranges_each_part(r, at, units, tract_take);
}

void ranges_take(struct ranges *r, size_t at, size_t units)
{
    ranges_settle(r);
    if (r->spot_count > 0) /* one may be where this begins */
        ranges_renew_hints(r);
    take(r, at, units);
}

void ranges_lengthen(struct ranges *r, size_t at, size_t units)
{
    ranges_take(r, at, units);
    struct tract *t = ranges_tract(r, at);
    if (r->blocks)
        tract_starts(r, t)[(at - t->first) / BITS_PER_WORD] &=
            ~(UINT64_C(1) << (at - t->first) % BITS_PER_WORD);
}

/* The lowest spot up to `limit` with a free run of `units`, within its tract; NULL: none.  Forgets those
 * that are spots no more. */
ALWAYS_INLINE struct range_spot *best_spot(struct ranges *r, size_t units, size_t limit)
{
    struct range_spot *best = NULL;
    for (unsigned i = 0; i < r->spot_count;) {
        struct range_spot *spot = &r->spots[i];
        const struct tract *t = spot->tract;
        size_t from = spot->at - t->first;
        if (!bits_test(t->bits, from) || bits_test(t->bits, from - 1)) {
            *spot = r->spots[--r->spot_count];
            continue;
        }
        i++;
        if (spot->at > limit)
            continue;
        size_t end = tract_run_end_quick(r, t, from);
        if (end - from >= units) {
            best = spot;
            limit = spot->at;
        } else if (UNLIKELY(end == tract_units(r))) { /* it may go on behind: for the search */
            ranges_renew_hints(r);
            return NULL;
        }
    }
    return best;
}

/* A free place in the word of the hint, if the tract is the one that a block was taken from last. */
ALWAYS_INLINE size_t in_hinted_word(struct ranges *r, const struct range_hint *h, size_t units)
{
    struct tract *t = r->grabbed;
    size_t from = t != NULL ? h->at - t->first : SIZE_MAX;
    if (UNLIKELY(from >= tract_units(r)))
        return NOWHERE;
    r->recent = t;
    uint64_t runs = t->bits[from / BITS_PER_WORD] & (~UINT64_C(0) << (from % BITS_PER_WORD));
    for (; units > 1; units -= units / 2)
        runs &= runs >> (units / 2);
    return runs != 0 ? t->first + align_down(from, BITS_PER_WORD) + low_bit(runs) : NOWHERE;
}

/* A block was taken at the first place for its size: what lies behind it, free and in the same tract, becomes the front if
 * another such block fits.  Else it stays a spot if it was one. */
ALWAYS_INLINE void open_front(struct ranges *r, struct tract *t, size_t at, size_t units, bool spot)
{
    size_t next = at + units - t->first;
    if (next >= tract_units(r) || !bits_test(t->bits, next))
        return;
    size_t end = tract_run_end_quick(r, t, next);
    if (end - next >= units)
        r->front = (struct range_front){t, at + units, t->first + end, units, spot};
    else if (spot)
        r->spots[r->spot_count++] = (struct range_spot){at + units, t};
}

ALWAYS_INLINE size_t grab_spot(struct ranges *r, struct range_spot *spot, size_t units)
{
    size_t at = spot->at;
    struct tract *t = spot->tract;
    r->recent = t;
    *spot = r->spots[--r->spot_count];
    take(r, at, units);
    if (at + units - t->first == tract_units(r)) /* the run may go on behind */
        r->freed = size_min(r->freed, at);
    else
        open_front(r, t, at, units, true);
    return at;
}

/* No free run of `units` begins below `at`.  A hint for shorter runs is good for this length, too: it is kept until it
 * is far behind. */
ALWAYS_INLINE void move_hint(struct ranges *r, struct range_hint *h, size_t units, size_t at)
{
    if (units == h->units || at - h->at > RANGES_HINT_FAR) {
        *h = (struct range_hint){units, at};
        r->hints_end = size_max(r->hints_end, at);
    }
}

/* The first place at or above the hint. */
ALWAYS_INLINE size_t grab_behind(struct ranges *r, struct range_hint *h, size_t units)
{
    size_t at = in_hinted_word(r, h, units);
    if (UNLIKELY(at == NOWHERE))
        at = ranges_first(r, units, h->at);
    move_hint(r, h, units, at);
    if (UNLIKELY(at == NOWHERE))
        return NOWHERE;
    for (unsigned i = 0; i < r->spot_count; i++)
        if (r->spots[i].at == at) { /* the run may end in another tract */
            r->spots[i] = r->spots[--r->spot_count];
            r->freed = size_min(r->freed, at);
            break;
        }
    take(r, at, units);
    r->grabbed = ranges_tract(r, at);
    open_front(r, r->grabbed, at, units, false);
    return at;
}

void ranges_leave_front(struct ranges *r)
{
    struct range_front f = r->front;
    struct tract *t = f.tract;
    struct range_node *p = t->parent;
    size_t in = f.at - t->first, high = size_min(p->high[t->index], tract_units(r) - in);
    r->front = (struct range_front){0};
    if (high != p->high[t->index])
        range_lower(r, p, t->index, p->low[t->index], high);
    if (f.spot && f.at < f.end)
        add_spot(r, t, in, f.end - t->first);
    else if (f.spot && in == tract_units(r)) /* the run may go on behind */
        r->freed = size_min(r->freed, f.at);
    else if (!f.spot)
        move_hint(r, range_hint_for(r, f.units), f.units, f.at);
}

size_t ranges_grab(struct ranges *r, size_t units)
{
    ranges_settle(r);
    if (!r->quick || units > BITS_PER_WORD) {
        size_t at = ranges_find(r, units, 1, true);
        if (at != NOWHERE)
            take(r, at, units);
        return at;
    }
    struct range_hint *h = range_hint_for(r, units);
    if (UNLIKELY(r->freed != SIZE_MAX || h->units > units)) {
        ranges_renew_hints(r);
        if (h->units > units)
            *h = (struct range_hint){units, h[-1].at};
    }
    struct range_spot *spot = r->spot_count > 0 ? best_spot(r, units, h->at) : NULL;
    return spot != NULL ? grab_spot(r, spot, units) : grab_behind(r, h, units);
}

void ranges_put(struct ranges *r, size_t at, size_t units)
{
    ranges_settle(r);
    struct tract *t = ranges_tract(r, at);
    size_t from = at - t->first;
    r->free_units += units;
    if (LIKELY(from + units <= tract_units(r)))
        put_part(r, t, from, from + units);
    else
        ranges_each_part(r, at, units, tract_put);
}

void ranges_put_part(struct ranges *r, size_t at, size_t units)
{
    size_t next = at + units;
    ranges_put(r, at, units);
    struct tract *t = r->blocks && next < r->end ? ranges_tract(r, next) : NULL;
    if (t != NULL && !bits_test(t->bits, next - t->first))
        tract_mark_start(r, t, next - t->first); /* what is not ours has one anyway */
}
