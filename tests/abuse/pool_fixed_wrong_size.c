// expect: ^cairn: cairn_pool_free_sized: wrong size for 0x[0-9a-f]+
/* pool_fixed_wrong_size.c - a size that no block of the pool has */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_pool_free_sized(pool, cairn_pool_malloc(pool, 64), 65);
    return 0;
}
