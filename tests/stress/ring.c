// timeout: 60
/* ring.c - threads in a ring: each allocates batches, passes them on, and frees what comes round from the one
 * before it after it has gone through several hands, each of which may grow it. */
#include "stress.h"

enum { THREADS = 12, BATCH = 64, DEPTH = 32 };

struct batch {
    struct stress_block *blocks[BATCH];
    int hops;
};

/* One box between each pair of neighbours. */
static struct box {
    pthread_mutex_t lock;
    struct batch *waiting[DEPTH];
    int count;
} boxes[THREADS];

static int push(struct box *box, struct batch *batch)
{
    pthread_mutex_lock(&box->lock);
    int done = box->count < DEPTH;
    if (done)
        box->waiting[box->count++] = batch;
    pthread_mutex_unlock(&box->lock);
    return done;
}

static struct batch *pull(struct box *box)
{
    pthread_mutex_lock(&box->lock);
    struct batch *batch = box->count > 0 ? box->waiting[--box->count] : NULL;
    pthread_mutex_unlock(&box->lock);
    return batch;
}

static void drop(struct batch *batch)
{
    for (int i = 0; i < BATCH; i++)
        stress_free(batch->blocks[i]);
    cairn_free(batch);
}

/* A block grows or shrinks in the hands of a thread that did not allocate it. */
static void change_some(struct batch *batch, uint64_t *seed)
{
    for (int k = 0; k < 8; k++) {
        size_t i = check_below(seed, BATCH);
        struct stress_block *block = batch->blocks[i];
        stress_verify(block);
        size_t size = sizeof *block + check_random_size(seed, 3000);
        size_t kept = (size < block->size ? size : block->size) - sizeof *block;
        uint64_t key = block->key;
        block = cairn_realloc(block, size);
        CHECK(block != NULL);
        CHECK_FILLED((block + 1), kept, key);
        stress_fill(block, size, check_random(seed));
        batch->blocks[i] = block;
    }
}

static void *body(void *number)
{
    intptr_t me = (intptr_t)number;
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        struct batch *batch = pull(&boxes[me]);
        if (batch == NULL) {
            batch = cairn_calloc(1, sizeof *batch);
            CHECK(batch != NULL && batch->hops == 0);
            for (int i = 0; i < BATCH; i++)
                batch->blocks[i] = stress_new(&seed, i == 0 ? 20000 : 500);
        }
        change_some(batch, &seed);
        if (++batch->hops > 5 || !push(&boxes[(me + 1) % THREADS], batch))
            drop(batch);
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_mutex_init(&boxes[i].lock, NULL) == 0);
    stress_for(2.5);
    stress_threads(THREADS, body);
    for (int i = 0; i < THREADS; i++)
        for (struct batch *batch; (batch = pull(&boxes[i])) != NULL;)
            drop(batch);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
