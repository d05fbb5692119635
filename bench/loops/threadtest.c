/* threadtest - threads that allocate many equal blocks and free them all, again and again.
 *
 * Origin: threadtest of E. Berger, K. McKinley, R. Blumofe and P. Wilson, "Hoard: A Scalable Memory
 * Allocator for Multithreaded Applications", ASPLOS 2000.
 * Ours: the same pattern in C, with no other work between the calls.  Every second turn frees in the order
 * of allocation, the others in reverse, where the original knows the first order only.
 *
 * Arguments: threads (2), turns (500), blocks over all threads (100000), block size (64).
 */
#include "load.h"

typedef struct worker {
    unsigned id;
    unsigned turns;
    unsigned blocks;
    unsigned size;
} worker;

static void *work(void *context)
{
    const worker *w = context;
    void **blocks = load_array(w->blocks, sizeof *blocks);
    for (unsigned turn = 0; turn < w->turns; turn++) {
        uint64_t tag = ((uint64_t)w->id << 32) + turn;
        for (unsigned i = 0; i < w->blocks; i++) {
            blocks[i] = load_malloc_stamped(w->size, tag + i);
        }
        for (unsigned i = 0; i < w->blocks; i++) {
            unsigned k = turn % 2 == 0 ? i : w->blocks - 1 - i;
            load_free_checked(blocks[k], w->size, tag + k);
        }
    }
    free(blocks);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned turns = load_argument(argc, argv, 2, 500, 1000000);
    unsigned blocks = load_argument(argc, argv, 3, 100000, 100000000) / threads;
    unsigned size = load_argument(argc, argv, 4, 64, 1000000);

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.id = i, .turns = turns, .blocks = blocks, .size = size};
    }
    load_threads(threads, work, workers, sizeof *workers);
    free(workers);
    load_done((uint64_t)threads * turns * blocks);
    return 0;
}
