/* The trace file's writer, read back by a reader that knows the documented format only. */
#include "unit.h"

#include "observe/trace_file.h"
#include "trace_reader.h"

static char path[64];

static int make_name(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/cairn-trace-%d", (int)getpid());
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* Any event, drawn from `seed`; the same seed gives the same one. */
static struct trace_event event_of(uint64_t *seed)
{
    struct trace_event e = {0};
    e.kind = 1 + check_below(seed, 6);
    e.address = check_random(seed) >> (16 + check_below(seed, 40));
    if (check_below(seed, 8) != 0)
        e.address &= ~(uintptr_t)15;
    e.size = check_random(seed) >> check_below(seed, 64);
    e.site = check_below(seed, 2) != 0 ? 1 + (uint32_t)check_below(seed, 3) * 1000000 : 0;
    e.heap = check_below(seed, 4) == 0 ? (uint32_t)check_below(seed, 300) : 0;
    if (e.kind == TRACE_FREE)
        e.size = 0;
    if (e.kind == TRACE_ALIGNED)
        e.alignment = (size_t)1 << check_below(seed, 40);
    if (e.kind == TRACE_REALLOC) {
        e.old = check_random(seed) >> 17;
        e.took = check_random(seed) >> 40;
    }
    if (e.kind == TRACE_FAILED) {
        e.address = 0;
        e.failed = 1 + check_below(seed, 4);
        e.old = e.failed == TRACE_REALLOC ? 0x7f0000001230 : 0;
        e.alignment = e.failed == TRACE_ALIGNED ? 64 : 0;
    }
    return e;
}

static void define_sites(struct trace_file *file)
{
    static const uintptr_t frames[] = {0x401000, 0x7fffdeadbeef};
    trace_file_site(file, &(struct trace_site){1, 42, "first.c", "one", NULL, 0});
    trace_file_site(file, &(struct trace_site){1000001, 0, NULL, NULL, frames, 2});
    trace_file_site(file, &(struct trace_site){2000001, 7, "", "two", frames, 1});
}

static void check_same(const struct read_event *read, const struct trace_event *e)
{
    CHECK_EQ(read->kind, e->kind);
    CHECK_EQ(read->failed, e->failed);
    CHECK_EQ(read->address, e->address);
    CHECK_EQ(read->old, e->old);
    CHECK_EQ(read->size, e->size);
    CHECK_EQ(read->took, e->took);
    CHECK_EQ(read->site, e->site);
    CHECK_EQ(read->heap, e->heap);
    CHECK_EQ(read->alignment_log2, e->alignment != 0 ? __builtin_ctzll(e->alignment) : 0);
}

static void what_is_put_is_read(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct trace_file *file = trace_file_open(path);
    CHECK(file != NULL);
    define_sites(file);
    uint64_t seed = check_seed(), again = seed, first = 0, last = 0;
    for (int i = 0; i < COUNT; i++) {
        struct trace_event e = event_of(&seed);
        e.time = last = trace_file_now(file);
        first = i == 0 ? last : first;
        trace_file_put(file, 99, &e);
    }
    uint64_t lost;
    CHECK(trace_file_events(file, &lost) == COUNT && lost == 0);
    CHECK(trace_file_close(file));

    struct trace t;
    read_trace(&t, path);
    CHECK(t.ended && t.end_lost == 0 && t.pid == (uint64_t)getpid());
    CHECK_EQ(t.event_count, COUNT);
    CHECK(t.chunks >= 10); /* so the state that a chunk begins with is put to the test */
    CHECK(t.events[0].time == first && t.events[COUNT - 1].time == last);
    for (int i = 0; i < COUNT; i++) {
        struct trace_event e = event_of(&again);
        check_same(&t.events[i], &e);
        CHECK(t.events[i].key == 99);
    }
    CHECK_EQ(t.site_count, 3);
    CHECK(strcmp(t.sites[0].file, "first.c") == 0 && strcmp(t.sites[0].func, "one") == 0 &&
          t.sites[0].line == 42);
    CHECK(t.sites[1].frames == 2 && t.sites[1].frame[1] == 0x7fffdeadbeef && t.sites[1].file[0] == 0);
    CHECK(strstr(t.mappings, "[stack]") != NULL);
    read_done(&t);
}

/* Both clocks of the file give the same length of a sleep as ours. */
static void ticks_become_nanoseconds(void **state)
{
    (void)state;
    struct trace_file *file = trace_file_open(path);
    CHECK(file != NULL);
    struct trace_event e = {.kind = TRACE_FREE, .address = 16};
    double from = check_now();
    for (int i = 0; i < 2; i++) {
        e.time = trace_file_now(file);
        trace_file_put(file, 1, &e);
        if (i == 0)
            check_sleep(0.2);
    }
    double slept = check_now() - from;
    CHECK(trace_file_close(file));
    struct trace t;
    read_trace(&t, path);
    double ns = t.per_second != 0 ? 1e9 / (double)t.per_second : t.ns_per_tick;
    double seconds = (double)(t.events[1].time - t.events[0].time) * ns / 1e9;
    CHECKF(seconds > slept * 0.98 && seconds < slept * 1.02, "%f s in the file, %f s", seconds, slept);
    read_done(&t);
}

/* ---- Threads ------------------------------------------------------------------------------------- */

enum { THREADS = 8, EACH = 30000 };
static struct trace_file *shared;
static int few_keys;

/* Thread n puts the addresses n * 2^32 + 16 * i, in that order. */
static void *put_many(void *number)
{
    uint64_t n = (uint64_t)(uintptr_t)number;
    for (uint64_t i = 0; i < EACH; i++) {
        struct trace_event e = {.kind = TRACE_MALLOC, .address = (n << 32) + 16 * i, .size = (size_t)i};
        e.time = trace_file_now(shared);
        trace_file_put(shared, few_keys ? 1 + n % 2 : 1000 + n, &e);
        if (i == EACH / 2)
            trace_file_flush(shared);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];
    shared = trace_file_open(path);
    CHECK(shared != NULL);
    for (uintptr_t n = 0; n < THREADS; n++)
        CHECK(pthread_create(&threads[n], NULL, put_many, (void *)n) == 0);
    for (int n = 0; n < THREADS; n++)
        CHECK(pthread_join(threads[n], NULL) == 0);
    CHECK(trace_file_close(shared));

    struct trace t;
    uint64_t next[THREADS] = {0};
    read_trace(&t, path);
    CHECK_EQ(t.event_count, THREADS * EACH);
    for (size_t i = 0; i < t.event_count; i++) {
        const struct read_event *e = &t.events[i];
        uint64_t n = e->address >> 32;
        CHECK(n < THREADS && e->key == (few_keys ? 1 + n % 2 : 1000 + n));
        CHECK_EQ(e->address & UINT32_MAX, 16 * next[n]); /* in order, none missing */
        CHECK_EQ(e->size, next[n]++);
    }
    read_done(&t);
}

static void threads_lose_nothing(void **state)
{
    (void)state;
    few_keys = 0;
    run_threads();
}

/* Threads that share a key meet in its lane. */
static void threads_with_one_key_lose_nothing(void **state)
{
    (void)state;
    few_keys = 1;
    run_threads();
}

/* More threads than lanes, one after the other: lanes change hands. */
static void lanes_are_taken_over(void **state)
{
    (void)state;
    enum { KEYS = 700 };
    struct trace_file *file = trace_file_open(path);
    CHECK(file != NULL);
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t key = 1; key <= KEYS; key++) {
            struct trace_event e = {.kind = TRACE_FREE, .address = key * 16, .time = trace_file_now(file)};
            trace_file_put(file, key, &e);
        }
    CHECK(trace_file_close(file));
    struct trace t;
    read_trace(&t, path);
    CHECK_EQ(t.event_count, 3 * KEYS);
    for (size_t i = 0; i < t.event_count; i++)
        CHECK_EQ(t.events[i].key * 16, t.events[i].address);
    CHECK(t.threads >= KEYS);
    read_done(&t);
}

/* ---- Failures ------------------------------------------------------------------------------------ */

static void a_full_disk_is_told(void **state)
{
    (void)state;
    CHECK(trace_file_open("/nonexistent/trace") == NULL && errno == ENOENT);
    CHECK(trace_file_open("/dev/full") == NULL && errno == ENOSPC);

    struct rlimit limit, small;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    small = limit;
    small.rlim_cur = 100000;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    struct trace_file *file = trace_file_open(path);
    CHECK(file != NULL);
    for (uint64_t i = 0; i < 100000; i++) {
        struct trace_event e = {.kind = TRACE_FREE, .address = i * 48, .time = trace_file_now(file)};
        errno = 77;
        trace_file_put(file, 5, &e);
        CHECK(errno == 77);
    }
    uint64_t lost;
    CHECK(trace_file_events(file, &lost) == 100000 && lost > 1000);
    CHECK(!trace_file_close(file) && errno == EFBIG);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void the_child_of_a_fork_writes_nothing(void **state)
{
    (void)state;
    struct trace_file *file = trace_file_open(path);
    CHECK(file != NULL);
    struct trace_event e = {.kind = TRACE_FREE, .address = 16, .time = trace_file_now(file)};
    trace_file_put(file, 1, &e);
    trace_file_before_fork(file);
    pid_t child = fork();
    if (child == 0) {
        trace_file_abandon_in_child(file);
        _exit(0);
    }
    trace_file_after_fork_parent(file);
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    trace_file_put(file, 1, &e);
    CHECK(trace_file_close(file));
    struct trace t;
    read_trace(&t, path);
    CHECK_EQ(t.event_count, 2);
    read_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_is_read, make_name, remove_file),
        cmocka_unit_test_setup_teardown(ticks_become_nanoseconds, make_name, remove_file),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, make_name, remove_file),
        cmocka_unit_test_setup_teardown(threads_with_one_key_lose_nothing, make_name, remove_file),
        cmocka_unit_test_setup_teardown(lanes_are_taken_over, make_name, remove_file),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told, make_name, remove_file),
        cmocka_unit_test_setup_teardown(the_child_of_a_fork_writes_nothing, make_name, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
