/* live.h - the live blocks of a tool: from an address to its size and place.
 *
 * A hash table in LIVE_SHARDS parts, each with its lock, so that threads seldom meet.  Memory comes from the system; a
 * table that cannot grow says so, and goes without the block.
 *
 * Order: take a block out before it is freed, put it in after it was got; then an address is never there twice. */
#ifndef OBSERVE_LIVE_H
#define OBSERVE_LIVE_H

#include "base/base.h"
#include "os/lock.h"

#define LIVE_SHARDS 64

struct live_block {
    uintptr_t address; /* 0: an empty place of the table */
    size_t size;       /* as asked for */
    uint32_t place;    /* its number */
    uint32_t tag;      /* the tool's */
};

struct live_shard {
    struct lock lock;
    size_t used, room; /* blocks, and places: 0 or a power of two */
    struct live_block *blocks;
} __attribute__((aligned(CACHE_LINE)));

/* All zero but for the locks' ranks (live_init) is an empty one. */
struct live {
    struct live_shard shards[LIVE_SHARDS];
    uint64_t missed; /* blocks that found no place; atomic */
};

void live_init(struct live *live);
void live_release(struct live *live); /* its memory; nobody may be inside */

bool live_put(struct live *live, const struct live_block *block);

/* Takes the block out; false: it is not there. */
bool live_take(struct live *live, const void *address, struct live_block *out);

/* Calls `visit` for each block, under the lock of its shard. */
void live_each(struct live *live, void (*visit)(void *context, const struct live_block *block),
               void *context);

void live_before_fork(struct live *live);
void live_after_fork(struct live *live);

#endif
