// timeout: 120
// sanitize: no
/* test_fork.c - fork from programs with threads, vfork, posix_spawn, system: the child works at once, and the
 * parent never notices.  A child that hangs is killed by its alarm and fails the test.
 * With CAIRN_TEST_LONG=1: 100,000 forks under load. */
#include "api.h"
#include <spawn.h>
#include <stdatomic.h>

static _Atomic int stop;

/* Blocks that the busy threads share: whoever gets hold of one checks and replaces it. */
enum { SLOTS = 256 };
struct note {
    size_t size;
    uint64_t key;
};
static _Atomic(struct note *) slots[SLOTS];

static void put_note(uint64_t *seed, size_t slot)
{
    size_t size = sizeof(struct note) + check_random_size(seed, check_below(seed, 50) == 0 ? 100000 : 2000);
    struct note *note = malloc(size), *old;
    CHECK(note != NULL);
    note->size = size;
    note->key = check_random(seed);
    check_fill(note + 1, size - sizeof *note, note->key);
    old = atomic_exchange(&slots[slot], note);
    if (old != NULL) {
        CHECK_FILLED(old + 1, old->size - sizeof *old, old->key);
        free(old);
    }
}

static void *busy(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15); /* load, but forks come first */
    while (!stop)
        put_note(&seed, check_below(&seed, SLOTS));
    return NULL;
}

static void *thread_in_child(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 200; i++)
        put_note(&seed, check_below(&seed, SLOTS));
    return NULL;
}

/* What a child does: allocate of every kind at once, and free what threads of the parent allocated. */
static void child_works(uint64_t seed)
{
    alarm(20); /* a lock left held would show as a hang */
    void *blocks[60];
    for (size_t i = 0; i < 60; i++) {
        size_t size = i < 55 ? check_random_size(&seed, 4000) : check_random_size(&seed, 500000);
        blocks[i] = i % 3 == 0 ? calloc(1, size) : i % 3 == 1 ? malloc(size) : aligned_alloc(128, size);
        CHECK(blocks[i] != NULL);
        check_touch(blocks[i], size);
    }
    for (size_t i = 0; i < 60; i++)
        free(blocks[i]);
    for (int i = 0; i < 10; i++)
        put_note(&seed, check_below(&seed, SLOTS));
}

static void expect_end(pid_t pid, const char *what)
{
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: a child ended with status %d%s", what, status,
           WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
}

static void start(pthread_t *threads, int count)
{
    stop = 0;
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, busy, (void *)(uintptr_t)(check_seed() + (unsigned)i)) == 0);
}

static void finish(pthread_t *threads, int count)
{
    stop = 1;
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

/* "fork from a threaded program: the child can allocate at once, and no lock is left held": 10,000 times
 * while four threads allocate, free and hand over; three children live at a time. */
static void task_fork_under_load(void)
{
    pthread_t threads[4];
    int forks = check_long() ? 100000 : 10000;
    uint64_t seed = check_seed();
    pid_t children[3] = {0};
    start(threads, 4);
    for (int i = 0; i < forks; i++) {
        if (children[i % 3] != 0)
            expect_end(children[i % 3], "fork under load");
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            child_works(seed + (unsigned)i);
            _exit(0);
        }
        children[i % 3] = pid;
        if (i % 16 == 0)
            put_note(&seed, check_below(&seed, SLOTS));
    }
    for (int i = 0; i < 3; i++)
        expect_end(children[i], "fork under load");
    finish(threads, 4);
    stats_checked();
}

static void fork_under_load(void **state)
{
    (void)state;
    static check_run run;
    run.seconds = check_long() ? 900 : 100;
    check_task_run(&run, "fork_under_load");
    check_run_must(&run, "fork_under_load");
}

/* The child is a full process: it starts threads, forks again, exits through exit handlers; and its
 * numbers add up as the parent's do. */
static void task_children_live_on(void)
{
    pthread_t threads[4];
    uint64_t seed = check_seed();
    for (size_t i = 0; i < SLOTS; i++)
        put_note(&seed, i);
    start(threads, 4);
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            pthread_t more[3];
            alarm(20);
            for (int t = 0; t < 3; t++)
                CHECK(pthread_create(&more[t], NULL, thread_in_child, (void *)(uintptr_t)(t + i * 3 + 1)) ==
                      0);
            for (int t = 0; t < 3; t++)
                CHECK(pthread_join(more[t], NULL) == 0);
            pid_t grandchild = fork();
            CHECK(grandchild >= 0);
            child_works(seed + (unsigned)i);
            if (grandchild == 0)
                exit(0);
            expect_end(grandchild, "fork in a child");
            exit(0);
        }
        expect_end(pid, "a child that lives on");
    }
    finish(threads, 4);
    stats_checked();
}

static void children_live_on(void **state)
{
    (void)state;
    check_task_ok("children_live_on", NULL);
    check_task_conf("children_live_on", "source:brk");
}

/* At rest the child's figures are the parent's: it holds the same blocks. */
static void task_figures_in_the_child(void)
{
    uint64_t seed = check_seed();
    pthread_t threads[3];
    start(threads, 3);
    check_sleep(0.1);
    finish(threads, 3);
    for (int i = 0; i < 20; i++) {
        for (size_t k = 0; k < SLOTS; k++)
            put_note(&seed, k);
        cairn_stats parent = stats_checked();
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(20);
            cairn_stats child = stats_checked();
            CHECK_EQ(child.live, parent.live);
            CHECK_EQ(child.live_blocks, parent.live_blocks);
            for (size_t k = 0; k < SLOTS; k++)
                free(slots[k]);
            CHECK_EQ(stats_checked().live_blocks, parent.live_blocks - SLOTS);
            _exit(0);
        }
        expect_end(pid, "figures");
    }
}

static void figures_in_the_child(void **state)
{
    (void)state;
    check_task_ok("figures_in_the_child", NULL);
}

/* Memory of the parent's other threads, gone in the child, is used again there: the child of a program with
 * 100 MB in blocks of other threads frees them and allocates as much without growing by as much. */
static void *allocate_100_mb(void *argument)
{
    void **blocks = argument;
    for (size_t i = 0; i < 100000; i++) {
        blocks[i] = malloc(1000);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, 1000);
    }
    while (!stop)
        check_sleep(0.002);
    return NULL;
}

static void task_child_uses_memory_of_lost_threads(void)
{
    void **blocks = check_table(100000 * sizeof *blocks);
    pthread_t thread;
    stop = 0;
    CHECK(pthread_create(&thread, NULL, allocate_100_mb, blocks) == 0);
    while (__atomic_load_n(&blocks[99999], __ATOMIC_ACQUIRE) == NULL)
        check_sleep(0.002);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(20);
        uint64_t before = stats_checked().committed;
        for (size_t i = 0; i < 100000; i++)
            free(blocks[i]);
        for (size_t i = 0; i < 100000; i++) {
            blocks[i] = malloc(1000);
            CHECK(blocks[i] != NULL);
        }
        uint64_t after = stats_checked().committed;
        CHECKF(after < before + 20 * MIB, "committed grew from %llu to %llu", (unsigned long long)before,
               (unsigned long long)after);
        _exit(0);
    }
    expect_end(pid, "memory of lost threads");
    stop = 1;
    CHECK(pthread_join(thread, NULL) == 0);
}

static void child_uses_memory_of_lost_threads(void **state)
{
    (void)state;
    check_task_ok("child_uses_memory_of_lost_threads", NULL);
}

/* "vfork and posix_spawn do no harm" */
static void task_spawn_under_load(void)
{
    pthread_t threads[4];
    char *const argv[] = {(char *)(uintptr_t) "true", NULL};
    start(threads, 4);
    for (int i = 0; i < 150; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            execvp("true", argv);
            _exit(127);
        }
        CHECK(pid > 0);
        expect_end(pid, "vfork");
        CHECK(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
        expect_end(pid, "posix_spawn");
        if (i % 10 == 0) {
            CHECK(system("exit 0") == 0);
            FILE *pipe = popen("echo text", "r");
            char line[20];
            CHECK(pipe != NULL && fgets(line, sizeof line, pipe) != NULL && strcmp(line, "text\n") == 0);
            CHECK(pclose(pipe) == 0);
        }
    }
    finish(threads, 4);
    stats_checked();
}

static void spawn_under_load(void **state)
{
    (void)state;
    check_task_ok("spawn_under_load", NULL);
}

static _Atomic int handler_runs;

static void allocate_in_handler(void)
{
    void *p = malloc(5000);
    CHECK(p != NULL);
    memset(p, 1, 5000);
    free(p);
    handler_runs++;
}

/* Handlers of pthread_atfork that allocate work, whenever they were registered. */
static void task_handlers_allocate(void)
{
    pthread_t threads[2];
    CHECK(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    start(threads, 2);
    for (int i = 0; i < 200; i++) {
        alarm(20);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            child_works((uint64_t)i + 1);
            CHECK_EQ(handler_runs, 2 * i + 2);
            _exit(0);
        }
        expect_end(pid, "allocating in fork handlers");
    }
    alarm(0);
    CHECK_EQ(handler_runs, 400);
    finish(threads, 2);
}

static void handlers_allocate(void **state)
{
    (void)state;
    check_task_ok("handlers_allocate", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"fork_under_load", task_fork_under_load},
        {"children_live_on", task_children_live_on},
        {"figures_in_the_child", task_figures_in_the_child},
        {"child_uses_memory_of_lost_threads", task_child_uses_memory_of_lost_threads},
        {"spawn_under_load", task_spawn_under_load},
        {"handlers_allocate", task_handlers_allocate},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fork_under_load),      cmocka_unit_test(children_live_on),
        cmocka_unit_test(figures_in_the_child), cmocka_unit_test(child_uses_memory_of_lost_threads),
        cmocka_unit_test(spawn_under_load),     cmocka_unit_test(handlers_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
