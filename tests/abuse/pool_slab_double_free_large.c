// expect: ^cairn: cairn_pool_free: (double free of|invalid pointer) 0x[0-9a-f]+
/* pool_slab_double_free_large.c - a large block is freed twice */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    void *p = cairn_pool_malloc(pool, 1000000);
    cairn_pool_free(pool, p);
    cairn_pool_free(pool, p);
    return 0;
}
