// expect: ^cairn: cairn_pool_free: misaligned pointer 0x[0-9a-f]+
/* pool_slab_inside.c - an address inside a block is freed */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    char *p = cairn_pool_malloc(pool, 100);
    cairn_pool_free(pool, p + 16);
    return 0;
}
