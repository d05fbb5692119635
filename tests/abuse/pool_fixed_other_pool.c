// expect: ^cairn: cairn_pool_free: block of another heap 0x[0-9a-f]+
/* pool_fixed_other_pool.c - a block of another pool */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_pool *other = cairn_pool_create(&config);
    cairn_pool_free(pool, cairn_pool_malloc(other, 64));
    return 0;
}
