// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_fixed_double_free.c - the block freed last is freed again */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 64), *q = cairn_pool_malloc(pool, 64);
    (void)q;
    cairn_pool_free(pool, p);
    cairn_pool_free(pool, p);
    return 0;
}
