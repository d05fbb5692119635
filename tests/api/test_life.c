// timeout: 60
// sanitize: no
/* test_life.c - allocation at every moment of a process: before the library's constructor, in
 * constructors, in threads that are older than main, in code loaded late, in thread-specific destructors,
 * at exit, in between signals; and exits that come at a bad time. */
#include "api.h"
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>

/* ---- From before the first constructor to after the last destructor ------------------------------ */

enum { EARLY = 40 };
static void *early[EARLY];       /* from the preinit array: no constructor of any library has run yet */
static void *constructed[EARLY]; /* from our own constructor */
static pthread_t early_thread;
static _Atomic int early_thread_state; /* 1: has allocated, 2: may go on, 3: done */
static pthread_key_t early_key;        /* made before the library can make one */
static _Atomic long key_destructions;
static int in_life_task;

static size_t early_size(size_t i)
{
    return i * i * 100 + 1; /* up to 150 KB */
}

static void key_destructor(void *value)
{
    /* comes round a few times, so that it also runs after any destructor of the library itself */
    size_t round = (size_t)(uintptr_t)value;
    void *blocks[20];
    for (size_t i = 0; i < 20; i++) {
        blocks[i] = malloc(i * 100 + round);
        CHECK(blocks[i] != NULL);
        check_fill(blocks[i], i * 100 + round, i);
    }
    for (size_t i = 0; i < 20; i++) {
        CHECK_FILLED(blocks[i], i * 100 + round, i);
        free(blocks[i]);
    }
    key_destructions++;
    if (round < 4)
        pthread_setspecific(early_key, (void *)(uintptr_t)(round + 1));
}

static void *early_thread_body(void *argument)
{
    (void)argument;
    void *mine[EARLY];
    for (size_t i = 0; i < EARLY; i++) {
        mine[i] = malloc(early_size(i));
        CHECK(mine[i] != NULL);
        check_fill(mine[i], early_size(i), i + 7);
    }
    early_thread_state = 1;
    while (early_thread_state != 2)
        check_sleep(0.001);
    for (size_t i = 0; i < EARLY; i++) {
        CHECK_FILLED(mine[i], early_size(i), i + 7);
        free(mine[i]);
        free(early[i]); /* blocks older than every constructor, freed by a thread as old */
        early[i] = NULL;
    }
    early_thread_state = 3;
    return NULL;
}

static void at_exit_first_registered(void) /* so it runs last */
{
    void *p = calloc(3, 1000);
    CHECK(p != NULL && check_nonzero(p, 3000) == 3000);
    free(p);
    dprintf(1, "last exit handler\n");
}

/* "Works from the first instruction of the dynamic loader's own calls: before main" */
static void preinit(int argc, char **argv, char **envp)
{
    (void)argv;
    (void)envp;
    if (argc < 2)
        return; /* only tasks live such a life */
    in_life_task = 1;
    for (size_t i = 0; i < EARLY; i++) {
        early[i] = i % 2 == 0 ? malloc(early_size(i)) : calloc(1, early_size(i));
        if (early[i] == NULL)
            abort();
        check_fill(early[i], early_size(i), i);
    }
    early[3] = realloc(early[3], early_size(3)); /* a realloc before anything is set up */
    if (pthread_key_create(&early_key, key_destructor) != 0 || atexit(at_exit_first_registered) != 0)
        abort();
    if (pthread_create(&early_thread, NULL, early_thread_body, NULL) != 0)
        abort();
    while (early_thread_state != 1)
        check_sleep(0.001);
}
__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(int, char **,
                                                                              char **) = preinit;

__attribute__((constructor(101))) static void construct(void)
{
    for (size_t i = 0; in_life_task && i < EARLY; i++) {
        constructed[i] = aligned_alloc(64, early_size(i));
        CHECK(constructed[i] != NULL);
        check_fill(constructed[i], early_size(i), i * 3);
    }
}

/* "after exit handlers": destructors of the program run after them, and still allocate and free */
__attribute__((destructor(101))) static void destruct(void)
{
    for (size_t i = 0; in_life_task && i < EARLY; i++) {
        CHECK_FILLED(constructed[i], early_size(i), i * 3);
        free(constructed[i]);
        constructed[i] = malloc(early_size(i));
        CHECK(constructed[i] != NULL);
        memset(constructed[i], 1, early_size(i));
    }
    if (in_life_task)
        dprintf(1, "destructor\n");
}

/* "before main, in constructors, after exit handlers, in threads created before the library's constructor" */
static void task_whole_life(void)
{
    for (size_t i = 0; i < EARLY; i++)
        CHECK_FILLED(early[i], early_size(i), i);
    early_thread_state = 2;
    CHECK(pthread_join(early_thread, NULL) == 0 && early_thread_state == 3);
    stats_checked();
}

static void whole_life(void **state)
{
    (void)state;
    static check_run run;
    static const char *const confs[] = {"CAIRN_CONF=", "CAIRN_CONF=source:brk", "CAIRN_CONF=stats:exit"};
    for (size_t i = 0; i < sizeof confs / sizeof *confs; i++) {
        const char *const env[] = {confs[i], NULL};
        memset(&run, 0, sizeof run);
        run.env = env;
        check_task_run(&run, "whole_life");
        check_run_must(&run, confs[i]);
        CHECKF(strcmp(run.out, "last exit handler\ndestructor\n") == 0, "%s", run.out);
    }
}

/* ---- Threads that end ---------------------------------------------------------------------------- */

static void *thread_with_key(void *argument)
{
    free(malloc(100));
    CHECK(pthread_setspecific(early_key, (void *)(uintptr_t)1) == 0);
    return argument;
}

/* "TLS destructors": they allocate in every round, also when the thread's cache has been given back already;
 * nothing of it stays behind. */
static void task_allocating_in_key_destructors(void)
{
    early_thread_state = 2;
    pthread_join(early_thread, NULL);
    cairn_stats before = stats_checked();
    enum { THREADS = 2000 };
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, thread_with_key, NULL) == 0 && pthread_join(thread, NULL) == 0);
        if (i == THREADS / 2)
            before = stats_checked(); /* the library's own tables have found their size */
    }
    CHECK_EQ(key_destructions, 4 * THREADS);
    cairn_stats after = stats_checked();
    CHECKF(after.threads <= before.threads, "%llu thread caches, %llu before",
           (unsigned long long)after.threads, (unsigned long long)before.threads);
    CHECKF(after.live_blocks <= before.live_blocks + 2, "%llu blocks more",
           (unsigned long long)(after.live_blocks - before.live_blocks));
    CHECKF(after.committed <= before.committed + MIB, "committed grew from %llu to %llu",
           (unsigned long long)before.committed, (unsigned long long)after.committed);
}

static void allocating_in_key_destructors(void **state)
{
    (void)state;
    check_task_ok("allocating_in_key_destructors", NULL);
}

/* ---- Code loaded late ---------------------------------------------------------------------------- */

/* The C++ runtime serves as the late library: its constructor allocates, and it has thread-local storage that
 * the loader allocates at first use in each thread. */
static void *use_late_library(void *handle)
{
    void *(*globals)(void) = (void *(*)(void))(uintptr_t)dlsym(handle, "__cxa_get_globals");
    void *(*allocate)(size_t) = (void *(*)(size_t))(uintptr_t)dlsym(handle, "__cxa_allocate_exception");
    void (*release)(void *) = (void (*)(void *))(uintptr_t)dlsym(handle, "__cxa_free_exception");
    CHECK(globals != NULL && allocate != NULL && release != NULL);
    CHECK(globals() != NULL);
    for (size_t i = 1; i < 50; i++) {
        void *p = allocate(i * 100);
        CHECK(p != NULL);
        check_fill(p, i * 100, i);
        CHECK_FILLED(p, i * 100, i);
        release(p);
    }
    return NULL;
}

/* "inside dlopen'ed code", "in TLS set-up" */
static void task_code_loaded_late(void)
{
    early_thread_state = 2;
    pthread_join(early_thread, NULL);
    uint64_t before = stats_checked().allocations;
    void *handle = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
    CHECKF(handle != NULL, "%s", dlerror());
    CHECKF(stats_checked().allocations > before, "%s", "the late library allocates elsewhere");
    use_late_library(handle);
    for (int i = 0; i < 50; i++) {
        pthread_t threads[4];
        for (int t = 0; t < 4; t++)
            CHECK(pthread_create(&threads[t], NULL, use_late_library, handle) == 0);
        for (int t = 0; t < 4; t++)
            CHECK(pthread_join(threads[t], NULL) == 0);
    }
    CHECK(dlclose(handle) == 0);
    for (int i = 0; i < 20; i++) {
        handle = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
        CHECK(handle != NULL && dlclose(handle) == 0);
    }
    stats_checked();
}

static void code_loaded_late(void **state)
{
    (void)state;
    check_task_ok("code_loaded_late", NULL);
}

/* ---- Signals ------------------------------------------------------------------------------------- */

static _Atomic long ticks;

static void count_tick(int signal)
{
    (void)signal;
    ticks++;
}

static void leave_at_once(int signal)
{
    (void)signal;
    _exit(0);
}

static void churn(double seconds)
{
    uint64_t seed = check_seed();
    enum { COUNT = 300 };
    static void *blocks[COUNT];
    static size_t sizes[COUNT];
    for (double end = check_now() + seconds; check_now() < end;)
        for (int step = 0; step < 500; step++) {
            size_t i = check_below(&seed, COUNT);
            if (blocks[i] != NULL)
                CHECK_FILLED(blocks[i], sizes[i], i);
            free(blocks[i]);
            sizes[i] = check_random_size(&seed, 100000);
            blocks[i] = malloc(sizes[i]);
            CHECK(blocks[i] != NULL);
            check_fill(blocks[i], sizes[i], i);
        }
}

static void every_100_us(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval interval = {{0, 100}, {0, 100}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &interval, NULL) == 0);
}

/* "Async signal arriving inside malloc: same promises as any libc" */
static void task_signals_in_between(void)
{
    every_100_us(count_tick);
    churn(0.7);
    every_100_us(SIG_IGN);
    CHECKF(ticks > 500, "only %ld signals", (long)ticks);
    stats_checked();
}

static void signals_in_between(void **state)
{
    (void)state;
    check_task_ok("signals_in_between", NULL);
}

/* _exit from a handler that may have interrupted malloc neither hangs nor crashes. */
static void task_exit_from_a_handler(void)
{
    struct sigaction action = {.sa_handler = leave_at_once};
    struct itimerval once = {{0, 0}, {0, 1000 + (getpid() % 64) * 100}};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &once, NULL) == 0);
    churn(20);
    CHECKF(0, "%s", "no signal came");
}

static void exit_from_a_handler(void **state)
{
    (void)state;
    for (int i = 0; i < 40; i++)
        check_task_conf("exit_from_a_handler", "stats:exit");
}

/* ---- Exit while others work ---------------------------------------------------------------------- */

static void *churn_for_ever(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    void *blocks[100] = {NULL};
    for (;;) {
        size_t i = check_below(&seed, 100);
        free(blocks[i]);
        blocks[i] = malloc(check_random_size(&seed, 200000));
        CHECK(blocks[i] != NULL);
    }
    return NULL;
}

static void *exit_in_a_thread(void *argument)
{
    (void)argument;
    check_sleep(0.02);
    exit(0);
}

/* exit() in one thread while others allocate: handlers run, statistics are printed, no hang, no crash. */
static void task_exit_under_load(void)
{
    early_thread_state = 2;
    pthread_t thread;
    for (uintptr_t i = 1; i <= 6; i++)
        CHECK(pthread_create(&thread, NULL, churn_for_ever, (void *)i) == 0);
    CHECK(pthread_create(&thread, NULL, exit_in_a_thread, NULL) == 0);
    for (;;)
        pause();
}

static void exit_under_load(void **state)
{
    (void)state;
    static check_run run;
    const char *const env[] = {"CAIRN_CONF=stats:exit", NULL};
    for (int i = 0; i < 20; i++) {
        memset(&run, 0, sizeof run);
        run.env = env;
        run.seconds = 10;
        check_task_run(&run, "exit_under_load");
        check_run_must(&run, "exit_under_load");
        CHECKF(check_match(run.err, "committed"), "no statistics: %.300s", run.err);
        CHECK(strcmp(run.out, "last exit handler\ndestructor\n") == 0);
    }
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"whole_life", task_whole_life},
        {"allocating_in_key_destructors", task_allocating_in_key_destructors},
        {"code_loaded_late", task_code_loaded_late},
        {"signals_in_between", task_signals_in_between},
        {"exit_from_a_handler", task_exit_from_a_handler},
        {"exit_under_load", task_exit_under_load},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_life),          cmocka_unit_test(allocating_in_key_destructors),
        cmocka_unit_test(code_loaded_late),    cmocka_unit_test(signals_in_between),
        cmocka_unit_test(exit_from_a_handler), cmocka_unit_test(exit_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
