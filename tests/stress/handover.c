// timeout: 60
/* handover.c - 32 threads with random sizes and lifetimes that hand blocks over through a shared array:
 * most blocks are freed by another thread than the one that allocated them.  A part dies young, by its own
 * thread. */
#include "stress.h"

enum { THREADS = 32, SLOTS = 4096 };
static _Atomic(struct stress_block *) slots[SLOTS];

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        for (int step = 0; step < 200; step++) {
            size_t choice = check_below(&seed, 16);
            size_t max = choice == 0 ? 60000 : choice < 4 ? 4000 : 400;
            struct stress_block *block = stress_new(&seed, max);
            if (choice < 10)
                block = atomic_exchange(&slots[check_below(&seed, SLOTS)], block);
            stress_free(block);
        }
        if (check_below(&seed, 64) == 0) { /* a burst of one size, in order and back */
            struct stress_block *burst[200];
            for (int i = 0; i < 200; i++)
                burst[i] = stress_new(&seed, 100);
            for (int i = 200; i-- > 0;)
                stress_free(burst[i]);
        }
        if (check_below(&seed, 512) == 0) /* and something huge */
            stress_free(stress_new(&seed, 4 * MIB));
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(4);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
