/* The trace of calls: all of them, in order. */
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
        CHECK(strstr(t.sites[k].file, "test_tool_tracing.c") != NULL && t.sites[k].line > 0 &&
              t.sites[k].frames == 1);
        CHECK(strcmp(t.sites[k].func, i == 0 ? "from_here" : i == 2 ? "from_there" : __func__) == 0);
        CHECK(e[i].key == e[0].key);
    }
    read_done(&t);
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
    pass_blocks_on();
    drop_ring();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOOL_TEST(the_trace_has_every_call),
        TOOL_TEST(the_trace_is_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
