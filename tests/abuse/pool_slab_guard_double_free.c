// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_slab_guard_double_free.c - a guarded block is freed twice */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config};
    config.flags = CAIRN_POOL_GUARD;
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 100);
    cairn_pool_free(pool, p);
    cairn_pool_free(pool, p);
    return 0;
}
