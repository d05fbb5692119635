/* cache_thrash - do two threads that allocate at the same time get blocks on one cache line?
 *
 * Origin: cache-thrash of the Hoard suite (Berger and others, ASPLOS 2000): "active false sharing".  Threads
 * allocate, write and free small blocks; an allocator that carves the blocks of several threads out of one
 * line makes the line travel between the cores.
 * Ours: each thread holds a few blocks at once, so that the chance to share a line comes up all the time.
 *
 * Arguments: threads (2), rounds per thread (4000), writes to each block (50000), block size (8).
 */
#include "load.h"

enum { HELD = 4 };

typedef struct worker {
    unsigned id;
    unsigned rounds;
    unsigned writes;
    unsigned size;
} worker;

/* Writes to the blocks in turn; volatile, so that every write has to reach the memory. */
static void thrash(volatile unsigned char *blocks[HELD], unsigned writes)
{
    for (unsigned b = 0; b < HELD; b++) {
        *blocks[b] = (unsigned char)b;
    }
    for (unsigned done = 0; done < writes; done++) {
        for (unsigned b = 0; b < HELD; b++) {
            *blocks[b] = (unsigned char)(*blocks[b] + 1);
        }
    }
    for (unsigned b = 0; b < HELD; b++) {
        if (*blocks[b] != (unsigned char)(b + writes)) {
            load_fail("a block lost its contents");
        }
    }
}

static void *work(void *context)
{
    const worker *w = context;
    load_pin(w->id);
    for (unsigned i = 0; i < w->rounds; i++) {
        void *blocks[HELD];
        volatile unsigned char *bytes[HELD];
        for (unsigned b = 0; b < HELD; b++) {
            blocks[b] = load_malloc(w->size);
            bytes[b] = blocks[b];
        }
        thrash(bytes, w->writes);
        for (unsigned b = 0; b < HELD; b++) {
            free(blocks[b]);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned rounds = load_argument(argc, argv, 2, 4000, 100000000);
    unsigned writes = load_argument(argc, argv, 3, 50000, 1000000000);
    unsigned size = load_argument(argc, argv, 4, 8, 4096);

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.id = i, .rounds = rounds, .writes = writes, .size = size};
    }
    load_threads(threads, work, workers, sizeof *workers);
    free(workers);
    load_done((uint64_t)threads * rounds * HELD);
    return 0;
}
