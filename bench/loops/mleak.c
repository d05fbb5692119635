/* mleak - many short-lived threads, each of which leaves a few blocks behind when it ends.
 *
 * Origin: mleak of the mimalloc-bench suite, which watches whether the memory of ended threads comes back.
 * Ours: waves of threads.  A thread allocates, frees most, and leaves some: a part of those is freed by the
 * main thread after the join, a part is never freed.  The heap of an ended thread has to serve the next one,
 * or memory and time grow with the number of threads.
 *
 * Arguments: waves (1500), threads per wave (4), blocks per thread (2000).
 */
#include "load.h"

enum { KEEP_EVERY = 100, LEAK_EVERY = 1000, SMALLEST = 16, LARGEST = 1024 };

typedef struct worker {
    void **blocks; /* `count` of them; the kept ones stay behind for main */
    unsigned count;
    unsigned seed;
} worker;

/* Both threads that see a block work its size out again from its place. */
static size_t block_size(const worker *w, unsigned i)
{
    load_random random = {.state = ((uint64_t)w->seed << 32) + i};
    return load_random_between(&random, SMALLEST, LARGEST);
}

static void *work(void *context)
{
    worker *w = context;
    for (unsigned i = 0; i < w->count; i++) {
        w->blocks[i] = load_malloc_stamped(block_size(w, i), w->seed + i);
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (i % KEEP_EVERY != 0) {
            load_free_checked(w->blocks[i], block_size(w, i), w->seed + i);
        }
    }
    return NULL;
}

/* Frees what the thread left, but for the blocks that stay leaked. */
static void collect(worker *w)
{
    for (unsigned i = 0; i < w->count; i += KEEP_EVERY) {
        load_check(w->blocks[i], block_size(w, i), w->seed + i);
        if (i % LEAK_EVERY != 0) {
            free(w->blocks[i]);
        }
    }
}

int main(int argc, char **argv)
{
    unsigned waves = load_argument(argc, argv, 1, 1500, 1000000);
    unsigned threads = load_argument(argc, argv, 2, 4, 1024);
    unsigned count = load_argument(argc, argv, 3, 2000, 1000000);

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.blocks = load_array(count, sizeof(void *)), .count = count};
    }
    for (unsigned wave = 0; wave < waves; wave++) {
        for (unsigned i = 0; i < threads; i++) {
            workers[i].seed = wave * threads + i;
        }
        load_threads(threads, work, workers, sizeof *workers);
        for (unsigned i = 0; i < threads; i++) {
            collect(&workers[i]);
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        free(workers[i].blocks);
    }
    free(workers);
    load_done((uint64_t)waves * threads * count);
    return 0;
}
