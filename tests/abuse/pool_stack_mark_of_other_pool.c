// expect: ^cairn: cairn_pool_release: mark of another pool, or made before a reset: 0x[0-9a-f]+
/* pool_stack_mark_of_other_pool.c - a mark of another pool */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_pool *other = cairn_pool_create(&config);
    (void)cairn_pool_mark(pool);
    cairn_pool_release(pool, cairn_pool_mark(other));
    return 0;
}
