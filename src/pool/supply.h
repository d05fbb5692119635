/* supply.h - memory for the classes that manage ranges themselves (fit, fixed, stack): extents, and a store for their own
 * structures.  Over a source (depot, callbacks) or inside the caller's buffer, the class cannot tell which.
 *
 * An extent is a run of whole pages (in a buffer: the bytes that are there) which the page map leads to the pool.
 * supply_init goes first; everything else under the class's own lock.  Limits count extents and store together. */
#ifndef POOL_SUPPLY_H
#define POOL_SUPPLY_H

#include "pool/pool.h"

struct store_piece;

struct supply {
    struct cairn_pool *pool;
    size_t granule;    /* extents are multiples of it, in size and place; 1 in a buffer */
    size_t limit_hard; /* bytes; SIZE_MAX: none */
    size_t limit_soft;
    size_t extent_bytes; /* committed in extents */
    size_t store_bytes;  /* committed in the store */
    size_t peak;         /* of the sum */
    bool buffer_used;    /* the buffer's one extent has been handed out */
    char *store_at, *store_end;
    struct store_piece *pieces;
};

/* A structure of `size` bytes for the class itself, in which the supply may lie too: from the pool's store. */
void supply_init(struct supply *supply, struct cairn_pool *pool, const cairn_pool_config *config);

/* An extent of at least `least` bytes, `wanted` if that can be had, at a multiple of `align`; *size says how much came.
 * Contents undefined unless *zero.  NULL with *error set.
 * In a buffer the first call gets all that is left behind the store (if that is at least `least`), later ones fail. */
void *supply_get(struct supply *supply, size_t least, size_t wanted, size_t align, size_t *size, bool *zero,
                 enum error *error);

/* Gives a part of an extent back, whole granules; false: it has to stay (the class keeps it as free memory). */
bool supply_give(struct supply *supply, void *base, size_t size);

/* Whether parts of extents may be given back, or only what supply_get returned. */
bool supply_splits(const struct supply *supply);

/* Zeroed memory for the class's structures; never given back before supply_close.  NULL: none. */
void *supply_store(struct supply *supply, size_t size);

/* Gives the store back; the class has given its extents back before (or, `extents` true, they go as well: all that
 * were ever got and not given back). */
void supply_close(struct supply *supply);

#endif
