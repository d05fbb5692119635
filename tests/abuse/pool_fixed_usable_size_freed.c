// expect: ^cairn: cairn_pool_usable_size: free block 0x[0-9a-f]+
/* pool_fixed_usable_size_freed.c - the size of a block that is free */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64, .flags = CAIRN_POOL_MARKS};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 64);
    cairn_pool_free(pool, p);
    (void)cairn_pool_usable_size(pool, p);
    return 0;
}
