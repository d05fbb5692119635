/* ranges.h - what is free in a set of address ranges: two bits for each unit, and a tree of summaries over them.
 *
 * A unit is the alignment of the pool: 8 bytes up to a page.  Everything here is in units, counted from `origin`.
 *
 *   free  start   the unit is
 *    1      0     free
 *    0      1     the first of a block; or not ours, then the tract's `ours` has a 0 for it
 *    0      0     inside a block
 *
 * Without start bits (`blocks` false) only the free bits exist: 0 means allocated, or not ours.
 *
 *   units      ....####........##|################|##......####....|        # allocated
 *   tracts          first tract       second            third               up to 1024 units each, on such a multiple
 *   node       [ edge, edge, longest ] for each of 16 tracts, or of 16 nodes of the level below
 *
 * So the truth is in the bits, which exist as long as the memory does: freeing needs no memory and cannot fail,
 * a free range costs nothing, however many there are, and nothing is ever written into free memory.
 *
 * What a node says of a child (tract or node), `full` being all of its units:
 *   low    free units at its low end, exactly        low == full  <=>  high == full  <=>  all of it is free
 *   high   free units at its high end, exactly
 *   most   at least the longest free run inside it, and for a child that is a node at least its children's `most`;
 *          taking leaves it too large; a search that was led astray by it corrects it
 * Taking and freeing therefore touch a node only where an edge moves or the longest run grows, and a search that
 * fails in a child pays for that by lowering its `most`, which a later free must raise first: O(log n) for each
 * operation in the long run, n being the tracts.
 *
 * Hints: hints[k] says that no free run of at least `units` (2^k <= units < 2^(k+1)) begins below (or, for the last
 * fit, ends above) `at`, but for what was freed since: `freed`, and in a quick pool the begins of runs in `spots`.
 * So a program that frees a little and allocates a little finds its place without a search.  A spot is checked when it
 * is used: it may have been taken since, or have become the middle of a run whose begin is then a spot of its own.
 *
 * The front: blocks that are taken behind one another come straight from the run behind the last one; only bits and counts
 * change.  Edges, and the spot or hint that led there, are brought up to date when the front is left, which every
 * call does that needs them.  So the bits are always right, the summaries only while there is no front.
 *
 * No locking here: the pool's lock.  Neighbours: ranges.c has the tree, ranges_change.c takes and puts back,
 * ranges_find.c searches, ranges_check.c walks and checks, fit.c is the pool class. */
#ifndef POOL_RANGES_H
#define POOL_RANGES_H

#include "base/base.h"
#include "base/bits.h"

#define RANGES_FAN_SHIFT 4
#define RANGES_FAN 16
#define RANGES_TRACT_MAX 1024 /* units */
#define RANGES_HINTS 8        /* the last one for all that is longer */
#define NOWHERE SIZE_MAX

struct tract {
    struct range_node *parent;
    size_t first;    /* its first unit */
    unsigned index;  /* in the parent */
    unsigned free;   /* units */
    uint64_t ours;   /* a bit for each 64th of it: held; bit 0 is the lowest */
    uint64_t begins; /* the same: an extent begins here */
    uint64_t bits[]; /* free bits, then start bits */
};

struct range_node {
    struct range_node *parent; /* NULL: the root */
    size_t first;              /* its first unit */
    unsigned index;            /* in the parent */
    unsigned level;            /* 1: its children are tracts */
    unsigned used;             /* count of children */
    size_t low[RANGES_FAN], high[RANGES_FAN], most[RANGES_FAN];
    void *child[RANGES_FAN];
};

#define RANGES_SPOTS 8
#define RANGES_HINT_FAR 1024 /* units */

struct range_hint {
    size_t units, at;
};

struct range_spot {
    size_t at;
    struct tract *tract; /* of `at` */
};

/* The free run from which blocks are being taken one after the other: no free run of `units` begins below `at`. */
struct range_front {
    struct tract *tract; /* NULL: there is none, and all is 0 */
    size_t at, end;      /* of the run in the tract */
    size_t units;
    bool spot; /* it may lie below the hints */
};

struct ranges {
    uintptr_t origin;     /* address of unit 0 */
    size_t end;           /* units from here on are not ours, whatever the tract says */
    unsigned unit_shift;  /* log2 of the bytes of a unit */
    unsigned tract_shift; /* log2 of the units of a tract */
    unsigned words;       /* 64-bit words of a tract's free bits */
    bool blocks;          /* there are start bits */
    bool last;            /* searches go down from the high end */
    bool high;            /* blocks are taken from the high end of a run */
    bool quick;           /* neither */
    struct range_node *root;
    struct range_front front;
    struct tract *recent;  /* looked up last; NULL: none */
    struct tract *grabbed; /* a block was taken from it last; NULL: none */
    struct range_hint hints[RANGES_HINTS];
    size_t hints_end; /* in a quick pool: no hint is above; what is freed there changes none */
    size_t freed; /* the lowest begin (last: the highest end) of what was freed since ranges_renew_hints */
    unsigned spot_count;
    struct range_spot spots[RANGES_SPOTS];      /* in no order */
    size_t units;                               /* held */
    size_t free_units;                          /* of these */
    void *(*store)(void *context, size_t size); /* zeroed memory for tracts and nodes, never given back */
    void *context;
    struct tract *idle_tracts; /* chained through `parent` */
    struct range_node *idle_nodes;
    size_t tracts; /* count of tracts in use */
};

/* How many units a tract has when extents are multiples of `granule` bytes (1: a buffer of `bytes`). */
unsigned ranges_tract_shift(unsigned unit_shift, size_t granule, size_t bytes);

/* Everything but the origin and `store` is set up here. */
void ranges_init(struct ranges *r, unsigned unit_shift, unsigned tract_shift, bool blocks, bool last,
                 bool high);

/* Puts a tract with its node into reserve, for later holds; false: no memory. */
bool ranges_provide_tract(struct ranges *r);
bool ranges_provide_node(struct ranges *r);

/* Takes [at, at + units) in, as free units; `extent`: an extent begins at `at`.  False: no memory, nothing changed. */
bool ranges_hold(struct ranges *r, size_t at, size_t units, bool extent);

/* Lets free units go. */
void ranges_drop(struct ranges *r, size_t at, size_t units);

/* Free units become a block. */
void ranges_take(struct ranges *r, size_t at, size_t units);

/* Free units become part of the block before them. */
void ranges_lengthen(struct ranges *r, size_t at, size_t units);

/* ranges_find and ranges_take in one, for blocks at any unit. */
size_t ranges_grab(struct ranges *r, size_t units);

/* A block becomes free. */
void ranges_put(struct ranges *r, size_t at, size_t units);

/* Any allocated units become free; what follows them in the same block becomes a block of its own. */
void ranges_put_part(struct ranges *r, size_t at, size_t units);

/* The tract of a unit, or NULL: nothing around it is held.  ranges_tract is below. */
struct tract *ranges_look_up(struct ranges *r, size_t unit);

/* Whether units are held, and allocated all of them. */
bool ranges_held(struct ranges *r, size_t unit);
bool ranges_allocated(struct ranges *r, size_t at, size_t units);

/* Length of the block that begins at a unit: ranges_block is below. */
size_t ranges_block_long(struct ranges *r, size_t at);

/* The free run around a free unit. */
void ranges_run(struct ranges *r, size_t unit, size_t *from, size_t *to);

/* Free units directly behind `at`, at most `enough` (or more). */
size_t ranges_free_behind(struct ranges *r, size_t at);

/* Where a block of `units` at a multiple of `align` units (in addresses) goes, NOWHERE if nothing fits.  `exact`: look at
 * every run.  Otherwise, after RANGES_TRIES runs that are long enough but wrongly placed, only at those
 * in which it fits wherever they begin. */
#define RANGES_TRIES 64
size_t ranges_find(struct ranges *r, size_t units, size_t align, bool exact);

/* The longest free run, in units; 0: none. */
size_t ranges_longest(struct ranges *r, size_t *at);

/* First free run of at least `units` that begins at or above `from`, which is not inside a run. */
size_t ranges_first(struct ranges *r, size_t units, size_t from);

/* End of the last free run of at least `units` that ends at or below `to`, which is not inside a run; NOWHERE. */
size_t ranges_last(struct ranges *r, size_t units, size_t to);

/* The first block (allocated run, without start bits) that begins at or above `from`, and its length; NOWHERE. */
size_t ranges_next_block(struct ranges *r, size_t from, size_t *units);

/* The first free unit at or above `from`; NOWHERE. */
size_t ranges_next_free(struct ranges *r, size_t from);

/* End of the extent part that begins at `at`: where another extent begins or nothing is ours, at most `to`. */
size_t ranges_extent_end(struct ranges *r, size_t at, size_t to);

/* The first tract at or above the one of `unit`; NULL. */
struct tract *ranges_next_tract(struct ranges *r, size_t unit);

/* NULL, or what is wrong. */
const char *ranges_check(struct ranges *r);

/* ---- Shared by the ranges_*.c ------------------------------------------------------------------- */

ALWAYS_INLINE size_t tract_units(const struct ranges *r)
{
    return (size_t)1 << r->tract_shift;
}

ALWAYS_INLINE uint64_t *tract_starts(const struct ranges *r, struct tract *t)
{
    return t->bits + r->words;
}

ALWAYS_INLINE struct tract *ranges_tract(struct ranges *r, size_t unit)
{
    struct tract *t = r->recent;
    return LIKELY(t != NULL && t->first == align_down(unit, tract_units(r))) ? t : ranges_look_up(r, unit);
}

/* The bit of `ours` for a unit of the tract. */
ALWAYS_INLINE uint64_t tract_part(const struct ranges *r, size_t in_tract)
{
    return UINT64_C(1) << (in_tract >> (r->tract_shift - 6));
}

/* Units of each child of a node. */
ALWAYS_INLINE size_t child_units(const struct ranges *r, unsigned level)
{
    return (size_t)1 << (r->tract_shift + (level - 1) * RANGES_FAN_SHIFT);
}

/* Bits [from, to) of a tract, usually in one word. */
ALWAYS_INLINE void tract_set(uint64_t *bits, size_t from, size_t to)
{
    if (LIKELY(from / BITS_PER_WORD == (to - 1) / BITS_PER_WORD))
        bits[from / BITS_PER_WORD] |= word_mask(from % BITS_PER_WORD, (to - 1) % BITS_PER_WORD + 1);
    else
        bits_set(bits, from, to);
}

ALWAYS_INLINE void tract_clear(uint64_t *bits, size_t from, size_t to)
{
    if (LIKELY(from / BITS_PER_WORD == (to - 1) / BITS_PER_WORD))
        bits[from / BITS_PER_WORD] &= ~word_mask(from % BITS_PER_WORD, (to - 1) % BITS_PER_WORD + 1);
    else
        bits_clear(bits, from, to);
}

ALWAYS_INLINE void tract_mark_start(const struct ranges *r, struct tract *t, size_t i)
{
    tract_starts(r, t)[i / BITS_PER_WORD] |= UINT64_C(1) << (i % BITS_PER_WORD);
}

/* End of the run of free units that begins at `from`, within the tract. */
ALWAYS_INLINE size_t tract_run_end(const struct ranges *r, const struct tract *t, size_t from)
{
    if (from >= tract_units(r))
        return from;
    uint64_t clear = ~t->bits[from / BITS_PER_WORD] >> (from % BITS_PER_WORD);
    return clear != 0 ? from + low_bit(clear) : bits_next_clear(t->bits, from, tract_units(r));
}

/* The same, with a look at the edge first: for places that are often in the long free end of a tract. */
ALWAYS_INLINE size_t tract_run_end_quick(const struct ranges *r, const struct tract *t, size_t from)
{
    size_t units = tract_units(r);
    return from + t->parent->high[t->index] >= units ? units : tract_run_end(r, t, from);
}

/* Start of the run of free units that ends before `to`, within the tract. */
ALWAYS_INLINE size_t tract_run_start(const struct tract *t, size_t to)
{
    if (to == 0)
        return 0;
    uint64_t clear = ~t->bits[(to - 1) / BITS_PER_WORD] << (BITS_PER_WORD - 1 - (to - 1) % BITS_PER_WORD);
    return clear != 0 ? to - (63 - high_bit(clear)) : bits_run_start(t->bits, to, 0);
}

ALWAYS_INLINE size_t ranges_block(struct ranges *r, size_t at)
{
    struct tract *t = ranges_tract(r, at);
    size_t i = (at - t->first) % BITS_PER_WORD, k = (at - t->first) / BITS_PER_WORD;
    if (LIKELY(r->blocks)) {
        uint64_t ends = ((t->bits[k] | tract_starts(r, t)[k]) >> i) & ~UINT64_C(1);
        if (LIKELY(ends != 0)) /* in a buffer, what lies behind its end has start bits */
            return low_bit(ends);
    }
    return ranges_block_long(r, at);
}

/* The hint for runs of `units`: its bucket's. */
ALWAYS_INLINE struct range_hint *range_hint_for(struct ranges *r, size_t units)
{
    return &r->hints[size_min(high_bit(units), RANGES_HINTS - 1)];
}

/* As ranges_grab, but without the summaries, which lag behind until ranges_settle; NOWHERE: ask ranges_grab.  Every call
 * that needs them settles first. */
ALWAYS_INLINE size_t ranges_grab_front(struct ranges *r, size_t units)
{
    struct range_front *f = &r->front;
    size_t at = f->at;
    if (units < f->units || units > f->end - at)
        return NOWHERE;
    struct tract *t = f->tract;
    size_t from = at - t->first;
    f->at = at + units;
    r->free_units -= units;
    t->free -= (unsigned)units;
    tract_clear(t->bits, from, from + units);
    if (r->blocks)
        tract_mark_start(r, t, from);
    return at;
}

void ranges_leave_front(struct ranges *r);

ALWAYS_INLINE void ranges_settle(struct ranges *r)
{
    if (UNLIKELY(r->front.tract != NULL))
        ranges_leave_front(r);
}

/* Whether the block [at, at + units) of tract t, were it free, would be the first place for its own size; false: perhaps. */
ALWAYS_INLINE bool ranges_would_be_first(struct ranges *r, const struct tract *t, size_t at, size_t units)
{
    const struct range_hint *h = range_hint_for(r, units);
    size_t in = at - t->first;
    if (at >= h->at || units < h->units || r->freed != SIZE_MAX || !r->quick)
        return false;
    if (in == 0 || bits_test(t->bits, in - 1) || (r->front.at < at && r->front.tract != NULL))
        return false;
    for (unsigned i = 0; i < r->spot_count; i++)
        if (r->spots[i].at < at)
            return false;
    return true;
}

/* Free units directly before and behind a tract. */
size_t tract_free_before(const struct ranges *r, const struct tract *t);
size_t tract_free_behind(const struct ranges *r, const struct tract *t);

/* Units were taken from child i of p, whose edges are now `low` and `high`. */
void range_lower(const struct ranges *r, struct range_node *p, unsigned i, size_t low, size_t high);

/* [from, to) of child i of p has become a free run, which nothing free touches within the child. */
void range_raise(const struct ranges *r, struct range_node *p, unsigned i, size_t from, size_t to);

/* Changes of one tract, and of every tract in [at, at + units); these exist. */
typedef void tract_change(struct ranges *r, struct tract *t, size_t from, size_t to);
void tract_take(struct ranges *r, struct tract *t, size_t from, size_t to);
void tract_put(struct ranges *r, struct tract *t, size_t from, size_t to);
void ranges_each_part(struct ranges *r, size_t at, size_t units, tract_change *change);

/* Brings the hints up to what was freed since. */
void ranges_renew_hints(struct ranges *r);

/* `most` of a node, from what it says of its children. */
size_t range_node_most(const struct ranges *r, const struct range_node *p);

#endif
