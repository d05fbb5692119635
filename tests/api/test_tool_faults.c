/* The fault injector: which allocations fail, and how to have the same again. */
#include "tools.h"

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

static void *from_there(size_t size)
{
    return cairn_calloc_here(1, size);
}

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
               check_match(first.err, "^cairn: faults: calloc of 100 bytes at .*test_tool_faults.c:[0-9]+ "
                                      "\\(from_there\\) fails, the 4\\. allocation"),
           "%s", first.err);
    snprintf(setting, sizeof setting, "%.*s", (int)strcspn(conf, "\n"), conf);
    const char *const env[] = {setting, NULL};
    again.env = env;
    check_task_run(&again, "faults");
    check_run_must(&again, setting);
    CHECKF(strcmp(again.out, "12 ") == 0, "with %s: %s", setting, again.out);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"faults", task_faults},
        {"faults-by-code", task_faults_by_code},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        TOOL_TEST(faults_come_as_asked),
        TOOL_TEST(chance_is_fair_and_repeats),
        TOOL_TEST(a_realloc_that_fails_keeps_the_block),
        TOOL_TEST(what_it_says_repeats_the_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
