// expect: ^cairn: cairn_pool_free: the pool keeps no sizes \(CAIRN_POOL_SIZED\): 0x
#include <cairn/pool.h>

static cairn_pool *fit(unsigned flags)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .flags = flags};
    return cairn_pool_create(&config);
}

int main(void)
{
    cairn_pool *pool = fit(CAIRN_POOL_SIZED);
    char *block = cairn_pool_malloc(pool, 100);
    cairn_pool_free(pool, block);
}
