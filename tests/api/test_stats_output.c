// timeout: 60
// sanitize: no
/* test_stats_output.c - statistics that a process writes by itself: at exit, on a signal, to a file. */
#include "api.h"
#include <stdatomic.h>

static check_run run;

static void run_with(const char *task, const char *conf)
{
    static char setting[4096];
    snprintf(setting, sizeof setting, "CAIRN_CONF=%s", conf);
    const char *const env[] = {setting, NULL};
    memset(&run, 0, sizeof run);
    run.env = env;
    check_task_run(&run, task);
}

static size_t times(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void must_be_json(const char *text)
{
    static check_run python;
    const char *const argv[] = {"python3", "-m", "json.tool", NULL};
    memset(&python, 0, sizeof python);
    python.input = text;
    check_exec(&python, argv);
    check_run_must(&python, "python3 -m json.tool");
}

static void task_some_work(void)
{
    void *p = malloc(3 * MIB);
    CHECK(p != NULL);
    for (int i = 0; i < 100; i++)
        CHECK(malloc(1000) != NULL); /* left to be seen */
    dprintf(1, "pid %d\n", (int)getpid());
}

/* "stats at exit with CAIRN_CONF=stats:exit": once, whole, on standard error, and not without it */
static void statistics_at_exit(void **state)
{
    (void)state;
    run_with("some_work", "");
    check_run_must(&run, "without");
    CHECK(run.err[0] == '\0');
    run_with("some_work", "stats:exit");
    check_run_must(&run, "text");
    CHECK(times(run.err, "\n") >= 8 && check_match(run.err, "^ *committed +[0-9]+"));
    CHECK(times(run.err, "live_large") == 1);
    run_with("some_work", "stats:exit,stats_format:json");
    check_run_must(&run, "json");
    CHECK(times(run.err, "\"committed\"") == 1);
    must_be_json(run.err);
    run_with("some_work", "stats:exit,stats_format:text");
    CHECK(check_match(run.err, "^ *committed +[0-9]+"));
}

/* "stats_file:PATH (%p = pid)" */
static void statistics_to_a_file(void **state)
{
    (void)state;
    char conf[200], name[100];
    static char text[60000];
    snprintf(conf, sizeof conf, "stats:exit,stats_format:json,stats_file:stats-%d-%%p.json", (int)getpid());
    run_with("some_work", conf);
    check_run_must(&run, conf);
    CHECKF(run.err[0] == '\0', "%.200s", run.err);
    int pid = 0;
    CHECK(sscanf(run.out, "pid %d", &pid) == 1);
    snprintf(name, sizeof name, "stats-%d-%d.json", (int)getpid(), pid);
    check_read_file(name, text, sizeof text);
    unlink(name);
    must_be_json(text);
    CHECK(times(text, "\"committed\"") == 1);
    /* a file that cannot be written is named; the process ends as it would have */
    run_with("some_work", "stats:exit,stats_file:/nowhere/at/all");
    check_run_must(&run, "no file");
    CHECKF(check_match(run.err, "^cairn: .*/nowhere/at/all"), "%.200s", run.err);
}

/* A child of fork has statistics of its own, in a file of its own. */
static void task_forks(void)
{
    free(check_opaque(malloc(10)));
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        exit(0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    dprintf(1, "%d %d\n", (int)getpid(), (int)pid);
}

static void statistics_of_a_child(void **state)
{
    (void)state;
    int parent = 0, child = 0;
    run_with("forks", "stats:exit,stats_file:forked-%p.text");
    check_run_must(&run, "forks");
    CHECK(sscanf(run.out, "%d %d", &parent, &child) == 2);
    for (int i = 0; i < 2; i++) {
        char name[100];
        static char text[60000];
        snprintf(name, sizeof name, "forked-%d.text", i == 0 ? parent : child);
        check_read_file(name, text, sizeof text);
        unlink(name);
        CHECK(times(text, "live_large") == 1);
    }
}

static _Atomic int stop;

static void *churn(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    void *blocks[100] = {NULL};
    while (!stop) {
        size_t i = check_below(&seed, 100);
        free(blocks[i]);
        blocks[i] = malloc(check_random_size(&seed, 100000));
        CHECK(blocks[i] != NULL);
    }
    for (size_t i = 0; i < 100; i++)
        free(blocks[i]);
    return NULL;
}

/* "stats_signal": statistics at any time, and the process goes on undisturbed, errno included */
static void task_is_signalled(void)
{
    free(check_opaque(malloc(10)));
    for (int i = 0; i < 3; i++) {
        errno = 4242;
        CHECK(raise(SIGUSR2) == 0);
        CHECK_EQ(errno, 4242);
        free(check_opaque(malloc(100)));
    }
    dprintf(1, "went on\n");
}

/* Under load a signal may hit the heap at a bad moment: then that is said, and nothing else happens. */
static void task_is_signalled_under_load(void)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (int i = 0; i < 60; i++) {
        CHECK(pthread_kill(threads[i % 4], SIGUSR2) == 0);
        check_sleep(0.003);
    }
    stop = 1;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stats_checked();
    dprintf(1, "went on\n");
}

static void statistics_on_a_signal(void **state)
{
    (void)state;
    char conf[100];
    snprintf(conf, sizeof conf, "stats_signal:%d", SIGUSR2);
    run_with("is_signalled", conf);
    check_run_must(&run, conf);
    assert_string_equal(run.out, "went on\n");
    CHECKF(times(run.err, "live_large") == 3, "%zu statistics for 3 signals", times(run.err, "live_large"));
    snprintf(conf, sizeof conf, "stats_signal:%d,stats_format:json", SIGUSR2);
    run_with("is_signalled_under_load", conf);
    check_run_must(&run, "under load");
    assert_string_equal(run.out, "went on\n");
    /* signals that come while one is pending are delivered as one; but each of the four threads is answered one way or the other */
    size_t answers = times(run.err, "\"committed\""),
           refusals = times(run.err, "\ncairn: ") + (run.err[0] == 'c');
    CHECKF(answers >= 1 && answers + refusals >= 4 && answers + refusals <= 60,
           "%zu statistics and %zu refusals for 60 signals", answers, refusals);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"some_work", task_some_work},
        {"forks", task_forks},
        {"is_signalled", task_is_signalled},
        {"is_signalled_under_load", task_is_signalled_under_load},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_at_exit),
        cmocka_unit_test(statistics_to_a_file),
        cmocka_unit_test(statistics_of_a_child),
        cmocka_unit_test(statistics_on_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
