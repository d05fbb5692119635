/* supply.h - memory for the classes that manage ranges themselves (fit, fixed, stack): extents, and a store for their own
 * structures.  Over a source (depot, callbacks) or inside the caller's buffer, the class cannot tell which.
 *
 *     over a source    store: pieces mapped from the system        extents: ranges from the source
 *     buffer           [ handle | store -> | the one extent ... ]   nothing anywhere else
 *     buffer, outside  store: pieces mapped from the system        [ the one extent ............. ]
 *
 * An extent is a run of whole pages (in a buffer: the bytes that are there) which the page map leads to the pool.
 * A buffer is not in the page map: its first and last page are also other people's.
 * supply_init goes first; everything else under the class's own lock.  Limits count extents and store together. */
#ifndef POOL_SUPPLY_H
#define POOL_SUPPLY_H

#include "pool/pool.h"

struct store_piece;

struct supply_range {
    uintptr_t base;
    size_t size;
};

#define SUPPLY_RANGES_FIRST 4 /* so many that a small pool needs no store for the list */

/* Invariants: ranges are in the order of their addresses and do not overlap; where the source can split they do not
 * touch either.  extent_bytes = the sum of their sizes (in a buffer: the size of the one extent, and no ranges). */
struct supply {
    struct cairn_pool *pool;
    size_t granule;    /* extents are multiples of it, in size and place; 1 in a buffer */
    size_t limit_hard; /* bytes; SIZE_MAX: none */
    size_t limit_soft;
    size_t extent_bytes; /* committed in extents */
    size_t store_bytes;  /* committed in the store; in a buffer with the handle */
    size_t peak;         /* of the sum */
    bool buffer_used;    /* the buffer's one extent has been handed out */
    bool buffer_store;   /* the store is in the buffer, too */
    char *store_at, *store_end;
    struct store_piece *pieces;
    struct supply_range *ranges; /* extents got and not given back; none in a buffer */
    size_t range_count, range_capacity;
    struct supply_range first_ranges[SUPPLY_RANGES_FIRST];
};

/* Begins with nothing.  The structure may be copied before the first extent: a class makes one, takes its own structure
 * by supply_state, and keeps the supply there. */
void supply_init(struct supply *supply, struct cairn_pool *pool, const cairn_pool_config *config);

/* The zeroed structure of the class, for pool->state: behind the handle, where outside of buffers there is room for up to
 * POOL_STATE_SIZE bytes, and where the store of a buffer begins.  NULL: the buffer is too small. */
void *supply_state(struct supply *supply, size_t size);

/* An extent of at least `least` bytes, `wanted` if that can be had, at a multiple of `align`; *size says how much came.
 * Contents undefined unless *zero.  NULL with *error set: ERROR_LIMIT, ERROR_MEMORY.
 * In a buffer the first call gets all that is left behind the store (if that is at least `least`), later ones fail. */
void *supply_get(struct supply *supply, size_t least, size_t wanted, size_t align, size_t *size, bool *zero,
                 enum error *error);

/* Gives a part of an extent back, whole granules; false: it has to stay (the class keeps it as free memory).
 * Without supply_splits only a whole extent goes. */
bool supply_give(struct supply *supply, void *base, size_t size);

/* Whether parts of extents may be given back, or only what supply_get returned. */
bool supply_splits(const struct supply *supply);

/* Bytes that are left of the buffer for store and extent; SIZE_MAX over a source. */
size_t supply_room(const struct supply *supply);

/* Zeroed memory for the class's structures, aligned to 16; never given back before supply_close.  NULL: none, also at
 * the hard limit, and in a buffer once its extent has been handed out. */
void *supply_store(struct supply *supply, size_t size);

/* Gives the store back; the class has given its extents back before (or, `extents` true, they go as well: all that
 * were ever got and not given back).  The supply may lie in its own store. */
void supply_close(struct supply *supply, bool extents);

void supply_limit(struct supply *supply, size_t hard, size_t soft);

/* Fills in what the supply knows: committed, its peak, reserved, the limits, the store as metadata, ranges as arenas.
 * What the class keeps in extents for itself, it adds to metadata. */
void supply_stats(const struct supply *supply, cairn_stats *out);

/* NULL, or what is wrong. */
const char *supply_check(const struct supply *supply);

ALWAYS_INLINE size_t supply_committed(const struct supply *supply)
{
    return supply->extent_bytes + supply->store_bytes;
}

/* Whether `more` bytes would lead past the soft limit: the class then gives free memory back first. */
ALWAYS_INLINE bool supply_past_soft(const struct supply *supply, size_t more)
{
    size_t used = supply_committed(supply);
    return used > supply->limit_soft || more > supply->limit_soft - used;
}

#endif
