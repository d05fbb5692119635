/* threads - each thread replaces random blocks of its own small working set.
 *
 * Origin: bench-malloc-thread of the GNU C library's benchtests: a working set of 1024 blocks per thread,
 * sizes from 4 to 32768 bytes whose chance falls with the square of the size.
 * Ours: the same distribution without floating point powers, a fixed number of turns in place of a fixed
 * time, and blocks that are stamped and checked.
 *
 * Arguments: threads (2), turns per thread (30000000).
 */
#include "load.h"

enum { WORKING_SET = 1024, SMALLEST = 4, LARGEST = 32768 };

typedef struct slot {
    void *block;
    uint32_t size;
    uint32_t tag;
} slot;

typedef struct worker {
    unsigned id;
    unsigned turns;
} worker;

/* 1 / size is uniform between the two ends, which makes the density fall with the square. */
static unsigned choose_size(load_random *random)
{
    const unsigned steps = LARGEST / SMALLEST;
    const unsigned scale = 1024;
    unsigned inverse = scale + load_random_below(random, (steps - 1) * scale);
    return (unsigned)((uint64_t)LARGEST * scale / inverse);
}

static void *work(void *context)
{
    const worker *w = context;
    load_random random = {.state = w->id};
    slot *slots = load_array(WORKING_SET, sizeof *slots);
    for (unsigned turn = 0; turn < w->turns; turn++) {
        slot *s = &slots[load_random_below(&random, WORKING_SET)];
        if (s->block != NULL) {
            load_free_checked(s->block, s->size, s->tag);
        }
        s->size = choose_size(&random);
        s->tag = turn;
        s->block = load_malloc_stamped(s->size, s->tag);
    }
    for (unsigned i = 0; i < WORKING_SET; i++) {
        if (slots[i].block != NULL) {
            load_free_checked(slots[i].block, slots[i].size, slots[i].tag);
        }
    }
    free(slots);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned turns = load_argument(argc, argv, 2, 30000000, 2000000000);

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.id = i, .turns = turns};
    }
    load_threads(threads, work, workers, sizeof *workers);
    free(workers);
    load_done((uint64_t)threads * turns);
    return 0;
}
