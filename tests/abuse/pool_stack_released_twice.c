// expect: ^cairn: cairn_pool_release: mark released twice: 0x[0-9a-f]+
/* pool_stack_released_twice.c - a mark is released twice */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_mark outer = cairn_pool_mark(pool), mark = cairn_pool_mark(pool);
    (void)outer;
    cairn_pool_release(pool, mark);
    cairn_pool_release(pool, mark);
    return 0;
}
