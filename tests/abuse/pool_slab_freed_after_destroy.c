// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* pool_slab_freed_after_destroy.c - a block of a destroyed pool is freed */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    void *p = cairn_pool_malloc(pool, 10);
    cairn_pool_destroy(pool);
    free(p);
    return 0;
}
