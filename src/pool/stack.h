/* stack.h - inside the class CAIRN_STACK: blocks that die in the order in which they came.
 *
 *   chunk:  [ struct stack_chunk | starts | live | block | gap | block | mark | block | block |         free ]
 *                                                                                       ^ top
 *
 * Memory is counted in units of the pool's alignment.  Two bits for each unit say where blocks start and which of them
 * are live; so a block has no header, its size is the way to the next start, and walking, checking and the second free
 * of a block are exact.  Bits above the top mean nothing.  What is not a block below the top, gaps that alignment leaves
 * and entries of marks, starts like one and is dead.
 *
 * A mark is an entry in the stack itself, 32 bytes, linked to the one before it; who releases has to show an entry of
 * this chain.  Making a mark must not fail.  When no entry fits and there is no other chunk, the rest of the newest one is
 * padded, and the entry is its `full`; without any chunk it is the stack's `bottom`.  There can be no more to tell apart
 * in a chunk without room, so marks there share the entry, and only the first has its serial checked.
 *
 * Invariants, under the pool's lock:
 *   the newest chunk is the only one that grows; older ones are full, as far as we care
 *   unit 0 of a chunk starts something if its top is above 0; no chunk but the newest and only one is empty
 *   the chain of marks goes down in address within a chunk and from newer chunks to older ones
 *   the block below the top is live or a mark: dead ones there are taken back at once */
#ifndef POOL_STACK_H
#define POOL_STACK_H

#include "base/bits.h"
#include "pool/supply.h"

#define STACK_RELEASED_KEPT 8

struct stack_mark {
    struct stack_mark *outer;
    uint64_t serial;
    uint32_t depth; /* marks outside of it */
    uint32_t count; /* marks that share it, 1 in the stack itself */
    uintptr_t check;
};

struct stack_chunk {
    struct stack_chunk *older;
    uint64_t *starts, *live; /* one bit for each unit */
    uintptr_t base;          /* of unit 0 */
    size_t units;            /* that fit */
    size_t top;              /* units in use */
    size_t touched;          /* units that have been in use: those above are zero if `zero` */
    size_t size;             /* of the extent, which begins with this structure; bytes */
    uint64_t serial;         /* rises from the oldest to the newest */
    struct stack_mark full;  /* of marks made when there was no room, see above */
    bool zero;
};

struct stack {
    struct lock lock;
    struct supply supply;
    size_t unit;
    unsigned unit_shift;
    size_t extend_by;
    struct stack_chunk *newest, *spare;
    struct stack_mark *marks; /* the innermost */
    struct stack_mark bottom; /* of marks made when there was not even a chunk */
    size_t depth;             /* how many */
    uintptr_t dirty_end;      /* what was pushed last is zero from here on */
    size_t meta_bytes;        /* in chunks, before their blocks */
    uint64_t allocs;
    uint64_t chunk_serial, mark_count;
    uint64_t released[STACK_RELEASED_KEPT]; /* serials of marks released last */
    uint64_t released_count;
};

ALWAYS_INLINE struct stack *stack_of(const struct cairn_pool *pool)
{
    return pool->state;
}

ALWAYS_INLINE uintptr_t stack_address(const struct stack *stack, const struct stack_chunk *chunk, size_t unit)
{
    return chunk->base + (unit << stack->unit_shift);
}

/* One past the end of the block that starts at `unit`. */
ALWAYS_INLINE size_t stack_block_end(const struct stack_chunk *chunk, size_t unit)
{
    return bits_next_set(chunk->starts, unit + 1, chunk->top);
}

/* The chunk that `at` lies in, below its top or above; NULL: none. */
ALWAYS_INLINE struct stack_chunk *stack_chunk_of(const struct stack *stack, uintptr_t at)
{
    struct stack_chunk *chunk = stack->newest;
    while (chunk != NULL && (at < chunk->base || at - chunk->base >= chunk->units << stack->unit_shift))
        chunk = chunk->older;
    return chunk;
}

/* What an entry says of itself, so that bytes written over it are noticed. */
ALWAYS_INLINE uintptr_t stack_mark_check(const struct stack_mark *mark)
{
    return ~((uintptr_t)mark ^ (uintptr_t)mark->outer ^ (uintptr_t)mark->serial ^
             ((uintptr_t)mark->depth << 32 | mark->count));
}

/* stack_ask.c */
int stack_walk(struct cairn_pool *pool, cairn_visit *visit, void *context);
const char *stack_check(struct cairn_pool *pool);
void stack_stats(struct cairn_pool *pool, cairn_stats *out);

#endif
