/* mvff.c - the classes MVFF and MVT: a cairn_pool of class CAIRN_FIT over the arena's grains.
 *
 * Cairn keeps no record of blocks for them (CAIRN_POOL_SIZED), as any part of what is allocated may be freed.  What is not
 * allocated cannot be freed: that is told. */
#include "impl.h"

#define MPS_FILE "mvff.c"
#define EXTEND_DEFAULT ((size_t)65536)
#define MEAN_DEFAULT ((size_t)32)
#define MAX_DEFAULT ((size_t)8192)
#define SPARE_DEFAULT 0.75
#define FRAG_DEFAULT 0.3
#define DEPTH_DEFAULT ((mps_word_t)1024)

/* ---- Making ------------------------------------------------------------------------------------------- */

static mps_res_t make_fit(mps_pool_t pool, size_t extend_by, double spare, unsigned flags, bool high)
{
    const char *pattern = pool->grains.free_pattern;
    size_t pattern_size = pool->grains.free_size;
    grains_init(&pool->grains, pool->arena, high, false);
    pool->grains.free_pattern = pattern; /* debug pools have set it */
    pool->grains.free_size = pattern_size;
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .name = pool->pool_class->name,
                                .flags = flags,
                                .alignment = pool->align,
                                .source = &pool->grains.source,
                                .store = &pool->arena->store.source,
                                .extend_by = extend_by,
                                .spare = spare > 0 ? spare : -1};
    mps_impl_refusal = MPS_RES_OK;
    pool->cairn = cairn_pool_create(&config);
    return pool->cairn != NULL ? MPS_RES_OK : pool_refusal();
}

static bool align_is_valid(mps_pool_t pool)
{
    return MUST(is_power(pool->align), "ALIGN is a power of two") &&
           MUST(pool->align >= sizeof(void *), "ALIGN >= sizeof(void *)") &&
           MUST(pool->align <= pool->arena->grain, "ALIGN <= arena grain size");
}

mps_res_t mvff_init(mps_pool_t pool, mps_arg_s args[])
{
    mps_arg_s arg;
    size_t extend_by = EXTEND_DEFAULT, mean = MEAN_DEFAULT;
    double spare = SPARE_DEFAULT;
    bool slot_high = false, arena_high = false, first_fit = true;
    pool->align = MPS_PF_ALIGN;
    if (arg_pick(&arg, args, MPS_KEY_EXTEND_BY))
        extend_by = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_MEAN_SIZE))
        mean = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_ALIGN))
        pool->align = arg.val.align;
    if (arg_pick(&arg, args, MPS_KEY_SPARE))
        spare = arg.val.d;
    if (arg_pick(&arg, args, MPS_KEY_MVFF_SLOT_HIGH))
        slot_high = arg.val.b;
    if (arg_pick(&arg, args, MPS_KEY_MVFF_ARENA_HIGH))
        arena_high = arg.val.b;
    if (arg_pick(&arg, args, MPS_KEY_MVFF_FIRST_FIT))
        first_fit = arg.val.b;
    if (!MUST(extend_by > 0, "EXTEND_BY > 0"))
        return MPS_RES_PARAM;
    if (extend_by < pool->arena->grain)
        extend_by = pool->arena->grain;
    if (!MUST(mean > 0, "MEAN_SIZE > 0") || !MUST(mean <= extend_by, "MEAN_SIZE <= EXTEND_BY") ||
        !MUST(spare >= 0 && spare <= 1, "0 <= SPARE <= 1") || !align_is_valid(pool))
        return MPS_RES_PARAM;
    unsigned flags = (pool->debug == NULL ? CAIRN_POOL_SIZED : 0) | (slot_high ? CAIRN_POOL_HIGH_END : 0) |
                     (first_fit ? 0 : CAIRN_POOL_LAST_FIT);
    return make_fit(pool, extend_by, spare, flags, arena_high);
}

void mvff_varargs(mps_arg_s args[], va_list list)
{
    args[0].key = MPS_KEY_EXTEND_BY;
    args[0].val.size = va_arg(list, size_t);
    args[1].key = MPS_KEY_MEAN_SIZE;
    args[1].val.size = va_arg(list, size_t);
    args[2].key = MPS_KEY_ALIGN;
    args[2].val.align = va_arg(list, mps_align_t);
    args[3].key = MPS_KEY_MVFF_SLOT_HIGH;
    args[3].val.b = va_arg(list, mps_bool_t);
    args[4].key = MPS_KEY_MVFF_ARENA_HIGH;
    args[4].val.b = va_arg(list, mps_bool_t);
    args[5].key = MPS_KEY_MVFF_FIRST_FIT;
    args[5].val.b = va_arg(list, mps_bool_t);
    args[6].key = MPS_KEY_ARGS_END;
}

static mps_res_t mvt_init(mps_pool_t pool, mps_arg_s args[])
{
    mps_arg_s arg;
    size_t least = MPS_PF_ALIGN, mean = MEAN_DEFAULT, most = MAX_DEFAULT;
    mps_word_t depth = DEPTH_DEFAULT;
    double frag = FRAG_DEFAULT;
    pool->align = MPS_PF_ALIGN;
    if (arg_pick(&arg, args, MPS_KEY_ALIGN))
        pool->align = arg.val.align;
    if (arg_pick(&arg, args, MPS_KEY_MIN_SIZE) || arg_pick(&arg, args, MPS_KEY_MVT_MIN_SIZE))
        least = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_MEAN_SIZE))
        mean = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_MAX_SIZE) || arg_pick(&arg, args, MPS_KEY_MVT_MAX_SIZE))
        most = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_MVT_RESERVE_DEPTH))
        depth = arg.val.count;
    if (arg_pick(&arg, args, MPS_KEY_MVT_FRAG_LIMIT))
        frag = arg.val.d;
    if (!MUST(least > 0, "MIN_SIZE > 0") || !MUST(least <= mean, "MIN_SIZE <= MEAN_SIZE") ||
        !MUST(mean <= most, "MEAN_SIZE <= MAX_SIZE") ||
        !MUST(most <= PTRDIFF_MAX / 256, "MAX_SIZE is not absurd") ||
        !MUST(depth > 0, "MVT_RESERVE_DEPTH > 0") ||
        !MUST(frag >= 0 && frag <= 1, "0 <= MVT_FRAG_LIMIT <= 1") || !align_is_valid(pool))
        return MPS_RES_PARAM;
    /* So much at a time that the end of it, too short for the largest block, is within the limit. */
    double buffer = (double)most / (frag > 1.0 / 64 ? frag : 1.0 / 64);
    size_t extend_by = (size_t)buffer > pool->arena->grain ? (size_t)buffer : pool->arena->grain;
    return make_fit(pool, extend_by, frag > 0 ? frag : SPARE_DEFAULT, CAIRN_POOL_SIZED, false);
}

static void mvt_varargs(mps_arg_s args[], va_list list)
{
    args[0].key = MPS_KEY_MIN_SIZE;
    args[0].val.size = va_arg(list, size_t);
    args[1].key = MPS_KEY_MEAN_SIZE;
    args[1].val.size = va_arg(list, size_t);
    args[2].key = MPS_KEY_MAX_SIZE;
    args[2].val.size = va_arg(list, size_t);
    args[3].key = MPS_KEY_MVT_RESERVE_DEPTH;
    args[3].val.count = va_arg(list, mps_word_t);
    args[4].key = MPS_KEY_MVT_FRAG_LIMIT;
    args[4].val.d = (double)va_arg(list, mps_word_t) / 100.0;
    args[5].key = MPS_KEY_ARGS_END;
}

void fit_finish(mps_pool_t pool)
{
    cairn_pool_destroy(pool->cairn);
    pool->cairn = NULL;
}

/* ---- Blocks and figures ---------------------------------------------------------------------------------- */

static mps_res_t fit_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    void *p = cairn_pool_malloc(pool->cairn, size);
    if (p == NULL)
        return pool_refusal();
    *p_o = p;
    return MPS_RES_OK;
}

static mps_res_t mvt_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    (void)p_o, (void)pool, (void)size;
    return MPS_RES_UNIMPL;
}

static void fit_free(mps_pool_t pool, mps_addr_t p, size_t size)
{
    if (size <= PTRDIFF_MAX && cairn_pool_free_range(pool->cairn, p, size) == 0)
        return;
    (void)(MUST(fit_has(pool, p), "address is in the pool") &&
           MUST(false, "block to be freed is allocated, all of it"));
}

static mps_res_t fit_fill(mps_addr_t *p_o, size_t *size_io, mps_pool_t pool)
{
    void *p = cairn_pool_malloc_most(pool->cairn, *size_io, size_io);
    if (p == NULL)
        return pool_refusal();
    *p_o = p;
    return MPS_RES_OK;
}

static void fit_empty(mps_pool_t pool, void *base, size_t size)
{
    (void)MUST(cairn_pool_free_range(pool->cairn, base, size) == 0,
               "buffer of the allocation point is allocated");
}

void fit_sizes(mps_pool_t pool, size_t *total, size_t *free_size)
{
    cairn_stats stats = {.struct_size = sizeof stats};
    (void)cairn_pool_stats(pool->cairn, &stats); /* fails for a struct_size of 0 only */
    *total = (size_t)(stats.live + stats.free);
    *free_size = (size_t)stats.free;
}

bool fit_has(mps_pool_t pool, const void *address)
{
    return cairn_pool_of(address) == pool->cairn;
}

static struct mps_pool_class_s class_mvff = {
    .name = "MVFF",
    .varargs = mvff_varargs,
    .init = mvff_init,
    .finish = fit_finish,
    .alloc = fit_alloc,
    .free = fit_free,
    .fill = fit_fill,
    .empty = fit_empty,
    .sizes = fit_sizes,
    .has = fit_has,
};

static struct mps_pool_class_s class_mvt = {
    .name = "MVT",
    .varargs = mvt_varargs,
    .init = mvt_init,
    .finish = fit_finish,
    .alloc = mvt_alloc,
    .free = fit_free,
    .fill = fit_fill,
    .empty = fit_empty,
    .sizes = fit_sizes,
    .has = fit_has,
};

mps_pool_class_t mps_class_mvff(void)
{
    return &class_mvff;
}

mps_pool_class_t mps_class_mvt(void)
{
    return &class_mvt;
}
