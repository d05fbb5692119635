// expect: ^cairn: cairn_pool_free: invalid pointer 0x[0-9a-f]+
/* pool_fixed_foreign.c - a local variable is no block */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64, .flags = CAIRN_POOL_MARKS};
    cairn_pool *pool = cairn_pool_create(&config);
    int local = 0;
    cairn_pool_free(pool, &local);
    return 0;
}
