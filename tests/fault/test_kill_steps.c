// timeout: 120
// sanitize: no
/* test_kill_steps.c - a process is killed behind every instruction that changed the pool file.
 *
 * A child works on a small pool, one instruction at a time (PTRACE_SINGLESTEP).  Whenever bytes of the file have changed,
 * a copy of it is opened as the next process would, recovered, compared with the child's record, used and checked.  The
 * operations are those of every kind that stores into the file.  CAIRN_KILL_REPORT prints counts. */
#include "fault/pool_image.h"
#include "fault/stepper.h"

#define FILE_SIZE ((size_t)1 << 20)
#define FILE_MAX ((size_t)3 << 19)

static char live_path[64], copy_path[64];
static struct record *record; /* shared with the child */
static unsigned char *file;   /* the file as it is, mapped here */
static unsigned char *last;   /* as it was behind the step before */
static size_t file_length;
static unsigned long images;

/* ---- The child's work -------------------------------------------------------------------------------- */

static cairn_pool *pool;

static void plain(unsigned i, size_t size)
{
    image_open(record, 0);
    image_note(record, i, 0, cairn_pool_malloc(pool, size), size);
}

static void plain_free(unsigned i)
{
    image_goes(record, i);
    cairn_pool_free(pool, record->blocks[i].at);
    image_gone(record, i);
}

static void plain_realloc(unsigned i, size_t size)
{
    image_open(record, 0);
    image_moves(record, i);
    unsigned char *moved = cairn_pool_realloc(pool, record->blocks[i].at, size);
    if (moved == NULL)
        abort();
    image_note(record, i, 0, moved, size);
}

static void begin_slots(void)
{
    void **slots = cairn_pool_calloc_to(pool, RECORD_SLOTS, sizeof *slots, NULL);
    order_here();
    record->slots = slots;
    order_here();
}

static void fill_slot(unsigned i, size_t size)
{
    if (record->slots[i] == NULL)
        abort();
    image_fill(record->slots[i], size);
    order_here();
    record->slot_size[i] = size;
    order_here();
}

static void to(unsigned i, size_t size)
{
    if (cairn_pool_malloc_to(pool, size, &record->slots[i]) == NULL)
        abort();
    fill_slot(i, size);
}

static void from(unsigned i)
{
    record->slot_size[i] = 0;
    order_here();
    if (cairn_pool_free_from(pool, &record->slots[i]) != 0)
        abort();
}

static void realloc_to(unsigned i, size_t size)
{
    record->slot_size[i] = 0;
    order_here();
    if (cairn_pool_realloc_to(pool, &record->slots[i], size) == NULL)
        abort();
    fill_slot(i, size);
}

static void work_plain(void)
{
    static const size_t sizes[] = {16, 100, 1000, 5000, 16384, 20000, 70000};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    for (unsigned i = 0; i < COUNT; i++)
        plain(i, sizes[i]);
    for (unsigned i = 0; i < COUNT; i += 2)
        plain_free(i);
    for (unsigned i = 0; i < COUNT; i += 2)
        plain(i, sizes[i] + 30);
    image_open(record, 0);
    image_note(record, 20, 0, cairn_pool_aligned_alloc(pool, 1024, 200), 200);
    image_open(record, 0);
    image_note(record, 21, 0, cairn_pool_calloc(pool, 1, 40), 40);
    for (unsigned i = 0; i < COUNT; i++)
        plain_free(i);
    plain_free(20);
    plain(30, 16);
}

/* Spans come and go: the pages of one class serve another, large blocks, and back. */
static void work_spans(void)
{
    for (unsigned i = 0; i < 9; i++)
        plain(40 + i, 4096);
    for (unsigned i = 0; i < 9; i++)
        plain_free(40 + i);
    plain(50, 60000);
    plain_free(50);
    for (unsigned i = 0; i < 5; i++)
        plain(40 + i, 8192);
    for (unsigned i = 0; i < 5; i++)
        plain_free(40 + i);
}

static void work_realloc(void)
{
    plain(60, 40);
    plain_realloc(60, 300);
    plain_realloc(60, 20000);
    plain_realloc(60, 40000);
    plain_realloc(60, 18000);
    plain_realloc(60, 500);
    plain_free(60);
}

static void work_to(void)
{
    begin_slots();
    to(0, 100);
    to(1, 16);
    to(2, 20000);
    to(3, 50000);
    realloc_to(0, 400);
    realloc_to(0, 30000);
    realloc_to(2, 60000);
    realloc_to(2, 200);
    from(1);
    from(3);
    /* the slot holds the address of a freed block, which is handed out again at once; until then the record leaves the
     * slot out */
    to(4, 100);
    record->stale = record->slots[4];
    from(4);
    record->slots[5] = (void *)(uintptr_t)record->stale;
    order_here();
    to(5, 100);
    record->stale = NULL;
    order_here();
    from(5);
    from(0);
    from(2);
}

static void work_roots(void)
{
    plain(70, 64);
    void *a = record->blocks[70].at;
    if (cairn_pool_set_named_root(pool, "first", a) != 0 ||
        cairn_pool_set_named_root(pool, "second", a) != 0 ||
        cairn_pool_set_named_root(pool, "first", NULL) != 0)
        abort();
}

static void work_grow(void)
{
    if (cairn_pool_grow(pool, FILE_MAX) != 0)
        abort();
    for (unsigned i = 0; i < 4; i++) {
        image_open(record, 0);
        image_note(record, 80 + i, 0, cairn_pool_malloc(pool, 200000), 200000);
        record->plain_open[0] = false;
    }
}

/* What `work` has left is met again: spans are adopted, carved between live blocks, emptied. */
static void work_again(void)
{
    plain(90, 16);
    plain(91, 100);
    plain_free(30);
    plain_free(21);
    plain(92, 40);
    plain(93, 100000);
    plain_free(93);
}

/* ---- Stepping ---------------------------------------------------------------------------------------- */

static void write_copy(void)
{
    int fd = open(copy_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, last, file_length, 0), (ssize_t)file_length);
    close(fd);
    image_adopt(copy_path);
}

static void check_image(void)
{
    write_copy();
    images++;
    const char *fault = image_check(copy_path, record);
    if (fault != NULL)
        fail_msg("behind step %lu: %s", steps, fault);
}

/* Whether the file is another than `last`, which then follows it.  Nothing changes behind the touched pages. */
static bool has_changed(void)
{
    bool any = false;
    uint64_t touched = ((const uint64_t *)(file + FORMAT_STATE))[WORD_TOUCHED] & SEAL_MASK;
    size_t end = ((const struct file_header *)file)->pages + touched * 4096;
    for (size_t at = 0; at < end && at < file_length; at += 4096) {
        if (memcmp(file + at, last + at, 4096) != 0) {
            memcpy(last + at, file + at, 4096);
            any = true;
        }
    }
    return any;
}

static void (*look)(void);

static void note_file(void)
{
    (void)has_changed();
}

static void look_if_changed(void)
{
    if (has_changed())
        look();
}

/* With `then` behind each instruction that changed the file. */
static void step_through(void (*work)(void), void (*then)(void))
{
    look = then;
    stepper_run(stepper_begin(work), note_file, look_if_changed);
}

static void (*parts[8])(void);

static void body(void)
{
    pool = cairn_pool_open(live_path, NULL);
    if (pool == NULL)
        _exit(8);
    stepper_toggle();
    for (unsigned i = 0; parts[i] != NULL; i++)
        parts[i]();
    stepper_toggle();
}

static void map_file(void)
{
    struct stat status;
    int fd = open(live_path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    file_length = (size_t)status.st_size & ~(size_t)4095;
    file = mmap(NULL, file_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    last = mmap(NULL, file_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(file != MAP_FAILED && last != MAP_FAILED);
    memcpy(last, file, file_length);
    close(fd);
}

static void unmap_file(void)
{
    munmap(file, file_length);
    munmap(last, file_length);
}

static void new_pool(size_t max_size)
{
    unlink(live_path);
    memset(record, 0, sizeof *record);
    cairn_pool *made = cairn_pool_create_at(
        live_path, &(cairn_file_config){
                       .struct_size = sizeof(cairn_file_config), .size = FILE_SIZE, .max_size = max_size});
    assert_non_null(made);
    assert_int_equal(cairn_pool_close(made), 0);
}

static void run_parts(void (*first)(void), void (*second)(void))
{
    unsigned long steps_before = steps, images_before = images;
    parts[0] = first;
    parts[1] = second;
    parts[2] = NULL;
    map_file();
    step_through(body, check_image);
    unmap_file();
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu instructions, %lu images\n", steps - steps_before, images - images_before);
    assert_true(images > images_before);
}

/* ---- The tests --------------------------------------------------------------------------------------- */

static void kill_in_malloc_and_free(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_plain, NULL);
}

static void kill_while_spans_come_and_go(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_spans, NULL);
}

static void kill_in_realloc(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_realloc, NULL);
}

static void kill_in_transfers(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_to, NULL);
}

static void kill_in_roots(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_roots, NULL);
}

static void kill_in_an_opened_pool(void **state)
{
    (void)state;
    new_pool(0);
    run_parts(work_plain, NULL);
    run_parts(work_again, NULL); /* the child died without closing: its successor goes on */
}

static void grow_body(void)
{
    pool = cairn_pool_open(live_path, NULL);
    if (pool == NULL)
        _exit(8);
    stepper_toggle();
    work_grow();
    stepper_toggle();
}

static void check_grown_image(void)
{
    struct stat status;
    int fd = open(live_path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    size_t length = (size_t)status.st_size;
    unsigned char *now = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(now != MAP_FAILED);
    close(fd);
    int copy = open(copy_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(pwrite(copy, now, length, 0), (ssize_t)length);
    close(copy);
    munmap(now, length);
    image_adopt(copy_path);
    images++;
    const char *fault = image_check(copy_path, record);
    if (fault != NULL)
        fail_msg("behind step %lu: %s", steps, fault);
}

static void kill_in_grow(void **state)
{
    (void)state;
    new_pool(FILE_MAX);
    map_file();
    step_through(grow_body, check_grown_image);
    unmap_file();
}

/* ---- Kills while a killed pool is being recovered ------------------------------------------------------ */

static unsigned char *kept_image;
static unsigned long wanted_image, seen_image;

static bool has_open_intent(void)
{
    for (unsigned i = 0; i < FORMAT_INTENTS; i++) {
        uint64_t call;
        memcpy(&call, last + FORMAT_INTENTS_AT + i * sizeof(struct file_intent), 8);
        if (call != 0)
            return true;
    }
    return false;
}

/* Keeps some of the images in which a call is under way, with the record of then. */
static struct record *kept_record;
static unsigned kept_count;
#define KEPT_MAX 24

static void keep_image(void)
{
    if (!has_open_intent() || kept_count == KEPT_MAX || seen_image++ % wanted_image != 0)
        return;
    memcpy(kept_image + kept_count * file_length, last, file_length);
    kept_record[kept_count++] = *record;
}

static void recover_body(void)
{
    stepper_toggle();
    cairn_pool *again = cairn_pool_open(live_path, NULL);
    stepper_toggle();
    if (again == NULL)
        _exit(8);
}

static void kill_in_recovery(void **state)
{
    (void)state;
    new_pool(0);
    map_file();
    kept_image =
        mmap(NULL, KEPT_MAX * file_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    kept_record = calloc(KEPT_MAX, sizeof *kept_record);
    wanted_image = 9;
    parts[0] = work_to;
    parts[1] = NULL;
    step_through(body, keep_image);
    assert_true(kept_count >= 5);
    unsigned most = getenv("CAIRN_TEST_LONG") != NULL ? kept_count : 2;
    for (unsigned i = 0; i < kept_count; i += (kept_count + most - 1) / most) {
        memcpy(file, kept_image + i * file_length, file_length);
        image_adopt(live_path);
        *record = kept_record[i];
        (void)has_changed();
        step_through(recover_body, check_image);
    }
    munmap(kept_image, KEPT_MAX * file_length);
    free(kept_record);
    unmap_file();
}

static int set_up(void **state)
{
    (void)state;
    image_one_processor();
    snprintf(live_path, sizeof live_path, "/dev/shm/cairn-kill-%d", (int)getpid());
    snprintf(copy_path, sizeof copy_path, "/dev/shm/cairn-kill-%d-copy", (int)getpid());
    record = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return record == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(live_path);
    unlink(copy_path);
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu instructions, %lu images\n", steps, images);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_in_malloc_and_free),
        cmocka_unit_test(kill_while_spans_come_and_go),
        cmocka_unit_test(kill_in_realloc),
        cmocka_unit_test(kill_in_transfers),
        cmocka_unit_test(kill_in_roots),
        cmocka_unit_test(kill_in_an_opened_pool),
        cmocka_unit_test(kill_in_grow),
        cmocka_unit_test(kill_in_recovery),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
