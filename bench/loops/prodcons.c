/* prodcons - producers allocate, consumers free: every block is freed by a thread that did not allocate it.
 *
 * Origin: xmalloc-test of C. Lever and D. Boreham, "malloc() Performance in a Multithreaded Linux
 * Environment", USENIX 2000; batches and settings are like those in the mimalloc-bench suite (-w 2 -s 64).
 * Ours: as many producers as consumers, batches of blocks handed over through one bounded queue.  The
 * original runs for a fixed time and counts; ours moves a fixed number of batches.  Producers and consumers
 * are pinned to different CPUs, or the scheduler puts them on one and the race between them is gone.  Every
 * block is stamped by its producer and checked by its consumer.
 *
 * Arguments: producers, and as many consumers (2), batches per producer (1000), blocks per batch (4096),
 * block size (64).
 */
#include "load.h"

enum { QUEUE_MAX = 16 };

typedef struct batch {
    struct batch *next;
    uint32_t tag;
    unsigned count;
    void *blocks[];
} batch;

/* `head` and `length` are guarded by `lock`; the rest is constant while threads run. */
typedef struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    batch *head;
    unsigned length;
    unsigned block_count;
    unsigned block_size;
    unsigned batches; /* per producer, and so per consumer */
} queue;

typedef struct worker {
    queue *q;
    unsigned id;
    bool produces;
} worker;

static void queue_put(queue *q, batch *b)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->length == QUEUE_MAX) {
        (void)pthread_cond_wait(&q->not_full, &q->lock);
    }
    b->next = q->head;
    q->head = b;
    q->length++;
    (void)pthread_cond_signal(&q->not_empty);
    (void)pthread_mutex_unlock(&q->lock);
}

static batch *queue_take(queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->length == 0) {
        (void)pthread_cond_wait(&q->not_empty, &q->lock);
    }
    batch *b = q->head;
    q->head = b->next;
    q->length--;
    (void)pthread_cond_signal(&q->not_full);
    (void)pthread_mutex_unlock(&q->lock);
    return b;
}

static batch *batch_make(const queue *q, uint32_t tag)
{
    batch *b = load_malloc(sizeof *b + q->block_count * sizeof b->blocks[0]);
    b->tag = tag;
    b->count = q->block_count;
    for (unsigned i = 0; i < b->count; i++) {
        b->blocks[i] = load_malloc_stamped(q->block_size, tag ^ i);
    }
    return b;
}

static void batch_free(const queue *q, batch *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        load_free_checked(b->blocks[i], q->block_size, b->tag ^ i);
    }
    free(b);
}

static void *work(void *context)
{
    worker *w = context;
    load_pin(w->id);
    for (unsigned i = 0; i < w->q->batches; i++) {
        if (w->produces) {
            queue_put(w->q, batch_make(w->q, (w->id << 24) + (i << 4)));
        } else {
            batch_free(w->q, queue_take(w->q));
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned producers = load_argument(argc, argv, 1, 2, 128);
    queue q = {.lock = PTHREAD_MUTEX_INITIALIZER,
               .not_empty = PTHREAD_COND_INITIALIZER,
               .not_full = PTHREAD_COND_INITIALIZER,
               .batches = load_argument(argc, argv, 2, 1000, 1000000),
               .block_count = load_argument(argc, argv, 3, 4096, 1000000),
               .block_size = load_argument(argc, argv, 4, 64, 1000000)};

    worker *workers = load_array(2 * (size_t)producers, sizeof *workers);
    for (unsigned i = 0; i < 2 * producers; i++) {
        workers[i] = (worker){.q = &q, .id = i, .produces = i % 2 == 0};
    }
    load_threads(2 * producers, work, workers, sizeof *workers);
    free(workers);
    load_done((uint64_t)producers * q.batches * q.block_count);
    return 0;
}
