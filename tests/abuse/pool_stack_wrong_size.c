// expect: ^cairn: cairn_pool_free_sized: wrong size for 0x[0-9a-f]+
/* pool_stack_wrong_size.c - a size that the block does not have */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_pool_free_sized(pool, cairn_pool_malloc(pool, 64), 65);
    return 0;
}
