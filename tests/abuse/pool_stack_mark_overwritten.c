// expect: ^cairn: cairn_pool_release: mark overwritten: 0x[0-9a-f]+
/* pool_stack_mark_overwritten.c - a block is written beyond its end, over the mark behind it */
#include <cairn/pool.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    char *p = cairn_pool_malloc(pool, 16);
    cairn_mark mark = cairn_pool_mark(pool);
    memset(p, 1, 48);
    cairn_pool_release(pool, mark);
    return 0;
}
