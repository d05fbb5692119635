// timeout: 60
/* limit_storm.c - eight threads at the hard limit: requests fail all the time, nothing that was handed out
 * suffers, and the limit holds. */
#include "stress.h"

enum { THREADS = 8, SLOTS = 20000 };
static _Atomic(struct stress_block *) slots[SLOTS];
static _Atomic long refused, served;
static size_t limit;

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        for (int step = 0; step < 100; step++) {
            size_t slot = check_below(&seed, SLOTS);
            size_t size = sizeof(struct stress_block) + check_random_size(&seed, step == 0 ? 2 * MIB : 30000);
            struct stress_block *block = step % 3 == 0 ? cairn_calloc(1, size) : cairn_malloc(size);
            if (block != NULL) {
                stress_fill(block, size, check_random(&seed));
                served++;
            } else {
                CHECKF(errno == ENOMEM, "errno is %d", errno);
                refused++;
            }
            block = atomic_exchange(&slots[slot], block);
            if (block != NULL && step % 10 == 1) { /* a realloc that may fail leaves the block as it was */
                struct stress_block *bigger = cairn_realloc(block, block->size * 2);
                block = bigger != NULL ? bigger : block;
            }
            stress_free(block);
        }
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(2.5);
    cairn_free(cairn_malloc(1));
    limit = stress_stats().committed + 24 * MIB;
    CHECK(cairn_limit_set(limit, limit - 4 * MIB) == 0);
    stress_threads(THREADS, body);
    CHECKF(refused > 100 && served > 1000, "%ld refused, %ld served", (long)refused, (long)served);
    cairn_stats s = stress_stats();
    CHECKF(s.committed_peak <= limit, "committed up to %llu, limit %zu", (unsigned long long)s.committed_peak,
           limit);
    CHECK(cairn_limit_set(SIZE_MAX, SIZE_MAX) == 0);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
