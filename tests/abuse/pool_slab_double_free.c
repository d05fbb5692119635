// expect: ^cairn: cairn_pool_free: double free of 0x[0-9a-f]+
/* pool_slab_double_free.c - the block freed last is freed again */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    void *keep = cairn_pool_malloc(pool, 64), *p = cairn_pool_malloc(pool, 64);
    (void)keep;
    cairn_pool_free(pool, p);
    cairn_pool_free(pool, p);
    return 0;
}
