/* Tools together: in a stack, over a pool, by options, at exit. */
#include "tools.h"

#include "unit/trace_reader.h"

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

static void *from_there(size_t size)
{
    return cairn_calloc_here(1, size);
}

/* A tracker over a fault injector over a pool. */
static void tracker_over_injector_over_pool(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    void *old = cairn_malloc_here(100); /* of the process heap */
    cairn_interface target = cairn_interface_of_pool(pool);
    cairn_hook *bottom = cairn_hook_push(&target);
    cairn_faults_config f = {.struct_size = sizeof f, .flags = CAIRN_TOOL_QUIET, .every = 3};
    cairn_tool *faults = cairn_faults_start(&f), *leaks = cairn_leaks_start(NULL);
    CHECK(bottom != NULL && faults != NULL && leaks != NULL);
    void *kept[4] = {NULL};
    int count = 0;
    for (int i = 1; i <= 6; i++) {
        void *p = cairn_malloc_here((size_t)i * 10);
        CHECK((p == NULL) == (i % 3 == 0));
        if (p != NULL) {
            CHECK(cairn_pool_of(p) == pool);
            kept[count++] = p;
        }
    }
    struct seen seen = leaks_of(leaks);
    CHECK(seen.count == 1 && seen.leaks[0].blocks == 4 && seen.leaks[0].bytes == 10 + 20 + 40 + 50);
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0 && stats.live_blocks == 4);
    cairn_hook_stats s = {.struct_size = sizeof s};
    CHECK(cairn_hook_stats_get(cairn_tool_hook(leaks), &s) == 0 && s.mallocs == 6 && s.failures == 2);
    CHECK(cairn_hook_stats_get(bottom, &s) == 0 && s.mallocs == 4 && s.failures == 0);

    old = cairn_realloc_here(old, 50000); /* stays in its heap */
    CHECK(old != NULL && cairn_pool_of(old) == NULL);
    kept[0] = cairn_realloc_here(kept[0], 5000); /* the eighth; the ninth would fail */
    CHECK(kept[0] != NULL && cairn_pool_of(kept[0]) == pool);
    cairn_free_here(old);
    cairn_free_here(kept[0]);
    stop(leaks);
    stop(faults);
    CHECK(cairn_hook_remove(bottom) == 0 && cairn_hook_grace() == 0);
    cairn_free_here(kept[1]); /* of a pool that is no target any more */
    cairn_free(kept[2]);
    CHECK(cairn_pool_stats(pool, &stats) == 0 && stats.live_blocks == 1);
    cairn_pool_destroy(pool);
}

static void task_exit(void)
{
    cairn_leaks_config c = {.struct_size = sizeof c, .flags = CAIRN_TOOL_AT_EXIT};
    CHECK(cairn_leaks_start(&c) != NULL);
    close(2); /* as many programs do */
    CHECK(from_here(123) != NULL);
}

static void *stays_inside(void *context, const cairn_call *call, size_t size)
{
    (void)context;
    if (size == 99)
        pause();
    return cairn_below_malloc(call, size);
}

static void *goes_inside(void *unused)
{
    cairn_free_here(cairn_malloc_at(99, 0, NULL, NULL));
    return unused;
}

/* A thread that is inside for ever keeps no process from its end, nor its trace from being whole. */
static void task_exit_trace(void)
{
    pthread_t thread;
    cairn_interface blocking = {.struct_size = sizeof blocking, .on_malloc = stays_inside};
    CHECK(cairn_hook_push(&blocking) != NULL && pthread_create(&thread, NULL, goes_inside, NULL) == 0);
    check_sleep(0.1);
    cairn_free_here(from_here(1));
}

static void what_is_left_at_exit_is_told(void **state)
{
    (void)state;
    static check_run run;
    check_task_run(&run, "exit");
    check_run_must(&run, "exit");
    CHECKF(check_match(run.err, "^ +123 +1 +123  .*\\(from_here\\)$"), "%s", run.err);

    char conf[200], path[64], at[80];
    snprintf(path, sizeof path, "/tmp/cairn-leaks-%d", (int)getpid());
    snprintf(conf, sizeof conf, "CAIRN_CONF=hook_leaks:exit,hook_format:json,hook_output:%s", path);
    const char *const env[] = {conf, NULL};
    memset(&run, 0, sizeof run);
    run.env = env;
    check_task_run(&run, "leave");
    check_run_must(&run, "leave");
    static char text[4096];
    check_read_file(path, text, sizeof text);
    CHECK(unlink(path) == 0);
    CHECKF(check_match(text, "\"blocks\": 1, \"bytes\": 321"), "%s", text);

    snprintf(at, sizeof at, "%s-trace", path);
    snprintf(conf, sizeof conf, "CAIRN_CONF=hook_trace:%s", at);
    check_task_run(&run, "exit-trace");
    check_run_must(&run, "exit-trace");
    struct trace t;
    read_trace(&t, at);
    CHECK(unlink(at) == 0);
    CHECK(t.ended && t.event_count == 2 && t.events[0].size == 1);
    read_done(&t);
}

static void task_leave(void)
{
    CHECK(from_here(321) != NULL);
}

static char *guarded(size_t size)
{
    return cairn_malloc_here(size);
}

static void task_options(void)
{
    CHECK_EQ(cairn_hook_list(NULL, 0), 5);
    CHECK(from_here(2000) == NULL); /* beyond the limit */
    char *p = guarded(10);
    CHECK(cairn_pool_of(p) != NULL);
    CHECK(from_there(1) == NULL); /* the first that the injector counts */
    cairn_free_here(p);
}

static void options_start_all_of_them(void **state)
{
    (void)state;
    char conf[400], path[64];
    snprintf(path, sizeof path, "/tmp/cairn-options-%d", (int)getpid());
    snprintf(conf, sizeof conf,
             "hook_leaks:on,hook_trace:%s,hook_limit:1000,hook_guard:guarded,hook_fault_function:from_there,"
             "hook_fault_nth:1",
             path);
    check_task_conf("options", conf);
    CHECK(unlink(path) == 0);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"exit", task_exit},   {"exit-trace", task_exit_trace},
        {"leave", task_leave}, {"options", task_options},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        TOOL_TEST(tracker_over_injector_over_pool),
        TOOL_TEST(what_is_left_at_exit_is_told),
        TOOL_TEST(options_start_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
