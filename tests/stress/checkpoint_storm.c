// timeout: 60
/* checkpoint_storm.c - threads allocate, fill, publish, take back and free blocks of a pool in a file without a pause, while
 * checkpoints are taken.  Now and then the files are copied, as a power cut leaves them, and the copy is opened: its
 * structures are whole, every published block is live and as it was filled, and no block is missing or lost but those
 * that a thread had in its hands.  A checkpoint may find no moment (EAGAIN, journal only), but some do. */
#include "stress.h"

#include <cairn/persist.h>

enum { THREADS = 3, SLOTS = 200 };

struct published {
    uint64_t key, size;
    unsigned char bytes[];
};

static char path[128], copy[128];
static cairn_pool *pool;
static void ***tables; /* in the pool: one for each thread */
static int stop;
static uint64_t seed;

static size_t pattern_size(const struct published *block)
{
    return (size_t)block->size - sizeof *block;
}

static void *work(void *context)
{
    size_t number = (size_t)(uintptr_t)context;
    uint64_t dice = seed + number;
    void **slots = tables[number];
    for (uint64_t i = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        void **slot = &slots[check_below(&dice, SLOTS)];
        struct published *block = *slot;
        if (block != NULL) {
            __atomic_store_n(slot, NULL, __ATOMIC_RELEASE);
            cairn_pool_free(pool, block);
            continue;
        }
        size_t size = sizeof *block + check_below(&dice, check_below(&dice, 100) == 0 ? 100000 : 1500);
        block = cairn_pool_malloc(pool, size);
        CHECK(block != NULL);
        block->key = i;
        block->size = size;
        check_fill(block->bytes, pattern_size(block), i);
        __atomic_store_n(slot, block, __ATOMIC_RELEASE);
        if (i % 16 == 0)
            check_sleep(0.0005); /* or there is no moment for a journal */
    }
    return NULL;
}

static void copy_file(const char *ending)
{
    static char from[160], to[160], buffer[1 << 16];
    (void)snprintf(from, sizeof from, "%s%s", path, ending);
    (void)snprintf(to, sizeof to, "%s%s", copy, ending);
    (void)unlink(to);
    int in = open(from, O_RDONLY);
    if (in < 0)
        return;
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(out >= 0);
    ssize_t got;
    while ((got = read(in, buffer, sizeof buffer)) > 0)
        CHECK(write(out, buffer, (size_t)got) == got);
    close(in), close(out);
}

static void check_copy(ptrdiff_t moved)
{
    cairn_leaks leaks = {.struct_size = sizeof leaks};
    cairn_recovery found = {.struct_size = sizeof found};
    cairn_pool *after = cairn_pool_open(copy, NULL);
    CHECKF(after != NULL, "%s", cairn_errormsg());
    CHECK(cairn_pool_recovery(after, &found) == 0 && found.found == CAIRN_WAS_POWER_CUT);
    CHECKF(cairn_pool_check(after) == 0, "%s", cairn_errormsg());
    moved += (ptrdiff_t)(uintptr_t)cairn_pool_file_base(after);
    uint64_t reached = 1 + THREADS;
    void **root = cairn_pool_root(after);
    for (size_t t = 0; t < THREADS; t++) {
        void **slots = (void **)(void *)((char *)root[t] + moved);
        for (size_t i = 0; i < SLOTS; i++) {
            if (slots[i] == NULL)
                continue;
            const struct published *block = (const void *)((char *)slots[i] + moved);
            CHECK(cairn_pool_usable_size(after, block) >= block->size);
            CHECK_FILLED(block->bytes, pattern_size(block), block->key);
            reached++;
        }
    }
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(after, &stats) == 0);
    CHECKF(stats.live_blocks >= reached && stats.live_blocks <= reached + THREADS,
           "%llu live, %llu published", (unsigned long long)stats.live_blocks, (unsigned long long)reached);
    CHECK(cairn_pool_close(after) == 0);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    base = base != NULL && strlen(base) < 80 ? base : "/tmp";
    (void)snprintf(path, sizeof path, "%s/storm.%d", base, (int)getpid());
    (void)snprintf(copy, sizeof copy, "%s/storm.%d.copy", base, (int)getpid());
    cairn_file_config config = {
        .struct_size = sizeof config, .size = 64 * MIB, .flags = CAIRN_FILE_RELOCATABLE};
    seed = check_seed();
    pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    tables = cairn_pool_calloc(pool, THREADS, sizeof *tables);
    CHECK(tables != NULL && cairn_pool_set_root(pool, tables) == 0);
    for (size_t t = 0; t < THREADS; t++)
        CHECK((tables[t] = cairn_pool_calloc(pool, SLOTS, sizeof **tables)) != NULL);
    CHECKF(cairn_pool_checkpoint(pool) == 0, "%s", cairn_errormsg());
    cairn_checkpoint_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == 0);
    int noticed = stats.is_tracked || stats.way == CAIRN_CHECKPOINT_REFLINK;
    pthread_t threads[THREADS];
    for (size_t t = 0; t < THREADS && noticed; t++)
        CHECK(pthread_create(&threads[t], NULL, work, (void *)(uintptr_t)t) == 0);
    unsigned good = 0, missed = 0;
    double end = check_now() + check_scale(check_long() ? 60 : 4);
    for (unsigned i = 0; check_now() < end && noticed; i++) {
        int result = cairn_pool_checkpoint(pool);
        CHECKF(result == 0 || errno == EAGAIN, "%s", cairn_errormsg());
        good += result == 0;
        missed += result != 0;
        if (i % 20 == 0) {
            copy_file(""), copy_file(".ckpt"), copy_file(".ckpt0"), copy_file(".ckpt1");
            check_copy(-(ptrdiff_t)(uintptr_t)cairn_pool_file_base(pool));
        }
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (size_t t = 0; t < THREADS && noticed; t++)
        CHECK(pthread_join(threads[t], NULL) == 0);
    printf("%u checkpoints, %u without a moment\n", good, missed);
    CHECK(good > 0 || !noticed);
    CHECKF(cairn_pool_close(pool) == 0, "%s", cairn_errormsg());
    for (const char *const *ending = (const char *const[]){"", ".ckpt", ".ckpt0", ".ckpt1", NULL}; *ending;
         ending++) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s%s", path, *ending);
        (void)unlink(name);
        (void)snprintf(name, sizeof name, "%s%s", copy, *ending);
        (void)unlink(name);
    }
    return 0;
}
