// expect: ^cairn: cairn_pool_free: block of another heap 0x[0-9a-f]+
/* pool_slab_heap_block.c - a block of the process heap is freed into a pool */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    cairn_pool_free(pool, malloc(10));
    return 0;
}
