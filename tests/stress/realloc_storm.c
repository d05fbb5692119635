// timeout: 60
/* realloc_storm.c - eight threads whose blocks change size all the time, from bytes to megabytes and back,
 * and move between the threads: contents are checked at every step. */
#include "stress.h"

enum { THREADS = 8, SLOTS = 400 };
static _Atomic(struct stress_block *) slots[SLOTS];

static size_t new_size(uint64_t *seed, size_t old)
{
    switch (check_below(seed, 8)) {
    case 0: return sizeof(struct stress_block) + check_random_size(seed, 3 * MIB); /* anything */
    case 1: return old * 2 < 6 * MIB ? old * 2 : old;                              /* a vector doubles */
    case 2: return old / 2 > sizeof(struct stress_block) ? old / 2 : sizeof(struct stress_block);
    case 3: return old + 4096 < 6 * MIB ? old + 4096 : old;
    default: return sizeof(struct stress_block) + check_random_size(seed, 3000);
    }
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        size_t slot = check_below(&seed, SLOTS);
        struct stress_block *block = atomic_exchange(&slots[slot], NULL);
        if (block == NULL)
            block = stress_new(&seed, 1000);
        for (int step = 0; step < 6; step++) {
            size_t size = new_size(&seed, block->size);
            size_t kept = (size < block->size ? size : block->size) - sizeof *block;
            uint64_t key = block->key;
            block = step % 2 == 0 ? cairn_realloc(block, size) : cairn_reallocarray(block, 1, size);
            CHECK(block != NULL && cairn_usable_size(block) >= size);
            CHECK(block->key == key);
            CHECK_FILLED((block + 1), kept, key);
            stress_fill(block, size, check_random(&seed));
        }
        stress_free(atomic_exchange(&slots[slot], block));
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(3);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
