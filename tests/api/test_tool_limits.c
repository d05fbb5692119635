/* Limits by place. */
#include "tools.h"

static void *from_here(size_t size)
{
    return cairn_malloc_here(size);
}

static void *from_there(size_t size)
{
    return cairn_calloc_here(1, size);
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOOL_TEST(each_place_has_its_limit),
        TOOL_TEST(realloc_at_the_limit),
        TOOL_TEST(limits_hold_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
