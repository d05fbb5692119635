// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_fixed_double_free_marks.c - with marks any second free is found, also when others were freed in between */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIXED, .block_size = 64, .flags = CAIRN_POOL_MARKS};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p[50];
    for (int i = 0; i < 50; i++)
        p[i] = cairn_pool_malloc(pool, 64);
    for (int i = 0; i < 40; i++)
        cairn_pool_free(pool, p[i]);
    cairn_pool_free(pool, p[7]);
    return 0;
}
