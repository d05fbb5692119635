// sanitize: no, as malloc is the sanitizer's there; stress/observe_switch runs under them
/* test_observe.c - <cairn/observe.h>: tags, snapshots, traces that are started and stopped while threads work. */
#include "api.h"
#include "unit/trace_reader.h"
#include <cairn/observe.h>
#include <stdatomic.h>
#include <stdbool.h>

static cairn_stats pool_stats(cairn_pool *pool)
{
    cairn_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.struct_size = sizeof stats;
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    return stats;
}

static cairn_pool *tag_new(const char *name, size_t limit)
{
    cairn_pool_config config = {.struct_size = sizeof config, .name = name, .limit = limit};
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    return pool;
}

/* ---- Tags ------------------------------------------------------------------------------------------ */

/* By every name of malloc, in every kind of size. */
static void every_call_is_tagged(void **state)
{
    (void)state;
    cairn_pool *tag = tag_new("request", 0);
    void *before = malloc(100), *blocks[9], *aligned = NULL;
    CHECK(cairn_tag_current() == NULL && cairn_tag_push(tag) == 0 && cairn_tag_current() == tag);
    blocks[0] = malloc(24);
    blocks[1] = calloc(10, 100);
    blocks[2] = strdup("a string");
    blocks[3] = realloc(NULL, 5000);
    blocks[4] = aligned_alloc(512, 512);
    CHECK(posix_memalign(&aligned, 8192, 10) == 0);
    blocks[5] = aligned;
    blocks[6] = malloc(MIB);
    blocks[7] = cairn_malloc(24);
    blocks[8] = realloc(malloc(30), 60000);
    before = realloc(before, 3000); /* stays where it was: in the heap */
    CHECK(cairn_heap_check() == 0);
    CHECK(cairn_tag_pop() == 0 && cairn_tag_current() == NULL);
    for (int i = 0; i < 9; i++)
        CHECKF(blocks[i] != NULL && cairn_pool_of(blocks[i]) == tag, "block %d", i);
    CHECK(check_nonzero(blocks[1], 1000) == 1000 && strcmp(blocks[2], "a string") == 0);
    CHECK((uintptr_t)blocks[4] % 512 == 0 && (uintptr_t)blocks[5] % 8192 == 0);
    CHECK(cairn_pool_of(before) == NULL);
    CHECK_EQ(pool_stats(tag).live_blocks, 9);
    CHECK(pool_stats(tag).live > MIB + 65000 && pool_stats(tag).committed_peak >= pool_stats(tag).live);
    void *after = malloc(24);
    CHECK(cairn_pool_of(after) == NULL);
    CHECK((blocks[0] = realloc(blocks[0], 500)) != NULL && cairn_pool_of(blocks[0]) == tag);
    free(blocks[0]);
    cairn_free(blocks[1]);
    free_sized(blocks[4], 512);
    CHECK_EQ(pool_stats(tag).live_blocks, 6);
    cairn_pool_reset(tag);
    CHECK_EQ(pool_stats(tag).live_blocks, 0);
    free(before);
    free(after);
    cairn_pool_destroy(tag);
    CHECK(cairn_heap_check() == 0);
    (void)stats_checked();
}

static void scopes_nest(void **state)
{
    (void)state;
    cairn_pool *tags[17];
    errno = 0;
    CHECK(cairn_tag_pop() == -1 && errno == EINVAL && cairn_errormsg()[0] != 0);
    CHECK(cairn_tag_push(NULL) == -1 && errno == EINVAL);
    for (int i = 0; i < 17; i++)
        tags[i] = tag_new(i == 3 ? "third" : NULL, 0);
    for (int i = 0; i < 16; i++) {
        CHECK(cairn_tag_push(tags[i]) == 0);
        CHECK(cairn_pool_of(check_opaque(malloc(10))) == tags[i]);
    }
    CHECK(cairn_tag_push(tags[16]) == -1 && errno == EOVERFLOW);
    for (int i = 16; i-- > 0;) {
        CHECK(cairn_tag_current() == tags[i]);
        CHECK(cairn_pool_of(check_opaque(malloc(3000))) == tags[i]);
        CHECK(cairn_tag_pop() == 0);
    }
    void *outside = malloc(10);
    CHECK(cairn_pool_of(outside) == NULL && cairn_tag_pop() == -1);
    free(outside);
    for (int i = 0; i < 17; i++) {
        CHECK_EQ(pool_stats(tags[i]).live_blocks, i < 16 ? 2 : 0);
        cairn_pool_destroy(tags[i]);
    }
}

static void a_limit_is_the_scopes(void **state)
{
    (void)state;
    cairn_pool *tag = tag_new("tenant", 4 * MIB);
    CHECK(cairn_tag_push(tag) == 0);
    size_t got = 0;
    while (got < 100 && malloc(256 * KIB) != NULL)
        got++;
    CHECKF(got > 8 && got <= 16 && errno == ENOMEM, "%zu blocks", got);
    CHECK(cairn_tag_pop() == 0);
    void *block = malloc(8 * MIB);
    CHECK(block != NULL);
    free(block);
    cairn_pool_destroy(tag);
}

static cairn_pool *shared_tag;

/* In turns inside and outside; what is allocated is freed by the other threads. */
static _Atomic(void *) passed[256];

static void *tagged_thread(void *number)
{
    uint64_t seed = check_seed() + (uint64_t)(uintptr_t)number;
    for (int i = 0; i < 300; i++) {
        bool inside = check_below(&seed, 2) == 0;
        CHECK(!inside || cairn_tag_push(shared_tag) == 0);
        for (int k = 0; k < 50; k++) {
            void *block = malloc(check_random_size(&seed, 9000));
            CHECK((cairn_pool_of(block) == shared_tag) == inside);
            free(atomic_exchange(&passed[check_below(&seed, 256)], block));
        }
        CHECK(!inside || cairn_tag_pop() == 0);
    }
    CHECK(cairn_tag_push(shared_tag) == 0); /* the thread ends inside */
    return NULL;
}

static void threads_have_scopes_of_their_own(void **state)
{
    (void)state;
    pthread_t threads[8];
    shared_tag = tag_new("shared", 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, tagged_thread, (void *)(uintptr_t)i) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(cairn_pool_of(check_opaque(malloc(10))) == NULL);
    for (int i = 0; i < 256; i++)
        free(atomic_exchange(&passed[i], NULL));
    CHECKF(pool_stats(shared_tag).live_blocks == 0, "%llu",
           (unsigned long long)pool_stats(shared_tag).live_blocks);
    cairn_pool_destroy(shared_tag);
    CHECK(cairn_heap_check() == 0);
}

/* ---- Snapshots ------------------------------------------------------------------------------------- */

static const char *difference(const cairn_snapshot *before, const cairn_snapshot *after,
                              cairn_stats_format format)
{
    static char text[20000];
    int file = memfd_create("difference", MFD_CLOEXEC);
    CHECK(file >= 0 && cairn_snapshot_print(file, before, after, format) == 0);
    ssize_t got = pread(file, text, sizeof text - 1, 0);
    CHECK(got > 0);
    text[got] = 0;
    close(file);
    return text;
}

static bool matches(const char *text, const char *pattern)
{
    regex_t regex;
    CHECK(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) == 0);
    bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static void snapshots_differ_by_what_happened(void **state)
{
    (void)state;
    enum { SIZE = 13312, COUNT = 50 }; /* a class that nobody else uses */
    void *old[COUNT];
    uint64_t bytes, blocks, bytes_after, blocks_after;
    cairn_pool *gone = tag_new("gone", 0), *stays = tag_new("stays \"so\"", 0), *come;
    for (int i = 0; i < COUNT; i++)
        CHECK((old[i] = malloc(SIZE)) != NULL);
    CHECK(cairn_pool_malloc(gone, 1000) != NULL);
    cairn_snapshot *before = cairn_snapshot_take();
    CHECK(before != NULL);
    for (int i = 0; i < COUNT; i++)
        free(old[i]);
    void *large = malloc(40 * MIB);
    cairn_pool_destroy(gone);
    come = tag_new("come", 0);
    CHECK(cairn_pool_malloc(come, 20000) != NULL && cairn_pool_malloc(stays, 300) != NULL);
    cairn_snapshot *after = cairn_snapshot_take();
    CHECK(after != NULL);

    cairn_snapshot_live(before, SIZE_MAX, &bytes, &blocks);
    cairn_snapshot_live(after, SIZE_MAX, &bytes_after, &blocks_after);
    CHECK_EQ(bytes_after - bytes, 40 * MIB - COUNT * 13312);
    CHECK_EQ(blocks - blocks_after, COUNT - 1);
    cairn_snapshot_pool(after, stays, &bytes, &blocks);
    CHECK(bytes >= 300 && blocks == 1);
    cairn_snapshot_pool(before, stays, &bytes, NULL);
    CHECK_EQ(bytes, 0);

    const char *text = difference(before, after, CAIRN_STATS_TEXT);
    CHECKF(matches(text, "^  large blocks .* \\+41943040$"), "%s", text);
    CHECKF(matches(text, "^  13312 bytes +0 +0  -665600$"), "%s", text);
    CHECK(matches(text, "^  pool gone +0 +0  -10[0-9]+$") || matches(text, "^  pool gone .*-1[0-9]{3}$"));
    CHECK(matches(text, "^  pool come +1 +20[0-9]+  \\+20[0-9]+$"));
    CHECK(strstr(text, "large blocks") < strstr(text, "pool come"));
    CHECK(strstr(text, "pool come") < strstr(text, "13312 bytes"));
    text = difference(before, after, CAIRN_STATS_JSON);
    CHECKF(matches(text,
                   "\\{\"block_size\": 13312, \"bytes_before\": 665600, \"bytes\": 0, \"blocks_before\": "
                   "50, \"blocks\": 0\\}"),
           "%s", text);
    CHECK(strstr(text, "{\"pool\": \"stays \\\"so\\\"\", \"bytes_before\": 0") != NULL);
    text = difference(after, after, CAIRN_STATS_TEXT);
    CHECKF(matches(text, "^  all that has changed +0 +0  \\+0$") && strstr(text, "bytes  ") != NULL, "%s",
           text);
    CHECK(!matches(text, "^  (large|pool)"));
    CHECK(matches(difference(NULL, after, CAIRN_STATS_TEXT),
                  "^  large blocks +[0-9]+ +4[0-9]{7}  \\+4[0-9]{7}$"));
    int closed = open("/dev/null", O_RDONLY);
    CHECK(cairn_snapshot_print(closed, before, after, CAIRN_STATS_TEXT) == -1 && errno == EBADF);
    close(closed);
    cairn_snapshot_free(before);
    cairn_snapshot_free(after);
    cairn_snapshot_free(NULL);
    free(large);
    cairn_pool_destroy(stays);
    cairn_pool_destroy(come);
}

/* ---- Traces ---------------------------------------------------------------------------------------- */

static atomic_int traced_go;

static void *traced_thread(void *number)
{
    uint64_t seed = check_seed() + (uint64_t)(uintptr_t)number;
    while (atomic_load(&traced_go) != 0) {
        void *block = malloc(check_random_size(&seed, 3000));
        block = realloc(block, check_random_size(&seed, 3000));
        free(atomic_exchange(&passed[check_below(&seed, 256)], block));
    }
    return NULL;
}

/* Started and stopped, into one file after the other, while threads work and the process forks. */
static void traces_while_threads_work(void **state)
{
    (void)state;
    pthread_t threads[4];
    char path[] = "/tmp/cairn-observe.XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    CHECK(cairn_trace_stop() == -1 && errno == EINVAL);
    CHECK(cairn_trace_start("/no/such/folder") == -1 && errno == ENOENT);
    atomic_store(&traced_go, 1);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, traced_thread, (void *)(uintptr_t)i) == 0);
    for (int round = 0; round < 5; round++) {
        CHECKF(cairn_trace_start(path) == 0, "%s", cairn_errormsg());
        CHECK(cairn_trace_start(path) == -1 && errno == EBUSY);
        check_sleep(0.02);
        pid_t child = fork();
        if (child == 0) {
            free(malloc(100)); /* the trace is the parent's */
            _exit(cairn_trace_stop() == -1 && errno == EINVAL ? 0 : 1);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(cairn_trace_stop() == 0);
        struct trace trace;
        read_trace(&trace, path);
        CHECKF(trace.ended && trace.end_lost == 0 && trace.end_events == trace.event_count, "round %d",
               round);
        CHECK(trace.event_count > 100);
        read_done(&trace);
    }
    atomic_store(&traced_go, 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 256; i++)
        free(atomic_exchange(&passed[i], NULL));
    unlink(path);
    CHECK(cairn_heap_check() == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_tagged),
        cmocka_unit_test(scopes_nest),
        cmocka_unit_test(a_limit_is_the_scopes),
        cmocka_unit_test(threads_have_scopes_of_their_own),
        cmocka_unit_test(snapshots_differ_by_what_happened),
        cmocka_unit_test(traces_while_threads_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
