// timeout: 60
// serial: measures the program break
// sanitize: no
/* test_brk.c - option source:brk: the heap lies inside the program break, lives with other callers of sbrk,
 * gives the top back, and goes on with mmap when the break cannot move. */
#include "api.h"

/* The lowest address that the break has had: just above the program. */
static uintptr_t break_start(void)
{
    char text[16384];
    check_read_file("/proc/self/maps", text, sizeof text);
    const char *line = strstr(text, "[heap]");
    CHECKF(line != NULL, "%s", "the process has no [heap]");
    while (line > text && line[-1] != '\n')
        line--;
    return strtoull(line, NULL, 16);
}

static int in_break(const void *p, size_t size)
{
    return (uintptr_t)p >= break_start() && (uintptr_t)p + size <= (uintptr_t)sbrk(0);
}

enum { COUNT = 2000 };
static void *blocks[COUNT];
static size_t sizes[COUNT];

static void fill_blocks(size_t max)
{
    uint64_t seed = check_seed();
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = check_random_size(&seed, max);
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL);
        check_fill(blocks[i], sizes[i], i);
    }
}

static void drop_blocks(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_FILLED(blocks[i], sizes[i], i);
        free(blocks[i]);
    }
}

/* "the heap grows by moving the break" */
static void task_heap_is_inside_the_break(void)
{
    uintptr_t before = (uintptr_t)sbrk(0);
    fill_blocks(2 * MIB);
    for (size_t i = 0; i < COUNT; i++)
        CHECKF(in_break(blocks[i], sizes[i]), "block %p of %zu bytes is outside the break, %p", blocks[i],
               sizes[i], sbrk(0));
    CHECK((uintptr_t)sbrk(0) > before);
    void *big = malloc(200 * MIB), *aligned = aligned_alloc(4 * MIB, 4 * MIB);
    CHECK(big != NULL && in_break(big, 200 * MIB));
    CHECK(aligned != NULL && in_break(aligned, 4 * MIB));
    big = realloc(big, 300 * MIB);
    CHECK(big != NULL && in_break(big, 300 * MIB));
    free(big);
    free(aligned);
    drop_blocks();
    stats_checked();
}

/* The default is mmap: the break does not move. */
static void task_break_stays_alone(void)
{
    void *before = sbrk(0);
    fill_blocks(2 * MIB);
    CHECK(sbrk(0) == before);
    drop_blocks();
}

static void heap_is_inside_the_break(void **state)
{
    (void)state;
    check_task_conf("heap_is_inside_the_break", "source:brk");
    check_task_conf("break_stays_alone", "source:os");
    check_task_conf("break_stays_alone", "");
}

/* "tolerates other callers of sbrk in between": their memory stays theirs, at odd sizes too */
static void task_foreign_callers(void)
{
    enum { FOREIGN = 60 };
    static char *foreign[FOREIGN];
    uint64_t seed = check_seed();
    void *own[FOREIGN][40];
    for (size_t i = 0; i < FOREIGN; i++) {
        size_t length = 1 + i * 777;
        foreign[i] = sbrk((intptr_t)length);
        CHECK(foreign[i] != (void *)-1);
        check_fill(foreign[i], length, i);
        for (size_t k = 0; k < 40; k++) {
            size_t size = 300000 / (k + 1) + check_below(&seed, 1000);
            own[i][k] = malloc(size);
            CHECK(own[i][k] != NULL);
            CHECK(((uintptr_t)own[i][k] & 15) == 0);
            for (size_t f = 0; f <= i; f++)
                CHECKF((char *)own[i][k] + size <= foreign[f] ||
                           (char *)own[i][k] >= foreign[f] + 1 + f * 777,
                       "%p of %zu overlaps %p", own[i][k], size, (void *)foreign[f]);
            memset(own[i][k], 0xff, size);
        }
    }
    for (size_t i = 0; i < FOREIGN; i++)
        CHECK_FILLED(foreign[i], 1 + i * 777, i);
    stats_checked();
    for (size_t i = 0; i < FOREIGN; i++)
        for (size_t k = 0; k < 40; k++)
            free(own[i][k]);
    malloc_trim(0);
    for (size_t i = 0; i < FOREIGN; i++) /* giving back must not take them along */
        CHECK_FILLED(foreign[i], 1 + i * 777, i);
    CHECK((char *)sbrk(0) >= foreign[FOREIGN - 1] + 1 + (FOREIGN - 1) * 777);
    fill_blocks(100000);
    drop_blocks();
    for (size_t i = 0; i < FOREIGN; i++)
        CHECK_FILLED(foreign[i], 1 + i * 777, i);
    stats_checked();
}

static void foreign_callers(void **state)
{
    (void)state;
    check_task_conf("foreign_callers", "source:brk");
}

/* "gives the top back when it is free": the break sinks, by itself within 5 s, or at once by trim */
static void task_top_is_given_back(void)
{
    fill_blocks(1000);
    char *low = sbrk(0);
    size_t base = stats_checked().committed;
    for (int round = 0; round < 3; round++) {
        static void *big[100];
        for (size_t i = 0; i < 100; i++) {
            big[i] = malloc(MIB);
            CHECK(big[i] != NULL);
            check_touch(big[i], MIB);
        }
        char *high = sbrk(0);
        CHECK(high >= low + 90 * MIB);
        for (size_t i = 0; i < 100; i++)
            free(big[i]);
        if (round == 1)
            malloc_trim(0);
        double end = check_now() + 5;
        while ((char *)sbrk(0) > high - 80 * MIB && check_now() < end)
            check_sleep(0.02);
        CHECKF((char *)sbrk(0) <= high - 80 * MIB, "round %d: the break sank by %td only", round,
               high - (char *)sbrk(0));
        CHECK(stats_checked().committed < base + 20 * MIB);
    }
    drop_blocks();
    stats_checked();
}

static void top_is_given_back(void **state)
{
    (void)state;
    check_task_conf("top_is_given_back", "source:brk");
}

/* "falls over to mmap when the break can't move": here a foreign mapping lies in its way */
static void task_break_is_blocked(void)
{
    fill_blocks(1000);
    uintptr_t wall = ((uintptr_t)sbrk(0) + 4 * MIB) & ~(uintptr_t)4095;
    void *mapping =
        mmap((void *)wall, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK((uintptr_t)mapping == wall);
    static void *big[300];
    int outside = 0;
    for (size_t i = 0; i < 300; i++) {
        big[i] = malloc(500000);
        CHECKF(big[i] != NULL, "block %zu, break %p, wall %p", i, sbrk(0), mapping);
        check_fill(big[i], 500000, i);
        outside += (uintptr_t)big[i] > wall || (uintptr_t)big[i] < break_start();
    }
    CHECKF(outside > 250, "%d blocks are outside the break", outside);
    stats_checked();
    for (size_t i = 0; i < 300; i++) {
        CHECK_FILLED(big[i], 500000, i);
        free(big[i]);
    }
    drop_blocks();
    CHECK(munmap(mapping, 4096) == 0);
    stats_checked();
}

static void break_is_blocked(void **state)
{
    (void)state;
    check_task_conf("break_is_blocked", "source:brk");
}

/* RLIMIT_DATA stops the break and private mappings alike: NULL, no crash, and work goes on after frees. */
static void task_data_limit(void)
{
    size_t count = 0, total = 0;
    static void *small[200000];
    for (;; count++) {
        CHECKF(count < 200000, "%zu bytes in spite of the limit", total);
        errno = 0;
        small[count] = malloc(1000);
        if (small[count] == NULL)
            break;
        memset(small[count], 1, 1000);
        total += 1000;
    }
    CHECK(errno == ENOMEM);
    CHECKF(total > 32 * MIB, "only %zu bytes below a limit of 64 MiB", total);
    for (size_t i = 0; i < count; i++)
        free(small[i]);
    void *p = malloc(16 * MIB);
    CHECK(p != NULL);
    free(p);
    stats_checked();
}

static void data_limit(void **state)
{
    (void)state;
    static check_run run;
    static const char *const confs[] = {"CAIRN_CONF=source:brk", "CAIRN_CONF=source:os"};
    for (size_t i = 0; i < 2; i++) {
        const char *const env[] = {confs[i], NULL};
        memset(&run, 0, sizeof run);
        run.env = env;
        run.limit = RLIMIT_DATA;
        run.limit_bytes = 64 * MIB;
        check_task_run(&run, "data_limit");
        check_run_must(&run, confs[i]);
    }
}

/* Threads grow the heap from the break together, while another moves it, too. */
static void *churn(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    void *mine[200] = {NULL};
    size_t size[200] = {0};
    for (int step = 0; step < 30000; step++) {
        size_t i = check_below(&seed, 200);
        if (mine[i] != NULL)
            CHECK_FILLED(mine[i], size[i], i + (uint64_t)(uintptr_t)argument);
        free(mine[i]);
        size[i] = check_random_size(&seed, step % 100 == 0 ? MIB : 5000);
        mine[i] = malloc(size[i]);
        CHECK(mine[i] != NULL);
        check_fill(mine[i], size[i], i + (uint64_t)(uintptr_t)argument);
    }
    for (size_t i = 0; i < 200; i++)
        free(mine[i]);
    return NULL;
}

static void task_threads_on_the_break(void)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stats_checked();
}

static void threads_on_the_break(void **state)
{
    (void)state;
    check_task_conf("threads_on_the_break", "source:brk");
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"heap_is_inside_the_break", task_heap_is_inside_the_break},
        {"break_stays_alone", task_break_stays_alone},
        {"foreign_callers", task_foreign_callers},
        {"top_is_given_back", task_top_is_given_back},
        {"break_is_blocked", task_break_is_blocked},
        {"data_limit", task_data_limit},
        {"threads_on_the_break", task_threads_on_the_break},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_is_inside_the_break),
        cmocka_unit_test(foreign_callers),
        cmocka_unit_test(top_is_given_back),
        cmocka_unit_test(break_is_blocked),
        cmocka_unit_test(data_limit),
        cmocka_unit_test(threads_on_the_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
