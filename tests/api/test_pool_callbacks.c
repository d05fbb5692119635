// timeout: 60
/* test_pool_callbacks.c - what the callbacks of a source may do: wait for a pool's other threads while they decommit, and
 * use other pools while the process forks.  None is asked to commit what it has committed. */
#include "api.h"

#include <cairn/pool.h>
#include <pthread.h>
#include <sys/wait.h>

enum { REGION = 64 << 20, PAGE = 4096, LARGE = 1 << 20 };

static struct {
    char *base;
    size_t used, decommits;
    unsigned char committed[REGION / PAGE];
    void (*during_decommit)(void);
    cairn_pool *other; /* `reserve` uses it */
} region;

static void *region_reserve(void *context, size_t size, size_t alignment)
{
    (void)context;
    size_t at = (region.used + alignment - 1) & ~(alignment - 1);
    if (region.other != NULL)
        cairn_pool_free(region.other, cairn_pool_malloc(region.other, 100000));
    if (at + size > REGION)
        return NULL;
    region.used = at + size;
    return region.base + at;
}

static int region_release(void *context, void *base, size_t size)
{
    (void)context;
    size_t at = (size_t)((char *)base - region.base);
    memset(region.committed + at / PAGE, 0, size / PAGE);
    if (at + size == region.used)
        region.used = at;
    return 0;
}

static int region_commit(void *context, void *address, size_t size)
{
    (void)context;
    size_t at = (size_t)((char *)address - region.base);
    for (size_t page = at / PAGE; page < (at + size) / PAGE; page++) {
        CHECKF(!region.committed[page], "page %zu is asked for twice", page);
        region.committed[page] = 1;
    }
    return 0;
}

static int region_decommit(void *context, void *address, size_t size)
{
    (void)context;
    size_t at = (size_t)((char *)address - region.base);
    memset(region.committed + at / PAGE, 0, size / PAGE);
    region.decommits++;
    if (region.during_decommit != NULL)
        region.during_decommit();
    return 0;
}

static cairn_source source = {.struct_size = sizeof source,
                              .name = "region",
                              .reserve = region_reserve,
                              .release = region_release,
                              .commit = region_commit,
                              .decommit = region_decommit,
                              .granule = PAGE};

static cairn_pool *pool_over_region(cairn_pool_class pool_class)
{
    memset(&region, 0, sizeof region);
    region.base = check_table(REGION);
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = pool_class, .source = &source, .spare = -1};
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    return pool;
}

/* ---- Decommitting ---------------------------------------------------------------------------------- */

static cairn_pool *busy;
static pthread_barrier_t decommitting, allocated;

static void *allocate_meanwhile(void *unused)
{
    pthread_barrier_wait(&decommitting);
    char *block = cairn_pool_malloc(busy, LARGE); /* under the lock that pages are taken under */
    CHECK(block != NULL);
    check_fill(block, LARGE, 1);
    CHECK_FILLED(block, LARGE, 1);
    pthread_barrier_wait(&allocated);
    cairn_pool_free(busy, block);
    return unused;
}

static void wait_for_the_other(void)
{
    region.during_decommit = NULL;
    pthread_barrier_wait(&decommitting);
    pthread_barrier_wait(&allocated);
}

static void test_decommit_waits(void **unused)
{
    (void)unused;
    pthread_t thread;
    busy = pool_over_region(CAIRN_SLAB);
    CHECK(pthread_barrier_init(&decommitting, NULL, 2) == 0 &&
          pthread_barrier_init(&allocated, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, allocate_meanwhile, NULL) == 0);
    char *block = cairn_pool_malloc(busy, LARGE);
    CHECK(block != NULL);
    region.during_decommit = wait_for_the_other;
    cairn_pool_free(busy, block); /* now or in the trim */
    (void)cairn_pool_trim(busy, 0);
    CHECK(region.decommits > 0 && region.during_decommit == NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECKF(cairn_pool_check(busy) == 0, "%s", cairn_errormsg());
    cairn_pool_destroy(busy);
    munmap(region.base, REGION);
}

/* ---- Other pools, and fork -------------------------------------------------------------------------- */

static int over; /* atomic */

static void *grow_and_shrink(void *pool)
{
    while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0) {
        char *block = cairn_pool_malloc(pool, LARGE);
        CHECK(block != NULL);
        cairn_pool_free(pool, block);
    }
    return NULL;
}

/* A callback holds its own pool's lock and takes the other's; a fork takes the locks of both. */
static void test_fork(void **unused)
{
    (void)unused;
    cairn_pool *pool = pool_over_region(CAIRN_FIT);
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT};
    region.other = cairn_pool_create(&config);
    pthread_t thread;
    __atomic_store_n(&over, 0, __ATOMIC_RELAXED);
    CHECK(pthread_create(&thread, NULL, grow_and_shrink, pool) == 0);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            void *block = cairn_pool_malloc(region.other, 10);
            _exit(block != NULL && cairn_pool_check(pool) == 0 ? 0 : 1);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    CHECK(pthread_join(thread, NULL) == 0);
    cairn_pool_destroy(pool);
    cairn_pool_destroy(region.other);
    munmap(region.base, REGION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decommit_waits),
        cmocka_unit_test(test_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
