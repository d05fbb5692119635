// expect: ^cairn: cairn_pool_free: block of a pool that is open for reading only: 0x[0-9a-f]+
/* pool_file_free_read_only.c - a block of a pool in a file that is open for reading is freed */
#include <cairn/persist.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/dev/shm/cairn-abuse-%d", (int)getpid());
    cairn_file_config config = {.struct_size = sizeof config, .size = CAIRN_FILE_SIZE_MIN};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    (void)cairn_pool_malloc_to(pool, 100, NULL);
    (void)cairn_pool_close(pool);
    config.flags = CAIRN_FILE_READ_ONLY;
    pool = cairn_pool_open(path, &config);
    (void)unlink(path);
    cairn_pool_free(pool, cairn_pool_root(pool));
    return 0;
}
