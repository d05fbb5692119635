/* target.c - a pool as an interface: cairn_interface_of_pool.  See <cairn/tools.h>. */
#include "cairn/tools.h"

#include <string.h>

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    (void)call;
    return cairn_pool_malloc(context, size);
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    (void)call;
    return cairn_pool_calloc(context, count, size);
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    (void)call;
    return cairn_pool_aligned_alloc(context, alignment, size);
}

/* A block that was there before the pool was put in place, or is another pool's, stays where it is. */
static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    if (cairn_pool_of(block) == context)
        return cairn_pool_realloc(context, block, size);
    return cairn_below_realloc(call, block, old_size, size);
}

static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    if (cairn_pool_of(block) == context)
        cairn_pool_free(context, block);
    else
        cairn_below_free(call, block, old_size);
}

static size_t on_usable_size(void *context, const cairn_call *call, const void *block)
{
    if (cairn_pool_of(block) == context)
        return cairn_pool_usable_size(context, block);
    return cairn_below_usable_size(call, block);
}

cairn_interface cairn_interface_of_pool(cairn_pool *pool)
{
    return (cairn_interface){
        .struct_size = sizeof(cairn_interface),
        .name = cairn_pool_name(pool),
        .context = pool,
        .on_malloc = on_malloc,
        .on_calloc = on_calloc,
        .on_realloc = on_realloc,
        .on_aligned_alloc = on_aligned_alloc,
        .on_free = on_free,
        .on_usable_size = on_usable_size,
    };
}
