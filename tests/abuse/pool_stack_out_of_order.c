// expect: ^cairn: cairn_pool_release: mark released out of order, after one made before it: 0x[0-9a-f]+
/* pool_stack_out_of_order.c - an inner mark is released after the outer one */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_mark outer = cairn_pool_mark(pool), inner = cairn_pool_mark(pool);
    cairn_pool_release(pool, outer);
    cairn_pool_release(pool, inner);
    return 0;
}
