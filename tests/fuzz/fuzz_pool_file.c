/* fuzz_pool_file.c - pool files with any bytes changed: the check and an open for reading end, whatever they find, and the
 * check has written nothing.
 *
 * The input is a list of changes to a good file: four bytes choose a place (in one of its areas) and one what goes there.
 * The first byte says whether the header's checksum is made to fit, so that what lies behind it is reached. */
#include "base/crc.h"
#include "check.h"
#include "persist/format.h"
#include <cairn/persist.h>

enum { CHANGES = 64 };

static char path[64];
static unsigned char *good;
static size_t length;
static int file;

static void must(int fine)
{
    if (!fine)
        abort();
}

static void make_good(void)
{
    snprintf(path, sizeof path, "/dev/shm/cairn-fuzz-%d", (int)getpid());
    unlink(path);
    cairn_file_config config = {.struct_size = sizeof config, .size = 1 << 20};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    must(pool != NULL);
    void **slots = cairn_pool_calloc_to(pool, 12, sizeof *slots, NULL);
    must(slots != NULL);
    for (unsigned i = 0; i < 12; i++)
        must(cairn_pool_malloc_to(pool, 20 + i * i * 300, &slots[i]) != NULL);
    must(cairn_pool_set_named_root(pool, "name", slots[1]) == 0 && cairn_pool_close(pool) == 0);
    file = open(path, O_RDWR);
    must(file >= 0);
    length = (size_t)lseek(file, 0, SEEK_END);
    good = malloc(length);
    must(good != NULL && pread(file, good, length, 0) == (ssize_t)length);
}

static void remove_file(void)
{
    unlink(path);
}

/* A place in the area that `area` chooses. */
static size_t place(unsigned area, unsigned offset)
{
    const struct file_header *header = (const struct file_header *)good;
    switch (area % 7) {
    case 0: return offset % 160;
    case 1: return FORMAT_STATE + offset % (8 * (WORD_COUNT + 1));
    case 2: return FORMAT_NAMES_AT + offset % 256;
    case 3: return FORMAT_INTENTS_AT + offset % 512;
    case 4: return header->descriptors + offset % 800;
    case 5: return header->marks + offset % 20000;
    default: return offset % length;
    }
}

static void put(size_t at, const void *bytes, size_t size)
{
    must(pwrite(file, bytes, size, (off_t)at) == (ssize_t)size);
}

static void fit_checksum(void)
{
    struct file_header header;
    must(pread(file, &header, sizeof header, 0) == (ssize_t)sizeof header);
    header.checksum = crc32c(&header, offsetof(struct file_header, checksum));
    put(0, &header, sizeof header);
}

static uint64_t hash_file(void)
{
    static unsigned char now[1 << 20];
    must(pread(file, now, length, 0) == (ssize_t)length);
    return format_hash(now, length / 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good == NULL) {
        make_good();
        atexit(remove_file);
    }
    size_t changed[CHANGES], count = 0;
    for (size_t i = 1; i + 5 <= size && count < CHANGES; i += 5) {
        changed[count] =
            place(data[i], (unsigned)data[i + 1] | (unsigned)data[i + 2] << 8 | (unsigned)data[i + 3] << 16);
        put(changed[count++], &data[i + 4], 1);
    }
    if (size > 0 && data[0] % 4 != 0)
        fit_checksum();
    uint64_t before = hash_file();
    cairn_file_check check = {.struct_size = sizeof check};
    int result = cairn_pool_check_file(path, NULL, &check);
    CHECK(result == 0 || result == 1);
    CHECK(hash_file() == before);
    cairn_file_config config = {.struct_size = sizeof config, .flags = CAIRN_FILE_READ_ONLY};
    cairn_pool *pool = cairn_pool_open(path, &config);
    if (pool != NULL) {
        (void)cairn_pool_check(pool);
        (void)cairn_pool_root(pool);
        (void)cairn_pool_named_root(pool, "name");
        (void)cairn_pool_close(pool);
    }
    for (size_t i = 0; i < count; i++)
        put(changed[i], &good[changed[i]], 1);
    put(0, good, sizeof(struct file_header));
    return 0;
}
