/* pool.c - the calls on pools, whatever their class. */
#include "impl.h"

#include <string.h>

#define MPS_FILE "pool.c"

bool pool_is_valid(mps_pool_t pool)
{
    return pool != NULL && pool->magic == POOL_MAGIC;
}

mps_res_t pool_refusal(void)
{
    return mps_impl_refusal != MPS_RES_OK ? mps_impl_refusal : MPS_RES_MEMORY;
}

/* ---- Making and destroying ---------------------------------------------------------------------------- */

static void enlist(mps_pool_t pool)
{
    mps_arena_t arena = pool->arena;
    arena_enter(arena);
    mps_pool_t *end = &arena->pools;
    while (*end != NULL)
        end = &(*end)->next;
    *end = pool;
    arena_leave(arena);
}

static void delist(mps_pool_t pool)
{
    mps_arena_t arena = pool->arena;
    arena_enter(arena);
    mps_pool_t *at = &arena->pools;
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    arena_leave(arena);
}

mps_res_t mps_pool_create_k(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class,
                            mps_arg_s args[])
{
    if (!MUST(pool_o != NULL, "mps_pool_o != NULL") || !MUST(arena_is_valid(arena), "arena is valid") ||
        !MUST(pool_class != NULL, "pool class is valid") || !MUST(args != NULL, "args != NULL"))
        return MPS_RES_PARAM;
    mps_pool_t pool = control_alloc(arena, sizeof *pool);
    if (pool == NULL)
        return mps_impl_refusal;
    pool->pool_class = pool_class;
    pool->arena = arena;
    pthread_mutex_init(&pool->lock, NULL);
    mps_res_t res = pool_class->init(pool, args);
    if (res != MPS_RES_OK) {
        pthread_mutex_destroy(&pool->lock);
        control_free(arena, pool);
        return res;
    }
    pool->magic = POOL_MAGIC;
    enlist(pool);
    *pool_o = pool;
    return MPS_RES_OK;
}

mps_res_t mps_pool_create_v(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class, va_list list)
{
    mps_arg_s args[CLASS_ARGS_MAX];
    if (!MUST(pool_class != NULL, "pool class is valid"))
        return MPS_RES_PARAM;
    pool_class->varargs(args, list);
    return mps_pool_create_k(pool_o, arena, pool_class, args);
}

mps_res_t mps_pool_create(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class, ...)
{
    va_list list;
    va_start(list, pool_class);
    mps_res_t res = mps_pool_create_v(pool_o, arena, pool_class, list);
    va_end(list);
    return res;
}

void mps_pool_destroy(mps_pool_t pool)
{
    if (!MUST(pool_is_valid(pool), "pool is valid") ||
        !MUST(__atomic_load_n(&pool->users, __ATOMIC_RELAXED) == 0,
              "pool has no allocation points or caches"))
        return;
    mps_arena_t arena = pool->arena;
    pthread_mutex_lock(&arena->calls); /* what gives grains back is in no list any more */
    delist(pool);
    pool->pool_class->finish(pool);
    pthread_mutex_unlock(&arena->calls);
    pool->magic = 0;
    pthread_mutex_destroy(&pool->lock);
    control_free(arena, pool);
}

/* ---- Figures ------------------------------------------------------------------------------------------- */

size_t mps_pool_total_size(mps_pool_t pool)
{
    size_t total = 0, free_size;
    if (MUST(pool_is_valid(pool), "pool is valid"))
        pool->pool_class->sizes(pool, &total, &free_size);
    return total;
}

size_t mps_pool_free_size(mps_pool_t pool)
{
    size_t total, free_size = 0;
    if (MUST(pool_is_valid(pool), "pool is valid"))
        pool->pool_class->sizes(pool, &total, &free_size);
    return free_size;
}

void mps_pool_check_fenceposts(mps_pool_t pool)
{
    if (MUST(pool_is_valid(pool), "pool is valid") && pool->debug != NULL)
        debug_check_fences(pool, "fencepost check requested by client");
}

void mps_pool_check_free_space(mps_pool_t pool)
{
    if (MUST(pool_is_valid(pool), "pool is valid") && pool->debug != NULL)
        debug_check_free(pool, "free space corrupted on client check");
}

/* ---- Blocks -------------------------------------------------------------------------------------------- */

mps_res_t mps_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size)
{
    if (!MUST(p_o != NULL, "p_o != NULL") || !MUST(pool_is_valid(pool), "pool is valid"))
        return MPS_RES_PARAM;
    if (size == 0)
        return MPS_RES_PARAM;
    mps_impl_refusal = MPS_RES_OK;
    if (size > PTRDIFF_MAX / 2)
        return MPS_RES_RESOURCE;
    return pool->pool_class->alloc(p_o, pool, size);
}

mps_res_t mps_alloc_v(mps_addr_t *p_o, mps_pool_t pool, size_t size, va_list args)
{
    (void)args; /* no class takes any */
    return mps_alloc(p_o, pool, size);
}

void mps_free(mps_pool_t pool, mps_addr_t p, size_t size)
{
    if (!MUST(pool_is_valid(pool), "pool is valid") || !MUST(p != NULL, "p != NULL") ||
        !MUST(size > 0, "size > 0") || !MUST((uintptr_t)p % pool->align == 0, "address is aligned"))
        return;
    pool->pool_class->free(pool, p, size);
}
