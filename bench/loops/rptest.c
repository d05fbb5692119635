/* rptest - middle-sized blocks, 8 to 16,000 bytes, replaced in bursts and freed across threads.
 *
 * Origin: the benchmark of rpmalloc (M. Jansson, 2017), with the settings of the mimalloc-bench suite: 1000
 * blocks per thread, bursts of 100, every second burst crosses to another thread, 8 to 16,000 bytes.
 * Ours: a burst that crosses is sent as one message to the next thread, which frees its blocks.  Fixed
 * bursts per thread; small sizes are more frequent (the smaller of two uniform numbers).  The threads are
 * pinned and meet every 16 bursts, so that none runs ahead and piles up messages for the others.
 *
 * Arguments: threads (2), bursts per thread (40000), blocks per thread (1000).
 */
#include "load.h"

#include <stdatomic.h>

enum { BURST = 100, CROSS_EVERY = 2, MEET_EVERY = 16, SMALLEST = 8, LARGEST = 16000 };

typedef struct slot {
    void *block;
    uint32_t size;
    uint32_t tag;
} slot;

typedef struct message {
    struct message *next;
    unsigned count;
    slot slots[BURST];
} message;

typedef struct worker {
    struct worker *neighbour;   /* gets the bursts that cross */
    _Atomic(message *) mailbox; /* newest first; any thread adds, the owner takes all */
    pthread_barrier_t *meet;
    unsigned id;
    unsigned bursts;
    unsigned slot_count;
} worker;

static void slot_fill(slot *s, load_random *random)
{
    unsigned one = load_random_between(random, SMALLEST, LARGEST);
    unsigned other = load_random_between(random, SMALLEST, LARGEST);
    s->size = one < other ? one : other;
    s->tag = (uint32_t)load_random_next(random);
    s->block = load_malloc_stamped(s->size, s->tag);
}

static void slot_empty(const slot *s)
{
    load_free_checked(s->block, s->size, s->tag);
}

static void mailbox_add(worker *to, message *m)
{
    m->next = atomic_load_explicit(&to->mailbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&to->mailbox, &m->next, m, memory_order_release,
                                                  memory_order_relaxed)) {}
}

/* The acquire pairs with the release in mailbox_add. */
static void mailbox_drain(worker *w)
{
    message *m = atomic_exchange_explicit(&w->mailbox, NULL, memory_order_acquire);
    while (m != NULL) {
        message *next = m->next;
        for (unsigned i = 0; i < m->count; i++) {
            slot_empty(&m->slots[i]);
        }
        free(m);
        m = next;
    }
}

/* Replaces a run of slots; what they held is freed here or sent to the neighbour. */
static void burst(worker *w, slot *slots, unsigned turn, load_random *random)
{
    unsigned first = load_random_below(random, w->slot_count - BURST + 1);
    if (turn % CROSS_EVERY == 0) {
        message *m = load_malloc(sizeof *m);
        m->count = BURST;
        memcpy(m->slots, &slots[first], sizeof m->slots);
        mailbox_add(w->neighbour, m);
    } else {
        for (unsigned i = 0; i < BURST; i++) {
            slot_empty(&slots[first + i]);
        }
    }
    for (unsigned i = 0; i < BURST; i++) {
        slot_fill(&slots[first + i], random);
    }
}

static void *work(void *context)
{
    worker *w = context;
    load_pin(w->id);
    load_random random = {.state = w->id};
    slot *slots = load_array(w->slot_count, sizeof *slots);
    for (unsigned i = 0; i < w->slot_count; i++) {
        slot_fill(&slots[i], &random);
    }
    for (unsigned turn = 0; turn < w->bursts; turn++) {
        if (turn % MEET_EVERY == 0) {
            (void)pthread_barrier_wait(w->meet);
        }
        mailbox_drain(w);
        burst(w, slots, turn, &random);
    }
    for (unsigned i = 0; i < w->slot_count; i++) {
        slot_empty(&slots[i]);
    }
    free(slots);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned bursts = load_argument(argc, argv, 2, 40000, 10000000);
    unsigned slots = load_argument(argc, argv, 3, 1000, 1000000);
    if (slots < BURST) {
        load_fail("fewer slots than a burst takes");
    }

    pthread_barrier_t meet;
    if (pthread_barrier_init(&meet, NULL, threads) != 0) {
        load_fail("cannot make a barrier");
    }
    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        worker *w = &workers[i];
        w->neighbour = &workers[(i + 1) % threads];
        w->meet = &meet;
        w->id = i;
        w->bursts = bursts;
        w->slot_count = slots;
        atomic_init(&w->mailbox, NULL);
    }
    load_threads(threads, work, workers, sizeof *workers);
    for (unsigned i = 0; i < threads; i++) {
        mailbox_drain(&workers[i]);
    }
    free(workers);
    (void)pthread_barrier_destroy(&meet);
    load_done((uint64_t)threads * bursts * BURST);
    return 0;
}
