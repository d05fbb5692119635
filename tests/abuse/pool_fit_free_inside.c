// expect: ^cairn: cairn_pool_free: invalid pointer 0x
#include <cairn/pool.h>

static cairn_pool *fit(unsigned flags)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .flags = flags};
    return cairn_pool_create(&config);
}

int main(void)
{
    cairn_pool *pool = fit(0);
    char *block = cairn_pool_malloc(pool, 100);
    cairn_pool_free(pool, block + 16);
}
