// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_slab_double_free_marks.c - with marks every second free is found, whatever came between */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config};
    config.flags = CAIRN_POOL_MARKS;
    cairn_pool *pool = cairn_pool_create(&config);
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = cairn_pool_malloc(pool, 64);
    for (int i = 0; i < 50; i++)
        cairn_pool_free(pool, blocks[i]);
    cairn_pool_free(pool, blocks[7]);
    return 0;
}
