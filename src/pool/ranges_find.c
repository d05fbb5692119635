/* ranges_find.c - the searches: the first run that is long enough, or the last.  See ranges.h.
 *
 * A search looks at the rest of one tract word by word, then goes on through the summaries: along the children of a
 * node while none can hold the run, down into one that says it may, up when all are done.  It carries the free units
 * that end where it stands, so that runs across tracts are found from the edges alone, which are exact.  A child
 * that promised too much has its `most` corrected in passing. */
#include "pool/ranges.h"

/* ---- In one tract -------------------------------------------------------------------------------- */

/* Bit i of the result: bits i .. i + n - 1 are set; 1 <= n <= 64. */
ALWAYS_INLINE uint64_t runs_from(uint64_t bits, size_t n)
{
    while (n > 1 && bits != 0) {
        size_t half = n / 2;
        bits &= bits >> half;
        n -= half;
    }
    return bits;
}

/* Bit i of the result: bits i - n + 1 .. i are set. */
ALWAYS_INLINE uint64_t runs_to(uint64_t bits, size_t n)
{
    while (n > 1 && bits != 0) {
        size_t half = n / 2;
        bits &= bits << half;
        n -= half;
    }
    return bits;
}

/* The first run of `units` <= 64 that begins at `from` or behind it, within the tract. */
ALWAYS_INLINE size_t first_short(const struct ranges *r, const struct tract *t, size_t from, size_t units)
{
    size_t k = from / BITS_PER_WORD;
    uint64_t word = t->bits[k] & (~UINT64_C(0) << (from % BITS_PER_WORD));
    for (;;) {
        while (word == 0) {
            if (++k == r->words)
                return NOWHERE;
            word = t->bits[k];
        }
        uint64_t runs = runs_from(word, units);
        if (runs != 0)
            return k * BITS_PER_WORD + low_bit(runs);
        if (++k == r->words)
            return NOWHERE;
        uint64_t next = t->bits[k];
        size_t before = ~word != 0 ? (size_t)__builtin_clzll(~word) : BITS_PER_WORD;
        size_t behind = ~next != 0 ? low_bit(~next) : BITS_PER_WORD;
        if (before + behind >= units && before > 0)
            return k * BITS_PER_WORD - before;
        word = next;
    }
}

/* The last run of `units` <= 64 that ends at `to` or before it, within the tract: its end. */
ALWAYS_INLINE size_t last_short(const struct tract *t, size_t to, size_t units)
{
    if (to == 0)
        return NOWHERE;
    size_t k = (to - 1) / BITS_PER_WORD;
    uint64_t word = t->bits[k] & (~UINT64_C(0) >> (BITS_PER_WORD - 1 - (to - 1) % BITS_PER_WORD));
    for (;;) {
        while (word == 0) {
            if (k-- == 0)
                return NOWHERE;
            word = t->bits[k];
        }
        uint64_t runs = runs_to(word, units);
        if (runs != 0)
            return k * BITS_PER_WORD + high_bit(runs) + 1;
        if (k-- == 0)
            return NOWHERE;
        uint64_t next = t->bits[k];
        size_t behind = ~word != 0 ? low_bit(~word) : BITS_PER_WORD;
        size_t before = ~next != 0 ? (size_t)__builtin_clzll(~next) : BITS_PER_WORD;
        if (before + behind >= units && behind > 0)
            return (k + 1) * BITS_PER_WORD + behind;
        word = next;
    }
}

static size_t first_in_tract(const struct ranges *r, const struct tract *t, size_t from, size_t units)
{
    if (LIKELY(units <= BITS_PER_WORD))
        return first_short(r, t, from, units);
    while (from + units <= tract_units(r)) {
        size_t at = first_short(r, t, from, BITS_PER_WORD);
        if (at == NOWHERE)
            return NOWHERE;
        from = tract_run_end(r, t, at);
        if (from - at >= units)
            return at;
    }
    return NOWHERE;
}

static size_t last_in_tract(const struct tract *t, size_t to, size_t units)
{
    if (LIKELY(units <= BITS_PER_WORD))
        return last_short(t, to, units);
    while (to >= units) {
        size_t end = last_short(t, to, BITS_PER_WORD);
        if (end == NOWHERE)
            return NOWHERE;
        to = tract_run_start(t, end);
        if (end - to >= units)
            return end;
    }
    return NOWHERE;
}

/* The longest run in a tract that has none of `units`; or what bounds it. */
static size_t tract_most(const struct ranges *r, const struct tract *t, size_t units)
{
    size_t most = 0, run = 0;
    if (t->free < units)
        return t->free;
    for (unsigned k = 0; k < r->words; k++) {
        uint64_t word = t->bits[k];
        if (~word == 0) {
            run += BITS_PER_WORD;
            continue;
        }
        most = size_max(most, run + low_bit(~word));
        run = (size_t)__builtin_clzll(~word);
        while (most < BITS_PER_WORD - 1 && runs_from(word, most + 1) != 0) /* each round finds a longer one */
            most++;
    }
    return size_max(most, run);
}

/* ---- Through the tree ---------------------------------------------------------------------------- */

/* All children of p have been searched in vain: goes up, and corrects what led there. */
ALWAYS_INLINE struct range_node *leave(const struct ranges *r, struct range_node *p, unsigned *i,
                                       bool descended)
{
    struct range_node *above = p->parent;
    if (above == NULL)
        return NULL;
    if (descended)
        above->most[p->index] = range_node_most(r, p);
    *i = p->index;
    return above;
}

/* Goes on behind child i of p, with `carry` free units before. */
static size_t first_behind(struct ranges *r, struct range_node *p, unsigned i, size_t carry, size_t units)
{
    unsigned entered = 0; /* how many levels below the starting path we are */
    for (i++; p != NULL; i++) {
        size_t full = child_units(r, p->level);
        for (; i < RANGES_FAN; i++) {
            if (carry + p->low[i] >= units)
                return p->first + i * full - carry;
            if (p->most[i] < units) {
                carry = p->low[i] == full ? carry + full : p->high[i];
                continue;
            }
            if (p->level > 1) {
                p = p->child[i];
                full >>= RANGES_FAN_SHIFT;
                entered++;
                i = (unsigned)-1; /* on at its child 0 */
                continue;
            }
            struct tract *t = p->child[i];
            size_t at = t->free >= units ? first_in_tract(r, t, 0, units) : NOWHERE;
            if (at != NOWHERE) {
                r->recent = t;
                return t->first + at;
            }
            p->most[i] = tract_most(r, t, units);
            carry = p->high[i];
        }
        p = leave(r, p, &i, entered > 0);
        entered -= entered > 0;
    }
    return NOWHERE;
}

/* The same downwards: the end of the run, before child i of p, with `carry` free units behind. */
static size_t last_before(struct ranges *r, struct range_node *p, unsigned i, size_t carry, size_t units)
{
    unsigned entered = 0;
    while (p != NULL) {
        size_t full = child_units(r, p->level);
        while (i-- > 0) {
            if (carry + p->high[i] >= units)
                return p->first + (i + 1) * full + carry;
            if (p->most[i] < units) {
                carry = p->high[i] == full ? carry + full : p->low[i];
                continue;
            }
            if (p->level > 1) {
                p = p->child[i];
                full >>= RANGES_FAN_SHIFT;
                entered++;
                i = RANGES_FAN;
                continue;
            }
            struct tract *t = p->child[i];
            size_t end = t->free >= units ? last_in_tract(t, tract_units(r), units) : NOWHERE;
            if (end != NOWHERE) {
                r->recent = t;
                return t->first + end;
            }
            p->most[i] = tract_most(r, t, units);
            carry = p->low[i];
        }
        p = leave(r, p, &i, entered > 0);
        entered -= entered > 0;
    }
    return NOWHERE;
}

/* The node and child from which a search starts that has no tract to start in: everything before child
 * *i of it lies below `unit`, everything behind above. */
static struct range_node *start(const struct ranges *r, size_t unit, unsigned *i)
{
    struct range_node *p = r->root;
    for (;;) {
        *i = (unsigned)((unit - p->first) >> (r->tract_shift + (p->level - 1) * RANGES_FAN_SHIFT));
        if (p->level == 1 || p->child[*i] == NULL)
            return p;
        p = p->child[*i];
    }
}

static size_t root_end(const struct ranges *r)
{
    return r->root->first + (child_units(r, r->root->level) << RANGES_FAN_SHIFT);
}

size_t ranges_first(struct ranges *r, size_t units, size_t from)
{
    unsigned i;
    ranges_settle(r);
    if (r->root == NULL || from >= root_end(r))
        return NOWHERE;
    if (from < r->root->first)
        return first_behind(r, r->root, (unsigned)-1, 0, units);
    struct tract *t = ranges_tract(r, from);
    if (UNLIKELY(t == NULL)) {
        struct range_node *p = start(r, from, &i);
        return first_behind(r, p, i, 0, units);
    }
    if (LIKELY(t->free >= units)) {
        size_t at = first_in_tract(r, t, from - t->first, units);
        if (LIKELY(at != NOWHERE))
            return t->first + at;
    }
    return first_behind(r, t->parent, t->index, t->parent->high[t->index], units);
}

size_t ranges_last(struct ranges *r, size_t units, size_t to)
{
    unsigned i;
    ranges_settle(r);
    if (r->root == NULL || to <= r->root->first)
        return NOWHERE;
    if (to > root_end(r))
        return last_before(r, r->root, RANGES_FAN, 0, units);
    struct tract *t = ranges_tract(r, to - 1);
    if (UNLIKELY(t == NULL)) {
        struct range_node *p = start(r, to - 1, &i);
        return last_before(r, p, i, 0, units);
    }
    if (LIKELY(t->free >= units)) {
        size_t end = last_in_tract(t, to - t->first, units);
        if (LIKELY(end != NOWHERE))
            return t->first + end;
    }
    return last_before(r, t->parent, t->index, t->parent->low[t->index], units);
}

void ranges_run(struct ranges *r, size_t unit, size_t *from, size_t *to)
{
    ranges_settle(r);
    struct tract *t = ranges_tract(r, unit);
    size_t low = tract_run_start(t, unit - t->first), high = tract_run_end(r, t, unit - t->first);
    *from = t->first + low - (low == 0 ? tract_free_before(r, t) : 0);
    *to = t->first + high + (high == tract_units(r) ? tract_free_behind(r, t) : 0);
}

size_t ranges_free_behind(struct ranges *r, size_t at)
{
    ranges_settle(r);
    struct tract *t = at < r->end ? ranges_tract(r, at) : NULL;
    if (t == NULL || !bits_test(t->bits, at - t->first))
        return 0;
    size_t end = tract_run_end(r, t, at - t->first);
    return t->first + end - at + (end == tract_units(r) ? tract_free_behind(r, t) : 0);
}

size_t ranges_longest(struct ranges *r, size_t *at)
{
    ranges_settle(r);
    while (r->root != NULL) {
        size_t most = range_node_most(r, r->root);
        if (most == 0)
            return 0;
        /* From above all, so that what promised too much is corrected, the first tract, too. */
        *at = first_behind(r, r->root, (unsigned)-1, 0, most);
        if (*at != NOWHERE)
            return most;
    }
    return 0;
}

/* ---- Where a block goes -------------------------------------------------------------------------- */

ALWAYS_INLINE size_t hinted(struct ranges *r, size_t units)
{
    if (r->freed != (r->last ? 0 : SIZE_MAX) || r->spot_count > 0)
        ranges_renew_hints(r);
    const struct range_hint *h = range_hint_for(r, units);
    if (h->units >
        units) /* of the same bucket, but for longer ones; the one before is for shorter ones, if any */
        h--;
    return h->at;
}

ALWAYS_INLINE size_t address_up(const struct ranges *r, size_t unit, size_t align)
{
    size_t base = r->origin >> r->unit_shift;
    return ((base + unit + align - 1) & ~(align - 1)) - base;
}

ALWAYS_INLINE size_t address_down(const struct ranges *r, size_t unit, size_t align)
{
    size_t base = r->origin >> r->unit_shift;
    return ((base + unit) & ~(align - 1)) - base;
}

/* Where in [from, to) a block of `units` at a multiple of `align` goes; NOWHERE if it does not fit. */
static size_t place(const struct ranges *r, size_t from, size_t to, size_t units, size_t align)
{
    if (to - from < units)
        return NOWHERE;
    size_t at = r->high ? address_down(r, to - units, align) : address_up(r, from, align);
    if (r->high && (at < from || at > to)) /* at > to: went below unit 0 */
        return NOWHERE;
    return at + units <= to ? at : NOWHERE;
}

/* The next run of `units` at least, from `*at` on in the direction of the search. */
static bool next_run(struct ranges *r, size_t units, size_t *at, size_t *from, size_t *to)
{
    size_t found = r->last ? ranges_last(r, units, *at) : ranges_first(r, units, *at);
    if (found == NOWHERE)
        return false;
    ranges_run(r, r->last ? found - 1 : found, from, to);
    *at = r->last ? *from : *to;
    return true;
}

static size_t find_aligned(struct ranges *r, size_t units, size_t align, bool exact)
{
    size_t at = hinted(r, units), from, to;
    for (unsigned tries = 0; exact || tries < RANGES_TRIES; tries++) {
        if (!next_run(r, units, &at, &from, &to))
            return NOWHERE;
        size_t found = place(r, from, to, units, align);
        if (found != NOWHERE)
            return found;
    }
    if (!next_run(r, units + align - 1, &at, &from, &to))
        return NOWHERE;
    return place(r, from, to, units, align);
}

/* Upwards, when blocks are taken from the low end: nearly all of the time. */
static size_t find_first(struct ranges *r, size_t units)
{
    size_t at = ranges_first(r, units, hinted(r, units));
    *range_hint_for(r, units) = (struct range_hint){units, at != NOWHERE ? at : SIZE_MAX};
    r->hints_end = size_max(r->hints_end, range_hint_for(r, units)->at);
    return at;
}

size_t ranges_find(struct ranges *r, size_t units, size_t align, bool exact)
{
    ranges_settle(r); /* before the hints are looked at */
    if (align > 1)
        return find_aligned(r, units, align, exact);
    if (LIKELY(!r->last && !r->high))
        return find_first(r, units);
    size_t at = hinted(r, units), from, to;
    bool found = next_run(r, units, &at, &from, &to);
    *range_hint_for(r, units) = (struct range_hint){units, found     ? (r->last ? to : from)
                                                           : r->last ? 0
                                                                     : SIZE_MAX};
    return !found ? NOWHERE : r->high ? to - units : from;
}
