// timeout: 60
/* producer_consumer.c - four threads that only allocate, four that only free, through a queue; the roles
 * change in the middle, so that threads which freed only now need memory of their own. */
#include "stress.h"

enum { PAIRS = 4, QUEUE = 2000 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct stress_block *blocks[QUEUE];
    size_t head, count;
    int producers;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static pthread_barrier_t barrier;

static void put(struct stress_block *block)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == QUEUE)
        pthread_cond_wait(&queue.changed, &queue.lock);
    queue.blocks[(queue.head + queue.count++) % QUEUE] = block;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

/* NULL when all producers have ended and the queue is empty. */
static struct stress_block *get(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && queue.producers > 0)
        pthread_cond_wait(&queue.changed, &queue.lock);
    struct stress_block *block = NULL;
    if (queue.count > 0) {
        block = queue.blocks[queue.head];
        queue.head = (queue.head + 1) % QUEUE;
        queue.count--;
        pthread_cond_broadcast(&queue.changed);
    }
    pthread_mutex_unlock(&queue.lock);
    return block;
}

static void produce(uint64_t seed, double until)
{
    while (check_now() < until)
        for (int i = 0; i < 50; i++)
            put(stress_new(&seed, i == 0 ? 100000 : 2000));
    pthread_mutex_lock(&queue.lock);
    queue.producers--;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static void consume(void)
{
    struct stress_block *block;
    while ((block = get()) != NULL)
        stress_free(block);
}

static void *body(void *number)
{
    double length = check_scale(1.5);
    for (int half = 0; half < 2; half++) {
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            queue.producers = PAIRS;
        pthread_barrier_wait(&barrier);
        if ((intptr_t)number % 2 == half)
            produce(stress_seed(number), check_now() + length);
        else
            consume();
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    check_seed();
    CHECK(pthread_barrier_init(&barrier, NULL, 2 * PAIRS) == 0);
    stress_threads(2 * PAIRS, body);
    stress_at_rest(before + 8 * PAIRS);
    return 0;
}
