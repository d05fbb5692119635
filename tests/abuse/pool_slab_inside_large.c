// expect: ^cairn: free: misaligned pointer 0x[0-9a-f]+
/* pool_slab_inside_large.c - an address inside a large block of a pool is freed by free */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    char *p = cairn_pool_malloc(pool, 100000);
    free(p + 8192);
    return 0;
}
