/* test_walk.c - cairn_heap_walk and cairn_heap_check through the public header: what is visited, what the visitor
 * may do, and that each kind of damage is found and named. */
#include "api.h"

enum { BLOCKS = 5000 };

struct seen {
    void *blocks[BLOCKS];
    size_t sizes[BLOCKS], times[BLOCKS], others, limit;
};

static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static int count_known(void *block, size_t size, void *context)
{
    struct seen *seen = (struct seen *)context;
    void **at = (void **)bsearch(&block, seen->blocks, BLOCKS, sizeof *seen->blocks, by_address);
    if (at == NULL) {
        seen->others++;
    } else {
        seen->times[at - seen->blocks]++;
        seen->sizes[at - seen->blocks] = size;
    }
    return 0;
}

/* Of every size, allocated by three threads of which two are gone, each visited once with its usable size. */
static void *allocate_third(void *context)
{
    void **blocks = (void **)context;
    uint64_t seed = (uint64_t)(uintptr_t)context | 1;
    for (size_t i = 0; i < BLOCKS / 3; i++)
        CHECK((blocks[i] = malloc(check_random_size(&seed, i % 100 == 0 ? MIB : 6000))) != NULL);
    for (size_t i = 1; i < BLOCKS / 3; i += 2) { /* holes in between */
        free(blocks[i]);
        blocks[i] = malloc(i % 1000);
    }
    return NULL;
}

static void every_block_once(void **state)
{
    (void)state;
    struct seen *seen = (struct seen *)check_table(sizeof *seen);
    pthread_t thread;
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&thread, NULL, allocate_third, seen->blocks + BLOCKS / 3 * i) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    allocate_third(seen->blocks + BLOCKS / 3 * 2);
    for (size_t i = BLOCKS / 3 * 3; i < BLOCKS; i++)
        CHECK((seen->blocks[i] = aligned_alloc(8192, 100)) != NULL);
    qsort(seen->blocks, BLOCKS, sizeof *seen->blocks, by_address);
    CHECK(cairn_heap_check() == 0);
    CHECK(cairn_heap_walk(count_known, seen) == 0);
    for (size_t i = 0; i < BLOCKS; i++) {
        CHECKF(seen->times[i] == 1, "%p is visited %zu times", seen->blocks[i], seen->times[i]);
        CHECK_EQ(seen->sizes[i], cairn_usable_size(seen->blocks[i]));
    }
    CHECKF(seen->others < 2000, "%zu blocks of others", seen->others);
    for (size_t i = 0; i < BLOCKS; i += 2)
        free(seen->blocks[i]);
    memset(seen->times, 0, sizeof seen->times);
    CHECK(cairn_heap_walk(count_known, seen) == 0);
    for (size_t i = 0; i < BLOCKS; i++)
        CHECKF(seen->times[i] == i % 2, "%p is visited %zu times", seen->blocks[i], seen->times[i]);
    for (size_t i = 1; i < BLOCKS; i += 2)
        free(seen->blocks[i]);
    CHECK(cairn_heap_check() == 0);
    munmap(seen, sizeof *seen);
}

static int count_until(void *block, size_t size, void *context)
{
    (void)block;
    (void)size;
    return --*(int *)context == 0 ? 42 : 0;
}

static void the_visitor_ends_it(void **state)
{
    (void)state;
    int left = 3;
    void *blocks[4];
    for (int i = 0; i < 4; i++)
        blocks[i] = malloc(10);
    CHECK_EQ(cairn_heap_walk(count_until, &left), 42);
    CHECK_EQ(left, 0);
    for (int i = 0; i < 4; i++)
        free(blocks[i]);
}

/* Walks and statistics tell the same number, and the visitor may free what it is shown. */
struct harvest {
    size_t blocks, bytes;
    size_t size;
};

static int free_those(void *block, size_t size, void *context)
{
    struct harvest *harvest = (struct harvest *)context;
    harvest->blocks++;
    harvest->bytes += size;
    if (size == harvest->size)
        free(block);
    else
        free(malloc(size));
    return 0;
}

static void the_visitor_may_allocate_and_free(void **state)
{
    (void)state;
    enum { COUNT = 300, SIZE = 14336 }; /* a class that nobody else uses */
    for (int i = 0; i < COUNT; i++)
        CHECK(malloc(SIZE) != NULL);
    cairn_stats before = stats_now();
    struct harvest harvest = {0, 0, SIZE};
    CHECK(cairn_heap_walk(free_those, &harvest) == 0);
    CHECK_EQ(harvest.blocks, before.live_blocks);
    CHECK_EQ(harvest.bytes, before.live);
    CHECK_EQ(stats_checked().live_blocks, before.live_blocks - COUNT);
    CHECK(cairn_heap_check() == 0);
}

/* ---- Damage ---------------------------------------------------------------------------------------- */

static void finds(const char *text)
{
    errno = 0;
    int result = cairn_heap_check(), why = errno;
    if (result != -1 || why != EUCLEAN || strstr(cairn_errormsg(), text) == NULL) {
        dprintf(2, "result %d, errno %d, \"%s\", not \"%s\"\n", result, why, cairn_errormsg(), text);
        _exit(1);
    }
    struct harvest harvest = {0, 0, 0};
    if (cairn_heap_walk(count_until, &(int){INT32_MAX}) != 0 || harvest.blocks != 0)
        _exit(1); /* the walk goes around the damage */
    _exit(0);
}

static void *volatile victims[3];

static void make_victims(void)
{
    for (int i = 0; i < 3; i++)
        CHECK((victims[i] = malloc(1700)) != NULL);
}

static void *free_victims(void *context)
{
    (void)context;
    free(victims[0]);
    free(victims[1]);
    return NULL;
}

static void free_victims_in_a_thread(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_victims, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void task_written_after_free(void)
{
    make_victims();
    (void)free_victims(NULL);
    ((uintptr_t *)check_opaque(victims[1]))[0] = (uintptr_t)0x4141414141414141;
    finds("a free list leads out of its span");
}

static void task_written_by_some_bytes(void)
{
    make_victims();
    (void)free_victims(NULL);
    ((uintptr_t *)check_opaque(victims[1]))[0] += 3;
    finds("a free list leads into a block");
}

static void task_freed_twice(void)
{
    make_victims();
    (void)free_victims(NULL);
    free(check_opaque(victims[0])); /* not the one freed last, so free does not see it */
    finds("a block is free twice");
}

static void task_written_after_remote_free(void)
{
    make_victims();
    free_victims_in_a_thread();
    ((uintptr_t *)check_opaque(victims[1]))[0] = 8;
    finds("a free list leads out of its span");
}

static void task_list_cut(void)
{
    make_victims();
    (void)free_victims(NULL);
    ((uintptr_t *)check_opaque(victims[1]))[0] = 0;
    finds("the blocks of a span are miscounted");
}

/* The damage is in a span of a thread that sleeps. */
static void *damage_and_sleep(void *context)
{
    make_victims();
    (void)free_victims(NULL);
    ((uintptr_t *)check_opaque(victims[1]))[0] += 3;
    *(volatile int *)context = 1;
    __sync_synchronize();
    for (int i = 0; i < 1000; i++)
        check_sleep(1);
    return NULL;
}

static void task_in_another_thread(void)
{
    pthread_t thread;
    static volatile int done;
    CHECK(pthread_create(&thread, NULL, damage_and_sleep, (void *)(uintptr_t)&done) == 0);
    while (done == 0)
        check_sleep(0.001);
    finds("a free list leads into a block");
}

static void damage_is_found(void **state)
{
    (void)state;
    check_task_ok("written_after_free", NULL);
    check_task_ok("written_by_some_bytes", NULL);
    check_task_ok("freed_twice", NULL);
    check_task_ok("written_after_remote_free", NULL);
    check_task_ok("list_cut", NULL);
    check_task_ok("in_another_thread", NULL);
}

/* In the child of a fork the spans of threads that are not there are still walked and checked. */
static void *allocate_and_sleep(void *context)
{
    void **blocks = (void **)context;
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(700);
    __atomic_store_n(&blocks[100], blocks, __ATOMIC_RELEASE);
    for (int i = 0; i < 1000; i++)
        check_sleep(1);
    return NULL;
}

static int count_of_700(void *block, size_t size, void *context)
{
    (void)block;
    *(int *)context += size == cairn_good_size(700);
    return 0;
}

static void task_after_fork(void)
{
    static void *blocks[101];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, allocate_and_sleep, blocks) == 0);
    while (__atomic_load_n(&blocks[100], __ATOMIC_ACQUIRE) == NULL)
        check_sleep(0.001);
    pid_t child = fork();
    if (child == 0) {
        int count = 0;
        int good = cairn_heap_check() == 0 && cairn_heap_walk(count_of_700, &count) == 0 && count == 100;
        free(blocks[0]);
        count = 0;
        good = good && cairn_heap_walk(count_of_700, &count) == 0 && count == 99 && cairn_heap_check() == 0;
        _exit(good ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    _exit(0);
}

static void the_child_of_a_fork(void **state)
{
    (void)state;
    check_task_ok("after_fork", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"written_after_free", task_written_after_free},
        {"written_by_some_bytes", task_written_by_some_bytes},
        {"freed_twice", task_freed_twice},
        {"written_after_remote_free", task_written_after_remote_free},
        {"list_cut", task_list_cut},
        {"in_another_thread", task_in_another_thread},
        {"after_fork", task_after_fork},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_once),
        cmocka_unit_test(the_visitor_ends_it),
        cmocka_unit_test(the_visitor_may_allocate_and_free),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(the_child_of_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
