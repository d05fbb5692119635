// expect: ^cairn: cairn_pool_release: not a pool of class CAIRN_STACK: 0x[0-9a-f]+
/* pool_slab_release.c - a slab pool is released to a mark */
#include <cairn/pool.h>
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    cairn_pool *pool = cairn_pool_create(NULL);
    cairn_mark mark = {0};
    cairn_pool_release(pool, mark);
    return 0;
}
