// timeout: 120
// serial: measures resident sizes
// sanitize: no
/* test_threads.c - what threads leave behind: nothing when they end, nothing when they only free. */
#include "api.h"
#include <stdatomic.h>

static void run_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0 && pthread_join(thread, NULL) == 0);
}

/* ---- Short threads ------------------------------------------------------------------------------- */

static _Atomic(void *) left_behind[64];

/* Allocates 100 blocks, frees most, leaves some for later threads and frees what earlier ones left. */
static void *short_life(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    void *blocks[100];
    for (int i = 0; i < 100; i++) {
        size_t size = check_random_size(&seed, i == 0 ? 200000 : 4000);
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], 1, size);
    }
    for (int i = 0; i < 100; i++)
        free(i % 25 != 0 ? blocks[i] : atomic_exchange(&left_behind[check_below(&seed, 64)], blocks[i]));
    return NULL;
}

/* "ten thousand short threads leave nothing behind" */
static void task_short_threads(void)
{
    uint64_t seed = check_seed();
    free(check_opaque(malloc(100))); /* so that this thread has its cache */
    cairn_stats before = stats_checked(), middle = before;
    size_t rss = 0;
    for (int i = 0; i < 2500; i++) {
        pthread_t threads[4];
        for (int t = 0; t < 4; t++)
            CHECK(pthread_create(&threads[t], NULL, short_life, (void *)(uintptr_t)check_random(&seed)) == 0);
        for (int t = 0; t < 4; t++)
            CHECK(pthread_join(threads[t], NULL) == 0);
        if (i == 250) {
            rss = check_rss();
            middle = stats_checked();
        }
    }
    cairn_stats after = stats_checked();
    CHECKF(after.threads <= before.threads, "%llu thread caches in use, %llu before",
           (unsigned long long)after.threads, (unsigned long long)before.threads);
    CHECKF(check_rss() < rss + 4 * MIB, "resident: %zu after 1,000 threads, %zu after 10,000", rss,
           check_rss());
    CHECKF(after.metadata <= middle.metadata + 256 * KIB,
           "metadata: %llu after 1,000 threads, %llu after 10,000", (unsigned long long)middle.metadata,
           (unsigned long long)after.metadata);
    for (int i = 0; i < 64; i++)
        free(left_behind[i]);
    CHECK(stats_checked().live_blocks <= before.live_blocks + 10);
}

static void short_threads(void **state)
{
    (void)state;
    check_task_ok("short_threads", NULL);
}

/* ---- Memory of ended threads --------------------------------------------------------------------- */

enum { EXITED_BLOCKS = 200000 };
static void **exited;

static void *allocate_200_mb(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < EXITED_BLOCKS; i++) {
        exited[i] = malloc(1000);
        CHECK(exited[i] != NULL);
        check_touch(exited[i], 1000);
    }
    return NULL;
}

static void *allocate_and_free_200_mb(void *argument)
{
    allocate_200_mb(argument);
    for (size_t i = 0; i < EXITED_BLOCKS; i++)
        free(exited[i]);
    return NULL;
}

/* "Thread exit gives the thread's memory to others": five threads, one after the other, use 200 MB each, and
 * the process never holds much more. */
static void task_memory_of_ended_threads(void)
{
    exited = check_table(EXITED_BLOCKS * sizeof *exited);
    size_t before = check_rss();
    check_peak_reset();
    for (int i = 0; i < 5; i++)
        run_thread(allocate_and_free_200_mb, NULL);
    size_t peak = check_peak() - before;
    CHECKF(peak < 260 * MIB, "peak %zu", peak);
    stats_checked();
}

/* The same where the blocks outlive their thread and others free them: every other block, so that no page is
 * free as a whole, and the next thread's blocks must go into the gaps. */
static void task_blocks_of_ended_threads(void)
{
    exited = check_table(EXITED_BLOCKS * sizeof *exited);
    void **kept = check_table(EXITED_BLOCKS * sizeof *kept);
    run_thread(allocate_200_mb, NULL);
    size_t before = check_rss(), count = 0;
    for (size_t i = 0; i < EXITED_BLOCKS; i++) {
        if (i % 2 == 0)
            free(exited[i]);
        else
            kept[count++] = exited[i];
    }
    for (size_t i = 0; i < EXITED_BLOCKS / 2; i++) {
        exited[i] = malloc(1000);
        CHECK(exited[i] != NULL);
        check_touch(exited[i], 1000);
    }
    size_t after = check_rss();
    CHECKF(after < before + 20 * MIB, "resident grew from %zu to %zu", before, after);
    for (size_t i = 0; i < EXITED_BLOCKS / 2; i++)
        free(exited[i]);
    for (size_t i = 0; i < count; i++)
        free(kept[i]);
    stats_checked();
}

static void memory_of_ended_threads(void **state)
{
    (void)state;
    check_task_ok("memory_of_ended_threads", NULL);
    check_task_ok("blocks_of_ended_threads", NULL);
}

/* ---- Threads that only free ---------------------------------------------------------------------- */

enum { QUEUE = 1 << 16 };
static struct {
    pthread_mutex_t lock;
    pthread_cond_t not_full, not_empty;
    void *blocks[QUEUE];
    size_t sizes[QUEUE];
    size_t head, count, live, live_peak, passed;
    int done;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .not_full = PTHREAD_COND_INITIALIZER,
           .not_empty = PTHREAD_COND_INITIALIZER};

static void *produce(void *argument)
{
    uint64_t seed = (uint64_t)(uintptr_t)argument;
    for (int i = 0; i < 400000; i++) {
        size_t size = check_random_size(&seed, i % 100 == 0 ? 200000 : 8000);
        void *block = malloc(size);
        CHECK(block != NULL);
        memset(block, 1, size);
        pthread_mutex_lock(&queue.lock);
        while (queue.count == QUEUE)
            pthread_cond_wait(&queue.not_full, &queue.lock);
        size_t at = (queue.head + queue.count++) % QUEUE;
        queue.blocks[at] = block;
        queue.sizes[at] = size;
        queue.live += size;
        queue.passed += size;
        if (queue.live > queue.live_peak)
            queue.live_peak = queue.live;
        pthread_cond_signal(&queue.not_empty);
        pthread_mutex_unlock(&queue.lock);
    }
    return NULL;
}

/* Keeps the queue nearly full, so that live is steady; never allocates. */
static void *consume(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&queue.lock);
        while (queue.count < QUEUE - 100 && !queue.done)
            pthread_cond_wait(&queue.not_empty, &queue.lock);
        if (queue.count == 0) {
            pthread_mutex_unlock(&queue.lock);
            return NULL;
        }
        void *block = queue.blocks[queue.head];
        queue.live -= queue.sizes[queue.head];
        queue.head = (queue.head + 1) % QUEUE;
        queue.count--;
        pthread_cond_signal(&queue.not_full);
        pthread_mutex_unlock(&queue.lock);
        free(block);
    }
}

/* "producer/consumer RSS <= 1.3 x live, freeing thread never allocates": two and two, sampled all the time */
static void task_consumers_do_not_hoard(void)
{
    uint64_t seed = check_seed();
    pthread_t producers[2], consumers[2];
    check_touch(queue.blocks, sizeof queue.blocks);
    check_touch(queue.sizes, sizeof queue.sizes);
    size_t before = check_rss();
    check_peak_reset();
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&consumers[i], NULL, consume, NULL) == 0);
        CHECK(pthread_create(&producers[i], NULL, produce, (void *)(uintptr_t)check_random(&seed)) == 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(producers[i], NULL) == 0);
    size_t peak = check_peak() - before, live = queue.live_peak;
    pthread_mutex_lock(&queue.lock);
    queue.done = 1;
    pthread_cond_broadcast(&queue.not_empty);
    pthread_mutex_unlock(&queue.lock);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(consumers[i], NULL) == 0);
    CHECKF(queue.passed > 10 * live, "only %zu bytes passed", queue.passed);
    CHECKF(peak <= live + live * 3 / 10, "peak %zu, live at most %zu: %.2f times", peak, live,
           (double)peak / (double)live);
    stats_checked();
}

static void consumers_do_not_hoard(void **state)
{
    (void)state;
    check_task_ok("consumers_do_not_hoard", NULL);
}

/* ---- One allocates, another frees all ------------------------------------------------------------ */

static void **half_gb;
static size_t half_gb_count;
static _Atomic int freed, may_end;

static void *free_all_then_idle(void *argument)
{
    for (size_t i = 0; i < half_gb_count; i++)
        free(half_gb[i]);
    freed = 1;
    while (argument != NULL && !may_end)
        check_sleep(0.002);
    return NULL;
}

static void allocate_half_gb(size_t size)
{
    half_gb_count = 500 * MIB / size;
    half_gb = check_table(half_gb_count * sizeof *half_gb);
    for (size_t i = 0; i < half_gb_count; i++) {
        half_gb[i] = malloc(size);
        CHECK(half_gb[i] != NULL);
        memset(half_gb[i], 1, size);
    }
}

/* "main allocates 500 MB, worker frees it all, RSS returns within 5 s without any call from main", whether
 * the worker ends or idles. */
static void task_worker_frees_all(void)
{
    static const size_t sizes[] = {64, 1000, 8192, 100 * KIB, 3 * MIB};
    const char *idle = getenv("IDLE");
    const char *size = getenv("SIZE");
    CHECK(idle != NULL && size != NULL);
    pthread_t thread;
    allocate_half_gb(sizes[atoi(size)]);
    size_t table = half_gb_count * sizeof *half_gb, before = check_rss();
    CHECK(before > 500 * MIB + table);
    freed = may_end = 0;
    CHECK(pthread_create(&thread, NULL, free_all_then_idle, idle[0] == '1' ? &half_gb : NULL) == 0);
    while (!freed)
        check_sleep(0.002);
    size_t rss = check_rss_falls(table + 25 * MIB, 5);
    CHECKF(rss <= table + 25 * MIB, "blocks of %zu, worker %s: still %zu resident, beside the table of %zu",
           sizes[atoi(size)], idle[0] == '1' ? "idles" : "has ended", rss - table, table);
    may_end = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    stats_checked();
}

static void worker_frees_all(void **state)
{
    (void)state;
    static const char *const idle[] = {"IDLE=0", "IDLE=1"};
    static const char *const sizes[] = {"SIZE=0", "SIZE=1", "SIZE=2", "SIZE=3", "SIZE=4"};
    for (int i = 0; i < 2; i++)
        for (int s = 0; s < 5; s++) {
            const char *const env[] = {idle[i], sizes[s], NULL};
            check_task_ok("worker_frees_all", env);
        }
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"short_threads", task_short_threads},
        {"memory_of_ended_threads", task_memory_of_ended_threads},
        {"blocks_of_ended_threads", task_blocks_of_ended_threads},
        {"consumers_do_not_hoard", task_consumers_do_not_hoard},
        {"worker_frees_all", task_worker_frees_all},
        {NULL, NULL},
    };
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_threads),
        cmocka_unit_test(memory_of_ended_threads),
        cmocka_unit_test(consumers_do_not_hoard),
        cmocka_unit_test(worker_frees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
