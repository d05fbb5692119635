// timeout: 120
// sanitize: no
/* test_kill_threads.c - two threads at work on one pool file, one instruction at a time in orders drawn from a seed, and the
 * process is killed behind each one that changed the file.
 *
 * The tracer runs one of the two threads for a few instructions, then perhaps the other.  A thread that sleeps in the
 * kernel (a lock that the other one holds) is left there until it comes back.  CAIRN_TEST_LONG tries more seeds;
 * CAIRN_SEED=N only one, CAIRN_SEEDS=N the first N; CAIRN_KILL_REPORT prints counts. */
#include "fault/pool_image.h"
#include "unit/unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define FILE_SIZE ((size_t)1 << 20)
#define RUN_MAX 60 /* instructions of one thread in a row, at most */
#define PARK_WITHIN 400
#define RUN_LONG 3000 /* the same once in a while: the other one stays where it is for a whole call */

static char live_path[64], copy_path[64];
static struct record *record;
static unsigned char *file, *last;
static size_t file_length;
static unsigned long steps, images, switches;
static uint64_t random_state;

static uint64_t draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* ---- The child's work -------------------------------------------------------------------------------- */

static cairn_pool *pool;

struct shared {
    unsigned gates[8]; /* passed by both; atomic */
    struct record record;
};

static struct shared *shared;

/* Both threads have come here.  Spins: a system call would take the thread out of the tracer's hands. */
static void meet(unsigned gate)
{
    __atomic_add_fetch(&shared->gates[gate], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->gates[gate], __ATOMIC_SEQ_CST) < 2) {}
}

static void take(unsigned thread, unsigned i, size_t size)
{
    image_open(record, thread);
    image_note(record, i, thread, cairn_pool_malloc(pool, size), size);
}

static void give(unsigned i)
{
    image_goes(record, i);
    cairn_pool_free(pool, record->blocks[i].at);
    image_gone(record, i);
}

static void to(unsigned i, size_t size)
{
    if (cairn_pool_malloc_to(pool, size, &record->slots[i]) == NULL)
        abort();
    image_fill(record->slots[i], size);
    order_here();
    record->slot_size[i] = size;
    order_here();
}

static void from(unsigned i)
{
    record->slot_size[i] = 0;
    order_here();
    if (cairn_pool_free_from(pool, &record->slots[i]) != 0)
        abort();
}

/* Each frees what the other made, while the other goes on making. */
static void work(unsigned thread)
{
    unsigned mine = thread * 40, theirs = 40 - mine;
    for (unsigned i = 0; i < 6; i++)
        take(thread, mine + i, i % 2 == 0 ? 4096 : 64);
    meet(0);
    for (unsigned i = 0; i < 6; i++) {
        give(theirs + i);
        take(thread, mine + 10 + i, i % 2 == 0 ? 4096 : 64);
    }
    meet(1);
    for (unsigned i = 0; i < 3; i++) {
        to(thread * 8 + i, i == 2 ? 20000 : 64);
        from(thread * 8 + i);
        take(thread, mine + 20 + i, 64);
    }
    meet(2);
    for (unsigned i = 0; i < 6; i++)
        give(theirs + 10 + i);
    for (unsigned i = 0; i < 8; i++)
        to(thread * 8 + i, 10000); /* spans of four blocks, all of them full */
    meet(3);
    for (unsigned i = 0; i < 8; i++) { /* what the other gets next is what comes back from here */
        from((1 - thread) * 8 + i);
        take(thread, mine + 30 + i, 10000);
    }
    meet(4);
    if (cairn_pool_realloc_to(pool, &record->slots[thread * 8 + 4], 100 + 20000 * thread) == NULL)
        abort();
    from(thread * 8 + 4);
    meet(5);
}

static void *second(void *argument)
{
    work(1);
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
    raise(SIGUSR2);
    if (pthread_create(&thread, NULL, second, NULL) != 0)
        _exit(7);
    work(0);
    if (pthread_join(thread, NULL) != 0)
        _exit(6);
    _exit(0);
}

/* ---- Stepping ---------------------------------------------------------------------------------------- */

struct tracee {
    pid_t id;
    enum { ABSENT, STOPPED, RUNNING } state; /* RUNNING: it was stepped and has not come back yet */
};

static struct tracee threads[2];

static bool intents_changed;

static bool has_changed(void)
{
    bool any = false;
    intents_changed = false;
    uint64_t touched = ((const uint64_t *)(file + FORMAT_STATE))[WORD_TOUCHED] & SEAL_MASK;
    size_t end = ((const struct file_header *)file)->pages + touched * 4096;
    for (size_t at = 0; at < end && at < file_length; at += 4096) {
        if (memcmp(file + at, last + at, 4096) != 0) {
            memcpy(last + at, file + at, 4096);
            any = true;
            intents_changed =
                intents_changed || (at >= FORMAT_INTENTS_AT && at < FORMAT_INTENTS_AT + 64 * FORMAT_INTENTS);
        }
    }
    return any;
}

static void check_image(uint64_t seed)
{
    int fd = open(copy_path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, last, file_length, 0), (ssize_t)file_length);
    close(fd);
    image_adopt(copy_path);
    images++;
    const char *fault = image_check(copy_path, record);
    if (fault != NULL)
        fail_msg("seed %lu, behind step %lu: %s", (unsigned long)seed, steps, fault);
}

/* A status of one of the two.  False: the process is gone. */
static bool note(pid_t id, int status)
{
    unsigned which = id == threads[0].id ? 0 : 1;
    if (which == 1)
        threads[1].id = id;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        threads[which].state = ABSENT;
        if (which == 0)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return which != 0;
    }
    int signal = WSTOPSIG(status);
    if (signal != SIGTRAP && signal != SIGSTOP)
        fail_msg("thread %u gets signal %d behind step %lu", which, signal, steps);
    threads[which].state = STOPPED;
    return true;
}

/* Waits for news of any thread for a moment.  False: the process is gone. */
static bool wait_a_little(bool *news)
{
    for (unsigned tries = 0; tries < 400; tries++) {
        int status;
        pid_t id = waitpid(-1, &status, __WALL | WNOHANG);
        if (id > 0) {
            *news = true;
            return note(id, status);
        }
        if (id < 0)
            return false;
        if (tries <= 200)
            sched_yield();
        else
            nanosleep(&(struct timespec){0, 5000}, NULL);
    }
    *news = false;
    return true;
}

/* One instruction of a stopped thread; it may not come back from it for now. */
static bool step(unsigned which, uint64_t seed)
{
    threads[which].state = RUNNING;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, threads[which].id, NULL, NULL), 0);
    steps++;
    bool news = true;
    while (threads[which].state == RUNNING && news)
        if (!wait_a_little(&news))
            return false;
    if (has_changed())
        check_image(seed);
    return true;
}

/* One of the threads, when it has just begun or ended a call that moves a pointer is often left somewhere in
 * the rest of it, while the other one goes through calls of its own. */
static void run_threads(uint64_t seed)
{
    unsigned which = 0, left = 1;
    unsigned parked = (unsigned)(seed % 2);
    bool news, parks = false;
    for (;;) {
        if (left == 0 || threads[which].state != STOPPED) {
            unsigned next =
                threads[!which].state == STOPPED && (left == 0 || threads[which].state != STOPPED);
            switches += next;
            which = next ? !which : which;
            left = 1 + (unsigned)(draw() % (parks || draw() % 8 == 0 ? RUN_LONG : RUN_MAX));
            parks = false;
        }
        if (threads[which].state == STOPPED) {
            left--;
            if (!step(which, seed))
                return;
            if (intents_changed && which == parked && draw() % 4 != 0) {
                left = 1 + (unsigned)(draw() % PARK_WITHIN);
                parks = true;
            }
        } else if (!wait_a_little(&news)) {
            return;
        }
    }
}

static void run(uint64_t seed)
{
    int status;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    memset(shared, 0, sizeof *shared);
    unlink(live_path);
    cairn_pool *made = cairn_pool_create_at(
        live_path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config), .size = FILE_SIZE});
    assert_non_null(made);
    assert_int_equal(cairn_pool_close(made), 0);
    int fd = open(live_path, O_RDWR);
    assert_true(fd >= 0);
    file = mmap(NULL, file_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(file != MAP_FAILED);
    close(fd);
    memcpy(last, file, file_length);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(9);
        raise(SIGSTOP);
        body();
    }
    threads[0] = (struct tracee){child, STOPPED};
    threads[1] = (struct tracee){0, ABSENT};
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(
        ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)), 0);
    assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR2);
    (void)has_changed();
    run_threads(seed);
    munmap(file, file_length);
}

static void kill_two_threads(void **state)
{
    (void)state;
    const char *only = getenv("CAIRN_SEED");
    unsigned long from = only != NULL ? strtoul(only, NULL, 0) : 1;
    const char *seeds = getenv("CAIRN_SEEDS");
    unsigned long count = only != NULL ? 1 : seeds != NULL ? strtoul(seeds, NULL, 0) : 3;
    if (getenv("CAIRN_TEST_LONG") != NULL)
        count = 60;
    for (unsigned long seed = from; seed < from + count; seed++)
        run(seed);
    if (getenv("CAIRN_KILL_REPORT") != NULL)
        print_message("%lu instructions, %lu switches, %lu images\n", steps, switches, images);
    assert_true(switches > 100 && images > 100);
}

static int set_up(void **state)
{
    (void)state;
    image_one_processor();
    snprintf(live_path, sizeof live_path, "/dev/shm/cairn-threads-%d", (int)getpid());
    snprintf(copy_path, sizeof copy_path, "/dev/shm/cairn-threads-%d-copy", (int)getpid());
    file_length = FILE_SIZE & ~(size_t)4095;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    last = mmap(NULL, file_length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(kill_two_threads)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
