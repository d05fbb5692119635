// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_stack_double_free.c - a block below the last one is freed twice */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 64), *q = cairn_pool_malloc(pool, 64);
    (void)q;
    cairn_pool_free(pool, p);
    cairn_pool_free(pool, p);
    return 0;
}
