/* The leak tracker: what is live, by place. */
#include "tools.h"

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

static void *from_there(size_t size)
{
    return cairn_calloc_here(1, size);
}

static int stop_at_once(const cairn_leak *leak, void *context)
{
    (void)leak, (void)context;
    return 42;
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
    CHECKF(
        check_match(text, "^ +50000 +1 +50000  .*test_tool_leaks.c:[0-9]+ \\(leaks_are_listed_by_place\\)$"),
        "%s", text);
    CHECK(strstr(text, "from_there") < strstr(text, "from_here"));
    text = printed(tool, CAIRN_STATS_JSON);
    CHECKF(check_match(text, "\"blocks\": 3, \"bytes\": 51100, \"missed\": 0"), "%s", text);
    CHECKF(
        check_match(
            text,
            "\"function\": \"from_there\", \"object\": null, \"address\": \"0x[0-9a-f]+\", \"blocks\": 1, \"bytes\": 1000,"),
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
        {{.file = "test_tool_leaks.c"}, 2},
        {{.file = "*/test_t*s.c"}, 2},
        {{.file = "leaks.c"}, 0},
        {{.file = "*"}, 3}, /* a call that says no file has the program's */
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

/* Addresses go from thread to thread, and no block is forgotten or kept too long. */
static void the_tracker_is_exact_with_threads(void **state)
{
    (void)state;
    uint64_t held = 0, kept = 0;
    cairn_tool *tool = cairn_leaks_start(NULL);
    pass_blocks_on();
    for (int i = 0; i < 64; i++)
        held += ring[i] != NULL;
    struct seen seen = leaks_of(tool);
    for (int i = 0; i < seen.count; i++)
        kept += seen.leaks[i].blocks;
    CHECK_EQ(kept, held);
    drop_ring();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOOL_TEST(leaks_are_listed_by_place),
        TOOL_TEST(the_table_of_live_blocks_is_exact),
        TOOL_TEST(only_chosen_places_are_kept),
        TOOL_TEST(bad_configs_are_refused),
        TOOL_TEST(the_tracker_is_exact_with_threads),
        TOOL_TEST(an_address_that_is_used_again_at_once_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
