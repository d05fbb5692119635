// timeout: 60
/* short_threads.c - ten thousand threads that live for some blocks only: they inherit from and leave to each
 * other, up to sixteen at a time, and in the end no thread cache is in use and no block is lost. */
#include "stress.h"

enum { AT_A_TIME = 16, SLOTS = 300 };
static _Atomic(struct stress_block *) slots[SLOTS];
static _Atomic int left = 10000;

static void *short_life(void *number)
{
    uint64_t seed = stress_seed(number);
    struct stress_block *own[30];
    for (int i = 0; i < 30; i++)
        own[i] = stress_new(&seed, i == 0 ? 100000 : 1500);
    for (int i = 0; i < 30; i++)
        stress_free(i % 5 == 0 ? atomic_exchange(&slots[check_below(&seed, SLOTS)], own[i]) : own[i]);
    return NULL;
}

static void *starter(void *number)
{
    (void)number;
    for (int mine; (mine = atomic_fetch_sub(&left, 1)) > 0;) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_life, (void *)(intptr_t)mine) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    check_seed();
    left = (int)check_scale(CHECK_SANITIZED ? 2000 : 10000);
    stress_threads(AT_A_TIME, starter);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 8 * AT_A_TIME);
    return 0;
}
