// timeout: 60
// sanitize: no
/* test_stats.c - the numbers: they add up to the byte at rest in every form, count exactly what was done, and
 * are never negative while threads run. */
#include "api.h"
#include <stdatomic.h>

/* ---- All forms, taken from one state at rest ----------------------------------------------------- */

static struct {
    cairn_stats s;
    struct mallinfo2 info;
    char text[1 << 16], json[1 << 16], xml[1 << 16];
} forms;

static void read_back(int fd, char *text, size_t capacity)
{
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    ssize_t got = read(fd, text, capacity - 1);
    CHECK(got > 0);
    text[got] = '\0';
}

static void take_forms(void)
{
    static char buffer[4096];
    int text = memfd_create("text", 0), json = memfd_create("json", 0), xml = memfd_create("xml", 0);
    CHECK(text >= 0 && json >= 0 && xml >= 0);
    FILE *file = fdopen(xml, "w+");
    CHECK(file != NULL && setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0);
    forms.s = stats_checked();
    forms.info = mallinfo2();
    CHECK(malloc_info(0, file) == 0 && fflush(file) == 0);
    CHECK(cairn_stats_print(text, CAIRN_STATS_TEXT) == 0);
    CHECK(cairn_stats_print(json, CAIRN_STATS_JSON) == 0);
    cairn_stats again = stats_checked();
    CHECKF(again.allocations == forms.s.allocations && again.committed == forms.s.committed, "%s",
           "taking statistics allocates");
    read_back(text, forms.text, sizeof forms.text);
    read_back(json, forms.json, sizeof forms.json);
    read_back(xml, forms.xml, sizeof forms.xml);
    fclose(file);
    close(text);
    close(json);
}

/* mallinfo2 as its manual page has it: arena without and hblkhd with the large blocks make up what is held,
 * uordblks without and hblkhd with them what is in use. */
static void check_mallinfo2(void)
{
    const struct mallinfo2 *m = &forms.info;
    CHECK_EQ(m->hblkhd, forms.s.live_large);
    CHECK_EQ(m->arena + m->hblkhd, forms.s.committed);
    CHECK_EQ(m->uordblks + m->hblkhd, forms.s.live);
    CHECK_EQ(m->uordblks + m->fordblks + m->fsmblks, m->arena);
    CHECK_EQ(m->fordblks, forms.s.cached + forms.s.free);
}

static void check_text(void)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {{"live", forms.s.live},           {"cached", forms.s.cached},
                  {"free", forms.s.free},           {"metadata", forms.s.metadata},
                  {"committed", forms.s.committed}, {"live_blocks", forms.s.live_blocks},
                  {"reserved", forms.s.reserved},   {"allocations", forms.s.allocations}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char expected[100];
        snprintf(expected, sizeof expected, "^ *%s +%llu( |$)", fields[i].name,
                 (unsigned long long)fields[i].value);
        CHECKF(check_match(forms.text, expected), "\"%s\" is not in\n%.900s", expected, forms.text);
    }
}

static void check_json(void)
{
    static check_run run;
    char script[2000];
    snprintf(script, sizeof script,
             "import json, sys\n"
             "d = json.load(sys.stdin)\n"
             "assert d['live'] + d['cached'] + d['free'] + d['metadata'] == d['committed'], 'sum'\n"
             "want = dict(live=%llu, cached=%llu, free=%llu, metadata=%llu, committed=%llu, live_blocks=%llu,"
             " reserved=%llu, allocations=%llu, frees=%llu, threads=%llu)\n"
             "for name, value in want.items():\n"
             "    assert d[name] == value, '%%s is %%s, not %%s' %% (name, d[name], value)\n"
             "assert sum(c['live'] for c in d['classes']) == d['live'], 'sum of classes'\n"
             "assert sum(c['live_blocks'] for c in d['classes']) == d['live_blocks'], 'blocks of classes'\n",
             (unsigned long long)forms.s.live, (unsigned long long)forms.s.cached,
             (unsigned long long)forms.s.free, (unsigned long long)forms.s.metadata,
             (unsigned long long)forms.s.committed, (unsigned long long)forms.s.live_blocks,
             (unsigned long long)forms.s.reserved, (unsigned long long)forms.s.allocations,
             (unsigned long long)forms.s.frees, (unsigned long long)forms.s.threads);
    const char *const argv[] = {"python3", "-c", script, NULL};
    memset(&run, 0, sizeof run);
    run.input = forms.json;
    check_exec(&run, argv);
    check_run_must(&run, "python3 on the JSON statistics");
}

static void check_xml(void)
{
    static check_run run;
    char path[300];
    snprintf(path, sizeof path,
             "sum(/malloc/total/@size) = /malloc/system[@type='current']/@size"
             " and /malloc/system[@type='current']/@size = %llu",
             (unsigned long long)forms.s.committed);
    const char *const argv[] = {"xmllint", "--xpath", path, "-", NULL};
    memset(&run, 0, sizeof run);
    run.input = forms.xml;
    check_exec(&run, argv);
    check_run_must(&run, "xmllint on malloc_info");
    CHECKF(strncmp(run.out, "true", 4) == 0, "%s: %.20s for\n%.900s", path, run.out, forms.xml);
}

static void check_forms(void)
{
    take_forms();
    check_text();
    check_json();
    check_xml();
    check_mallinfo2();
}

/* "live + cached + free + metadata = committed, at rest and to the byte, in mallinfo2, malloc_info, the text
 * statistics and the JSON statistics alike" */
static void task_forms_add_up(void)
{
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    uint64_t seed = check_seed();
    check_forms();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            blocks[i] = malloc(check_random_size(&seed, i % 50 == 0 ? MIB : 5000));
            CHECK(blocks[i] != NULL);
        }
        check_forms();
        for (size_t i = 0; i < COUNT; i++)
            if (i % 3 != 0)
                free(blocks[i]);
        check_forms();
        if (round == 1)
            malloc_trim(0);
        for (size_t i = 0; i < COUNT; i += 3)
            free(blocks[i]);
        check_forms();
    }
}

static void forms_add_up(void **state)
{
    (void)state;
    check_task_ok("forms_add_up", NULL);
    check_task_conf("forms_add_up", "source:brk");
}

/* ---- Exact counts -------------------------------------------------------------------------------- */

/* live is the sum of the usable sizes, blocks and calls are counted one by one. */
static void task_counts_are_exact(void)
{
    enum { COUNT = 3000 };
    static void *blocks[COUNT];
    uint64_t seed = check_seed(), usable = 0, large = 0;
    free(check_opaque(malloc(1)));
    cairn_stats a = stats_checked();
    for (size_t i = 0; i < COUNT; i++) {
        size_t size = check_random_size(&seed, 200000);
        blocks[i] = i % 3 == 0 ? malloc(size) : i % 3 == 1 ? calloc(1, size) : aligned_alloc(256, size);
        CHECK(blocks[i] != NULL);
        usable += malloc_usable_size(blocks[i]);
        if (malloc_usable_size(blocks[i]) > 65536)
            large += malloc_usable_size(blocks[i]);
    }
    cairn_stats b = stats_checked();
    CHECK_EQ(b.live - a.live, usable);
    CHECK_EQ(b.live_blocks - a.live_blocks, COUNT);
    CHECK_EQ(b.allocations - a.allocations, COUNT);
    CHECK_EQ(b.frees, a.frees);
    CHECK(b.live_large - a.live_large >= large && b.spans > 0 && b.arenas > 0 && b.threads == 1);
    for (size_t i = 0; i < COUNT; i++) { /* in place: neither an allocation nor a free */
        void *p = realloc(blocks[i], malloc_usable_size(blocks[i]));
        CHECK(p == blocks[i]);
    }
    b = stats_checked();
    CHECK_EQ(b.allocations - a.allocations, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        free(blocks[i]);
    cairn_stats c = stats_checked();
    CHECK_EQ(c.live, a.live);
    CHECK_EQ(c.live_blocks, a.live_blocks);
    CHECK_EQ(c.live_large, a.live_large);
    CHECK_EQ(c.frees - a.frees, COUNT);
    CHECK(c.committed_peak >= b.committed);
}

static void *allocate_in_thread(void *argument)
{
    void **blocks = argument;
    for (size_t i = 0; i < 1000; i++)
        if ((blocks[i] = malloc(i + 1)) == NULL)
            abort();
    return NULL;
}

/* Blocks that one thread allocated and another freed are counted once each, wherever they wait. */
static void task_counts_across_threads(void)
{
    static void *blocks[8][1000];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) /* once, so that the threads' own blocks are in libc's cache */
        CHECK(pthread_create(&threads[i], NULL, allocate_in_thread, blocks[i]) == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        for (size_t k = 0; k < 1000; k++)
            free(blocks[i][k]);
    }
    cairn_stats a = stats_checked();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 8; i++)
            CHECK(pthread_create(&threads[i], NULL, allocate_in_thread, blocks[i]) == 0);
        for (int i = 0; i < 8; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        cairn_stats b = stats_checked();
        CHECKF(b.live_blocks >= a.live_blocks + 8000 && b.live_blocks <= a.live_blocks + 8010,
               "%llu, before %llu", (unsigned long long)b.live_blocks, (unsigned long long)a.live_blocks);
        for (int i = 0; i < 8; i++)
            for (size_t k = 0; k < 1000; k++)
                free(blocks[i][k]);
        cairn_stats c = stats_checked();
        CHECKF(c.live_blocks <= a.live_blocks + 10, "%llu, before %llu", (unsigned long long)c.live_blocks,
               (unsigned long long)a.live_blocks);
    }
}

static void counts_are_exact(void **state)
{
    (void)state;
    check_task_ok("counts_are_exact", NULL);
    check_task_ok("counts_across_threads", NULL);
}

/* ---- Under load ---------------------------------------------------------------------------------- */

static _Atomic int stop;

static void *churn(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    void *blocks[500] = {NULL};
    while (!stop) {
        size_t i = check_below(&seed, 500);
        free(blocks[i]);
        blocks[i] = malloc(check_random_size(&seed, 100000));
    }
    for (size_t i = 0; i < 500; i++)
        free(blocks[i]);
    return NULL;
}

/* "Figures taken while threads run are consistent each by itself, never negative" */
static void task_never_negative(void)
{
    pthread_t threads[6];
    for (uintptr_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    const uint64_t most = 64 * GIB; /* a negative number would be far above */
    for (double end = check_now() + check_scale(1.5); check_now() < end;) {
        cairn_stats s = stats_now();
        const uint64_t bytes[] = {s.live,     s.cached,         s.free,       s.metadata,    s.committed,
                                  s.reserved, s.committed_peak, s.live_large, s.live_blocks, s.spans};
        for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
            CHECKF(bytes[i] < most, "figure %zu is %lld", i, (long long)bytes[i]);
        struct mallinfo2 m = mallinfo2();
        CHECKF(m.arena < most && m.uordblks < most && m.fordblks < most && m.hblkhd < most &&
                   m.keepcost < most,
               "mallinfo2: %zd %zd %zd %zd", (ssize_t)m.arena, (ssize_t)m.uordblks, (ssize_t)m.fordblks,
               (ssize_t)m.hblkhd);
    }
    stop = 1;
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stats_checked();
}

/* mallinfo has int fields: beyond 2 GiB they stay at the highest value instead of turning negative. */
static void task_mallinfo_of_much(void)
{
    void *p[3] = {malloc(GIB), malloc(GIB), malloc(GIB)};
    CHECK(p[0] != NULL && p[1] != NULL && p[2] != NULL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo m = mallinfo();
#pragma GCC diagnostic pop
    CHECK(m.arena >= 0 && m.uordblks >= 0 && m.fordblks >= 0 && m.hblkhd >= 0 && m.usmblks >= 0);
    CHECK(m.hblkhd == INT32_MAX);
    CHECK(mallinfo2().hblkhd >= 3 * GIB);
    for (int i = 0; i < 3; i++)
        free(p[i]);
}

static void never_negative(void **state)
{
    (void)state;
    check_task_ok("never_negative", NULL);
    check_task_ok("mallinfo_of_much", NULL);
}

/* ---- The calls' edges ---------------------------------------------------------------------------- */

static void edges_of_the_calls(void **state)
{
    (void)state;
    union {
        cairn_stats stats;
        unsigned char bytes[sizeof(cairn_stats) + 256];
    } u;
    /* "-1 with EINVAL if struct_size is 0" */
    memset(&u, 0xaa, sizeof u);
    u.stats.struct_size = 0;
    errno = 0;
    CHECK(cairn_stats_get(&u.stats) == -1 && errno == EINVAL);
    /* "fields beyond it stay unwritten": an older program with a shorter structure */
    size_t shorter = offsetof(cairn_stats, committed);
    memset(&u, 0xaa, sizeof u);
    u.stats.struct_size = shorter;
    CHECK(cairn_stats_get(&u.stats) == 0 && u.stats.struct_size == shorter);
    CHECK(u.stats.live < 64 * GIB && u.stats.metadata < 64 * GIB);
    for (size_t i = shorter; i < sizeof u; i++)
        CHECKF(u.bytes[i] == 0xaa, "byte %zu was written", i);
    /* a newer program with a longer one gets what there is */
    memset(&u, 0xaa, sizeof u);
    u.stats.struct_size = sizeof u;
    CHECK(cairn_stats_get(&u.stats) == 0 && u.stats.purges < 1000000);
    /* "-1 with the errno of write(2)" */
    errno = 0;
    CHECK(cairn_stats_print(-1, CAIRN_STATS_TEXT) == -1 && errno == EBADF);
    int full = open("/dev/full", O_WRONLY);
    CHECK(full >= 0);
    errno = 0;
    CHECK(cairn_stats_print(full, CAIRN_STATS_JSON) == -1 && errno == ENOSPC);
    FILE *file = fdopen(full, "w");
    CHECK(file != NULL);
    fclose(file);
    /* malloc_info knows no options */
    errno = 0;
    CHECK(malloc_info(1, stderr) == -1 && errno == EINVAL);
    CHECK(mallopt(12345, 1) == 0);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
}

static void task_malloc_stats(void)
{
    malloc_stats();
}

/* malloc_stats writes to standard error */
static void malloc_stats_prints(void **state)
{
    (void)state;
    static check_run run;
    check_task_run(&run, "malloc_stats");
    check_run_must(&run, "malloc_stats");
    CHECK(run.out[0] == '\0' && check_match(run.err, "^ *committed +[0-9]+"));
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"forms_add_up", task_forms_add_up},
        {"counts_are_exact", task_counts_are_exact},
        {"counts_across_threads", task_counts_across_threads},
        {"never_negative", task_never_negative},
        {"mallinfo_of_much", task_mallinfo_of_much},
        {"malloc_stats", task_malloc_stats},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_add_up),        cmocka_unit_test(counts_are_exact),
        cmocka_unit_test(never_negative),      cmocka_unit_test(edges_of_the_calls),
        cmocka_unit_test(malloc_stats_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
