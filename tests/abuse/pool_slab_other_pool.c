// expect: ^cairn: cairn_pool_free: block of another heap 0x[0-9a-f]+
/* pool_slab_other_pool.c - a block is freed into another pool */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *a = cairn_pool_create(NULL), *b = cairn_pool_create(NULL);
    cairn_pool_free(b, cairn_pool_malloc(a, 10));
    return 0;
}
