// timeout: 120
// link: -Wl,--wrap=msync -Wl,--wrap=posix_fallocate -Wl,--wrap=fsync -Wl,--wrap=fdatasync
/* test_pool_file_damage.c - pool files that are damaged, cut or of another kind, and a disk that fails.
 *
 * Every byte of the header, of the state and of each descriptor, mark, name and intent in use is flipped, one at a time:
 * the check reports it and writes nothing, opening refuses or gets by, and nothing crashes. */
#include "base/crc.h"
#include "fault/pool_image.h"
#include "unit/unit.h"

#include <sys/statvfs.h>
#include <sys/wait.h>

#define FILE_SIZE ((size_t)1 << 20)

static char path[64];
static unsigned char *good; /* the file as it should be */
static size_t length;

/* ---- A disk that fails ------------------------------------------------------------------------------- */

static int fail_sync, fail_room; /* errno; 0: all is well */
static unsigned syncs_before;    /* that succeed before */

int __real_msync(void *at, size_t size, int flags);
int __wrap_msync(void *at, size_t size, int flags);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static bool sync_fails(void)
{
    if (fail_sync == 0)
        return false;
    if (syncs_before > 0) {
        syncs_before--;
        return false;
    }
    errno = fail_sync;
    return true;
}

int __wrap_msync(void *at, size_t size, int flags)
{
    return sync_fails() ? -1 : __real_msync(at, size, flags);
}

int __wrap_fsync(int fd)
{
    return sync_fails() ? -1 : __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    return sync_fails() ? -1 : __real_fdatasync(fd);
}

static unsigned rooms_before;
static off_t uninterrupted; /* a longer allocation is interrupted by a signal; 0: none is */
static unsigned rooms_asked;

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
    rooms_asked++;
    if (uninterrupted != 0 && size > uninterrupted)
        return EINTR;
    if (fail_room != 0 && rooms_before == 0)
        return fail_room;
    rooms_before -= rooms_before > 0;
    return __real_posix_fallocate(fd, offset, size);
}

static cairn_pool *make(size_t max_size)
{
    unlink(path);
    return cairn_pool_create_at(path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config),
                                                           .size = FILE_SIZE,
                                                           .max_size = max_size});
}

static void close_reports_a_failed_flush(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 2; before++) { /* the pages fail, or the last word does */
        cairn_pool *pool = make(0);
        assert_non_null(pool);
        assert_non_null(cairn_pool_calloc_to(pool, 1, 100, NULL));
        fail_sync = EIO;
        syncs_before = before;
        assert_int_equal(cairn_pool_close(pool), -1);
        assert_int_equal(errno, EIO);
        assert_non_null(strstr(cairn_errormsg(), "not closed"));
        fail_sync = 0;
        assert_int_equal(cairn_pool_check_file(path, NULL, NULL), 0); /* it stays marked */
        pool = cairn_pool_open(path, NULL);                           /* and unlocked, and can be recovered */
        assert_non_null(pool);
        assert_non_null(cairn_pool_root(pool));
        assert_int_equal(cairn_pool_close(pool), 0);
    }
}

static void no_room_on_the_disk(void **state)
{
    (void)state;
    for (rooms_before = 0;; rooms_before++) { /* each of the calls fails in turn */
        unsigned before = rooms_before;
        fail_room = ENOSPC;
        cairn_pool *pool = make(2 * FILE_SIZE);
        fail_room = 0;
        rooms_before = before;
        if (pool == NULL) {
            assert_int_equal(errno, ENOSPC);
            assert_int_equal(access(path, F_OK), -1);
            continue;
        }
        assert_true(before >= 4);
        break;
    }
    cairn_pool *pool = make(2 * FILE_SIZE);
    assert_non_null(pool);
    for (unsigned i = 0; i < 3; i++) {
        struct stat was, is;
        assert_int_equal(stat(path, &was), 0);
        fail_room = ENOSPC;
        rooms_before = i;
        assert_int_equal(cairn_pool_grow(pool, 2 * FILE_SIZE), -1);
        assert_int_equal(errno, ENOSPC);
        fail_room = 0;
        assert_int_equal(stat(path, &is), 0);
        assert_int_equal(is.st_size, was.st_size);
        assert_int_equal(cairn_pool_check(pool), 0);
    }
    assert_int_equal(cairn_pool_grow(pool, 2 * FILE_SIZE), 0);
    assert_int_equal(cairn_pool_close(pool), 0);
    assert_int_equal(cairn_pool_check_file(path, NULL, NULL), 1);
}

/* A timer that goes off during each long allocation: the pool is made of shorter ones. */
static void signals_during_allocation(void **state)
{
    (void)state;
    uninterrupted = 256 << 10;
    cairn_pool *pool = make(2 * FILE_SIZE);
    assert_non_null(pool);
    assert_int_equal(cairn_pool_grow(pool, 2 * FILE_SIZE), 0);
    uninterrupted = 0;
    struct stat is;
    assert_int_equal(stat(path, &is), 0);
    assert_true((size_t)is.st_blocks * 512 >= (size_t)2 * FILE_SIZE - ((size_t)256 << 10));
    assert_int_equal(cairn_pool_close(pool), 0);
    assert_int_equal(cairn_pool_check_file(path, NULL, NULL), 1);
}

/* A size that the disk cannot have is refused before any of it is taken. */
static void no_room_is_seen_first(void **state)
{
    (void)state;
    struct statvfs disk;
    unlink(path);
    cairn_file_config config = {.struct_size = sizeof config, .size = FILE_SIZE, .max_size = (size_t)4 << 40};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    assert_non_null(pool);
    assert_int_equal(statvfs(path, &disk), 0);
    size_t too_much = disk.f_bavail * disk.f_frsize + ((size_t)1 << 30);
    if (disk.f_blocks > 0 && too_much < config.max_size) {
        rooms_asked = 0;
        assert_int_equal(cairn_pool_grow(pool, too_much), -1);
        assert_int_equal(errno, ENOSPC);
        config.size = config.max_size = too_much;
        assert_int_equal(cairn_pool_close(pool), 0);
        unlink(path);
        assert_null(cairn_pool_create_at(path, &config));
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(rooms_asked, 0);
        assert_int_equal(access(path, F_OK), -1);
    } else {
        assert_int_equal(cairn_pool_close(pool), 0);
    }
}

/* ---- Damage ------------------------------------------------------------------------------------------ */

static void write_file(const unsigned char *bytes, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
    if (size >= 8192)
        image_adopt(path);
}

/* A pool with blocks of some classes, a large one, names, and, if it was killed, calls under way. */
static void fill(bool killed)
{
    cairn_pool *pool = make(0);
    assert_non_null(pool);
    void **slots = cairn_pool_calloc_to(pool, 10, sizeof *slots, NULL);
    for (unsigned i = 0; i < 10; i++)
        assert_non_null(cairn_pool_malloc_to(pool, 30 + i * 2500, &slots[i]));
    assert_int_equal(cairn_pool_set_named_root(pool, "some name", slots[3]), 0);
    assert_int_equal(cairn_pool_free_from(pool, &slots[5]), 0);
    if (!killed) {
        assert_int_equal(cairn_pool_close(pool), 0);
        pool = NULL;
    }
    int fd = open(path, O_RDONLY);
    struct stat status;
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    length = (size_t)status.st_size;
    good = malloc(length + 4096);
    assert_int_equal(read(fd, good, length), (ssize_t)length);
    close(fd);
    if (killed) {
        assert_int_equal(cairn_pool_close(pool), 0);
        write_file(good, length);
        fd = open(path, O_RDONLY);
        assert_int_equal(read(fd, good, length), (ssize_t)length);
        close(fd);
    }
}

static int count_faults;

static int note_fault(uint64_t offset, const char *text, void *context)
{
    (void)context;
    assert_true(offset <= length && text != NULL);
    count_faults++;
    return 0;
}

static void write_byte(size_t at, unsigned char value)
{
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &value, 1, (off_t)at), 1);
    close(fd);
}

static unsigned long flips;

/* The byte is another: the check says so and changes nothing; opening refuses or gets by. */
static void flip(size_t at, unsigned char by)
{
    cairn_file_check check = {.struct_size = sizeof check, .fault = note_fault};
    unsigned char *now = malloc(length);
    count_faults = 0;
    flips++;
    write_byte(at, good[at] ^ by);
    int result = cairn_pool_check_file(path, NULL, &check);
    if (result != 0 || check.faults == 0 || count_faults == 0)
        fail_msg("byte %zu (%02x) flipped by %02x: the check says %d with %d faults", at, good[at], by,
                 result, count_faults);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, now, length), (ssize_t)length);
    close(fd);
    if (memcmp(now, good, at) != 0 || memcmp(now + at + 1, good + at + 1, length - at - 1) != 0)
        fail_msg("byte %zu flipped by %02x: the check wrote", at, by);
    cairn_pool *pool = cairn_pool_open(
        path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config), .flags = CAIRN_FILE_READ_ONLY});
    if (pool != NULL) {
        (void)cairn_pool_check(pool);
        (void)cairn_pool_close(pool);
    }
    write_byte(at, good[at]);
    free(now);
}

static void flip_range(size_t from, size_t to, size_t step)
{
    for (size_t at = from; at < to; at += step) {
        flip(at, 0xff);
        flip(at, (unsigned char)(1u << (at % 8)));
    }
}

static void flips_are_noticed(void)
{
    const struct file_header *header = (const struct file_header *)good;
    flip_range(0, 200, 1);
    flip_range(200, 4096, 61);
    flip_range(4092, 4096, 1);
    flip_range(FORMAT_STATE, FORMAT_STATE + 8 * WORD_COUNT, 1);
    flip_range(FORMAT_STATE + 8 * WORD_COUNT, FORMAT_STATE + 4096, 509);
    flip_range(FORMAT_NAMES_AT, FORMAT_NAMES_AT + 17, 1);
    uint64_t touched = ((const uint64_t *)(good + FORMAT_STATE))[WORD_TOUCHED] & SEAL_MASK;
    for (uint64_t page = 0; page < touched + 3; page++)
        flip_range(header->descriptors + 8 * page, header->descriptors + 8 * page + 8, 1);
    flip_range(header->marks, header->marks + 512, 3);
    flip_range(header->marks + 512, header->marks + 256 * (touched + 2), 251);
}

static void every_byte_of_a_closed_pool(void **state)
{
    (void)state;
    fill(false);
    assert_int_equal(cairn_pool_check_file(path, NULL, NULL), 1);
    write_file(good, length);
    flips_are_noticed();
    free(good);
}

static void every_byte_of_a_killed_pool(void **state)
{
    (void)state;
    fill(true);
    struct file_intent *intent = (struct file_intent *)(good + FORMAT_INTENTS_AT) + 5;
    intent->fresh = ((const struct file_header *)good)->pages;
    uint64_t value = INTENT_MALLOC | (uint64_t)SLOT_ROOT << 8;
    intent->call = format_seal(value, format_hash(&intent->old, 3 * sizeof(uint64_t)));
    write_file(good, length);
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, good, length), (ssize_t)length);
    close(fd);
    cairn_file_check check = {.struct_size = sizeof check};
    assert_int_equal(cairn_pool_check_file(path, NULL, &check), 0);
    assert_int_equal(check.faults, 0);
    assert_int_equal(check.calls_open, 1);
    size_t at = FORMAT_INTENTS_AT + 5 * sizeof *intent;
    flip_range(at, at + 64, 1);
    flips_are_noticed();
    free(good);
}

static void a_pool_that_was_cut(void **state)
{
    (void)state;
    fill(false);
    for (size_t size = 0; size < length; size += size < 8192 ? 512 : 65521) {
        write_file(good, size);
        assert_int_equal(cairn_pool_check_file(path, NULL, NULL), 0);
        cairn_pool *pool = cairn_pool_open(path, NULL);
        assert_null(pool);
        assert_true(errno == EINVAL || errno == EUCLEAN);
        cairn_file_info info = {.struct_size = sizeof info};
        if (size >= 8192 && cairn_pool_file_info(path, &info) == 0)
            assert_int_equal(info.bytes_missing, length - size);
    }
    write_file(good, length);
    cairn_file_info info = {.struct_size = sizeof info};
    assert_int_equal(cairn_pool_file_info(path, &info), 0);
    assert_int_equal(info.bytes_missing, 0);
    free(good);
}

/* Copied while it was open, and not to its end: that is what is said, and not that the machine went down. */
static void a_copy_that_was_cut(void **state)
{
    (void)state;
    fill(true);
    write_file(good, length / 2);
    uint64_t inode = format_seal(1, WORD_INODE);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, &inode, sizeof inode, FORMAT_STATE + 8 * WORD_INODE), sizeof inode);
    close(fd);
    assert_null(cairn_pool_open(path, NULL));
    assert_int_equal(errno, EUCLEAN);
    assert_non_null(strstr(cairn_errormsg(), "the file is shorter than the pool in it: it was cut"));
    assert_null(strstr(cairn_errormsg(), "machine"));
    free(good);
}

static void resealed(struct file_header *header)
{
    header->checksum = crc32c(header, offsetof(struct file_header, checksum));
    write_file(good, length);
}

static void newer_formats_are_refused_clearly(void **state)
{
    (void)state;
    fill(false);
    struct file_header *header = (struct file_header *)good, before = *header;
    cairn_file_config reader = {.struct_size = sizeof reader, .flags = CAIRN_FILE_READ_ONLY};
    header->version++;
    resealed(header);
    assert_null(cairn_pool_open(path, NULL));
    assert_int_equal(errno, ENOTSUP);
    assert_non_null(strstr(cairn_errormsg(), "newer version"));
    *header = before;
    header->incompatible = 1u << 20;
    resealed(header);
    assert_null(cairn_pool_open(path, &reader));
    assert_int_equal(errno, ENOTSUP);
    *header = before;
    header->read_only_compatible = 1u << 20;
    resealed(header);
    assert_null(cairn_pool_open(path, NULL));
    assert_int_equal(errno, ENOTSUP);
    cairn_pool *pool = cairn_pool_open(path, &reader);
    assert_non_null(pool);
    assert_int_equal(cairn_pool_close(pool), 0);
    *header = before;
    header->compatible = 1u << 20;
    resealed(header);
    pool = cairn_pool_open(path, NULL);
    assert_non_null(pool);
    assert_int_equal(cairn_pool_close(pool), 0);
    *header = before;
    header->byte_order = __builtin_bswap32(header->byte_order);
    resealed(header);
    assert_null(cairn_pool_open(path, NULL));
    assert_non_null(strstr(cairn_errormsg(), "byte order"));
    free(good);
}

/* The machine was started anew: what the file holds is no longer sure. */
static void another_boot_is_noticed(void **state)
{
    (void)state;
    fill(true);
    uint64_t *words = (uint64_t *)(good + FORMAT_STATE);
    words[WORD_BOOT_LOW] = format_seal((words[WORD_BOOT_LOW] & SEAL_MASK) ^ 1, WORD_BOOT_LOW);
    write_file(good, length);
    assert_null(cairn_pool_open(path, NULL));
    assert_int_equal(errno, EUCLEAN);
    cairn_file_info info = {.struct_size = sizeof info};
    assert_int_equal(cairn_pool_file_info(path, &info), 0);
    assert_true(info.is_of_other_boot && !info.is_closed);
    cairn_file_config trusting = {.struct_size = sizeof trusting, .flags = CAIRN_FILE_TRUST};
    const struct file_header *header = (const struct file_header *)good;
    write_byte(header->descriptors + 1, good[header->descriptors + 1] ^ 4);
    assert_null(cairn_pool_open(path, &trusting)); /* damage is refused all the same */
    assert_int_equal(errno, EUCLEAN);
    write_file(good, length);
    cairn_pool *pool = cairn_pool_open(path, &trusting);
    assert_non_null(pool);
    cairn_recovery recovery = {.struct_size = sizeof recovery};
    assert_int_equal(cairn_pool_recovery(pool, &recovery), 0);
    assert_int_equal(recovery.found, CAIRN_WAS_TRUSTED);
    assert_int_equal(recovery.blocks, 10);
    assert_int_equal(cairn_pool_close(pool), 0);
    free(good);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/dev/shm/cairn-damage-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu flips\n", flips);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_reports_a_failed_flush), cmocka_unit_test(no_room_on_the_disk),
        cmocka_unit_test(signals_during_allocation),    cmocka_unit_test(no_room_is_seen_first),
        cmocka_unit_test(every_byte_of_a_closed_pool),  cmocka_unit_test(every_byte_of_a_killed_pool),
        cmocka_unit_test(a_pool_that_was_cut),          cmocka_unit_test(newer_formats_are_refused_clearly),
        cmocka_unit_test(another_boot_is_noticed),      cmocka_unit_test(a_copy_that_was_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
