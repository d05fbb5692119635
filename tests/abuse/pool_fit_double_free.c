// expect: ^cairn: cairn_pool_free: double free of 0x
#include <cairn/pool.h>

static cairn_pool *fit(unsigned flags)
{
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .flags = flags};
    return cairn_pool_create(&config);
}

int main(void)
{
    cairn_pool *pool = fit(0);
    char *keep = cairn_pool_malloc(pool, 60000), *block = cairn_pool_malloc(pool, 100);
    (void)keep;
    cairn_pool_free(pool, block);
    cairn_pool_free(pool, block);
}
