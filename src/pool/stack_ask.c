/* stack_ask.c - looking at a stack: walks, checks, statistics.  See stack.h. */
#include "pool/stack.h"

#define WALK_BLOCKS 64

/* ---- Walking -------------------------------------------------------------------------------------------------- */

/* From the newest chunk to the oldest, in each one upwards. */
struct walk {
    uint64_t serial; /* of the chunk to go on with: the newest with at most this */
    size_t unit;     /* where to go on in it */
    size_t count;
    struct {
        void *block;
        size_t size;
    } found[WALK_BLOCKS];
};

static void walk_chunk(const struct stack *stack, const struct stack_chunk *chunk, struct walk *walk)
{
    size_t unit = bits_next_set(chunk->starts, walk->unit, chunk->top);
    while (unit < chunk->top && walk->count < WALK_BLOCKS) {
        size_t end = stack_block_end(chunk, unit);
        if (bits_test(chunk->live, unit)) {
            walk->found[walk->count].block = (void *)stack_address(stack, chunk, unit);
            walk->found[walk->count++].size = (end - unit) << stack->unit_shift;
        }
        unit = end;
    }
    walk->unit = unit;
}

/* The next blocks; false: there are none. */
static bool walk_next(struct stack *stack, struct walk *walk)
{
    walk->count = 0;
    lock_take(&stack->lock);
    for (const struct stack_chunk *chunk = stack->newest; chunk != NULL && walk->count == 0;
         chunk = chunk->older) {
        if (chunk->serial > walk->serial)
            continue;
        if (chunk->serial < walk->serial) {
            walk->serial = chunk->serial;
            walk->unit = 0;
        }
        walk_chunk(stack, chunk, walk);
    }
    lock_release(&stack->lock);
    return walk->count > 0;
}

int stack_walk(struct cairn_pool *pool, cairn_visit *visit, void *context)
{
    struct walk walk = {.serial = UINT64_MAX};
    while (walk_next(stack_of(pool), &walk)) {
        for (size_t i = 0; i < walk.count; i++) {
            int result = visit(walk.found[i].block, walk.found[i].size, context);
            if (result != 0)
                return result;
        }
    }
    return 0;
}

/* ---- Checking and statistics ------------------------------------------------------------------------------------ */

static const char *check_chunk(const struct stack *stack, const struct stack_chunk *chunk)
{
    if (chunk->top > chunk->units || chunk->touched > chunk->units ||
        stack_address(stack, chunk, chunk->units) > (uintptr_t)chunk + chunk->size)
        return "stack: a chunk is fuller than it can be";
    if (chunk->top > 0 && !bits_test(chunk->starts, 0))
        return "stack: nothing starts at the beginning of a chunk";
    if (chunk->older != NULL && chunk->older->serial >= chunk->serial)
        return "stack: the chunks are out of order";
    return chunk->top > 0 || chunk->older == NULL ? NULL : "stack: a chunk is empty";
}

/* The chunk that an entry is of, from `chunk` on; NULL: none.  The bottom's is no chunk. */
static const struct stack_chunk *chunk_of_mark(const struct stack *stack, const struct stack_chunk *chunk,
                                               const struct stack_mark *mark)
{
    while (chunk != NULL && mark != &chunk->full && stack_chunk_of(stack, (uintptr_t)mark) != chunk)
        chunk = chunk->older;
    return chunk;
}

static bool is_entry(const struct stack *stack, const struct stack_chunk *chunk,
                     const struct stack_mark *mark)
{
    if (mark == &chunk->full)
        return chunk->top == chunk->units;
    size_t unit = ((uintptr_t)mark - chunk->base) >> stack->unit_shift;
    return unit < chunk->top && bits_test(chunk->starts, unit) && !bits_test(chunk->live, unit);
}

static const char *check_marks(const struct stack *stack)
{
    const struct stack_chunk *chunk = stack->newest;
    size_t depth = stack->depth;
    for (const struct stack_mark *mark = stack->marks; mark != NULL; mark = mark->outer) {
        if (mark != &stack->bottom) {
            chunk = chunk_of_mark(stack, chunk, mark);
            if (chunk == NULL)
                return "stack: a mark is in no chunk or out of order";
            if (!is_entry(stack, chunk, mark))
                return "stack: a mark is not where it should be";
        }
        if (mark->count == 0 || mark->depth + mark->count != depth || mark->check != stack_mark_check(mark))
            return "stack: a mark was overwritten";
        depth = mark->depth;
    }
    return depth == 0 ? NULL : "stack: the marks do not add up";
}

const char *stack_check(struct cairn_pool *pool)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    const char *fault = supply_check(&stack->supply);
    for (const struct stack_chunk *chunk = stack->newest; fault == NULL && chunk != NULL;
         chunk = chunk->older)
        fault = check_chunk(stack, chunk);
    if (fault == NULL)
        fault = check_marks(stack);
    lock_release(&stack->lock);
    return fault;
}

static void count_live(const struct stack *stack, const struct stack_chunk *chunk, cairn_stats *out)
{
    for (size_t unit = 0; unit < chunk->top;) {
        size_t end = stack_block_end(chunk, unit);
        if (bits_test(chunk->live, unit)) {
            out->live += (end - unit) << stack->unit_shift;
            out->live_blocks++;
        }
        unit = end;
    }
}

void stack_stats(struct cairn_pool *pool, cairn_stats *out)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    supply_stats(&stack->supply, out);
    out->metadata += stack->meta_bytes;
    for (const struct stack_chunk *chunk = stack->newest; chunk != NULL; chunk = chunk->older) {
        count_live(stack, chunk, out);
        out->spans++;
    }
    if (stack->spare != NULL)
        out->free = (uintptr_t)stack->spare + stack->spare->size - stack->spare->base;
    out->cached = out->committed - out->metadata - out->live - out->free;
    out->allocations = stack->allocs;
    out->frees = stack->allocs - out->live_blocks;
    lock_release(&stack->lock);
}
