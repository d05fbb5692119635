// expect: ^cairn: cairn_pool: destroyed pool 0x[0-9a-f]+
/* pool_slab_destroyed.c - a destroyed pool is allocated from */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    (void)!cairn_pool_malloc(pool, 10);
    cairn_pool_destroy(pool);
    (void)!cairn_pool_malloc(pool, 10);
    return 0;
}
