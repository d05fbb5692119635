/* alloc_test - random lifetimes: a small part of the slots is hit most of the time, sizes halve in number.
 *
 * Origin: alloc-test of OLogN Technologies / "No Bugs" Hare (2018), an intentionally random load where sizes
 * and lifetimes follow Pareto-like curves, as those of real programs do.
 * Ours: slots are chosen so that 20 % of them get 80 % of the turns, and again inside that part; a turn
 * frees the slot's block or fills the slot.  A size has half the chance of one half its size, from 8 to
 * 8191 bytes.  The original writes whole blocks; so do we, up to the first 256 bytes, and both ends.
 *
 * Arguments: threads (1), turns over all threads (12000000), slots over all threads (200000).
 */
#include "load.h"

enum { SMALLEST_LOG = 3, LARGEST_LOG = 12, WRITTEN = 256 };

typedef struct slot {
    void *block;
    uint32_t size;
    uint32_t tag;
} slot;

typedef struct worker {
    unsigned id;
    unsigned turns;
    unsigned slot_count;
} worker;

/* 80 % of the choices fall into the first fifth of the range, three times over. */
static unsigned choose_slot(load_random *random, unsigned count)
{
    unsigned range = count;
    for (unsigned level = 0; level < 3 && range >= 5; level++) {
        unsigned fifth = range / 5;
        if (load_random_below(random, 5) == 0) {
            return fifth + load_random_below(random, range - fifth);
        }
        range = fifth;
    }
    return load_random_below(random, range);
}

static unsigned choose_size(load_random *random)
{
    uint64_t bits = load_random_next(random);
    unsigned log = SMALLEST_LOG;
    while (log < LARGEST_LOG && (bits & 1) != 0) {
        bits >>= 1;
        log++;
    }
    return (1u << log) + load_random_below(random, 1u << log);
}

static void slot_turn(slot *s, load_random *random)
{
    if (s->block != NULL) {
        load_free_checked(s->block, s->size, s->tag);
        s->block = NULL;
        return;
    }
    s->size = choose_size(random);
    s->tag = (uint32_t)load_random_next(random);
    s->block = load_malloc(s->size);
    memset(s->block, 0x5a, s->size < WRITTEN ? s->size : WRITTEN);
    load_stamp(s->block, s->size, s->tag);
}

static void *work(void *context)
{
    const worker *w = context;
    load_random random = {.state = w->id};
    slot *slots = load_array(w->slot_count, sizeof *slots);
    for (unsigned turn = 0; turn < w->turns; turn++) {
        slot_turn(&slots[choose_slot(&random, w->slot_count)], &random);
    }
    for (unsigned i = 0; i < w->slot_count; i++) {
        if (slots[i].block != NULL) {
            load_free_checked(slots[i].block, slots[i].size, slots[i].tag);
        }
    }
    free(slots);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 1, 1024);
    unsigned turns = load_argument(argc, argv, 2, 12000000, 1000000000) / threads;
    unsigned slots = load_argument(argc, argv, 3, 200000, 100000000) / threads;

    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.id = i, .turns = turns, .slot_count = slots};
    }
    if (threads == 1) {
        (void)work(&workers[0]); /* in the main thread: a process that never starts another one */
    } else {
        load_threads(threads, work, workers, sizeof *workers);
    }
    free(workers);
    load_done((uint64_t)threads * turns);
    return 0;
}
