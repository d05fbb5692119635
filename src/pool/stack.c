/* stack.c - the class CAIRN_STACK: chunks, pushing and popping, marks.  What they look like: stack.h. */
#include "pool/stack.h"

#include "engine/pagemap.h"
#include "os/report.h"

#include <string.h>

#define CHUNK_FIRST (16 * KiB)
#define CHUNK_SHARE 4 /* a new chunk is at least this part of all before it: few chunks, little unused */
#define CHUNK_ALIGN 64
#define SPARE_MAX (4 * MiB) /* a larger chunk is not kept for the next time */

#define SERIAL_ID_SHIFT 32 /* serial of a mark: the pool's id, and a count */

ALWAYS_INLINE void set_bit(uint64_t *bits, size_t i, bool value)
{
    uint64_t bit = UINT64_C(1) << (i % BITS_PER_WORD);
    bits[i / BITS_PER_WORD] = value ? bits[i / BITS_PER_WORD] | bit : bits[i / BITS_PER_WORD] & ~bit;
}

/* The last set bit below `from`; there is one. */
static size_t bit_below(const uint64_t *bits, size_t from)
{
    size_t word = (from - 1) / BITS_PER_WORD;
    uint64_t here = bits[word] & word_mask(0, (from - 1) % BITS_PER_WORD + 1);
    while (here == 0)
        here = bits[--word];
    return word * BITS_PER_WORD + high_bit(here);
}

/* ---- Chunks ---------------------------------------------------------------------------------------- */

/* Divides an extent: structure, bits, units. */
static void chunk_divide(const struct stack *stack, struct stack_chunk *chunk)
{
    uintptr_t at = (uintptr_t)(chunk + 1), end = (uintptr_t)chunk + chunk->size;
    size_t units = (end - at) * 8 / (8 * stack->unit + 2);
    for (;; units--) { /* the rounding of bits to words may cost a few */
        size_t words = BITS_WORDS(units);
        chunk->starts = (uint64_t *)at;
        chunk->live = chunk->starts + words;
        chunk->base = align_up((uintptr_t)(chunk->live + words), size_max(stack->unit, sizeof(void *)));
        if (units == 0 || (chunk->base <= end && units <= (end - chunk->base) >> stack->unit_shift))
            break;
    }
    chunk->units = units;
}

/* Bytes of an extent in which `units` fit, at any alignment of its own. */
static size_t chunk_size_for(const struct stack *stack, size_t units)
{
    return sizeof(struct stack_chunk) + 2 * sizeof(uint64_t) * BITS_WORDS(units) +
           size_max(stack->unit, sizeof(void *)) + (units << stack->unit_shift);
}

static void chunk_link(struct stack *stack, struct stack_chunk *chunk)
{
    chunk->top = 0;
    chunk->serial = ++stack->chunk_serial;
    chunk->older = stack->newest;
    stack->newest = chunk;
}

static enum error chunk_get(struct stack *stack, size_t units)
{
    bool zero;
    size_t size;
    enum error error;
    size_t least = chunk_size_for(stack, units);
    size_t wanted = size_max(stack->extend_by, stack->supply.extent_bytes / CHUNK_SHARE);
    struct stack_chunk *chunk =
        supply_get(&stack->supply, least, size_max(wanted, least), CHUNK_ALIGN, &size, &zero, &error);
    if (chunk == NULL)
        return error;
    *chunk = (struct stack_chunk){.size = size, .zero = zero};
    chunk_divide(stack, chunk);
    stack->meta_bytes += chunk->base - (uintptr_t)chunk;
    chunk_link(stack, chunk);
    return OK;
}

/* Gives a chunk back that is in no list.  One that the source keeps is lost to the pool until its end. */
static void chunk_give(struct stack *stack, struct stack_chunk *chunk)
{
    size_t meta = chunk->base - (uintptr_t)chunk;
    if (supply_give(&stack->supply, chunk, chunk->size))
        stack->meta_bytes -= meta;
}

/* Takes the newest chunk off.  The larger one of it and the spare stays for the next time; in a buffer it must. */
static void chunk_drop(struct stack *stack)
{
    struct stack_chunk *chunk = stack->newest, *other = stack->spare;
    stack->newest = chunk->older;
    bool keeps = stack->supply.pool->buffer != 0 ||
                 (chunk->size <= SPARE_MAX && (other == NULL || other->size <= chunk->size));
    if (!keeps)
        chunk_give(stack, chunk);
    else {
        stack->spare = chunk;
        if (other != NULL)
            chunk_give(stack, other);
    }
}

/* ---- Pushing and popping -------------------------------------------------------------------------------- */

/* Starts something of `units` at the top of a chunk that has room for it. */
static void push(struct stack_chunk *chunk, size_t units, bool live)
{
    size_t at = chunk->top;
    bits_clear(chunk->starts, at, at + units);
    set_bit(chunk->starts, at, true);
    set_bit(chunk->live, at, live);
    chunk->top += units;
    chunk->touched = size_max(chunk->touched, chunk->top);
}

/* Units from the top of the newest chunk to the next multiple of `align`; SIZE_MAX: there or `units` behind it is the
 * chunk's end. */
static size_t gap_before(const struct stack *stack, size_t align, size_t units)
{
    const struct stack_chunk *chunk = stack->newest;
    if (chunk == NULL)
        return SIZE_MAX;
    uintptr_t top = stack_address(stack, chunk, chunk->top);
    size_t gap = (align_up(top, align) - top) >> stack->unit_shift, room = chunk->units - chunk->top;
    return gap <= room && units <= room - gap ? gap : SIZE_MAX;
}

/* Makes room on top for `units` at a multiple of `align`, in the newest chunk, the spare one or a new one. */
static enum error make_room(struct stack *stack, size_t align, size_t units, size_t *gap)
{
    *gap = gap_before(stack, align, units);
    if (*gap != SIZE_MAX)
        return OK;
    if (stack->spare != NULL) { /* in a buffer there is no other */
        struct stack_chunk *spare = stack->spare;
        stack->spare = NULL;
        chunk_link(stack, spare);
        *gap = gap_before(stack, align, units);
        if (*gap != SIZE_MAX)
            return OK;
        stack->newest = spare->older;
        stack->spare = spare;
    }
    enum error error = chunk_get(stack, units + (align > stack->unit ? align >> stack->unit_shift : 0));
    if (error == OK)
        *gap = gap_before(stack, align, units);
    return error;
}

/* `units` at a multiple of `align` on top; NULL with *error set. */
static void *push_aligned(struct stack *stack, size_t align, size_t units, bool live, enum error *error)
{
    size_t gap;
    *error = make_room(stack, align, units, &gap);
    if (*error != OK)
        return NULL;
    struct stack_chunk *chunk = stack->newest;
    stack->dirty_end = stack_address(stack, chunk, chunk->zero ? chunk->touched : chunk->units);
    if (gap > 0)
        push(chunk, gap, false);
    void *got = (void *)stack_address(stack, chunk, chunk->top);
    push(chunk, units, live);
    return got;
}

/* Where the newest chunk's top may not fall below: behind the innermost mark, if it is here. */
static size_t floor_of(const struct stack *stack, const struct stack_chunk *chunk)
{
    uintptr_t mark = (uintptr_t)stack->marks;
    if (stack->marks == &chunk->full)
        return chunk->units;
    if (mark < chunk->base || mark >= stack_address(stack, chunk, chunk->units))
        return 0;
    return (mark + align_up(sizeof(struct stack_mark), stack->unit) - chunk->base) >> stack->unit_shift;
}

/* Takes back what is dead below the top, and chunks that become empty. */
static void pop_dead(struct stack *stack)
{
    while (stack->newest != NULL) {
        struct stack_chunk *chunk = stack->newest;
        size_t floor = floor_of(stack, chunk);
        while (chunk->top > floor) {
            size_t last = bit_below(chunk->starts, chunk->top);
            if (bits_test(chunk->live, last))
                return;
            chunk->top = last;
        }
        if (chunk->top > 0)
            return;
        chunk_drop(stack);
    }
}

/* ---- Opening and closing ---------------------------------------------------------------------------------- */

static enum error stack_open(struct cairn_pool *pool, const cairn_pool_config *config)
{
    struct supply supply;
    supply_init(&supply, pool, config);
    struct stack *stack = supply_state(&supply, sizeof *stack);
    if (stack == NULL)
        return ERROR_MEMORY;
    stack->lock.rank = LOCK_RANK_POOL;
    stack->supply = supply;
    stack->unit = pool->alignment;
    stack->unit_shift = high_bit(pool->alignment);
    stack->extend_by = size_max(config->extend_by, CHUNK_FIRST);
    pool->state = stack;
    if (pool->buffer == 0)
        return OK;
    enum error error = chunk_get(stack, 1); /* a buffer too small is told of now */
    if (error == OK && stack->newest->units == 0)
        error = ERROR_MEMORY;
    return error;
}

static void stack_close(struct cairn_pool *pool)
{
    supply_close(&stack_of(pool)->supply, true);
}

/* Keeps a chunk of moderate size, so that a pool used again and again for the same asks the source once. */
static void stack_reset(struct cairn_pool *pool)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    stack->marks = NULL;
    stack->depth = 0;
    while (stack->newest != NULL)
        chunk_drop(stack);
    stack->allocs = 0;
    lock_release(&stack->lock);
}

/* ---- Allocating and freeing ---------------------------------------------------------------------------------- */

static size_t units_of(const struct stack *stack, size_t size)
{
    return (size_max(size, 1) + stack->unit - 1) >> stack->unit_shift;
}

static void *stack_alloc(struct cairn_pool *pool, size_t align, size_t size, bool zero, enum error *error)
{
    struct stack *stack = stack_of(pool);
    *error = ERROR_MEMORY;
    if (align > PTRDIFF_MAX - size)
        return NULL;
    lock_take(&stack->lock);
    size_t units = units_of(stack, size);
    char *block = push_aligned(stack, align, units, true, error);
    uintptr_t dirty_end = stack->dirty_end;
    stack->allocs += block != NULL;
    lock_release(&stack->lock);
    if (block != NULL && zero && dirty_end > (uintptr_t)block)
        memset(block, 0, size_min(units << stack->unit_shift, dirty_end - (uintptr_t)block));
    return block;
}

/* Under the lock: the chunk of a live block of this pool, and the unit where it starts; all else ends the process. */
static struct stack_chunk *must_be_live(const struct cairn_pool *pool, const char *call, const void *block,
                                        size_t *unit)
{
    const struct stack *stack = stack_of(pool);
    struct stack_chunk *chunk = stack_chunk_of(stack, (uintptr_t)block);
    if (chunk == NULL) {
        const struct span *span = pool->buffer == 0 ? pagemap_find(block) : NULL;
        report_fatal(call, block,
                     span != NULL && span != &pool->extent ? "block of another heap" : "invalid pointer");
    }
    size_t offset = (uintptr_t)block - chunk->base;
    *unit = offset >> stack->unit_shift;
    if (*unit >= chunk->top)
        report_fatal(call, block, "block released before:");
    if ((offset & (stack->unit - 1)) != 0 || !bits_test(chunk->starts, *unit))
        report_fatal(call, block, "misaligned pointer");
    if (!bits_test(chunk->live, *unit))
        report_fatal(call, block, "double free of");
    return chunk;
}

static void stack_free(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct stack *stack = stack_of(pool);
    size_t unit;
    lock_take(&stack->lock);
    struct stack_chunk *chunk = must_be_live(pool, call, block, &unit);
    if (size != SIZE_MAX && units_of(stack, size) > stack_block_end(chunk, unit) - unit)
        report_fatal(call, block, "wrong size for");
    set_bit(chunk->live, unit, false);
    pop_dead(stack);
    lock_release(&stack->lock);
}

static size_t stack_usable(struct cairn_pool *pool, const char *call, const void *block)
{
    struct stack *stack = stack_of(pool);
    size_t unit;
    lock_take(&stack->lock);
    const struct stack_chunk *chunk = must_be_live(pool, call, block, &unit);
    size_t size = (stack_block_end(chunk, unit) - unit) << stack->unit_shift;
    lock_release(&stack->lock);
    return size;
}

/* The last block grows and shrinks with the top; another one only keeps its place.  So does one below a mark that had no
 * room behind it: what came into its place would be younger than the mark, and yet below it. */
static bool stack_resize(struct cairn_pool *pool, const char *call, void *block, size_t size)
{
    struct stack *stack = stack_of(pool);
    size_t unit, wanted = units_of(stack, size);
    lock_take(&stack->lock);
    struct stack_chunk *chunk = must_be_live(pool, call, block, &unit);
    size_t end = stack_block_end(chunk, unit);
    bool fits = wanted <= end - unit;
    if (chunk == stack->newest && end == chunk->top && unit >= floor_of(stack, chunk) &&
        wanted <= chunk->units - unit) {
        chunk->top = unit;
        push(chunk, wanted, true);
        fits = true;
        if (unit + wanted > end && (pool->flags & CAIRN_POOL_ZERO) != 0)
            memset((void *)stack_address(stack, chunk, end), 0, (unit + wanted - end) << stack->unit_shift);
    }
    lock_release(&stack->lock);
    return fits;
}

/* ---- Marks -------------------------------------------------------------------------------------------------- */

static uint64_t next_serial(struct stack *stack)
{
    uint64_t id = load_relaxed(&stack->supply.pool->id);
    return id << SERIAL_ID_SHIFT | (uint32_t)++stack->mark_count;
}

/* An entry in the stack; NULL: no room. */
static struct stack_mark *push_mark(struct stack *stack)
{
    enum error error;
    size_t align = size_max(stack->unit, sizeof(void *));
    return push_aligned(stack, align, units_of(stack, sizeof(struct stack_mark)), false, &error);
}

/* The entry for a mark without room. */
static struct stack_mark *full_mark(struct stack *stack)
{
    struct stack_chunk *chunk = stack->newest;
    if (chunk == NULL)
        return &stack->bottom;
    if (chunk->top < chunk->units)
        push(chunk, chunk->units - chunk->top, false);
    return &chunk->full;
}

static cairn_mark stack_mark(struct cairn_pool *pool)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    cairn_mark result = {NULL, stack->depth, next_serial(stack)};
    struct stack_mark *mark = push_mark(stack);
    if (mark == NULL)
        mark = full_mark(stack);
    if (mark == stack->marks) {
        mark->count++;
    } else {
        *mark = (struct stack_mark){stack->marks, result.serial, (uint32_t)stack->depth, 1, 0};
        stack->marks = mark;
    }
    mark->check = stack_mark_check(mark);
    stack->depth++;
    result.at = mark;
    lock_release(&stack->lock);
    return result;
}

_Noreturn COLD static void refuse(const struct stack *stack, cairn_mark mark)
{
    const char *call = "cairn_pool_release";
    uint64_t id = load_relaxed(&stack->supply.pool->id);
    if ((uint32_t)(mark.serial >> SERIAL_ID_SHIFT) != (uint32_t)id)
        report_fatal(call, mark.at, "mark of another pool, or made before a reset:");
    for (size_t i = 0; i < STACK_RELEASED_KEPT; i++)
        if (stack->released[i] == mark.serial)
            report_fatal(call, mark.at, "mark released twice:");
    report_fatal(call, mark.at, "mark released out of order, after one made before it:");
}

/* The marks from the innermost to `mark` go; if it is not in the chain, the process ends. */
static void drop_marks(struct stack *stack, cairn_mark mark)
{
    if (stack->depth <= mark.depth)
        refuse(stack, mark);
    for (;;) {
        struct stack_mark *innermost = stack->marks;
        if (innermost->check != stack_mark_check(innermost) ||
            innermost->depth + innermost->count != stack->depth)
            report_fatal("cairn_pool_release", innermost, "mark overwritten:");
        if (innermost->depth < mark.depth) { /* one of several that share it */
            if (innermost != mark.at)
                refuse(stack, mark);
            innermost->count = (uint32_t)(mark.depth - innermost->depth);
            innermost->check = stack_mark_check(innermost);
            stack->depth = mark.depth;
            return;
        }
        if (innermost->depth == mark.depth && (innermost != mark.at || innermost->serial != mark.serial))
            refuse(stack, mark);
        stack->marks = innermost->outer;
        stack->depth = innermost->depth;
        if (stack->depth == mark.depth)
            return;
    }
}

/* Lets the top fall to where the mark was made; it has been found in the chain. */
static void fall_to(struct stack *stack, const struct stack_mark *mark)
{
    uintptr_t at = (uintptr_t)mark;
    for (struct stack_chunk *chunk; (chunk = stack->newest) != NULL; chunk_drop(stack)) {
        if (mark == &chunk->full) {
            chunk->top = chunk->units;
            return;
        }
        if (at >= chunk->base && at < stack_address(stack, chunk, chunk->top)) {
            chunk->top = (at - chunk->base) >> stack->unit_shift;
            return;
        }
    }
}

static void stack_release(struct cairn_pool *pool, cairn_mark mark)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    if (mark.serial >> SERIAL_ID_SHIFT != (uint32_t)load_relaxed(&pool->id))
        refuse(stack, mark);
    drop_marks(stack, mark);
    fall_to(stack, mark.at);
    stack->released[stack->released_count++ % STACK_RELEASED_KEPT] = mark.serial;
    pop_dead(stack);
    lock_release(&stack->lock);
}

/* ---- The whole pool ------------------------------------------------------------------------------------ */

static size_t stack_committed(const struct cairn_pool *pool)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    size_t committed = supply_committed(&stack->supply);
    lock_release(&stack->lock);
    return committed;
}

static bool stack_trim(struct cairn_pool *pool, size_t keep)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    struct stack_chunk *spare = stack->spare;
    size_t before = stack->supply.extent_bytes;
    if (spare != NULL && spare->size > keep && pool->buffer == 0) {
        stack->spare = NULL;
        chunk_give(stack, spare);
    }
    bool some = stack->supply.extent_bytes < before;
    lock_release(&stack->lock);
    return some;
}

static void stack_limit(struct cairn_pool *pool, size_t hard, size_t soft)
{
    struct stack *stack = stack_of(pool);
    lock_take(&stack->lock);
    supply_limit(&stack->supply, hard, soft);
    lock_release(&stack->lock);
}

static bool stack_before_fork(struct cairn_pool *pool)
{
    return lock_try_for_fork(&stack_of(pool)->lock);
}

static void stack_after_fork(struct cairn_pool *pool, bool child)
{
    (void)child;
    lock_release_after_fork(&stack_of(pool)->lock);
}

const struct pool_ops pool_stack = {
    .open = stack_open,
    .close = stack_close,
    .alloc = stack_alloc,
    .free = stack_free,
    .resize = stack_resize,
    .usable = stack_usable,
    .walk = stack_walk,
    .check = stack_check,
    .reset = stack_reset,
    .mark = stack_mark,
    .release = stack_release,
    .stats = stack_stats,
    .committed = stack_committed,
    .trim = stack_trim,
    .limit = stack_limit,
    .before_fork = stack_before_fork,
    .after_fork = stack_after_fork,
};
