/* rptest - middle-sized blocks, 8 to 16,000 bytes, replaced in bursts and freed across threads.
 *
 * Origin: the benchmark of rpmalloc (M. Jansson, 2017), with the settings of the mimalloc-bench suite: 1000
 * blocks per thread, bursts of 100, every second burst crosses to another thread, 8 to 16,000 bytes.
 * Ours: a burst frees slots in one scattered order and fills empty ones in another; every second burst
 * allocates blocks for the next thread instead, sent as one message, which that thread frees.  Every 256
 * bursts a thread frees all it has.  Small sizes are more frequent (the smaller of two uniform numbers); a
 * word of every page is written.  Fixed bursts per thread; the threads are pinned and meet every 16 bursts,
 * so that none runs ahead and piles up messages for the others.
 *
 * Arguments: threads (2), bursts per thread (40000), blocks per thread (1000).
 */
#include "load.h"

#include <stdatomic.h>

enum {
    BURST = 100,
    CROSS_EVERY = 2,
    MEET_EVERY = 16,
    DROP_EVERY = 256,
    FREE_STEP = 89, /* primes: the steps reach every slot in an order of their own */
    FILL_STEP = 173,
    SMALLEST = 8,
    LARGEST = 16000,
    PAGE = 4096
};

typedef struct slot {
    void *block; /* NULL: empty */
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
    s->block = load_malloc(s->size);
    for (size_t at = PAGE; at < s->size; at += PAGE) {
        ((char *)s->block)[at] = (char)s->tag;
    }
    load_stamp(s->block, s->size, s->tag);
}

static void slot_empty(slot *s)
{
    if (s->block != NULL) {
        load_free_checked(s->block, s->size, s->tag);
        s->block = NULL;
    }
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

/* A burst of blocks that the neighbour will free. */
static void burst_across(worker *w, load_random *random)
{
    message *m = load_malloc(sizeof *m);
    m->count = BURST;
    for (unsigned i = 0; i < BURST; i++) {
        slot_fill(&m->slots[i], random);
    }
    mailbox_add(w->neighbour, m);
}

static void *work(void *context)
{
    worker *w = context;
    load_pin(w->id);
    load_random random = {.state = w->id};
    slot *slots = load_array(w->slot_count, sizeof *slots);
    unsigned free_at = 0;
    unsigned fill_at = 0;
    for (unsigned turn = 0; turn < w->bursts; turn++) {
        if (turn % MEET_EVERY == 0) {
            (void)pthread_barrier_wait(w->meet);
        }
        mailbox_drain(w);
        for (unsigned i = 0; i < BURST; i++) {
            slot_empty(&slots[free_at]);
            free_at = (free_at + FREE_STEP) % w->slot_count;
        }
        if (turn % CROSS_EVERY != 0) {
            burst_across(w, &random);
            continue;
        }
        for (unsigned i = 0; i < 2 * BURST; i++) {
            if (slots[fill_at].block == NULL) {
                slot_fill(&slots[fill_at], &random);
            }
            fill_at = (fill_at + FILL_STEP) % w->slot_count;
        }
        for (unsigned i = 0; turn % DROP_EVERY == 0 && i < w->slot_count; i++) {
            slot_empty(&slots[i]);
        }
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
