// expect: ^cairn: cairn_pool_realloc: free block 0x[0-9a-f]+
/* pool_fixed_realloc_freed.c - realloc of a block that is free */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64, .flags = CAIRN_POOL_MARKS};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 64);
    cairn_pool_free(pool, p);
    p = cairn_pool_realloc(pool, p, 10);
    return 0;
}
