// expect: ^cairn: cairn_pool_free_sized: wrong size for 0x[0-9a-f]+
/* pool_slab_wrong_size.c - a sized free names a size that the block cannot have */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    cairn_pool_free_sized(pool, cairn_pool_malloc(pool, 100), 2000);
    return 0;
}
