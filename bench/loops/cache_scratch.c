/* cache_scratch - does freeing another thread's block pull its cache line over for good?
 *
 * Origin: cache-scratch of the Hoard suite (Berger and others, ASPLOS 2000): "passive false sharing".  The
 * main thread allocates one small block per thread, side by side; each thread frees the one it was given,
 * then allocates, writes and frees blocks of the same size.  An allocator that gives the freed block back
 * to the thread that freed it makes threads write to one cache line.
 * Ours: fixed writes per thread, each read back.
 *
 * Arguments: threads (2), blocks per thread (4000), writes to each block (400000), block size (8).
 */
#include "load.h"

typedef struct worker {
    unsigned char *given; /* allocated by main, freed by the worker */
    unsigned id;
    unsigned rounds;
    unsigned writes;
    unsigned size;
} worker;

/* Every write has to reach the memory, so the bytes are volatile. */
static void scratch(volatile unsigned char *bytes, unsigned size, unsigned writes)
{
    for (unsigned k = 0; k < size; k++) {
        bytes[k] = 0;
    }
    for (unsigned done = 0; done < writes; done += size) {
        for (unsigned k = 0; k < size; k++) {
            bytes[k] = (unsigned char)(bytes[k] + 1);
        }
    }
    unsigned char expected = (unsigned char)((writes + size - 1) / size);
    for (unsigned k = 0; k < size; k++) {
        if (bytes[k] != expected) {
            load_fail("a block lost its contents");
        }
    }
}

static void *work(void *context)
{
    const worker *w = context;
    load_pin(w->id);
    free(w->given);
    for (unsigned i = 0; i < w->rounds; i++) {
        unsigned char *block = load_malloc(w->size);
        scratch(block, w->size, w->writes);
        free(block);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned rounds = load_argument(argc, argv, 2, 4000, 100000000);
    unsigned writes = load_argument(argc, argv, 3, 400000, 1000000000);
    unsigned size = load_argument(argc, argv, 4, 8, 4096);

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] =
            (worker){.given = load_malloc(size), .id = i, .rounds = rounds, .writes = writes, .size = size};
    }
    load_threads(threads, work, workers, sizeof *workers);
    free(workers);
    load_done((uint64_t)threads * rounds);
    return 0;
}
