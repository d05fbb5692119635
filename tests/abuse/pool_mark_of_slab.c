// expect: ^cairn: cairn_pool_mark: not a pool of class CAIRN_STACK: 0x[0-9a-f]+
/* pool_mark_of_slab.c - a mark in a pool of another class */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_SLAB};
    cairn_pool *pool = cairn_pool_create(&config);
    (void)cairn_pool_mark(pool);
    return 0;
}
