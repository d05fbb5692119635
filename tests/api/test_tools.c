/* The ready interfaces: leak tracker, fault injector, limits by place, guard, trace, and a pool as target. */
#include "api.h"

#include <cairn/tools.h>

#include "unit/trace_reader.h"

static int nothing_in_place(void **state)
{
    (void)state;
    return cairn_hook_list(NULL, 0) == 0 ? 0 : -1;
}

static void stop(cairn_tool *tool)
{
    CHECK(cairn_tool_stop(tool) == 0);
}

/* What a tool prints. */
static const char *printed(cairn_tool *tool, cairn_stats_format format)
{
    static char text[1 << 16];
    int file = memfd_create("printed", MFD_CLOEXEC);
    CHECK(file >= 0 && cairn_tool_print(tool, file, format) == 0);
    ssize_t size = pread(file, text, sizeof text - 1, 0);
    CHECK(size >= 0);
    text[size] = 0;
    close(file);
    return text;
}

/* ---- Leak tracker -------------------------------------------------------------------------------- */

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

static void *from_there(size_t size)
{
    return cairn_calloc_here(1, size);
}

struct seen {
    int count;
    cairn_leak leaks[10];
};

static int see(const cairn_leak *leak, void *context)
{
    struct seen *seen = context;
    if (seen->count < 10)
        seen->leaks[seen->count] = *leak;
    seen->count++;
    return 0;
}

static int stop_at_once(const cairn_leak *leak, void *context)
{
    (void)leak, (void)context;
    return 42;
}

static struct seen leaks_of(cairn_tool *tool)
{
    struct seen seen = {0};
    CHECK(cairn_leaks_visit(tool, see, &seen) == 0);
    return seen;
}

static void leaks_are_listed_by_place(void **state)
{
    (void)state;
    void *before = from_here(5000); /* not seen by the tool */
    cairn_tool *tool = cairn_leaks_start(NULL);
    CHECK(tool != NULL);
    CHECK_EQ(leaks_of(tool).count, 0);
    void *a = from_here(100), *b = from_here(200), *c = from_there(1000), *gone = from_there(7);
    cairn_free_here(gone);
    struct seen seen = leaks_of(tool);
    CHECK_EQ(seen.count, 2);
    CHECK(strcmp(seen.leaks[0].func, "from_there") == 0 && strcmp(seen.leaks[1].func, "from_here") == 0);
    CHECK(seen.leaks[0].bytes == 1000 && seen.leaks[0].blocks == 1 && seen.leaks[0].largest == 1000);
    CHECK(seen.leaks[1].bytes == 300 && seen.leaks[1].blocks == 2 && seen.leaks[1].largest == 200);
    CHECK(seen.leaks[0].line > 0 && strcmp(seen.leaks[0].file, __FILE__) == 0 &&
          seen.leaks[0].address != NULL);

    b = cairn_realloc_here(b, 50000); /* now this function's */
    seen = leaks_of(tool);
    CHECK_EQ(seen.count, 3);
    CHECK(strcmp(seen.leaks[0].func, __func__) == 0 && seen.leaks[0].bytes == 50000);
    CHECK(cairn_realloc_here(b, SIZE_MAX / 2) == NULL); /* fails: nothing changes */
    CHECK(leaks_of(tool).leaks[0].bytes == 50000);

    const char *text = printed(tool, CAIRN_STATS_TEXT);
    CHECKF(check_match(text, "^cairn: 3 blocks with 51100 bytes are live, from 3 places$"), "%s", text);
    CHECKF(check_match(text, "^ +50000 +1 +50000  .*test_tools.c:[0-9]+ \\(leaks_are_listed_by_place\\)$"),
           "%s", text);
    CHECK(strstr(text, "from_there") < strstr(text, "from_here"));
    text = printed(tool, CAIRN_STATS_JSON);
    CHECKF(check_match(text, "\"blocks\": 3, \"bytes\": 51100, \"missed\": 0"), "%s", text);
    CHECKF(check_match(
               text,
               "\"function\": \"from_there\", \"address\": \"0x[0-9a-f]+\", \"blocks\": 1, \"bytes\": 1000,"),
           "%s", text);
    CHECK(cairn_leaks_visit(tool, stop_at_once, NULL) == 42);

    cairn_free_here(before);
    cairn_free_here(a);
    cairn_free_here(b);
    cairn_free_here(c);
    CHECK_EQ(leaks_of(tool).count, 0);
    stop(tool);
    CHECK(cairn_tool_print(tool, 2, CAIRN_STATS_TEXT) == -1 && errno == EINVAL);
    CHECK(cairn_tool_stop(tool) == -1 && errno == EINVAL);
}

/* Many blocks in any order: the table grows, and closes gaps, and never loses one. */
static void the_table_of_live_blocks_is_exact(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    static size_t sizes[COUNT];
    uint64_t seed = check_seed(), bytes = 0, live = 0;
    cairn_tool *tool = cairn_leaks_start(NULL);
    for (int turn = 0; turn < 100000; turn++) {
        size_t i = check_below(&seed, COUNT);
        if (blocks[i] == NULL) {
            sizes[i] = check_random_size(&seed, 500);
            blocks[i] = from_here(sizes[i]);
            bytes += sizes[i], live++;
        } else {
            bytes -= sizes[i], live--;
            cairn_free_here(blocks[i]);
            blocks[i] = NULL;
        }
        if (turn % 20000 == 0 && live > 0) {
            struct seen seen = leaks_of(tool);
            CHECK(seen.count == 1 && seen.leaks[0].blocks == live && seen.leaks[0].bytes == bytes);
        }
    }
    for (int i = 0; i < COUNT; i++)
        cairn_free_here(blocks[i]);
    CHECK_EQ(leaks_of(tool).count, 0);
    stop(tool);
}

static void only_chosen_places_are_kept(void **state)
{
    (void)state;
    static const struct {
        cairn_where where;
        int kept; /* of from_here(100), from_there(1000), and one by its address alone */
    } cases[] = {
        {{.func = "from_here"}, 1},
        {{.func = "from_*"}, 2},
        {{.func = "*her*"}, 2},
        {{.func = "from"}, 0},
        {{.file = "test_tools.c"}, 2},
        {{.file = "*/test_t*s.c"}, 2},
        {{.file = "tools.c"}, 0},
        {{.file = "*"}, 2},
        {{.min_size = 500}, 1},
        {{.max_size = 500}, 2},
        {{.min_size = 101, .max_size = 999}, 0},
        {{.line = 1}, 0},
        {{.func = NULL}, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cairn_leaks_config config = {.struct_size = sizeof config, .where = cases[i].where};
        int kept = cases[i].kept;
        cairn_tool *tool = cairn_leaks_start(&config);
        CHECK(tool != NULL);
        void *a = from_here(100), *b = from_there(1000), *c = cairn_malloc_at(100, 0, NULL, NULL);
        int count = leaks_of(tool).count;
        CHECKF(count == kept, "case %zu: %d kept", i, count);
        cairn_free_here(a);
        cairn_free_here(b);
        cairn_free_here(c);
        CHECK_EQ(leaks_of(tool).count, 0);
        stop(tool);
    }
}

static void bad_configs_are_refused(void **state)
{
    (void)state;
    char long_text[200];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[199] = 0;
    cairn_leaks_config leaks = {.struct_size = 0};
    CHECK(cairn_leaks_start(&leaks) == NULL && errno == EINVAL);
    leaks = (cairn_leaks_config){.struct_size = sizeof leaks, .where.file = long_text};
    CHECK(cairn_leaks_start(&leaks) == NULL && errno == EINVAL);
    cairn_faults_config faults = {.struct_size = sizeof faults, .probability = 1.5};
    CHECK(cairn_faults_start(&faults) == NULL && errno == EINVAL);
    faults.probability = -0.5;
    CHECK(cairn_faults_start(&faults) == NULL && errno == EINVAL);
    CHECK(cairn_limits_start(NULL) == NULL && errno == EINVAL);
    CHECK(cairn_tracing_start(NULL) == NULL && errno == EINVAL);
    cairn_tracing_config tracing = {.struct_size = sizeof tracing, .output = "/nonexistent/file"};
    CHECK(cairn_tracing_start(&tracing) == NULL && errno == ENOENT && cairn_errormsg()[0] != 0);
}

/* ---- Fault injector ------------------------------------------------------------------------------ */

/* Which of `count` allocations fail, as bits. */
static uint64_t failures(const cairn_faults_config *config, int count)
{
    uint64_t bits = 0, failed;
    cairn_tool *tool = cairn_faults_start(config);
    CHECK(tool != NULL);
    for (int i = 0; i < count; i++) {
        errno = 0;
        void *p = i % 4 == 0   ? from_here(100)
                  : i % 4 == 1 ? from_there(1000)
                  : i % 4 == 2 ? cairn_aligned_alloc_here(64, 64)
                               : cairn_realloc_here(NULL, 10);
        if (p == NULL) {
            CHECK_EQ(errno, config->error != 0 ? config->error : ENOMEM);
            bits |= UINT64_C(1) << i;
        }
        cairn_free_here(p);
    }
    CHECK(cairn_faults_count(tool, &failed) <= (uint64_t)count);
    CHECK_EQ(failed, __builtin_popcountll(bits));
    stop(tool);
    return bits;
}

static void faults_come_as_asked(void **state)
{
    (void)state;
    cairn_faults_config c = {.struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET};
    CHECK_EQ(failures(&c, 20), 0);
    c.nth = 3;
    CHECK_EQ(failures(&c, 20), 1u << 2);
    c.nth = 0, c.every = 5;
    CHECK_EQ(failures(&c, 20), 1u << 4 | 1u << 9 | 1u << 14 | 1u << 19);
    c.most = 2;
    CHECK_EQ(failures(&c, 20), 1u << 4 | 1u << 9);
    c.most = 0, c.every = 1, c.error = EAGAIN;
    CHECK_EQ(failures(&c, 5), 31);
    c.error = 0, c.where.func = "from_there";
    CHECK_EQ(failures(&c, 12), 1u << 1 | 1u << 5 | 1u << 9);
    c.where.func = NULL, c.where.min_size = 100;
    CHECK_EQ(failures(&c, 8), 1u << 0 | 1u << 1 | 1u << 4 | 1u << 5);
    c.every = 0, c.nth = 2; /* the second of those */
    CHECK_EQ(failures(&c, 8), 1u << 1);
    c.where.min_size = 0, c.nth = 0, c.probability = 1;
    CHECK_EQ(failures(&c, 10), 1023);
}

static void chance_is_fair_and_repeats(void **state)
{
    (void)state;
    cairn_faults_config c = {
        .struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET, .probability = 0.25, .seed = 7};
    uint64_t first = failures(&c, 60);
    CHECK(first != 0 && failures(&c, 60) == first);
    c.seed = 8;
    CHECK(failures(&c, 60) != first);
    cairn_tool *tool = cairn_faults_start(&c);
    for (int i = 0; i < 40000; i++)
        cairn_free_here(from_here(1));
    uint64_t failed, calls = cairn_faults_count(tool, &failed);
    CHECK_EQ(calls, 40000);
    CHECKF(failed > 9600 && failed < 10400, "%llu of 40000", (unsigned long long)failed); /* 4.6 sigma */
    CHECK(strstr(printed(tool, CAIRN_STATS_JSON), "\"allocations\": 40000") != NULL);
    stop(tool);
}

static void a_realloc_that_fails_keeps_the_block(void **state)
{
    (void)state;
    char *p = from_here(100);
    check_fill(p, 100, 5);
    cairn_faults_config c = {.struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET, .every = 1};
    cairn_tool *tool = cairn_faults_start(&c);
    CHECK(cairn_realloc_here(p, 100000) == NULL && errno == ENOMEM);
    CHECK(strstr(cairn_errormsg(), "fault injector") != NULL);
    CHECK_FILLED(p, 100, 5);
    cairn_free_here(p);
    stop(tool);
}

/* What it says leads to the same failure, and to no other. */
static void task_faults(void)
{
    for (int i = 1; i <= 30; i++) {
        void *p = i % 3 == 0 ? from_there(100) : from_here(10);
        if (p == NULL)
            printf("%d ", i);
        cairn_free_here(p);
    }
}

static void task_faults_by_code(void)
{
    cairn_faults_config c = {.struct_size = sizeof c, .every = 4, .most = 1, .where.func = "from_there"};
    CHECK(cairn_faults_start(&c) != NULL);
    task_faults();
}

static void what_it_says_repeats_the_fault(void **state)
{
    (void)state;
    static check_run first, again;
    check_task_run(&first, "faults-by-code");
    check_run_must(&first, "the first run");
    CHECK(strcmp(first.out, "12 ") == 0);
    char setting[200] = "", *conf = strstr(first.err, "CAIRN_CONF=");
    CHECKF(conf != NULL &&
               check_match(first.err, "^cairn: faults: calloc of 100 bytes at .*test_tools.c:[0-9]+ "
                                      "\\(from_there\\) fails, the 4\\. allocation"),
           "%s", first.err);
    snprintf(setting, sizeof setting, "%.*s", (int)strcspn(conf, "\n"), conf);
    const char *const env[] = {setting, NULL};
    again.env = env;
    check_task_run(&again, "faults");
    check_run_must(&again, setting);
    CHECKF(strcmp(again.out, "12 ") == 0, "with %s: %s", setting, again.out);
}

/* ---- Limits -------------------------------------------------------------------------------------- */

static void each_place_has_its_limit(void **state)
{
    (void)state;
    cairn_limits_config c = {
        .struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET, .bytes = 1000, .where.func = "from_*"};
    cairn_tool *tool = cairn_limits_start(&c);
    CHECK(tool != NULL);
    void *a = from_here(600), *b = from_here(400);
    CHECK(a != NULL && b != NULL);
    errno = 0;
    CHECK(from_here(1) == NULL && errno == ENOMEM);
    void *other = from_there(1000); /* a place of its own */
    CHECK(other != NULL && from_there(1) == NULL);
    void *free_of_it = cairn_malloc_here(100000);
    CHECK(free_of_it != NULL);
    cairn_free_here(a);
    a = from_here(599);
    CHECK(a != NULL);
    CHECK(from_here(2) == NULL);
    b = cairn_realloc_here(b, 70000); /* goes over to this function */
    CHECK(b != NULL);
    void *d = from_here(401);
    CHECK(d != NULL && from_here(1) == NULL);
    const char *text = printed(tool, CAIRN_STATS_TEXT);
    CHECKF(check_match(text, "^ +1000 +2 +1000 +3  .*\\(from_here\\)$"), "%s", text);
    CHECKF(check_match(text, "^ +1000 +1 +1000 +1  .*\\(from_there\\)$"), "%s", text);
    CHECK(strstr(printed(tool, CAIRN_STATS_JSON), "\"refused\": 3") != NULL);
    cairn_free_here(a);
    cairn_free_here(b);
    cairn_free_here(d);
    cairn_free_here(other);
    cairn_free_here(free_of_it);
    void *all = from_here(1000);
    CHECK(all != NULL);
    cairn_free_here(all);
    stop(tool);
}

static void *grow(void *block, size_t size)
{
    return cairn_realloc_here(block, size);
}

static void realloc_at_the_limit(void **state)
{
    (void)state;
    cairn_limits_config c = {.struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET, .bytes = 1000, .blocks = 2};
    cairn_tool *tool = cairn_limits_start(&c);
    char *p = grow(NULL, 100);
    check_fill(p, 100, 1);
    p = grow(p, 900); /* 100 go, so it fits with the old one, too */
    CHECK(p != NULL);
    p = grow(p, 1000);
    CHECK(p != NULL && grow(p, 1001) == NULL);
    CHECK_FILLED(p, 100, 1);
    p = grow(p, 300);
    void *q = grow(NULL, 700);
    CHECK(q != NULL && grow(NULL, 0) == NULL); /* a third block */
    CHECK(grow(q, 701) == NULL && (q = grow(q, 600)) != NULL && (p = grow(p, 400)) != NULL);
    cairn_free_here(p);
    cairn_free_here(q);
    p = grow(NULL, 1000);
    CHECK(p != NULL);
    cairn_free_here(p);
    stop(tool);
}

static void *at_the_limit(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        void *p = from_here(100);
        cairn_free_here(p);
    }
    return unused;
}

static void limits_hold_with_threads(void **state)
{
    (void)state;
    cairn_limits_config c = {.struct_size = sizeof c, .flags = CAIRN_TOOL_QUIET, .bytes = 250};
    cairn_tool *tool = cairn_limits_start(&c);
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, at_the_limit, NULL) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    const char *text = printed(tool, CAIRN_STATS_TEXT);
    CHECKF(check_match(text, "^ +0 +0 +[12]00 +[0-9]+  .*\\(from_here\\)$"), "%s", text);
    stop(tool);
}

/* ---- Guard --------------------------------------------------------------------------------------- */

static char *guarded(size_t size)
{
    return cairn_malloc_here(size);
}

static cairn_tool *start_guard(void)
{
    cairn_guard_config c = {.struct_size = sizeof c, .where.func = "guarded"};
    cairn_tool *tool = cairn_guard_start(&c);
    CHECK(tool != NULL);
    return tool;
}

static void task_overrun(void)
{
    start_guard();
    char *p = guarded(112);
    memset(p, 1, 112);
    ((char *)check_opaque(p))[115] = 2;
}

static void task_overrun_far(void)
{
    start_guard();
    char *p = guarded(100);
    ((char *)check_opaque(p))[1500] = 2;
}

static void task_overrun_small(void)
{
    start_guard();
    char *p = guarded(100);
    ((char *)check_opaque(p))[101] = 2;
    cairn_free_here(p);
}

static void task_use_after_free(void)
{
    start_guard();
    char *p = guarded(100);
    cairn_free_here(p);
    ((char *)check_opaque(p))[3] = 2;
}

static void task_use_after_realloc(void)
{
    start_guard();
    char *p = guarded(100), *q = cairn_realloc_here(p, 101);
    CHECK(q != NULL);
    ((char *)check_opaque(p))[0] = 2;
}

static void task_double_free(void)
{
    start_guard();
    char *p = guarded(100);
    cairn_free_here(p);
    cairn_free_here(check_opaque(p));
}

/* Somebody else's fault is nobody's business. */
static void task_wild(void)
{
    start_guard();
    cairn_free_here(guarded(100));
    *(char *)check_opaque((void *)16) = 1;
}

static void dies(const char *task, int number, const char *expression)
{
    static check_run run;
    memset(&run, 0, sizeof run);
    check_task_run(&run, task);
    CHECKF(WIFSIGNALED(run.status) && WTERMSIG(run.status) == number, "%s: status %x: %s", task,
           (unsigned)run.status, run.err);
    if (expression != NULL)
        CHECKF(check_match(run.err, expression), "%s: %s", task, run.err);
    else
        CHECKF(run.err[0] == 0, "%s: %s", task, run.err);
}

static void what_touches_the_guard_is_named(void **state)
{
    (void)state;
    dies(
        "overrun", SIGSEGV,
        "^cairn: guard: overrun at 0x[0-9a-f]+: 3 bytes behind the end of the block 0x[0-9a-f]+ of 112 bytes, allocated "
        "at .*test_tools.c:[0-9]+ \\(guarded\\)$");
    dies("overrun-far", SIGSEGV, ": 1400 bytes behind the end of the block 0x[0-9a-f]+ of 100 bytes");
    dies("overrun-small", SIGABRT,
         "guard: overrun, found at the free: byte 1 behind the end was written, of the block");
    dies("use-after-free", SIGSEGV,
         "^cairn: guard: use after free at .* of 100 bytes, allocated at .*\\(guarded\\), freed at "
         ".*\\(task_use_after_free\\)$");
    dies("use-after-realloc", SIGSEGV, "use after free at .* freed at .*\\(task_use_after_realloc\\)$");
    dies("double-free", SIGABRT, "double free of 0x");
    dies("wild", SIGSEGV, NULL);
}

static void guarded_blocks_are_blocks(void **state)
{
    (void)state;
    cairn_tool *tool = start_guard();
    for (size_t size = 0; size < 9000; size += 333) {
        char *p = guarded(size), *q = from_here(size);
        CHECK_EQ(cairn_hook_usable_size(p), size);
        CHECK((uintptr_t)p % 16 == 0 && cairn_pool_of(p) != NULL && cairn_pool_of(q) == NULL);
        check_fill(p, size, 1);
        p = cairn_realloc_here(p, size + 100); /* not chosen: an ordinary block from here on */
        CHECK(p != NULL && cairn_pool_of(p) == NULL);
        CHECK_FILLED(p, size, 1);
        cairn_free_here(p);
        cairn_free_here(q);
        cairn_free(guarded(size)); /* frees that know nothing of it */
    }
    CHECK(check_match(printed(tool, CAIRN_STATS_TEXT), "56 allocations chosen, 56 guarded, 0 of these live"));
    char *survivor = guarded(50);
    stop(tool);
    check_fill(survivor, 50, 1);
    cairn_free_here(survivor);

    cairn_guard_config c = {.struct_size = sizeof c, .where.func = "guarded", .every = 10, .limit = 1 << 20};
    tool = cairn_guard_start(&c);
    static char *many[3000];
    int with = 0;
    for (int i = 0; i < 3000; i++) {
        many[i] = guarded(100);
        with += cairn_pool_of(many[i]) != NULL;
    }
    CHECKF(with > 50 && with < 300, "%d", with); /* 8 KiB each: the limit holds, and is no failure */
    for (int i = 0; i < 3000; i++)
        cairn_free_here(many[i]);
    stop(tool);
}

/* ---- Trace --------------------------------------------------------------------------------------- */

static void the_trace_has_every_call(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/cairn-tools-%d", (int)getpid());
    cairn_tracing_config c = {.struct_size = sizeof c, .output = "/tmp/cairn-tools-%p"};
    cairn_tool *tool = cairn_tracing_start(&c);
    CHECK(tool != NULL);
    char *p = from_here(100);
    char *q = cairn_realloc_here(p, 70000);
    char *z = from_there(50);
    char *a = cairn_aligned_alloc_here(512, 3);
    CHECK(cairn_malloc_here(SIZE_MAX / 2) == NULL && cairn_realloc_here(z, SIZE_MAX / 2) == NULL);
    pid_t child = fork();
    if (child == 0) { /* writes nothing */
        cairn_free_here(from_here(7777));
        _exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    cairn_free_here(z);
    cairn_free_here(q);
    cairn_free_here(a);
    CHECK(check_match(printed(tool, CAIRN_STATS_TEXT), "9 events, 0 of them lost"));
    stop(tool);

    struct trace t;
    read_trace(&t, path);
    CHECK(unlink(path) == 0);
    const struct read_event *e = t.events;
    CHECK(t.ended && t.event_count == 9);
    CHECK(e[0].kind == 1 && e[0].address == (uintptr_t)p && e[0].size == 100);
    CHECK(e[1].kind == 4 && e[1].old == (uintptr_t)p && e[1].address == (uintptr_t)q && e[1].size == 70000 &&
          e[1].took > 0);
    CHECK(e[2].kind == 2 && e[2].address == (uintptr_t)z && e[2].size == 50);
    CHECK(e[3].kind == 3 && e[3].address == (uintptr_t)a && e[3].size == 3 && e[3].alignment_log2 == 9);
    CHECK(e[4].kind == 6 && e[4].failed == 1 && e[4].size == SIZE_MAX / 2);
    CHECK(e[5].kind == 6 && e[5].failed == 4 && e[5].old == (uintptr_t)z);
    CHECK(e[6].kind == 5 && e[6].address == (uintptr_t)z && e[8].address == (uintptr_t)a);
    for (int i = 0; i < 9; i++) {
        size_t k = 0;
        while (t.sites[k].id != e[i].site)
            k++;
        CHECK(strstr(t.sites[k].file, "test_tools.c") != NULL && t.sites[k].line > 0 &&
              t.sites[k].frames == 1);
        CHECK(strcmp(t.sites[k].func, i == 0 ? "from_here" : i == 2 ? "from_there" : __func__) == 0);
        CHECK(e[i].key == e[0].key);
    }
    read_done(&t);
}

/* Two threads pass blocks to and fro: by time, the trace is a history that can be. */
static void *ring[64];
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;

static void *pass_on(void *number)
{
    uint64_t seed = check_seed() + (uint64_t)(uintptr_t)number;
    for (int i = 0; i < 20000; i++) {
        void *mine = check_below(&seed, 3) == 0 ? NULL : from_here(check_random_size(&seed, 300));
        size_t slot = check_below(&seed, 64);
        pthread_mutex_lock(&ring_lock);
        void *other = ring[slot];
        ring[slot] = mine;
        pthread_mutex_unlock(&ring_lock);
        if (other != NULL && check_below(&seed, 2) == 0)
            other = cairn_realloc_here(other, check_random_size(&seed, 2000));
        cairn_free_here(other);
    }
    return NULL;
}

/* Addresses go from thread to thread, and no block is forgotten or kept too long. */
static void the_tracker_is_exact_with_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint64_t held = 0, kept = 0;
    cairn_tool *tool = cairn_leaks_start(NULL);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, pass_on, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 64; i++)
        held += ring[i] != NULL;
    struct seen seen = leaks_of(tool);
    for (int i = 0; i < seen.count; i++)
        kept += seen.leaks[i].blocks;
    CHECK_EQ(kept, held);
    for (int i = 0; i < 64; i++) {
        cairn_free_here(ring[i]);
        ring[i] = NULL;
    }
    CHECK_EQ(leaks_of(tool).count, 0);
    stop(tool);
}

/* Below the tracker: as soon as a block is free, somebody has it again. */
static void *again;

static void free_and_take(void *context, const cairn_call *call, void *block, size_t old_size)
{
    (void)context;
    cairn_below_free(call, block, old_size);
    if (again == NULL)
        again = from_here(48);
}

static void an_address_that_is_used_again_at_once_is_kept(void **state)
{
    (void)state;
    cairn_interface below = {.struct_size = sizeof below, .on_free = free_and_take};
    void *first = cairn_malloc_here(48);
    cairn_hook *hook = cairn_hook_push(&below);
    cairn_tool *tool = cairn_leaks_start(NULL);
    cairn_free_here(first);
    CHECK(again == first); /* or this shows nothing */
    CHECK_EQ(leaks_of(tool).count, 1);
    cairn_free_here(again);
    CHECK_EQ(leaks_of(tool).count, 0);
    stop(tool);
    CHECK(cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0);
}

static int by_address_then_time(const void *a, const void *b)
{
    const struct read_event *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->time < y->time ? -1 : x->time > y->time;
}

static void the_trace_is_in_order(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/cairn-order-%d", (int)getpid());
    cairn_tracing_config c = {.struct_size = sizeof c, .output = path};
    cairn_tool *tool = cairn_tracing_start(&c);
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, pass_on, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 64; i++) {
        cairn_free_here(ring[i]);
        ring[i] = NULL;
    }
    stop(tool);
    struct trace t;
    read_trace(&t, path);
    CHECK(unlink(path) == 0);
    /* A realloc is the end of one block and the beginning of another. */
    struct read_event *halves = calloc(2 * t.event_count, sizeof *halves);
    size_t count = 0;
    for (size_t i = 0; i < t.event_count; i++) {
        struct read_event e = t.events[i];
        if (e.kind == 4) {
            halves[count] = e, halves[count].kind = 5, halves[count++].address = e.old;
            e.kind = 1, e.time += e.took;
        }
        halves[count++] = e;
    }
    qsort(halves, count, sizeof *halves, by_address_then_time);
    for (size_t i = 0; i < count; i++) {
        int begins = i == 0 || halves[i - 1].address != halves[i].address || halves[i - 1].kind == 5;
        CHECKF(begins == (halves[i].kind != 5), "event %zu of %zu: kind %d of %llx", i, count, halves[i].kind,
               (unsigned long long)halves[i].address);
    }
    free(halves);
    read_done(&t);
}

/* ---- Stacks of tools, pools, exit ---------------------------------------------------------------- */

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
        {"faults", task_faults},
        {"faults-by-code", task_faults_by_code},
        {"overrun", task_overrun},
        {"overrun-far", task_overrun_far},
        {"overrun-small", task_overrun_small},
        {"use-after-free", task_use_after_free},
        {"use-after-realloc", task_use_after_realloc},
        {"double-free", task_double_free},
        {"wild", task_wild},
        {"exit", task_exit},
        {"exit-trace", task_exit_trace},
        {"leave", task_leave},
        {"options", task_options},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
#define TEST(name) cmocka_unit_test_setup_teardown(name, nothing_in_place, nothing_in_place)
    const struct CMUnitTest tests[] = {
        TEST(leaks_are_listed_by_place),
        TEST(the_table_of_live_blocks_is_exact),
        TEST(only_chosen_places_are_kept),
        TEST(bad_configs_are_refused),
        TEST(faults_come_as_asked),
        TEST(chance_is_fair_and_repeats),
        TEST(a_realloc_that_fails_keeps_the_block),
        TEST(what_it_says_repeats_the_fault),
        TEST(each_place_has_its_limit),
        TEST(realloc_at_the_limit),
        TEST(limits_hold_with_threads),
        TEST(what_touches_the_guard_is_named),
        TEST(guarded_blocks_are_blocks),
        TEST(the_trace_has_every_call),
        TEST(the_trace_is_in_order),
        TEST(the_tracker_is_exact_with_threads),
        TEST(an_address_that_is_used_again_at_once_is_kept),
        TEST(tracker_over_injector_over_pool),
        TEST(what_is_left_at_exit_is_told),
        TEST(options_start_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
