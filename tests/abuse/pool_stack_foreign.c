// expect: ^cairn: cairn_pool_free: block of another heap 0x[0-9a-f]+
/* pool_stack_foreign.c - a block of the process heap */
#include <cairn/pool.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_STACK};
    cairn_pool *pool = cairn_pool_create(&config);
    (void)!cairn_pool_malloc(pool, 64);
    cairn_pool_free(pool, malloc(64));
    return 0;
}
