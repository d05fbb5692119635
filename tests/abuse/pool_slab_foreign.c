// expect: ^cairn: cairn_pool_free: invalid pointer 0x[0-9a-f]+
/* pool_slab_foreign.c - an address of the stack is freed */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    int local = 1;
    cairn_pool_free(pool, &local);
    return 0;
}
