/* live.c - see live.h.  Open addressing with linear probing; at most three quarters of the places are used; who is taken out
 * has those behind moved up, so there are no marks for deleted places. */
#include "observe/live.h"

#include "base/atomic.h"
#include "os/os.h"

#include <string.h>

#define ROOM_FIRST 128

static uint64_t hash(uintptr_t address)
{
    return (address >> 3) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct live_shard *shard_of(struct live *live, uintptr_t address)
{
    return &live->shards[hash(address) >> 58];
}

/* Where the block would be first looked for. */
static size_t home_of(const struct live_shard *shard, uintptr_t address)
{
    return (size_t)(hash(address) >> 20) & (shard->room - 1);
}

/* The place of the address, or the empty one where it would come. */
static size_t find(const struct live_shard *shard, uintptr_t address)
{
    size_t at = home_of(shard, address);
    while (shard->blocks[at].address != 0 && shard->blocks[at].address != address)
        at = (at + 1) & (shard->room - 1);
    return at;
}

static size_t bytes_of(size_t room)
{
    return align_up(room * sizeof(struct live_block), os_page_size());
}

static bool grow(struct live_shard *shard)
{
    struct live_shard larger = {.room = shard->room != 0 ? 2 * shard->room : ROOM_FIRST};
    larger.blocks = os_map(NULL, bytes_of(larger.room));
    if (larger.blocks == NULL)
        return false;
    for (size_t i = 0; i < shard->room; i++)
        if (shard->blocks[i].address != 0)
            larger.blocks[find(&larger, shard->blocks[i].address)] = shard->blocks[i];
    if (shard->room != 0)
        (void)os_unmap(shard->blocks, bytes_of(shard->room));
    shard->blocks = larger.blocks;
    shard->room = larger.room;
    return true;
}

void live_init(struct live *live)
{
    for (unsigned i = 0; i < LIVE_SHARDS; i++)
        live->shards[i].lock.rank = LOCK_RANK_TOOL;
}

void live_release(struct live *live)
{
    for (unsigned i = 0; i < LIVE_SHARDS; i++)
        if (live->shards[i].room != 0)
            (void)os_unmap(live->shards[i].blocks, bytes_of(live->shards[i].room));
}

bool live_put(struct live *live, const struct live_block *block)
{
    struct live_shard *shard = shard_of(live, block->address);
    lock_take(&shard->lock);
    bool room = 4 * (shard->used + 1) <= 3 * shard->room || grow(shard);
    if (room) {
        size_t at = find(shard, block->address);
        shard->used += shard->blocks[at].address == 0; /* it may be there if its free was not seen */
        shard->blocks[at] = *block;
    }
    lock_release(&shard->lock);
    if (!room)
        add_relaxed(&live->missed, 1);
    return room;
}

/* Empties a place, and closes the gap: a block behind it whose home is not between the gap and itself moves up. */
static void take_out(struct live_shard *shard, size_t gap)
{
    size_t mask = shard->room - 1;
    for (size_t at = (gap + 1) & mask; shard->blocks[at].address != 0; at = (at + 1) & mask) {
        size_t home = home_of(shard, shard->blocks[at].address);
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        shard->blocks[gap] = shard->blocks[at];
        gap = at;
    }
    shard->blocks[gap].address = 0;
    shard->used--;
}

bool live_take(struct live *live, const void *address, struct live_block *out)
{
    struct live_shard *shard = shard_of(live, (uintptr_t)address);
    bool found = false;
    lock_take(&shard->lock);
    if (shard->used != 0) {
        size_t at = find(shard, (uintptr_t)address);
        found = shard->blocks[at].address != 0;
        if (found) {
            *out = shard->blocks[at];
            take_out(shard, at);
        }
    }
    lock_release(&shard->lock);
    return found;
}

void live_each(struct live *live, void (*visit)(void *context, const struct live_block *block), void *context)
{
    for (unsigned i = 0; i < LIVE_SHARDS; i++) {
        struct live_shard *shard = &live->shards[i];
        lock_take(&shard->lock);
        for (size_t at = 0; at < shard->room; at++)
            if (shard->blocks[at].address != 0)
                visit(context, &shard->blocks[at]);
        lock_release(&shard->lock);
    }
}

void live_before_fork(struct live *live)
{
    for (unsigned i = 0; i < LIVE_SHARDS; i++)
        lock_take_next_for_fork(&live->shards[i].lock);
}

void live_after_fork(struct live *live)
{
    for (unsigned i = 0; i < LIVE_SHARDS; i++)
        lock_release_after_fork(&live->shards[i].lock);
}
