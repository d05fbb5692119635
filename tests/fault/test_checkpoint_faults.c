// link: -Wl,--wrap=open -Wl,--wrap=pread -Wl,--wrap=pwrite -Wl,--wrap=ftruncate -Wl,--wrap=posix_fallocate
// link: -Wl,--wrap=fdatasync -Wl,--wrap=fsync -Wl,--wrap=msync -Wl,--wrap=mmap -Wl,--wrap=ioctl -Wl,--wrap=unlink
// link: -Wl,--wrap=lseek -Wl,--wrap=fstat
/* test_checkpoint_faults.c - each system call that checkpoints, a close with one, and going back to one make fails in turn,
 * with EIO and with ENOSPC; and each read and write in turn does less than it was asked for, or is interrupted.
 *
 * The pool holds one number, many times.  A call that fails says so, and the next one, with a disk that is well again, is
 * as good as ever.  Whatever has failed, a power cut leaves the last checkpoint whose call has returned, or one that was
 * begun since; and the file itself, which no power cut has hit, has what was stored last. */
#include "unit/unit.h"

#include "persist/format.h"

#include <cairn/persist.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { WORDS = 6000, ENDINGS = 4 };

static const char *const endings[ENDINGS] = {"", ".ckpt", ".ckpt0", ".ckpt1"};
static char path[80], copy[80];

/* ---- The disk ------------------------------------------------------------------------------------------ */

enum fault { NOTHING, GIVES_EIO, GIVES_ENOSPC, IS_SHORT, IS_INTERRUPTED, FAULTS };
static const char *const fault_names[FAULTS] = {"nothing", "EIO", "ENOSPC", "a short one", "EINTR"};

static enum fault fault; /* NOTHING: calls are not counted */
static unsigned long calls, wanted;
static bool hit; /* the wanted call was one that this can happen to */
static unsigned long cases;

/* Whether this call is the one. */
static bool is_wanted(void)
{
    return fault != NOTHING && ++calls == wanted;
}

static bool fails(void)
{
    if (!is_wanted() || fault == IS_SHORT || fault == IS_INTERRUPTED)
        return false;
    hit = true;
    errno = fault == GIVES_EIO ? EIO : ENOSPC;
    return true;
}

/* For reads and writes.  -1: it fails; else how much is done. */
static ssize_t allowed(size_t size)
{
    if (!is_wanted())
        return (ssize_t)size;
    hit = fault != IS_SHORT || size > 512;
    if (fault == IS_SHORT)
        return (ssize_t)(size > 512 ? size / 2 / 512 * 512 + (size < 1024 ? 100 : 0) : size);
    errno = fault == GIVES_EIO ? EIO : fault == GIVES_ENOSPC ? ENOSPC : EINTR;
    return -1;
}

int __real_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...);
ssize_t __real_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_msync(void *at, size_t size, int flags);
int __wrap_msync(void *at, size_t size, int flags);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __real_unlink(const char *name);
int __wrap_unlink(const char *name);
off_t __real_lseek(int fd, off_t offset, int whence);
off_t __wrap_lseek(int fd, off_t offset, int whence);
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);

int __wrap_open(const char *name, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    return fails() ? -1 : __real_open(name, flags, mode);
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    ssize_t most = allowed(size);
    return most < 0 ? -1 : __real_pread(fd, bytes, (size_t)most, offset);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t most = allowed(size);
    return most < 0 ? -1 : __real_pwrite(fd, bytes, (size_t)most, offset);
}

int __wrap_ftruncate(int fd, off_t size)
{
    return fails() ? -1 : __real_ftruncate(fd, size);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
    int saved = errno;
    bool failed = fails();
    int error = errno;
    errno = saved;
    return failed ? error : __real_posix_fallocate(fd, offset, size);
}

int __wrap_fdatasync(int fd)
{
    return fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return fails() ? -1 : __real_fsync(fd);
}

int __wrap_msync(void *at, size_t size, int flags)
{
    return fails() ? -1 : __real_msync(at, size, flags);
}

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    return fails() ? -1 : __real_ioctl(fd, request, argument);
}

int __wrap_unlink(const char *name)
{
    return fails() ? -1 : __real_unlink(name);
}

off_t __wrap_lseek(int fd, off_t offset, int whence)
{
    return fails() ? -1 : __real_lseek(fd, offset, whence);
}

int __wrap_fstat(int fd, struct stat *status)
{
    return fails() ? -1 : __real_fstat(fd, status);
}

/* ---- The pool ------------------------------------------------------------------------------------------ */

static const char *phase;
static enum fault chosen;

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        CHECKF(condition, "%s, call %lu, %s: errno %d, %s", phase, wanted, fault_names[chosen], errno,       \
               cairn_errormsg());                                                                            \
    } while (0)

static void remove_files(const char *of)
{
    char name[100];
    for (unsigned i = 0; i < ENDINGS; i++) {
        (void)snprintf(name, sizeof name, "%s%s", of, endings[i]);
        (void)__real_unlink(name);
    }
}

static void store(cairn_pool *pool, uint64_t value)
{
    uint64_t *words = cairn_pool_root(pool);
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = value;
}

static cairn_pool *make(uint64_t value)
{
    remove_files(path);
    cairn_pool *pool =
        cairn_pool_create_at(path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config),
                                                        .size = CAIRN_FILE_SIZE_MIN,
                                                        .flags = CAIRN_FILE_RELOCATABLE});
    MUST(pool != NULL && cairn_pool_calloc_to(pool, WORDS, sizeof(uint64_t), NULL) != NULL);
    MUST(cairn_pool_checkpoint_way(pool, CAIRN_CHECKPOINT_JOURNAL) == 0);
    store(pool, value);
    return pool;
}

/* The number in an open pool, which is whole. */
static uint64_t value_in(cairn_pool *pool)
{
    const uint64_t *words = cairn_pool_root(pool);
    MUST(cairn_pool_check(pool) == 0);
    MUST(words != NULL);
    for (unsigned i = 1; i < WORDS; i++)
        MUST(words[i] == words[0]);
    return words[0];
}

static void checkpoint(cairn_pool *pool)
{
    MUST(cairn_pool_checkpoint(pool) == 0);
}

/* As a power cut leaves it: a copy, which says that another file was open. */
static void copy_files(void)
{
    static char bytes[3 << 20];
    char name[100];
    remove_files(copy);
    for (unsigned i = 0; i < ENDINGS; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        int in = __real_open(name, O_RDONLY, 0);
        if (in < 0)
            continue;
        (void)snprintf(name, sizeof name, "%s%s", copy, endings[i]);
        int out = __real_open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        ssize_t size = __real_pread(in, bytes, sizeof bytes, 0);
        MUST(out >= 0 && size >= 0 && size < (ssize_t)sizeof bytes);
        MUST(__real_pwrite(out, bytes, (size_t)size, 0) == size);
        close(in), close(out);
    }
}

/* What the power cut leaves; 0: nothing to go back to. */
static uint64_t value_after_cut(void)
{
    copy_files();
    cairn_pool *pool = cairn_pool_open(copy, NULL);
    if (pool == NULL) {
        MUST(errno == EUCLEAN);
        return 0;
    }
    uint64_t value = value_in(pool);
    MUST(cairn_pool_close(pool) == 0);
    return value;
}

/* ---- The phases: each is gone through once for each call in it --------------------------------------------- */

static void arm(void)
{
    calls = 0;
    hit = false;
    fault = chosen;
}

static void disarm(void)
{
    fault = NOTHING;
}

/* A call that failed said why; only what fails may make it fail. */
static void judge(bool done)
{
    MUST(done || (hit && (chosen == GIVES_EIO || chosen == GIVES_ENOSPC)));
    MUST(done || (errno != 0 && cairn_errormsg()[0] != 0));
}

static void goes_on(cairn_pool *pool)
{
    store(pool, 9);
    checkpoint(pool);
    MUST(value_after_cut() == 9);
    store(pool, 10);
    MUST(cairn_pool_close(pool) == 0);
    pool = cairn_pool_open(path, NULL);
    MUST(pool != NULL && value_in(pool) == 10);
    MUST(cairn_pool_close(pool) == 0);
}

static void first_checkpoint(void)
{
    cairn_pool *pool = make(1);
    arm();
    int result = cairn_pool_checkpoint(pool);
    disarm();
    judge(result == 0);
    uint64_t value = value_after_cut();
    MUST(value == 1 || (value == 0 && result != 0));
    goes_on(pool);
}

static void next_checkpoint(void)
{
    cairn_pool *pool = make(1);
    checkpoint(pool);
    store(pool, 2);
    arm();
    int result = cairn_pool_checkpoint(pool);
    disarm();
    judge(result == 0);
    uint64_t value = value_after_cut();
    MUST(value == 2 || (value == 1 && result != 0));
    goes_on(pool);
}

static void close_with_checkpoint(void)
{
    cairn_pool *pool = make(1);
    checkpoint(pool);
    store(pool, 2);
    arm();
    int result = cairn_pool_close(pool);
    disarm();
    judge(result == 0);
    uint64_t value = value_after_cut();
    MUST(value == 2 || (value == 1 && result != 0));
    pool = cairn_pool_open(path, NULL);
    MUST(pool != NULL && value_in(pool) == 2);
    goes_on(pool);
}

/* A process took two checkpoints, worked on and died. */
static void leave_behind(void)
{
    int status;
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        cairn_pool *pool = make(1);
        checkpoint(pool);
        store(pool, 2);
        checkpoint(pool);
        store(pool, 3);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}

static void open_after_a_kill(void)
{
    leave_behind();
    arm();
    cairn_pool *pool = cairn_pool_open(path, NULL);
    disarm();
    judge(pool != NULL);
    if (pool == NULL)
        pool = cairn_pool_open(path, NULL);
    MUST(pool != NULL && value_in(pool) == 3);
    goes_on(pool);
}

static void going_back(void)
{
    leave_behind();
    uint64_t inode = format_seal(1, WORD_INODE);
    int fd = __real_open(path, O_RDWR, 0);
    MUST(fd >= 0 && __real_pwrite(fd, &inode, sizeof inode, FORMAT_STATE + 8 * WORD_INODE) == sizeof inode);
    close(fd);
    arm();
    cairn_pool *pool = cairn_pool_open(path, NULL);
    disarm();
    judge(pool != NULL);
    if (pool == NULL)
        pool = cairn_pool_open(path, NULL);
    MUST(pool != NULL && value_in(pool) == 2);
    goes_on(pool);
}

static void rolling_back(void)
{
    leave_behind();
    arm();
    int result = cairn_pool_rollback(path);
    disarm();
    judge(result == 0);
    MUST(result == 0 || cairn_pool_rollback(path) == 0);
    cairn_pool *pool = cairn_pool_open(path, NULL);
    MUST(pool != NULL && value_in(pool) == 2);
    goes_on(pool);
}

static void each_call(const char *name, void (*run)(void))
{
    phase = name;
    for (chosen = GIVES_EIO; chosen < FAULTS; chosen++) {
        unsigned long hits = 0;
        wanted = 0;
        do {
            wanted++;
            run();
            hits += hit;
        } while (calls >= wanted);
        MUST(hits > 1);
        cases += hits;
        if (getenv("CAIRN_KILL_REPORT") != NULL)
            print_message("%s, %s: %lu of %lu calls\n", name, fault_names[chosen], hits, wanted - 1);
    }
}

static void test_first_checkpoint(void **state)
{
    (void)state;
    each_call("the first checkpoint", first_checkpoint);
}

static void test_next_checkpoint(void **state)
{
    (void)state;
    each_call("a checkpoint", next_checkpoint);
}

static void test_close(void **state)
{
    (void)state;
    each_call("close", close_with_checkpoint);
}

static void test_open_after_a_kill(void **state)
{
    (void)state;
    each_call("open after a kill", open_after_a_kill);
}

static void test_going_back(void **state)
{
    (void)state;
    each_call("going back", going_back);
}

static void test_rolling_back(void **state)
{
    (void)state;
    each_call("rolling back", rolling_back);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/dev/shm/cairn-faults-%d", (int)getpid());
    (void)snprintf(copy, sizeof copy, "/dev/shm/cairn-faults-%d-copy", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_files(path);
    remove_files(copy);
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu failures\n", cases);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_checkpoint),
        cmocka_unit_test(test_next_checkpoint),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_open_after_a_kill),
        cmocka_unit_test(test_going_back),
        cmocka_unit_test(test_rolling_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
