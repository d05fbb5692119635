/* larson - a server whose threads come and go and hand their live blocks on to their successors.
 *
 * Origin: P.-A. Larson and M. Krishnan, "Memory Allocation for Long-Running Server Applications",
 * ISMM 1998; the usual settings (blocks of 8 to 1000 bytes, 5000 slots, 100 turns of the slots per thread)
 * are those of the mimalloc-bench suite.
 * Ours: a chain of threads is a client's session.  Each thread of the chain replaces random blocks, most of
 * them allocated by a thread that is gone, then starts its successor on the same slots.  The original runs
 * for a fixed time and counts; ours runs a fixed number of generations.
 * larson_sized.cpp is the same load with operator new and sized delete.
 *
 * Arguments: chains (2), slots per chain (5000), generations (20), turns of the slots per generation (100).
 */
#include "load.h"

#include <semaphore.h>

#ifndef LARSON_NEW
#define LARSON_NEW(size) load_malloc(size)
#define LARSON_DELETE(block, size) free(block)
#endif

enum { SMALLEST = 8, LARGEST = 1000 };

typedef struct slot {
    void *block;
    uint32_t size;
    uint32_t tag;
} slot;

/* Owned by the running thread of the chain; handed on by pthread_create, at the end by `finished`. */
typedef struct chain {
    slot *slots;
    unsigned slot_count;
    unsigned turns;
    unsigned generations_left;
    load_random random;
    sem_t *finished; /* shared by all chains: posted by the last thread of each */
} chain;

static void slot_fill(slot *s, load_random *random)
{
    s->size = load_random_between(random, SMALLEST, LARGEST);
    s->tag = (uint32_t)load_random_next(random);
    s->block = LARSON_NEW(s->size);
    load_stamp(s->block, s->size, s->tag);
}

static void slot_empty(slot *s)
{
    load_check(s->block, s->size, s->tag);
    LARSON_DELETE(s->block, s->size);
}

static void *serve(void *context)
{
    chain *c = (chain *)context;
    load_random random = c->random; /* not in place: another chain's may be in the same cache line */
    for (uint64_t left = (uint64_t)c->turns * c->slot_count; left > 0; left--) {
        slot *s = &c->slots[load_random_below(&random, c->slot_count)];
        slot_empty(s);
        slot_fill(s, &random);
    }
    c->random = random;
    c->generations_left--;
    if (c->generations_left > 0) {
        pthread_t successor;
        load_thread_start(&successor, serve, c);
        if (pthread_detach(successor) != 0) {
            load_fail("cannot detach a thread");
        }
    } else {
        (void)sem_post(c->finished);
    }
    return NULL;
}

static void chain_start(chain *c)
{
    pthread_t first;
    load_thread_start(&first, serve, c);
    if (pthread_detach(first) != 0) {
        load_fail("cannot detach a thread");
    }
}

int main(int argc, char **argv)
{
    unsigned chain_count = load_argument(argc, argv, 1, 2, 1024);
    unsigned slot_count = load_argument(argc, argv, 2, 5000, 1000000);
    unsigned generations = load_argument(argc, argv, 3, 20, 1000000);
    unsigned turns = load_argument(argc, argv, 4, 100, 1000000);

    sem_t finished;
    if (sem_init(&finished, 0, 0) != 0) {
        load_fail("cannot make a semaphore");
    }
    chain *chains = (chain *)load_array(chain_count, sizeof *chains);
    for (unsigned i = 0; i < chain_count; i++) {
        chain *c = &chains[i];
        c->slots = (slot *)load_array(slot_count, sizeof *c->slots);
        c->slot_count = slot_count;
        c->turns = turns;
        c->generations_left = generations;
        c->random.state = 4141 + i;
        c->finished = &finished;
        for (unsigned k = 0; k < slot_count; k++) {
            slot_fill(&c->slots[k], &c->random);
        }
    }
    for (unsigned i = 0; i < chain_count; i++) {
        chain_start(&chains[i]);
    }
    for (unsigned i = 0; i < chain_count; i++) {
        while (sem_wait(&finished) != 0) {}
    }
    for (unsigned i = 0; i < chain_count; i++) {
        for (unsigned k = 0; k < slot_count; k++) {
            slot_empty(&chains[i].slots[k]);
        }
        free(chains[i].slots);
    }
    free(chains);
    load_done((uint64_t)chain_count * slot_count * generations * turns);
    return 0;
}
