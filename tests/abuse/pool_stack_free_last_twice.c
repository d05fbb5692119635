// expect: ^cairn: cairn_pool_free: block released before: 0x[0-9a-f]+
/* pool_stack_free_last_twice.c - the last block is taken back, and then freed again */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    void *p = cairn_pool_malloc(pool, 64), *q = cairn_pool_malloc(pool, 64);
    (void)p;
    cairn_pool_free(pool, q);
    cairn_pool_free(pool, q);
    return 0;
}
