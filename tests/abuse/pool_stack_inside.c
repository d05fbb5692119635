// expect: ^cairn: cairn_pool_free: misaligned pointer 0x[0-9a-f]+
/* pool_stack_inside.c - the middle of a block */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    char *p = cairn_pool_malloc(pool, 64);
    cairn_pool_free(pool, p + 16);
    return 0;
}
