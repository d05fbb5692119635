/* sac.c - segregated allocation caches: free lists for a few sizes in front of a pool.  The program locks.
 *
 * Sizes are divided at `middle`, so that frequent ones are found in few steps from there:
 *
 *     index   ...  5    3    1  | 0    2    4   ...
 *     class   <- smaller, odd   |   larger, even ->          middle = the largest of the odd side
 *
 * The last even list serves everything above the largest class, from the pool; its _size is SIZE_MAX. */
#include "impl.h"

#include <string.h>

#define MPS_FILE "sac.c"

struct mps_sac_s {
    _mps_sac_s face; /* first: for the macros */
    uint32_t magic;
    mps_pool_t pool;
    size_t block[2 * 8]; /* size of the blocks of each list; 0: none of its own */
};

static bool is_valid(mps_sac_t sac)
{
    return MUST(sac != NULL && sac->magic == SAC_MAGIC, "cache is valid");
}

static size_t list_of(mps_sac_t sac, size_t size)
{
    size_t _mps_i;
    _MPS_SAC_FIND(&sac->face, size);
    return _mps_i;
}

/* How many classes go to the odd side: those up to the middle of the frequencies. */
static size_t odd_classes(const mps_sac_class_s *classes, size_t count)
{
    uint64_t total = 0, below = 0;
    size_t i = 0;
    for (size_t k = 0; k < count; k++)
        total += classes[k].mps_frequency;
    while (i < count - 1 && 2 * (below + classes[i].mps_frequency) <= total)
        below += classes[i++].mps_frequency;
    /* The even side has one list more than classes. */
    return count - i > MPS_SAC_CLASS_LIMIT - 1 ? count - (MPS_SAC_CLASS_LIMIT - 1) : i;
}

static void lay_out(mps_sac_t sac, const mps_sac_class_s *classes, size_t count)
{
    size_t odd = odd_classes(classes, count), i = 1;
    sac->face._middle = odd > 0 ? classes[odd - 1].mps_block_size : 0;
    for (size_t k = odd; k-- > 0; i += 2) {
        sac->face._freelists[i]._size = k > 0 ? classes[k - 1].mps_block_size : 0;
        sac->face._freelists[i]._count_max = classes[k].mps_cached_count;
        sac->block[i] = classes[k].mps_block_size;
    }
    i = 0;
    for (size_t k = odd; k < count; k++, i += 2) {
        sac->face._freelists[i]._size = sac->block[i] = classes[k].mps_block_size;
        sac->face._freelists[i]._count_max = classes[k].mps_cached_count;
    }
    sac->face._freelists[i]._size = SIZE_MAX;
}

static bool classes_are_valid(mps_pool_t pool, const mps_sac_class_s *classes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = classes[i].mps_block_size;
        if (!MUST(size >= sizeof(void *), "block size >= sizeof(void *)") ||
            !MUST(size % pool->align == 0, "block size is aligned") ||
            !MUST(i == 0 || size > classes[i - 1].mps_block_size, "block sizes ascend") ||
            !MUST(size <= PTRDIFF_MAX / 2, "block size is not absurd"))
            return false;
    }
    return true;
}

mps_res_t mps_sac_create(mps_sac_t *sac_o, mps_pool_t pool, size_t classes_count, mps_sac_class_s *classes)
{
    if (!MUST(sac_o != NULL, "mps_sac_o != NULL") || !MUST(pool_is_valid(pool), "pool is valid") ||
        !MUST(classes != NULL, "classes != NULL") || !MUST(classes_count > 0, "classes_count > 0"))
        return MPS_RES_PARAM;
    if (classes_count > MPS_SAC_CLASS_LIMIT)
        return MPS_RES_LIMIT;
    if (!classes_are_valid(pool, classes, classes_count))
        return MPS_RES_PARAM;
    mps_sac_t sac = control_alloc(pool->arena, sizeof *sac);
    if (sac == NULL)
        return mps_impl_refusal;
    lay_out(sac, classes, classes_count);
    sac->magic = SAC_MAGIC;
    sac->pool = pool;
    __atomic_add_fetch(&pool->users, 1, __ATOMIC_RELAXED);
    *sac_o = sac;
    return MPS_RES_OK;
}

/* Gives `count` blocks of a list back to the pool. */
static void flush_list(mps_sac_t sac, size_t i, size_t count)
{
    _mps_sac_freelist_block_s *list = &sac->face._freelists[i];
    for (; count > 0; count--) {
        mps_addr_t block = list->_blocks;
        list->_blocks = *(mps_addr_t *)block;
        list->_count--;
        mps_free(sac->pool, block, sac->block[i]);
    }
}

void mps_sac_flush(mps_sac_t sac)
{
    for (size_t i = 0; is_valid(sac) && i < COUNT_OF(sac->block); i++)
        flush_list(sac, i, sac->face._freelists[i]._count);
}

void mps_sac_destroy(mps_sac_t sac)
{
    if (!is_valid(sac))
        return;
    mps_pool_t pool = sac->pool;
    mps_sac_flush(sac);
    sac->magic = 0;
    control_free(pool->arena, sac);
    __atomic_sub_fetch(&pool->users, 1, __ATOMIC_RELAXED);
}

mps_res_t mps_sac_fill(mps_addr_t *p_o, mps_sac_t sac, size_t size, mps_bool_t unused)
{
    (void)unused;
    if (!is_valid(sac) || !MUST(p_o != NULL, "p_o != NULL"))
        return MPS_RES_PARAM;
    size_t i = list_of(sac, size);
    if (sac->block[i] == 0)
        return mps_alloc(p_o, sac->pool, size);
    _mps_sac_freelist_block_s *list = &sac->face._freelists[i];
    mps_addr_t block;
    mps_res_t res = mps_alloc(&block, sac->pool, sac->block[i]);
    if (res != MPS_RES_OK)
        return res;
    *p_o = block;
    /* 1 + max/3 in all; that there are not so many is no failure. */
    for (size_t more = list->_count_max / 3; more > 0; more--) {
        if (mps_alloc(&block, sac->pool, sac->block[i]) != MPS_RES_OK)
            break;
        *(mps_addr_t *)block = list->_blocks;
        list->_blocks = block;
        list->_count++;
    }
    return MPS_RES_OK;
}

void mps_sac_empty(mps_sac_t sac, mps_addr_t p, size_t size)
{
    if (!is_valid(sac) || !MUST(p != NULL, "p != NULL"))
        return;
    size_t i = list_of(sac, size);
    _mps_sac_freelist_block_s *list = &sac->face._freelists[i];
    if (sac->block[i] == 0 || list->_count_max == 0) {
        mps_free(sac->pool, p, sac->block[i] != 0 ? sac->block[i] : size);
        return;
    }
    flush_list(sac, i, list->_count - list->_count / 3);
    *(mps_addr_t *)p = list->_blocks;
    list->_blocks = p;
    list->_count++;
}

mps_res_t mps_sac_alloc(mps_addr_t *p_o, mps_sac_t sac, size_t size, mps_bool_t unused)
{
    if (!is_valid(sac) || !MUST(p_o != NULL, "p_o != NULL"))
        return MPS_RES_PARAM;
    if (size == 0)
        return MPS_RES_PARAM;
    mps_addr_t p = NULL;
    mps_res_t res;
    MPS_SAC_ALLOC_FAST(res, p, sac, size, unused);
    if (res == MPS_RES_OK)
        *p_o = p;
    return res;
}

void mps_sac_free(mps_sac_t sac, mps_addr_t p, size_t size)
{
    if (is_valid(sac) && MUST(p != NULL, "p != NULL") && MUST(size > 0, "size > 0"))
        MPS_SAC_FREE_FAST(sac, p, size);
}
