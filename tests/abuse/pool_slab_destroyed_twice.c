// expect: ^cairn: cairn_pool_destroy: destroyed pool 0x[0-9a-f]+
/* pool_slab_destroyed_twice.c - a pool is destroyed twice */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    cairn_pool_destroy(pool);
    cairn_pool_destroy(pool);
    return 0;
}
