/* mstress - threads that keep some blocks, drop others at random, and pass others to whoever comes along.
 *
 * Origin: mstress of the mimalloc-bench suite, which is the stress test of mimalloc (D. Leijen, Microsoft
 * Research, 2019): random retention, transfer between threads, threads that end and start anew.
 * Ours: the same kind of mix.  Per round and thread, half of the blocks are retained to the end of the
 * thread, the others are freed at random moments or swapped through a table that all threads share and that
 * outlives them.  Mostly 16 to 1024 bytes; 1 in 100 up to 100 KB, 1 in 10,000 up to 2 MB.  Both ends and
 * one word of every page are written and checked.
 *
 * Arguments: threads (2), rounds (60), thousands of blocks per round over all threads (160).
 */
#include "load.h"

#include <stdatomic.h>

enum { TRANSFERS = 1000, PAGE = 4096, SMALL_LOGS = 6 };

/* At the start of every block; the block is owned by whoever took it out of the table. */
typedef struct block {
    uint64_t tag;
    uint64_t size;
} block;

typedef struct block_list {
    block **blocks;
    unsigned count;
    unsigned capacity;
} block_list;

typedef _Atomic(block *) transfer;

typedef struct worker {
    transfer *transfers; /* TRANSFERS of them, shared by all */
    unsigned seed;
    unsigned blocks;
} worker;

static block *block_make(load_random *random)
{
    uint64_t dice = load_random_next(random) % 10000;
    unsigned least = 16u << load_random_below(random, SMALL_LOGS);
    size_t size = least + load_random_below(random, least);
    if (dice == 0) {
        size = 1000 * (size_t)load_random_between(random, 200, 2000);
    } else if (dice <= 100) {
        size = 1000 * (size_t)load_random_between(random, 2, 100);
    }
    block *b = load_malloc(size);
    b->size = size;
    b->tag = load_random_next(random);
    for (size_t at = PAGE; at + sizeof b->tag <= size; at += PAGE) {
        memcpy((char *)b + at, &b->tag, sizeof b->tag);
    }
    if (size >= sizeof *b + sizeof b->tag) {
        memcpy((char *)b + size - sizeof b->tag, &b->tag, sizeof b->tag);
    }
    return b;
}

static void block_check_word(const block *b, size_t at)
{
    if (memcmp((const char *)b + at, &b->tag, sizeof b->tag) != 0) {
        load_fail("a block lost its contents");
    }
}

static void block_free(block *b)
{
    if (b == NULL) {
        return;
    }
    if (b->size >= sizeof *b + sizeof b->tag) {
        block_check_word(b, b->size - sizeof b->tag);
    }
    /* The last word of the block may lie across a page's first one: it was written later. */
    for (size_t at = PAGE; at + 2 * sizeof b->tag <= b->size; at += PAGE) {
        block_check_word(b, at);
    }
    free(b);
}

static void list_add(block_list *list, block *b)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->blocks = realloc(list->blocks, list->capacity * sizeof *list->blocks);
        if (list->blocks == NULL) {
            load_fail("realloc returned NULL");
        }
    }
    list->blocks[list->count++] = b;
}

static void list_free(block_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        block_free(list->blocks[i]);
    }
    free(list->blocks);
}

static void *work(void *context)
{
    const worker *w = context;
    load_random random = {.state = w->seed};
    block_list passing = {0};
    block_list retained = {0};
    for (unsigned i = 0; i < w->blocks; i++) {
        unsigned dice = load_random_below(&random, 100);
        list_add(dice < 50 ? &passing : &retained, block_make(&random));
        if (passing.count == 0) {
            continue;
        }
        block **picked = &passing.blocks[load_random_below(&random, passing.count)];
        if (dice % 3 != 0) {
            block_free(*picked);
            *picked = NULL;
        } else if (dice % 4 == 0) {
            transfer *t = &w->transfers[load_random_below(&random, TRANSFERS)];
            *picked = atomic_exchange_explicit(t, *picked, memory_order_acq_rel);
        }
    }
    list_free(&retained);
    list_free(&passing);
    return NULL;
}

/* Frees what every second place of the table holds, or all of it. */
static void transfers_free(transfer *transfers, unsigned step)
{
    for (unsigned i = 0; i < TRANSFERS; i += step) {
        block_free(atomic_exchange_explicit(&transfers[i], NULL, memory_order_acq_rel));
    }
}

int main(int argc, char **argv)
{
    unsigned threads = load_argument(argc, argv, 1, 2, 1024);
    unsigned rounds = load_argument(argc, argv, 2, 60, 1000000);
    unsigned blocks = 1000 * load_argument(argc, argv, 3, 160, 1000000) / threads;

    transfer *transfers = load_array(TRANSFERS, sizeof *transfers);
    worker *workers = load_array(threads, sizeof *workers);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < threads; i++) {
            workers[i] = (worker){.transfers = transfers, .seed = round * threads + i, .blocks = blocks};
        }
        load_threads(threads, work, workers, sizeof *workers);
        transfers_free(transfers, 2);
    }
    transfers_free(transfers, 1);
    free(workers);
    free(transfers);
    load_done((uint64_t)threads * rounds * blocks);
    return 0;
}
