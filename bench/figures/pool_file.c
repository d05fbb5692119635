/* pool_file.c - pools in files against pools in memory; opening one that was closed, recovering one whose process died.
 * The files lie on /dev/shm, so that no disk is measured.
 *
 * What is computed is measured in CPU time, in many short rounds in turn.  With two threads that leaves out waiting for
 * locks, so the same is printed in elapsed time, too. */
#include "figures.h"

#include <cairn/persist.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAIRS = 100000, BATCH = 100, SIZE = 64, LARSON_SLOTS = 1000, LARSON_STEPS = 200000 };
#define MIB ((size_t)1 << 20)

static char path[64];
static cairn_pool *memory_pool, *file_pool;

static void must(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "pool_file: %s: %s\n", what, cairn_errormsg());
    exit(1);
}

static cairn_pool *make(size_t size)
{
    cairn_file_config config = {.struct_size = sizeof config, .size = size};
    unlink(path);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    must(pool != NULL, "create");
    return pool;
}

static cairn_pool *open_again(void)
{
    cairn_pool *pool = cairn_pool_open(path, NULL);
    must(pool != NULL, "open");
    return pool;
}

static double ratio(figure_measure *ours, figure_measure *theirs)
{
    return figure_ratio_of(FIGURE_SHORT_ROUNDS, ours, theirs, NULL, NULL);
}

/* ---- Pairs ---------------------------------------------------------------------------------------- */

static double pair(cairn_pool *pool)
{
    void *blocks[BATCH];
    double start = figure_cpu_now();
    for (size_t round = 0; round < PAIRS / BATCH; round++) {
        for (size_t i = 0; i < BATCH; i++)
            figure_use(blocks[i] = cairn_pool_malloc(pool, SIZE));
        for (size_t i = BATCH; i-- > 0;)
            cairn_pool_free(pool, blocks[i]);
    }
    return (figure_cpu_now() - start) / PAIRS;
}

static double memory_pair(void)
{
    return pair(memory_pool);
}

static double file_pair(void)
{
    return pair(file_pool);
}

static double transfer_pair(void)
{
    void **slot = cairn_pool_root(file_pool);
    double start = figure_cpu_now();
    for (size_t i = 0; i < PAIRS / 4; i++) {
        figure_use(cairn_pool_malloc_to(file_pool, SIZE, slot));
        (void)cairn_pool_free_from(file_pool, slot);
    }
    return (figure_cpu_now() - start) / (PAIRS / 4);
}

/* ---- Two threads, blocks of random sizes that live for a while --------------------------------------- */

struct larson {
    cairn_pool *pool;
    uint64_t seed;
    double time;
};

static void *larson_thread(void *of)
{
    static __thread void *blocks[LARSON_SLOTS];
    struct larson *larson = of;
    uint64_t dice = larson->seed;
    double start = figure_cpu_now();
    for (size_t i = 0; i < LARSON_STEPS; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        size_t at = (dice >> 33) % LARSON_SLOTS;
        cairn_pool_free(larson->pool, blocks[at]);
        blocks[at] = cairn_pool_malloc(larson->pool, 16 + (dice >> 45) % 500);
        figure_use(blocks[at]);
    }
    for (size_t i = 0; i < LARSON_SLOTS; i++)
        cairn_pool_free(larson->pool, blocks[i]);
    larson->time = figure_cpu_now() - start;
    return NULL;
}

/* ns for a step of one thread: of CPU time, or as the clock goes. */
static double larson(cairn_pool *pool, int by_clock)
{
    static uint64_t seed;
    struct larson of[2];
    pthread_t threads[2];
    double start = figure_now();
    for (int i = 0; i < 2; i++) {
        of[i] =
            (struct larson){.pool = pool, .seed = seed++ / 4 * 2 + (uint64_t)i}; /* both pools: the same */
        must(pthread_create(&threads[i], NULL, larson_thread, &of[i]) == 0, "thread");
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return (by_clock ? figure_now() - start : (of[0].time + of[1].time) / 2) / LARSON_STEPS;
}

static double memory_larson(void)
{
    return larson(memory_pool, 0);
}

static double file_larson(void)
{
    return larson(file_pool, 0);
}

static double memory_larson_clock(void)
{
    return larson(memory_pool, 1);
}

static double file_larson_clock(void)
{
    return larson(file_pool, 1);
}

/* ---- Opening --------------------------------------------------------------------------------------- */

static void fill(cairn_pool *pool)
{
    for (size_t i = 0; cairn_pool_malloc(pool, 100 + i % 400) != NULL; i++) {}
}

/* ms, the median of some opens of a pool that is full. */
static double open_time(size_t size)
{
    double times[9];
    cairn_pool *pool = make(size);
    fill(pool);
    must(cairn_pool_close(pool) == 0, "close");
    for (size_t i = 0; i < 9; i++) {
        double start = figure_now();
        pool = open_again();
        times[i] = (figure_now() - start) / 1e6;
        must(cairn_pool_close(pool) == 0, "close");
    }
    return figure_median(times, 9);
}

/* GB of pool per second. */
static double recovery_speed(size_t size)
{
    double speeds[5];
    must(cairn_pool_close(make(size)) == 0, "close");
    for (size_t i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            fill(open_again());
            kill(getpid(), SIGKILL);
        }
        waitpid(child, NULL, 0);
        double start = figure_now();
        cairn_pool *pool = open_again();
        speeds[i] = (double)size / (figure_now() - start);
        must(cairn_pool_close(pool) == 0, "close");
    }
    return figure_median(speeds, 5);
}

int main(void)
{
    snprintf(path, sizeof path, "/dev/shm/cairn-figures-%d", (int)getpid());
    memory_pool = cairn_pool_create(NULL);
    file_pool = make(64 * MIB);
    must(cairn_pool_calloc_to(file_pool, 1, sizeof(void *), NULL) != NULL, "root");
    figure_print("file-pair", ratio(file_pair, memory_pair), "<=1.2", "x",
                 "malloc and free in a file / in memory, 64 bytes");
    figure_print("file-two-threads", ratio(file_larson, memory_larson), "<=1.3", "x",
                 "two threads, random sizes and lives: in a file / in memory, CPU time");
    figure_print("file-two-elapsed", ratio(file_larson_clock, memory_larson_clock), "-", "x",
                 "the same, elapsed time");
    figure_print("file-transfer", ratio(transfer_pair, file_pair), "-", "x",
                 "malloc_to and free_from / malloc and free in the same file");
    must(cairn_pool_close(file_pool) == 0, "close");
    cairn_pool_destroy(memory_pool);
    figure_print("file-open-16", open_time(16 * MIB), "<=1", "ms",
                 "opening a full pool of 16 MiB that was closed");
    figure_print("file-open-1024", open_time(1024 * MIB), "<=1", "ms", "the same of 1 GiB");
    figure_print("file-recovery", recovery_speed(512 * MIB), ">=5", "GB/s",
                 "opening a full pool of 512 MiB whose process was killed, per byte of pool");
    unlink(path);
    return 0;
}
