// expect: ^cairn: cairn_pool_free: invalid pointer 0x[0-9a-f]+
/* pool_fixed_buffer_outside.c - a byte behind the buffer is no block of the pool in it */
#include <cairn/pool.h>
#include <stdlib.h>
static char room[8192];
int main(void)
{
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIXED,
                                .block_size = 64,
                                .buffer = room,
                                .buffer_size = sizeof room - 64};
    cairn_pool *pool = cairn_pool_create(&config);
    cairn_pool_free(pool, room + sizeof room - 64);
    return 0;
}
