// expect: ^cairn: cairn_pool_release: mark of another pool, or made before a reset: 0x[0-9a-f]+
/* pool_stack_mark_before_reset.c - a mark that a reset has taken */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_mark mark = cairn_pool_mark(pool);
    cairn_pool_reset(pool);
    (void)cairn_pool_mark(pool);
    cairn_pool_release(pool, mark);
    return 0;
}
