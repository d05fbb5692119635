// timeout: 90
/* walk_load.c - the heap is walked and checked all the time while others work in it: hot threads that never leave
 * the fast path, threads that come and go, blocks handed over, sleepers, large blocks that move.
 *
 * Blocks that stay are visited exactly once by each walk; blocks that a sleeping thread has freed into spans of
 * its own, never. */
#include "stress.h"

enum { HOT = 2, CHURN = 3, SLEEPERS = 3, THREADS = HOT + CHURN + SLEEPERS + 2, SLOTS = 512, KEPT = 600 };
static _Atomic(struct stress_block *) slots[SLOTS];

/* What a thread keeps, and what it has freed, since before `ready` rose: only looked at, so plain. */
static struct {
    void *kept[KEPT];
    void *freed[KEPT];
} known[SLEEPERS + HOT];
static atomic_int ready, walkers_left = 2;

/* ---- Those who are seen -------------------------------------------------------------------------- */

/* Every third block is freed again, in an order of its own; its neighbours of the same size keep its span. */
static void settle(int who, uint64_t *seed, size_t max)
{
    for (int i = 0; i < KEPT; i++)
        CHECK((known[who].kept[i] = cairn_malloc(i % 3 == 2 ? check_random_size(seed, max) : 48)) != NULL);
    for (int i = 0; i < KEPT; i++) {
        int k = (i * 7 + 3) % KEPT;
        if (k % 3 == 0) {
            known[who].freed[k] = known[who].kept[k];
            known[who].kept[k] = NULL;
            cairn_free(known[who].freed[k]);
        }
    }
}

static void leave(int who)
{
    for (int i = 0; i < KEPT; i++)
        cairn_free(known[who].kept[i]);
}

static void sleeper(int who, uint64_t *seed)
{
    settle(who, seed, 20000);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&walkers_left) > 0)
        check_sleep(0.01);
    leave(who);
}

/* Allocates and frees in one span, on the fast path, as quickly as it can. */
static void hot(int who, uint64_t *seed)
{
    settle(who, seed, 48);
    memset(known[who].freed, 0, sizeof known[who].freed); /* it uses them */
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&walkers_left) > 0)
        for (int i = 0; i < 100000; i++) {
            unsigned char *block = (unsigned char *)check_opaque(cairn_malloc(48));
            memset(block, 0xff, 48);
            cairn_free(block);
        }
    leave(who);
}

/* ---- Those who disturb --------------------------------------------------------------------------- */

static void *short_life(void *seed_of)
{
    uint64_t seed = (uint64_t)(uintptr_t)seed_of;
    for (int step = 0; step < 50; step++)
        stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)], stress_new(&seed, 9000)));
    return NULL;
}

static void churn(uint64_t *seed)
{
    while (atomic_load(&walkers_left) > 0) {
        pthread_t thread;
        for (int step = 0; step < 200; step++)
            stress_free(atomic_exchange(&slots[check_below(seed, SLOTS)], stress_new(seed, 9000)));
        CHECK(pthread_create(&thread, NULL, short_life, (void *)(uintptr_t)check_random(seed)) == 0);
        void *large = cairn_malloc(300000);
        CHECK(large != NULL && (large = cairn_realloc(large, 900000)) != NULL);
        cairn_free(large);
        CHECK(pthread_join(thread, NULL) == 0);
    }
}

/* ---- Those who look ------------------------------------------------------------------------------ */

struct walk {
    uint64_t seed;
    uintptr_t last;
    size_t kept, blocks;
};

static int visit(void *block, size_t size, void *context)
{
    struct walk *walk = (struct walk *)context;
    CHECKF((uintptr_t)block >= walk->last, "%p after %p", block, (void *)walk->last);
    walk->last = (uintptr_t)block + size;
    walk->blocks++;
    for (int who = 0; who < SLEEPERS + HOT && walk->blocks % 8 == 0; who++)
        for (int i = 0; i < KEPT; i += 3)
            CHECKF(known[who].freed[i] != block, "%p is free", block);
    if (walk->blocks % 64 == 0)
        cairn_free(cairn_malloc(check_random_size(&walk->seed, 3000)));
    return 0;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* Counts what is kept: `context` is the sorted table, and how often each was seen. */
static uintptr_t table[(SLEEPERS + HOT) * KEPT];
static size_t table_count;
struct counts {
    struct walk walk;
    unsigned char seen[(SLEEPERS + HOT) * KEPT];
};

static int count(void *block, size_t size, void *context)
{
    struct counts *counts = (struct counts *)context;
    uintptr_t address = (uintptr_t)block;
    const uintptr_t *found =
        (const uintptr_t *)bsearch(&address, table, table_count, sizeof *table, by_address);
    if (found != NULL) {
        counts->seen[found - table]++;
        counts->walk.kept++;
    }
    return visit(block, size, &counts->walk);
}

static void look(intptr_t number, uint64_t *seed)
{
    static struct counts results[2];
    struct counts *counts = &results[number];
    while (atomic_load(&ready) < SLEEPERS + HOT + 1)
        check_sleep(0.001);
    for (int i = 0; stress_goes_on() || i < 3; i++) {
        memset(counts, 0, sizeof *counts);
        counts->walk.seed = check_random(seed);
        CHECK(cairn_heap_walk(count, counts) == 0);
        for (size_t k = 0; k < table_count; k++)
            CHECKF(counts->seen[k] == 1, "walk %d: block %p is visited %d times", i, (void *)table[k],
                   counts->seen[k]);
        CHECKF(cairn_heap_check() == 0, "%s", cairn_errormsg());
    }
    atomic_fetch_sub(&walkers_left, 1);
}

static void make_table(void)
{
    while (atomic_load(&ready) < SLEEPERS + HOT)
        check_sleep(0.001);
    for (int who = 0; who < SLEEPERS + HOT; who++)
        for (int i = 0; i < KEPT; i++)
            if (known[who].kept[i] != NULL)
                table[table_count++] = (uintptr_t)known[who].kept[i];
    qsort(table, table_count, sizeof *table, by_address);
    atomic_fetch_add(&ready, 1);
}

static void *body(void *number)
{
    intptr_t n = (intptr_t)number;
    uint64_t seed = stress_seed(number);
    if (n == 0)
        make_table();
    if (n < 2)
        look(n, &seed);
    else if (n < 2 + SLEEPERS)
        sleeper((int)n - 2, &seed);
    else if (n < 2 + SLEEPERS + HOT)
        hot((int)n - 2, &seed);
    else
        churn(&seed);
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(3);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    CHECKF(cairn_heap_check() == 0, "%s", cairn_errormsg());
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
