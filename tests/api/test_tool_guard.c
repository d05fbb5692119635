/* The guard: blocks against inaccessible pages. */
#include "tools.h"

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

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
        "at .*test_tool_guard.c:[0-9]+ \\(guarded\\)$");
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

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"overrun", task_overrun},
        {"overrun-far", task_overrun_far},
        {"overrun-small", task_overrun_small},
        {"use-after-free", task_use_after_free},
        {"use-after-realloc", task_use_after_realloc},
        {"double-free", task_double_free},
        {"wild", task_wild},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        TOOL_TEST(what_touches_the_guard_is_named),
        TOOL_TEST(guarded_blocks_are_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
