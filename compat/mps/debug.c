/* debug.c - the debug form of MVFF: fences around each block, a pattern over all free memory, and a record of each block's
 * size out of line.
 *
 *     [ fence, rounded up | the program's block | slop and fence, rounded up ]
 *
 * A pattern is in phase with addresses: the byte at x is template[x mod size].  The slop, up to the alignment, has the
 * fence's pattern, so that an overrun by one byte is seen.  All free memory has the free pattern, from the moment that
 * it comes from the arena until it goes back.  One lock for each pool, for everything. */
#include "impl.h"

#include <string.h>

#define MPS_FILE "debug.c"

struct record {
    char *p; /* the program's block; NULL: none */
    size_t size;
};

/* A table with linear probing; never more than three quarters full. */
struct debug {
    char *fence, *free; /* templates, copied */
    size_t fence_size, free_size;
    size_t fence_room; /* fence_size, rounded up */
    struct record *records;
    size_t count, room; /* room: a power of two, or 0 */
};

/* ---- Patterns --------------------------------------------------------------------------------------------- */

static void put_pattern(char *base, size_t size, const char *pattern, size_t pattern_size)
{
    size_t phase = pattern_size > 0 ? (uintptr_t)base % pattern_size : 0;
    for (size_t i = 0; pattern_size > 0 && i < size; i++) {
        base[i] = pattern[phase];
        phase = phase + 1 == pattern_size ? 0 : phase + 1;
    }
}

static bool has_pattern(const char *base, size_t size, const char *pattern, size_t pattern_size)
{
    size_t phase = pattern_size > 0 ? (uintptr_t)base % pattern_size : 0;
    for (size_t i = 0; pattern_size > 0 && i < size; i++) {
        if (base[i] != pattern[phase])
            return false;
        phase = phase + 1 == pattern_size ? 0 : phase + 1;
    }
    return true;
}

/* Bytes behind the program's block: slop and fence. */
static size_t behind(mps_pool_t pool, size_t size)
{
    return round_up(size, pool->align) - size + pool->debug->fence_room;
}

static size_t whole(mps_pool_t pool, size_t size)
{
    return 2 * pool->debug->fence_room + round_up(size, pool->align);
}

static void put_fences(mps_pool_t pool, char *p, size_t size)
{
    const struct debug *d = pool->debug;
    if (d->fence_size == 0)
        return;
    put_pattern(p - d->fence_room, d->fence_room, d->fence, d->fence_size);
    put_pattern(p + size, behind(pool, size), d->fence, d->fence_size);
}

static bool has_fences(mps_pool_t pool, const char *p, size_t size)
{
    const struct debug *d = pool->debug;
    return d->fence_size == 0 || (has_pattern(p - d->fence_room, d->fence_room, d->fence, d->fence_size) &&
                                  has_pattern(p + size, behind(pool, size), d->fence, d->fence_size));
}

/* ---- Records ------------------------------------------------------------------------------------------------ */

static size_t home(const struct debug *d, const char *p)
{
    return (size_t)(((uintptr_t)p >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (d->room - 1);
}

static struct record *find(const struct debug *d, const char *p)
{
    if (d->room == 0)
        return NULL;
    for (size_t i = home(d, p); d->records[i].p != NULL; i = (i + 1) & (d->room - 1))
        if (d->records[i].p == p)
            return &d->records[i];
    return NULL;
}

static void put_record(struct debug *d, char *p, size_t size)
{
    size_t i = home(d, p);
    while (d->records[i].p != NULL)
        i = (i + 1) & (d->room - 1);
    d->records[i] = (struct record){p, size};
    d->count++;
}

/* Room for one more. */
static bool records_grow(mps_pool_t pool)
{
    struct debug *d = pool->debug, old = *d;
    if (d->count + 1 <= d->room / 4 * 3)
        return true;
    size_t room = d->room > 0 ? 2 * d->room : 64;
    struct record *records = control_alloc(pool->arena, room * sizeof *records);
    if (records == NULL)
        return false;
    d->records = records;
    d->room = room;
    d->count = 0;
    for (size_t i = 0; i < old.room; i++)
        if (old.records[i].p != NULL)
            put_record(d, old.records[i].p, old.records[i].size);
    if (old.records != NULL)
        control_free(pool->arena, old.records);
    return true;
}

/* What follows moves up, so that no search stops at the gap. */
static void drop_record(struct debug *d, struct record *record)
{
    size_t gap = (size_t)(record - d->records), mask = d->room - 1;
    for (size_t i = (gap + 1) & mask; d->records[i].p != NULL; i = (i + 1) & mask)
        if (((i - home(d, d->records[i].p)) & mask) >= ((i - gap) & mask)) {
            d->records[gap] = d->records[i];
            gap = i;
        }
    d->records[gap].p = NULL;
    d->count--;
}

/* ---- Making -------------------------------------------------------------------------------------------------- */

static void drop_state(mps_pool_t pool)
{
    struct debug *d = pool->debug;
    if (d->records != NULL)
        control_free(pool->arena, d->records);
    if (d->fence != NULL)
        control_free(pool->arena, d->fence);
    if (d->free != NULL)
        control_free(pool->arena, d->free);
    control_free(pool->arena, d);
    pool->debug = NULL;
}

static bool copy_template(mps_pool_t pool, char **copy, const void *template, size_t size)
{
    *copy = size > 0 ? control_alloc(pool->arena, size) : NULL;
    if (*copy != NULL)
        memcpy(*copy, template, size);
    return size == 0 || *copy != NULL;
}

static mps_res_t debug_init(mps_pool_t pool, mps_arg_s args[])
{
    mps_pool_debug_option_s options = {"POST", 4, "DEAD", 4};
    mps_arg_s arg;
    if (arg_pick(&arg, args, MPS_KEY_POOL_DEBUG_OPTIONS)) {
        if (!MUST(arg.val.pool_debug_options != NULL, "POOL_DEBUG_OPTIONS != NULL"))
            return MPS_RES_PARAM;
        options = *arg.val.pool_debug_options;
    }
    if (!MUST(options.fence_size == 0 || options.fence_template != NULL, "fence_template != NULL") ||
        !MUST(options.free_size == 0 || options.free_template != NULL, "free_template != NULL") ||
        !MUST(options.fence_size <= PTRDIFF_MAX / 8 && options.free_size <= PTRDIFF_MAX / 8,
              "templates are not absurd"))
        return MPS_RES_PARAM;
    struct debug *d = pool->debug = control_alloc(pool->arena, sizeof *d);
    if (d == NULL)
        return mps_impl_refusal;
    mps_res_t res = MPS_RES_OK;
    d->fence_size = options.fence_size;
    d->free_size = options.free_size;
    if (!copy_template(pool, &d->fence, options.fence_template, d->fence_size) ||
        !copy_template(pool, &d->free, options.free_template, d->free_size))
        res = mps_impl_refusal;
    if (res == MPS_RES_OK) {
        pool->grains.free_pattern = d->free;
        pool->grains.free_size = d->free_size;
        res = mvff_init(pool, args);
    }
    if (res != MPS_RES_OK) {
        drop_state(pool);
        return res;
    }
    d->fence_room = round_up(d->fence_size, pool->align);
    return MPS_RES_OK;
}

static void debug_varargs(mps_arg_s args[], va_list list)
{
    args[0].key = MPS_KEY_POOL_DEBUG_OPTIONS;
    args[0].val.pool_debug_options = va_arg(list, mps_pool_debug_option_s *);
    mvff_varargs(args + 1, list);
}

static void debug_finish(mps_pool_t pool)
{
    debug_check_fences(pool, "fencepost check on pool destroy");
    debug_check_free(pool, "free space corrupted on pool destroy");
    pool->grains.free_pattern = NULL; /* live blocks go back, too */
    fit_finish(pool);
    drop_state(pool);
}

/* ---- Blocks --------------------------------------------------------------------------------------------------- */

static mps_res_t alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    struct debug *d = pool->debug;
    if (!records_grow(pool))
        return mps_impl_refusal;
    size_t bytes = whole(pool, size);
    char *base = cairn_pool_malloc(pool->cairn, bytes);
    if (base == NULL)
        return pool_refusal();
    (void)MUST(has_pattern(base, bytes, d->free, d->free_size), "free space corrupted on alloc");
    char *p = base + d->fence_room;
    put_fences(pool, p, size);
    put_record(d, p, size);
    *p_o = p;
    return MPS_RES_OK;
}

static mps_res_t debug_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    pthread_mutex_lock(&pool->lock);
    mps_res_t res = alloc(p_o, pool, size);
    pthread_mutex_unlock(&pool->lock);
    return res;
}

/* What is wrong with freeing p, or NULL: then it is done. */
static const char *free_block(mps_pool_t pool, char *p, size_t size)
{
    struct debug *d = pool->debug;
    struct record *record = find(d, p);
    if (record == NULL)
        return "block to be freed is allocated";
    if (record->size != size)
        return "size of the block to be freed is the size that it was allocated with";
    const char *wrong = has_fences(pool, p, size) ? NULL : "fencepost check on free";
    drop_record(d, record);
    put_pattern(p - d->fence_room, whole(pool, size), d->free, d->free_size);
    cairn_pool_free_sized(pool->cairn, p - d->fence_room, whole(pool, size));
    if (wrong == NULL && pool->grains.corrupt)
        wrong = "free space corrupted on release";
    pool->grains.corrupt = false;
    return wrong;
}

static void debug_free(mps_pool_t pool, mps_addr_t p, size_t size)
{
    pthread_mutex_lock(&pool->lock);
    const char *wrong = free_block(pool, p, size);
    pthread_mutex_unlock(&pool->lock);
    (void)MUST(wrong == NULL, wrong);
}

/* A buffer is one block: what is reserved in it fits exactly, and has its fences. */
static mps_res_t debug_fill(mps_addr_t *p_o, size_t *size_io, mps_pool_t pool)
{
    return debug_alloc(p_o, pool, *size_io);
}

static void debug_empty(mps_pool_t pool, void *base, size_t size)
{
    debug_free(pool, base, size);
}

/* ---- Checks on request ------------------------------------------------------------------------------------------ */

void debug_check_fences(mps_pool_t pool, const char *text)
{
    const struct debug *d = pool->debug;
    bool intact = true;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; intact && i < d->room; i++)
        intact = d->records[i].p == NULL || has_fences(pool, d->records[i].p, d->records[i].size);
    pthread_mutex_unlock(&pool->lock);
    (void)MUST(intact, text);
}

static int is_corrupt(void *range, size_t size, void *context)
{
    const struct debug *d = context;
    return !has_pattern(range, size, d->free, d->free_size);
}

void debug_check_free(mps_pool_t pool, const char *text)
{
    pthread_mutex_lock(&pool->lock);
    int corrupt = cairn_pool_walk_free(pool->cairn, is_corrupt, pool->debug);
    pthread_mutex_unlock(&pool->lock);
    (void)MUST(corrupt == 0, text);
}

static struct mps_pool_class_s class_debug = {
    .name = "MVFFDEBUG",
    .varargs = debug_varargs,
    .init = debug_init,
    .finish = debug_finish,
    .alloc = debug_alloc,
    .free = debug_free,
    .fill = debug_fill,
    .empty = debug_empty,
    .sizes = fit_sizes,
    .has = fit_has,
};

mps_pool_class_t mps_class_mvff_debug(void)
{
    return &class_debug;
}
