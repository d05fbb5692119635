// timeout: 120
// sanitize: no
/* pool_file_kills.c - a process with four threads at work on a pool file is killed, over and over; the next one goes on
 * with what it left.
 *
 * Each thread writes into memory that it shares with this process what it is about to do, and what it has done.  After
 * each kill the pool is opened, sometimes read-only (recovered in memory only, so that the next process has to do it
 * again), and compared: every block that was acknowledged is there with its contents, no two overlap, at most one block
 * for each thread leaks, and none of those that malloc_to, realloc_to and free_from move.  Kills also meet processes that
 * are just opening, recovering and closing.  CAIRN_TEST_LONG: 50 times as many. */
#include "stress.h"

#include <cairn/persist.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 2400
#define THREADS 4
#define BLOCKS 48
#define SLOTS 16
#define POOL_SIZE ((size_t)8 << 20)

enum state { NONE, LIVE, GOES };

struct entry {
    _Atomic int state;
    unsigned char *at;
    size_t size;
    uint64_t key;
};

/* What one thread has in the pool.  `plain`: inside a malloc, so that one block more may be there. */
struct ledger {
    struct entry blocks[BLOCKS];
    struct {
        _Atomic size_t size; /* of the pattern in the block; 0: not told */
        uint64_t key;
    } slots[SLOTS];
    _Atomic int plain;
};

static struct {
    struct ledger ledgers[THREADS];
    void **_Atomic table; /* in the pool: THREADS * SLOTS pointers */
    _Atomic uint64_t calls;
} * shared;

static char path[64];
static cairn_pool *pool;
static uint64_t seed_of_run;

/* ---- The process that is killed ----------------------------------------------------------------------- */

static size_t draw_size(uint64_t *seed)
{
    uint64_t kind = check_random(seed) % 16;
    return kind == 0 ? 17000 + check_random(seed) % 60000 : 8 + check_random(seed) % (kind < 4 ? 6000 : 300);
}

static void do_block(struct ledger *mine, uint64_t *seed)
{
    struct entry *entry = &mine->blocks[check_random(seed) % BLOCKS];
    size_t size = draw_size(seed);
    if (entry->state == LIVE && check_random(seed) % 4 != 0) {
        entry->state = GOES;
        cairn_pool_free(pool, entry->at);
        entry->state = NONE;
        return;
    }
    mine->plain = 1;
    if (entry->state == LIVE) {
        entry->state = GOES;
        unsigned char *moved = cairn_pool_realloc(pool, entry->at, size);
        if (moved == NULL) {
            entry->state = LIVE;
            mine->plain = 0;
            return;
        }
        entry->at = moved;
    } else {
        entry->at = cairn_pool_malloc(pool, size);
        if (entry->at == NULL) {
            mine->plain = 0;
            return;
        }
    }
    entry->size = size;
    entry->key = check_random(seed);
    check_fill(entry->at, size, entry->key);
    entry->state = LIVE;
    mine->plain = 0;
}

static void do_slot(struct ledger *mine, void **table, uint64_t *seed)
{
    unsigned i = (unsigned)(check_random(seed) % SLOTS);
    size_t size = draw_size(seed);
    mine->slots[i].size = 0;
    if (table[i] == NULL) {
        if (cairn_pool_malloc_to(pool, size, &table[i]) == NULL)
            return;
    } else if (check_random(seed) % 2 == 0) {
        CHECK(cairn_pool_free_from(pool, &table[i]) == 0);
        return;
    } else if (cairn_pool_realloc_to(pool, &table[i], size) == NULL) {
        return;
    }
    mine->slots[i].key = check_random(seed);
    check_fill(table[i], size, mine->slots[i].key);
    mine->slots[i].size = size;
}

static void *work(void *number)
{
    struct ledger *mine = &shared->ledgers[(intptr_t)number];
    void **table = shared->table + (intptr_t)number * SLOTS;
    uint64_t seed = seed_of_run + (uint64_t)(intptr_t)number * 77;
    for (;;) {
        if (check_random(&seed) % 3 == 0)
            do_slot(mine, table, &seed);
        else
            do_block(mine, &seed);
        shared->calls++;
    }
    return NULL;
}

/* What the last process left without an answer is settled: its entries are what the pool says now. */
static void take_over(void)
{
    for (unsigned t = 0; t < THREADS; t++) {
        shared->ledgers[t].plain = 0;
        for (unsigned i = 0; i < BLOCKS; i++)
            if (shared->ledgers[t].blocks[i].state == GOES)
                shared->ledgers[t].blocks[i].state =
                    NONE; /* it was freed by the look, or is counted as a leak */
    }
}

static void live(void)
{
    pool = cairn_pool_open(path, NULL);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    if (shared->table == NULL)
        shared->table = cairn_pool_root(pool);
    if (shared->table == NULL)
        shared->table = cairn_pool_calloc_to(pool, THREADS * SLOTS, sizeof(void *), NULL);
    CHECK(shared->table != NULL);
    if (seed_of_run % 16 == 0) { /* closing is killed, too */
        (void)cairn_pool_close(pool);
        pause();
    }
    stress_threads(THREADS, work);
}

/* ---- The process that looks ---------------------------------------------------------------------------- */

struct found {
    uintptr_t at;
    size_t size;
    int known;
};

static struct found found[1 << 16];
static size_t found_count;

static int collect(void *block, size_t size, void *context)
{
    (void)context;
    CHECK(found_count < sizeof found / sizeof *found);
    found[found_count++] = (struct found){(uintptr_t)block, size, 0};
    return 0;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t x = ((const struct found *)a)->at, y = ((const struct found *)b)->at;
    return x < y ? -1 : x > y;
}

static struct found *find(const void *at)
{
    struct found key = {(uintptr_t)at, 0, 0};
    return bsearch(&key, found, found_count, sizeof key, by_address);
}

static void check_ledger(const struct ledger *ledger, void *const *table)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct entry *entry = &ledger->blocks[i];
        struct found *block = entry->state != NONE ? find(entry->at) : NULL;
        if (block != NULL && entry->state == LIVE)
            block->known++;
        if (entry->state != LIVE)
            continue;
        CHECKF(block != NULL && block->size >= entry->size, "block %p of %zu bytes is lost",
               (void *)entry->at, entry->size);
        CHECK_FILLED(entry->at, entry->size, entry->key);
    }
    for (unsigned i = 0; table != NULL && i < SLOTS; i++) {
        if (table[i] == NULL)
            continue;
        struct found *block = find(table[i]);
        CHECKF(block != NULL, "slot %u leads to %p, which is not live", i, table[i]);
        block->known++;
        if (ledger->slots[i].size != 0)
            CHECK_FILLED(table[i], ledger->slots[i].size, ledger->slots[i].key);
    }
}

/* How many blocks nobody knows of.  They are freed, if the pool may be changed. */
static unsigned check_pool(int writable)
{
    unsigned leaks = 0;
    found_count = 0;
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    CHECK(cairn_pool_walk(pool, collect, NULL) == 0);
    qsort(found, found_count, sizeof *found, by_address);
    for (size_t i = 1; i < found_count; i++)
        CHECKF(found[i - 1].at + found[i - 1].size <= found[i].at, "blocks overlap at %p",
               (void *)found[i].at);
    void **table = cairn_pool_root(pool);
    if (table != NULL)
        find(table)->known++;
    for (unsigned t = 0; t < THREADS; t++)
        check_ledger(&shared->ledgers[t], table != NULL ? table + t * SLOTS : NULL);
    for (size_t i = 0; i < found_count; i++) {
        CHECKF(found[i].known <= 1, "block %p has two owners", (void *)found[i].at);
        leaks += !found[i].known;
        if (!found[i].known && writable)
            cairn_pool_free(pool, (void *)found[i].at);
    }
    return leaks;
}

/* Blocks of a thread that may be there and that its ledger does not call live: the one that is being freed or moved, and
 * the one that comes in its place. */
static unsigned in_the_air(const struct ledger *ledger)
{
    unsigned count = (unsigned)ledger->plain;
    for (unsigned i = 0; i < BLOCKS; i++)
        count += ledger->blocks[i].state == GOES;
    return count;
}

/* Looks at what the killed process left.  Returns whether that was written back. */
static int look(uint64_t *seed, unsigned *leaks_before)
{
    int writable = check_random(seed) % 2 == 0;
    cairn_file_config config = {.struct_size = sizeof config, .flags = writable ? 0 : CAIRN_FILE_READ_ONLY};
    pool = cairn_pool_open(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    unsigned allowed = *leaks_before, leaks = check_pool(writable);
    for (unsigned t = 0; t < THREADS; t++)
        allowed += (unsigned)in_the_air(&shared->ledgers[t]);
    CHECKF(leaks <= allowed, "%u blocks leak, %u may", leaks, allowed);
    *leaks_before = writable ? 0 : leaks; /* those freed now are gone, the others are met again */
    CHECKF(cairn_pool_close(pool) == 0, "%s", cairn_errormsg());
    if (writable)
        CHECK(cairn_pool_check_file(path, NULL, NULL) == 1);
    return writable;
}

int main(void)
{
    uint64_t seed = check_seed();
    unsigned leaks = 0, kills = KILLS, lost = 0;
    snprintf(path, sizeof path, "/dev/shm/cairn-kills-%d", (int)getpid());
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    unlink(path);
    cairn_file_config config = {.struct_size = sizeof config, .size = POOL_SIZE};
    pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    CHECK(cairn_pool_close(pool) == 0);
    if (getenv("CAIRN_TEST_LONG") != NULL)
        kills *= 50;
    for (unsigned i = 0; i < kills; i++) {
        seed_of_run = check_random(&seed);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            live();
            _exit(1);
        }
        nanosleep(&(struct timespec){0, (long)(check_random(&seed) % 2500000)}, NULL);
        int status;
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, &status, 0) == child);
        CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the process ended by itself: %x", status);
        lost += look(&seed, &leaks) != 0;
        take_over();
    }
    unlink(path);
    printf("%u kills, %u of them recovered in place, %llu calls\n", kills, lost,
           (unsigned long long)shared->calls);
    return 0;
}
