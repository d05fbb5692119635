/* mfs.c - the class MFS: equal blocks in extents of whole grains, which the pool keeps until it is destroyed.
 *
 *     extent: [ link | unit | unit | ... | rest ]        total counts all but the link
 *
 * Free units are chained through their first word, the lowest of an extent first.  A bit for each unit says whether it is
 * allocated; the bits lie in the arena's control pool. */
#include "impl.h"

#include <string.h>

#define MPS_FILE "mfs.c"
#define EXTEND_DEFAULT ((size_t)65536)
#define LINK 16 /* bytes */

struct extent {
    struct extent *next; /* made before; atomic with the list's head, never taken out */
    char *base, *units;
    size_t size, count;
    uint64_t bits[]; /* 1: allocated */
};

struct mfs {
    size_t unit, extend_by;
    size_t total, live;     /* bytes */
    struct extent *extents; /* atomic: read without the lock by mfs_has */
    void **free;
};

/* ---- Making --------------------------------------------------------------------------------------------- */

static mps_res_t mfs_init(mps_pool_t pool, mps_arg_s args[])
{
    mps_arg_s arg;
    size_t unit = 0, extend_by = EXTEND_DEFAULT;
    bool given = arg_pick(&arg, args, MPS_KEY_MFS_UNIT_SIZE);
    if (given)
        unit = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_EXTEND_BY))
        extend_by = arg.val.size;
    if (!MUST(given, "required keyword argument: MFS_UNIT_SIZE") || !MUST(unit > 0, "MFS_UNIT_SIZE > 0") ||
        !MUST(unit <= PTRDIFF_MAX / 4, "MFS_UNIT_SIZE is not absurd") ||
        !MUST(extend_by <= PTRDIFF_MAX / 4, "EXTEND_BY is not absurd"))
        return MPS_RES_PARAM;
    struct mfs *mfs = pool->mfs = control_alloc(pool->arena, sizeof *mfs);
    if (mfs == NULL)
        return mps_impl_refusal;
    mfs->unit = round_up(unit, MPS_PF_ALIGN);
    size_t least = mfs->unit + LINK;
    mfs->extend_by = round_up(extend_by > least ? extend_by : least, pool->arena->grain);
    pool->align = MPS_PF_ALIGN;
    grains_init(&pool->grains, pool->arena, false, false);
    return MPS_RES_OK;
}

static void mfs_varargs(mps_arg_s args[], va_list list)
{
    args[0].key = MPS_KEY_EXTEND_BY;
    args[0].val.size = va_arg(list, size_t);
    args[1].key = MPS_KEY_MFS_UNIT_SIZE;
    args[1].val.size = va_arg(list, size_t);
    args[2].key = MPS_KEY_ARGS_END;
}

static void mfs_finish(mps_pool_t pool)
{
    struct extent *next;
    for (struct extent *e = pool->mfs->extents; e != NULL; e = next) {
        next = e->next;
        grains_give(&pool->grains, e->base, e->size);
        control_free(pool->arena, e);
    }
    control_free(pool->arena, pool->mfs);
    pool->mfs = NULL;
}

/* ---- Blocks ----------------------------------------------------------------------------------------------- */

static mps_res_t extend(mps_pool_t pool)
{
    struct mfs *mfs = pool->mfs;
    size_t count = (mfs->extend_by - LINK) / mfs->unit;
    struct extent *e = control_alloc(pool->arena, sizeof *e + (count + 63) / 64 * sizeof(uint64_t));
    if (e == NULL)
        return mps_impl_refusal;
    e->base = grains_get(&pool->grains, mfs->extend_by, pool->arena->grain);
    if (e->base == NULL) {
        mps_res_t res = mps_impl_refusal;
        control_free(pool->arena, e);
        return res;
    }
    e->units = e->base + LINK;
    e->size = mfs->extend_by;
    e->count = count;
    e->next = mfs->extents;
    for (size_t i = count; i-- > 0;) {
        void **unit = (void **)(void *)(e->units + i * mfs->unit);
        *unit = mfs->free;
        mfs->free = unit;
    }
    mfs->total += e->size - LINK;
    __atomic_store_n(&mfs->extents, e, __ATOMIC_RELEASE); /* pairs with extent_of */
    return MPS_RES_OK;
}

static struct extent *extent_of(mps_pool_t pool, const void *address)
{
    struct extent *e = __atomic_load_n(&pool->mfs->extents, __ATOMIC_ACQUIRE); /* pairs with extend */
    while (e != NULL && (size_t)((const char *)address - e->base) >= e->size)
        e = e->next;
    return e;
}

static mps_res_t mfs_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    struct mfs *mfs = pool->mfs;
    if (!MUST(round_up(size, MPS_PF_ALIGN) == mfs->unit, "size is the pool's unit size"))
        return MPS_RES_PARAM;
    pthread_mutex_lock(&pool->lock);
    mps_res_t res = mfs->free != NULL ? MPS_RES_OK : extend(pool);
    void **unit = mfs->free; /* there is one if extend has found one */
    if (res == MPS_RES_OK && unit != NULL) {
        struct extent *e = extent_of(pool, unit);
        size_t i = (size_t)((char *)unit - e->units) / mfs->unit;
        mfs->free = *unit;
        e->bits[i / 64] |= UINT64_C(1) << (i % 64);
        mfs->live += mfs->unit;
        *p_o = unit;
    }
    pthread_mutex_unlock(&pool->lock);
    return res;
}

static const char *free_unit(mps_pool_t pool, char *p)
{
    struct mfs *mfs = pool->mfs;
    struct extent *e = extent_of(pool, p);
    if (e == NULL)
        return "address is in the pool";
    size_t offset = (size_t)(p - e->units), i = offset / mfs->unit;
    if (p < e->units || offset % mfs->unit != 0 || i >= e->count)
        return "address is that of a unit";
    if ((e->bits[i / 64] >> (i % 64) & 1) == 0)
        return "block to be freed is allocated";
    e->bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
    *(void **)(void *)p = mfs->free;
    mfs->free = (void **)(void *)p;
    mfs->live -= mfs->unit;
    return NULL;
}

static void mfs_free(mps_pool_t pool, mps_addr_t p, size_t size)
{
    if (!MUST(round_up(size, MPS_PF_ALIGN) == pool->mfs->unit, "size is the pool's unit size"))
        return;
    pthread_mutex_lock(&pool->lock);
    const char *wrong = free_unit(pool, p);
    pthread_mutex_unlock(&pool->lock);
    (void)MUST(wrong == NULL, wrong);
}

static void mfs_sizes(mps_pool_t pool, size_t *total, size_t *free_size)
{
    pthread_mutex_lock(&pool->lock);
    *total = pool->mfs->total;
    *free_size = pool->mfs->total - pool->mfs->live;
    pthread_mutex_unlock(&pool->lock);
}

static bool mfs_has(mps_pool_t pool, const void *address)
{
    return extent_of(pool, address) != NULL;
}

static struct mps_pool_class_s class_mfs = {
    .name = "MFS",
    .varargs = mfs_varargs,
    .init = mfs_init,
    .finish = mfs_finish,
    .alloc = mfs_alloc,
    .free = mfs_free,
    .sizes = mfs_sizes,
    .has = mfs_has,
};

mps_pool_class_t mps_class_mfs(void)
{
    return &class_mfs;
}
