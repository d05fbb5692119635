// timeout: 240
// sanitize: no
/* test_kill_windows.c - one thread is stopped behind each instruction of a call, another goes through calls of its own each
 * time, and the process is killed.
 *
 * The orders drawn from seeds (test_kill_threads.c) seldom leave a thread between two stores for as long as another one
 * needs to get hold of the same block; here every such window is opened.  At each instruction the other thread first gives
 * back what it took at the one before, so that it has held that while the instruction was done.  When it waits for a lock
 * of the stopped one, it goes on at the next instruction.  CAIRN_KILL_REPORT prints counts. */
#include "fault/pool_image.h"
#include "unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define FILE_SIZE ((size_t)1 << 20)
#define BLOCK 10000 /* spans of four blocks */
#define LARGE 20000 /* a large block */

static char live_path[64], copy_path[64];
static unsigned char *file, *last;
static unsigned long steps, images, blocked;

struct shared {
    bool is_over;
    struct record record;
};

static struct shared *shared;
static struct record *record;

/* ---- The two threads ----------------------------------------------------------------------------------- */

static cairn_pool *pool;

/* `held` is the thread whose call is stopped. */
struct pair {
    const char *name;
    void (*other_before)(void);
    void (*held_before)(void);
    void (*held_call)(void);
    void (*other_calls)(void);
    void (*other_undoes)(void);
};

static const struct pair *pair;

enum { HELD = 0, OTHER = 1 }; /* threads of the record */
enum { MINE = 0, THEIRS = 40, TAKEN = 60, SLOT = 0, OTHERS_SLOT = 8, SPAN_BLOCKS = 4 };

static void take(unsigned thread, unsigned i, size_t size)
{
    image_open(record, thread);
    if (image_note(record, i, thread, cairn_pool_malloc(pool, size), size) == NULL)
        abort();
}

static void give(unsigned i)
{
    if (record->blocks[i].state != RECORD_LIVE)
        return;
    image_goes(record, i);
    cairn_pool_free(pool, record->blocks[i].at);
    image_gone(record, i);
}

static void fill_slot(unsigned i, size_t size)
{
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

static void nothing(void) {}

/* All of a span's blocks are the other's, one of them in the slot; nothing of the class is free but what comes back. */
static void other_fills_a_span(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS - 1; i++)
        take(OTHER, THEIRS + i, BLOCK);
    to(SLOT, BLOCK);
}

static void other_fills_a_span_plainly(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS - 1; i++)
        take(OTHER, THEIRS + i, BLOCK);
    take(OTHER, MINE, BLOCK);
}

/* More than a new span has, so that what came back is among them. */
static void other_takes_blocks(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS + 1; i++)
        take(OTHER, TAKEN + i, BLOCK);
}

static void other_takes_large(void)
{
    take(OTHER, TAKEN, LARGE);
    take(OTHER, TAKEN + 1, LARGE);
}

static void other_takes_small(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS; i++)
        take(OTHER, TAKEN + i, 4096);
}

static void other_gives(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS + 1; i++)
        give(TAKEN + i);
}

static void other_transfers(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS + 1; i++)
        to(OTHERS_SLOT + i, i == 0 ? LARGE : BLOCK);
}

static void other_transfers_back(void)
{
    for (unsigned i = 0; i < SPAN_BLOCKS + 1; i++)
        from(OTHERS_SLOT + i);
}

static void has_block(void)
{
    to(SLOT, BLOCK);
}

static void has_large(void)
{
    to(SLOT, LARGE);
}

static void has_plain(void)
{
    take(HELD, MINE, BLOCK);
}

static void has_plain_large(void)
{
    take(HELD, MINE, LARGE);
}

static void free_from_slot(void)
{
    from(SLOT);
}

static void free_plain(void)
{
    give(MINE);
}

static void move(size_t size)
{
    record->slot_size[SLOT] = 0;
    order_here();
    if (cairn_pool_realloc_to(pool, &record->slots[SLOT], size) == NULL)
        abort();
    fill_slot(SLOT, size);
}

static void move_to_large(void)
{
    move(LARGE);
}

static void move_to_smaller(void)
{
    move(200);
}

static void realloc_plain(void)
{
    image_open(record, HELD);
    image_moves(record, MINE);
    void *moved = cairn_pool_realloc(pool, record->blocks[MINE].at, 2 * LARGE);
    if (image_note(record, MINE, HELD, moved, 2 * LARGE) == NULL)
        abort();
}

static const struct pair pairs[] = {
    {"free_from, malloc", other_fills_a_span, nothing, free_from_slot, other_takes_blocks, other_gives},
    {"free_from, malloc_to", other_fills_a_span, nothing, free_from_slot, other_transfers,
     other_transfers_back},
    {"free, malloc", other_fills_a_span_plainly, nothing, free_plain, other_takes_blocks, other_gives},
    {"realloc_to, malloc", other_fills_a_span, nothing, move_to_large, other_takes_blocks, other_gives},
    {"free_from of a large block, malloc", nothing, has_large, free_from_slot, other_takes_large,
     other_gives},
    {"free_from of a large block, small ones", nothing, has_large, free_from_slot, other_takes_small,
     other_gives},
    {"free of a large block, malloc", nothing, has_plain_large, free_plain, other_takes_large, other_gives},
    {"realloc_to from a large block, malloc", nothing, has_large, move_to_smaller, other_takes_large,
     other_gives},
    {"free of a span's last block, malloc", nothing, has_plain, free_plain, other_takes_large, other_gives},
    {"free_from of a span's last block, malloc_to", nothing, has_block, free_from_slot, other_transfers,
     other_transfers_back},
    {"realloc, malloc", nothing, has_plain, realloc_plain, other_takes_blocks, other_gives},
    {"malloc, malloc", other_fills_a_span, nothing, has_plain, other_takes_blocks, other_gives},
    {"malloc_to, malloc_to", nothing, nothing, has_block, other_transfers, other_transfers_back},
    {"malloc_to of a large block, malloc", nothing, nothing, has_large, other_takes_large, other_gives},
};

static bool is_over(void)
{
    return __atomic_load_n(&shared->is_over, __ATOMIC_SEQ_CST);
}

static void *other(void *argument)
{
    pair->other_before();
    raise(SIGUSR1);
    while (!is_over()) {
        pair->other_calls();
        raise(SIGUSR2);
        pair->other_undoes();
    }
    return argument;
}

static void body(void)
{
    pthread_t thread;
    pool = cairn_pool_open(live_path, NULL);
    void **slots = pool != NULL ? cairn_pool_calloc_to(pool, RECORD_SLOTS, sizeof *slots, NULL) : NULL;
    if (slots == NULL)
        _exit(8);
    record->slots = slots;
    order_here();
    if (pthread_create(&thread, NULL, other, NULL) != 0)
        _exit(7);
    raise(SIGUSR2); /* the other one makes its spans first */
    pair->held_before();
    raise(SIGUSR1);
    pair->held_call();
    raise(SIGUSR2);
    if (pthread_join(thread, NULL) != 0)
        _exit(6);
    _exit(0);
}

/* ---- Running and stopping them ------------------------------------------------------------------------- */

static pid_t ids[2];
static unsigned long steps_before; /* of this pair's call */

static void wrong_signal(unsigned which, int signal)
{
    fail_msg("%s, behind step %lu: thread %u gets signal %d", pair->name, steps - steps_before, which,
             signal);
}

static void goes_on(unsigned which)
{
    assert_int_equal(ptrace(PTRACE_CONT, ids[which], NULL, NULL), 0);
}

/* Whether the other thread sleeps: it does so for a lock only. */
static bool other_sleeps(void)
{
    char path[64], text[256] = {0};
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)ids[HELD], (int)ids[OTHER]);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    const char *behind_name = strrchr(text, ')');
    return behind_name != NULL && behind_name[2] == 'S';
}

/* The signal that the thread is stopped by; 0: it is the other one and sleeps, which ends the wait unless `forever`. */
static int wait_for(unsigned which, bool forever)
{
    int status;
    pid_t id;
    while ((id = waitpid(ids[which], &status, __WALL | (forever ? 0 : WNOHANG))) == 0) {
        if (other_sleeps())
            return 0;
        sched_yield();
    }
    assert_true(id > 0);
    if (!WIFSTOPPED(status))
        fail_msg("%s, behind step %lu: the process is gone", pair->name, steps - steps_before);
    return WSTOPSIG(status);
}

/* Lets the thread run up to the signal that it raises next. */
static void run_to(unsigned which, int wanted)
{
    int signal;
    do {
        goes_on(which);
        signal = wait_for(which, true);
    } while (signal == SIGSTOP || signal == SIGTRAP);
    if (signal != wanted)
        wrong_signal(which, signal);
}

/* The same for the other one, while the first is stopped in its call.  False: it waits for a lock, and is stopped there. */
static bool other_runs(void)
{
    goes_on(OTHER);
    int signal = wait_for(OTHER, false);
    if (signal == 0) {
        assert_int_equal(syscall(SYS_tgkill, ids[HELD], ids[OTHER], SIGSTOP), 0);
        signal = wait_for(OTHER, true);
    }
    if (signal == SIGUSR2)
        return true;
    if (signal != SIGSTOP)
        wrong_signal(OTHER, signal);
    return false;
}

/* One instruction of the call.  False: it has ended. */
static bool held_steps(void)
{
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, ids[HELD], NULL, NULL), 0);
    steps++;
    int signal = wait_for(HELD, true);
    if (signal != SIGTRAP && signal != SIGUSR2)
        wrong_signal(HELD, signal);
    return signal == SIGTRAP;
}

/* Whether the file, or what the process noted of it, is another than it was at the last look. */
static bool has_changed(void)
{
    static struct record last_record;
    bool any = memcmp(&last_record, record, sizeof last_record) != 0;
    last_record = *record;
    uint64_t touched = ((const uint64_t *)(file + FORMAT_STATE))[WORD_TOUCHED] & SEAL_MASK;
    size_t end = ((const struct file_header *)file)->pages + touched * 4096;
    for (size_t at = 0; at < end && at < FILE_SIZE; at += 4096) {
        if (memcmp(file + at, last + at, 4096) != 0) {
            memcpy(last + at, file + at, 4096);
            any = true;
        }
    }
    return any;
}

static void check_image(void)
{
    if (!has_changed())
        return;
    int fd = open(copy_path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, last, FILE_SIZE, 0), (ssize_t)FILE_SIZE);
    close(fd);
    image_adopt(copy_path);
    images++;
    const char *fault = image_check(copy_path, record);
    if (fault != NULL)
        fail_msg("%s, killed behind step %lu: %s", pair->name, steps - steps_before, fault);
}

/* Every window of the call. */
static void step_through(void)
{
    bool goes_on_stepping;
    do {
        goes_on_stepping = held_steps();
        check_image(); /* as it is now, with what the other one has from before */
        blocked += !other_runs();
        check_image();
    } while (goes_on_stepping);
}

static void begin(void)
{
    int status;
    memset(shared, 0, sizeof *shared);
    unlink(live_path);
    cairn_pool *made = cairn_pool_create_at(
        live_path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config), .size = FILE_SIZE});
    assert_non_null(made);
    assert_int_equal(cairn_pool_close(made), 0);
    int fd = open(live_path, O_RDWR);
    assert_true(fd >= 0);
    file = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(file != MAP_FAILED);
    close(fd);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(9);
        raise(SIGSTOP);
        body();
    }
    ids[HELD] = child;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)), 0);
    goes_on(HELD);
    assert_int_equal(wait_for(HELD, true), SIGTRAP); /* it has made the other one */
    unsigned long id;
    assert_int_equal(ptrace(PTRACE_GETEVENTMSG, child, NULL, &id), 0);
    ids[OTHER] = (pid_t)id;
    assert_int_equal(wait_for(OTHER, true), SIGSTOP);
    run_to(HELD, SIGUSR2);
}

static void end(void)
{
    int status;
    __atomic_store_n(&shared->is_over, true, __ATOMIC_SEQ_CST);
    goes_on(HELD);
    goes_on(OTHER);
    while (waitpid(ids[OTHER], &status, __WALL) == ids[OTHER] && WIFSTOPPED(status))
        goes_on(OTHER); /* it was still inside its calls */
    assert_int_equal(waitpid(ids[HELD], &status, 0), ids[HELD]);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(file, FILE_SIZE);
}

static void kill_in_every_window(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        unsigned long images_before = images, blocked_before = blocked;
        pair = &pairs[i];
        begin();
        run_to(OTHER, SIGUSR1);
        run_to(HELD, SIGUSR1);
        steps_before = steps;
        step_through();
        end();
        assert_true(images > images_before);
        if (getenv("CAIRN_KILL_REPORT") != NULL)
            print_message("%s: %lu instructions, at %lu of them the other waits, %lu images\n", pair->name,
                          steps - steps_before, blocked - blocked_before, images - images_before);
    }
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu instructions, %lu images\n", steps, images);
}

static int set_up(void **state)
{
    (void)state;
    image_one_processor();
    snprintf(live_path, sizeof live_path, "/dev/shm/cairn-windows-%d", (int)getpid());
    snprintf(copy_path, sizeof copy_path, "/dev/shm/cairn-windows-%d-copy", (int)getpid());
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    last = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    record = &shared->record;
    return shared == MAP_FAILED || last == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(live_path);
    unlink(copy_path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kill_in_every_window)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
