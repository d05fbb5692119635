// expect: ^cairn: cairn_pool_release: mark released twice: 0x[0-9a-f]+
/* pool_stack_released_twice_alone.c - the only mark is released twice, with another one made in between */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_mark mark = cairn_pool_mark(pool);
    cairn_pool_release(pool, mark);
    (void)cairn_pool_mark(pool);
    cairn_pool_release(pool, mark);
    return 0;
}
