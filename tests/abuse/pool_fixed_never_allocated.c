// expect: ^cairn: cairn_pool_free: invalid pointer 0x[0-9a-f]+
/* pool_fixed_never_allocated.c - a place of the pool that was never handed out */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64};
    cairn_pool *pool = cairn_pool_create(&config);
    char *p = cairn_pool_malloc(pool, 64);
    cairn_pool_free(pool, p + 64 * 10);
    return 0;
}
