// timeout: 240
// sanitize: no
/* test_kill_life.c - a process is killed behind every instruction of a pool's life as a whole: creating, opening, taking
 * checkpoints, resetting, closing, and going back to a checkpoint.
 *
 * As test_kill_steps.c, with the files beside the pool.  Each time one of them has changed, copies of all of them are
 * opened twice: as by the next process on the same machine, which must find what the record says; and as after a power
 * cut at which all of it was on the disk, which must find what the record said at the checkpoint that it goes back to.
 * (What a power cut loses is test_power_cut.c's matter.)
 *
 * The pool is looked at behind every instruction; the checkpoint's files, which change by system calls only, behind every
 * eighth: between two calls lie more.  The first checkpoint and going back read the whole pool, more than a million
 * instructions; there the process is killed at system calls only.  With CAIRN_TEST_LONG it is behind every instruction, in
 * all of them.  CAIRN_KILL_REPORT prints counts. */
#include "fault/pool_image.h"
#include "fault/stepper.h"

#define FILE_SIZE ((size_t)1 << 20)
#define IMAGE_MAX ((size_t)5 << 18)
#define USED_BYTES ((size_t)5 << 17) /* metadata and the pages that the work here comes to */
#define OFTEN 8
#define CHECKPOINTS 4

enum { POOL, CONTROL, COPY0, COPY1, FILES };
static const char *const endings[FILES] = {"", ".ckpt", ".ckpt0", ".ckpt1"};

/* One of the files, as it was at the last look. */
struct image {
    bool exists;
    size_t size;
    unsigned char *bytes;
};

static char live_path[64], copy_path[64];
static struct image last[FILES];
static unsigned char *now; /* room for one */
static unsigned long images;
static bool is_long;

/* Shared with the child. */
struct shared {
    struct record record;
    struct record at[CHECKPOINTS]; /* as it was when the checkpoint of that number was taken */
    bool exists;                   /* the pool: create has returned */
    unsigned taken;                /* checkpoints that have returned */
};

static struct shared *shared;
static struct record *record;

/* ---- The child's work ---------------------------------------------------------------------------------- */

static cairn_pool *pool;

static void take(unsigned i, size_t size)
{
    image_open(record, 0);
    if (image_note(record, i, 0, cairn_pool_malloc(pool, size), size) == NULL)
        abort();
}

static void give(unsigned i)
{
    image_goes(record, i);
    cairn_pool_free(pool, record->blocks[i].at);
    image_gone(record, i);
}

static void some_work(unsigned first)
{
    static const size_t sizes[] = {16, 100, 1000, 5000, 20000};
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        take(first + i, sizes[i]);
    give(first + 1);
}

static void checkpoint(void)
{
    shared->at[shared->taken + 1] = *record;
    if (cairn_pool_checkpoint(pool) != 0)
        abort();
    order_here();
    shared->taken++;
    order_here();
}

static void open_pool(void)
{
    pool = cairn_pool_open(live_path, NULL);
    if (pool == NULL)
        _exit(8);
}

static void close_pool(void)
{
    if (cairn_pool_close(pool) != 0)
        _exit(7);
}

static void make_pool(void)
{
    pool = cairn_pool_create_at(
        live_path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config), .size = FILE_SIZE});
    if (pool == NULL)
        _exit(6);
    order_here();
    shared->exists = true;
    order_here();
}

static void create_body(void)
{
    stepper_toggle();
    make_pool();
    stepper_toggle();
}

static void open_body(void)
{
    stepper_toggle();
    open_pool();
    stepper_toggle();
}

static void close_body(void)
{
    open_pool();
    some_work(10);
    stepper_toggle();
    close_pool();
    stepper_toggle();
}

static void reset_body(void)
{
    open_pool();
    some_work(10);
    if (cairn_pool_set_root(pool, record->blocks[10].at) != 0)
        abort();
    memset(record->blocks, 0, sizeof record->blocks); /* nothing need be there from here on */
    stepper_toggle();
    cairn_pool_reset(pool);
    stepper_toggle();
}

static void first_checkpoint_body(void)
{
    open_pool();
    stepper_toggle();
    checkpoint();
    stepper_toggle();
}

/* A checkpoint in a process that has taken one, with the journal. */
static void next_checkpoint_body(void)
{
    open_pool();
    some_work(10);
    checkpoint();
    some_work(20);
    stepper_toggle();
    checkpoint();
    stepper_toggle();
}

static void close_with_checkpoint_body(void)
{
    open_pool();
    checkpoint();
    some_work(10);
    shared->at[shared->taken + 1] = *record;
    stepper_toggle();
    close_pool();
    stepper_toggle();
}

/* ---- Looking ------------------------------------------------------------------------------------------- */

static const unsigned char *mapped; /* the pool file; NULL: it is not there yet, and read */

static void name(char out[80], const char *path, int file)
{
    (void)snprintf(out, 80, "%s%s", path, endings[file]);
}

/* Makes the file's `last` what it is now; false: it was that. */
static bool take_bytes(int file, const unsigned char *bytes, size_t size)
{
    unsigned char *old = last[file].bytes;
    bool any = false;
    for (size_t at = 0; at < size; at += 4096) {
        size_t piece = size - at < 4096 ? size - at : 4096;
        if (memcmp(bytes + at, old + at, piece) != 0) {
            memcpy(old + at, bytes + at, piece);
            any = true;
        }
    }
    return any;
}

static bool file_changed(int file)
{
    struct stat status;
    char path[80];
    name(path, live_path, file);
    int fd = open(path, O_RDONLY);
    bool any = (fd >= 0) != last[file].exists;
    last[file].exists = fd >= 0;
    if (fd < 0)
        return any;
    assert_int_equal(fstat(fd, &status), 0);
    size_t size = (size_t)status.st_size, used = file == POOL && size > USED_BYTES ? USED_BYTES : size;
    assert_true(size <= IMAGE_MAX);
    assert_int_equal(pread(fd, now, used, 0), (ssize_t)used);
    close(fd);
    any = any || size != last[file].size;
    last[file].size = size;
    return take_bytes(file, now, used) || any;
}

/* Nothing of it changes behind the pages that are used here. */
static bool pool_changed(void)
{
    if (mapped == NULL)
        return file_changed(POOL);
    return take_bytes(POOL, mapped, USED_BYTES);
}

static bool others_changed(void)
{
    bool any = false;
    for (int file = CONTROL; file < FILES; file++)
        any = file_changed(file) || any;
    return any;
}

static void first_look(void)
{
    (void)pool_changed();
    (void)others_changed();
}

static const char *(*check_next)(void), *(*check_power_cut)(void);

/* Where this file says that it is the one that was open, its copy says so, too. */
static void write_copies(void)
{
    struct stat status;
    char path[80];
    for (int file = POOL; file < FILES; file++) {
        name(path, copy_path, file);
        (void)unlink(path);
        if (!last[file].exists)
            continue;
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, last[file].bytes, last[file].size, 0), (ssize_t)last[file].size);
        close(fd);
    }
    uint64_t inode;
    memcpy(&inode, last[POOL].bytes + FORMAT_STATE + 8 * WORD_INODE, sizeof inode);
    if (stat(live_path, &status) == 0 &&
        inode == format_seal((uint64_t)status.st_ino & SEAL_MASK, WORD_INODE))
        image_adopt(copy_path);
}

static void write_foreign_copies(void)
{
    write_copies();
    uint64_t inode = format_seal(1, WORD_INODE);
    int fd = open(copy_path, O_RDWR);
    assert_true(fd >= 0 && pwrite(fd, &inode, 8, FORMAT_STATE + 8 * WORD_INODE) == 8);
    close(fd);
}

static void look(void)
{
    images++;
    write_copies();
    const char *fault = check_next();
    if (fault != NULL)
        fail_msg("behind step %lu: %s", steps, fault);
    if (check_power_cut == NULL)
        return;
    write_foreign_copies();
    fault = check_power_cut();
    if (fault != NULL)
        fail_msg("behind step %lu, and then a power cut: %s", steps, fault);
}

static void look_if_changed(void)
{
    bool any = pool_changed();
    if (is_long || stepper_by_calls || steps % OFTEN == 0)
        any = others_changed() || any;
    if (any)
        look();
}

/* ---- What must be found -------------------------------------------------------------------------------- */

static const char *is_as_recorded(void)
{
    return image_check(copy_path, record);
}

/* While it is made it is no pool, or an empty one. */
static const char *is_no_pool_or_empty(void)
{
    if (shared->exists)
        return is_as_recorded();
    cairn_pool *made = cairn_pool_open(copy_path, NULL);
    if (made == NULL)
        return errno == EINVAL || errno == ENOENT ? NULL : cairn_errormsg();
    return cairn_pool_close(made) == 0 ? is_as_recorded() : cairn_errormsg();
}

/* Some blocks are there and some are not; the root is the first thing to go. */
static const char *is_partly_reset(void)
{
    cairn_pool *left = cairn_pool_open(copy_path, NULL);
    if (left == NULL)
        return cairn_errormsg();
    const void *root = cairn_pool_root(left);
    const char *fault = cairn_pool_check(left) == 0 ? NULL : cairn_errormsg();
    if (fault == NULL && root != NULL && cairn_pool_usable_size(left, root) != 16)
        fault = "the root is no block";
    (void)cairn_pool_close(left);
    return fault;
}

/* The state at the last checkpoint that has returned, or at the one that is being taken; closed, the state at the end. */
static const char *is_at_a_checkpoint(void)
{
    cairn_recovery found = {.struct_size = sizeof found};
    size_t leaks;
    cairn_pool *left = cairn_pool_open(copy_path, NULL);
    if (left == NULL)
        return shared->taken == 0 && errno == EUCLEAN ? NULL : cairn_errormsg();
    const char *fault = cairn_pool_recovery(left, &found) == 0 ? NULL : cairn_errormsg();
    bool closed = found.found == CAIRN_WAS_CLOSED;
    if (fault == NULL && !closed && found.generation != shared->taken &&
        found.generation != shared->taken + 1)
        fault = "it goes back to another checkpoint";
    if (fault == NULL)
        fault = image_check_blocks(left, closed ? record : &shared->at[found.generation], &leaks);
    if (cairn_pool_close(left) != 0 && fault == NULL)
        fault = cairn_errormsg();
    return fault;
}

/* ---- The tests --------------------------------------------------------------------------------------- */

static void remove_files(const char *path)
{
    char each[80];
    for (int file = POOL; file < FILES; file++) {
        name(each, path, file);
        (void)unlink(each);
    }
}

/* A pool with something in it, closed. */
static void new_pool(void)
{
    remove_files(live_path);
    memset(shared, 0, sizeof *shared);
    make_pool();
    some_work(0);
    close_pool();
}

static void run(void (*body)(void), const char *(*next)(void), const char *(*power_cut)(void))
{
    unsigned long steps_before = steps, images_before = images;
    for (int file = POOL; file < FILES; file++)
        last[file].exists = false;
    if (shared->exists) {
        int fd = open(live_path, O_RDONLY);
        mapped = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(fd >= 0 && mapped != MAP_FAILED);
        (void)file_changed(POOL);
        close(fd);
    }
    check_next = next;
    check_power_cut = power_cut;
    stepper_run(stepper_begin(body), first_look, look_if_changed);
    stepper_by_calls = false;
    if (mapped != NULL)
        munmap((void *)(uintptr_t)mapped, FILE_SIZE);
    mapped = NULL;
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu steps, %lu images\n", steps - steps_before, images - images_before);
    assert_true(images - images_before > 1);
}

static void kill_in_create(void **state)
{
    (void)state;
    remove_files(live_path);
    memset(shared, 0, sizeof *shared);
    run(create_body, is_no_pool_or_empty, NULL);
}

static void kill_in_open(void **state)
{
    (void)state;
    new_pool();
    run(open_body, is_as_recorded, NULL);
}

static void kill_in_close(void **state)
{
    (void)state;
    new_pool();
    run(close_body, is_as_recorded, NULL);
}

static void kill_in_reset(void **state)
{
    (void)state;
    new_pool();
    run(reset_body, is_partly_reset, NULL);
}

static void kill_in_the_first_checkpoint(void **state)
{
    (void)state;
    new_pool();
    stepper_by_calls = !is_long;
    run(first_checkpoint_body, is_as_recorded, is_at_a_checkpoint);
}

static void kill_in_a_checkpoint(void **state)
{
    (void)state;
    new_pool();
    run(next_checkpoint_body, is_as_recorded, is_at_a_checkpoint);
}

static void kill_in_close_with_checkpoint(void **state)
{
    (void)state;
    new_pool();
    run(close_with_checkpoint_body, is_as_recorded, is_at_a_checkpoint);
}

/* What a process has left that took two checkpoints and worked on, and then a power cut. */
static void kill_in_going_back(void **state)
{
    (void)state;
    new_pool();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_pool();
        checkpoint();
        some_work(10);
        checkpoint();
        some_work(20);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    *record = shared->at[2];
    uint64_t inode = format_seal(1, WORD_INODE);
    int fd = open(live_path, O_RDWR);
    assert_true(fd >= 0 && pwrite(fd, &inode, 8, FORMAT_STATE + 8 * WORD_INODE) == 8);
    close(fd);
    stepper_by_calls = !is_long;
    run(open_body, is_as_recorded, is_at_a_checkpoint);
}

static int set_up(void **state)
{
    (void)state;
    image_one_processor();
    is_long = getenv("CAIRN_TEST_LONG") != NULL;
    (void)snprintf(live_path, sizeof live_path, "/dev/shm/cairn-life-%d", (int)getpid());
    (void)snprintf(copy_path, sizeof copy_path, "/dev/shm/cairn-life-%d-copy", (int)getpid());
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    now = malloc(IMAGE_MAX);
    for (int file = POOL; file < FILES; file++)
        last[file].bytes = calloc(1, IMAGE_MAX);
    record = &shared->record;
    return shared == MAP_FAILED || now == NULL || last[COPY1].bytes == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    remove_files(live_path);
    remove_files(copy_path);
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu steps, %lu images\n", steps, images);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_in_create),
        cmocka_unit_test(kill_in_open),
        cmocka_unit_test(kill_in_close),
        cmocka_unit_test(kill_in_reset),
        cmocka_unit_test(kill_in_the_first_checkpoint),
        cmocka_unit_test(kill_in_a_checkpoint),
        cmocka_unit_test(kill_in_close_with_checkpoint),
        cmocka_unit_test(kill_in_going_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
