// timeout: 60
// sanitize: no, a fork among threads is more than they follow
/* pool_fork.c - forks while threads use pools of every class, make and destroy them: the child finds all of them whole,
 * allocates from each, and destroys it. */
#include "stress.h"
#include <cairn/pool.h>

enum { THREADS = 6, POOLS = 6, FORKS = 400 };

static cairn_pool *pools[POOLS];
static char *kept[POOLS];
static _Atomic int over;

static void make_pools(void)
{
    static const cairn_pool_config configs[POOLS] = {
        {.flags = 0},
        {.flags = CAIRN_POOL_MARKS},
        {.flags = CAIRN_POOL_GUARD},
        {.pool_class = CAIRN_FIT},
        {.pool_class = CAIRN_FIXED, .block_size = 200},
        {.pool_class = CAIRN_STACK},
    };
    for (int i = 0; i < POOLS; i++) {
        cairn_pool_config config = configs[i];
        config.struct_size = sizeof config;
        pools[i] = cairn_pool_create(&config);
        CHECK(pools[i] != NULL && (kept[i] = cairn_pool_malloc(pools[i], 150)) != NULL);
        check_fill(kept[i], 150, (uint64_t)i);
    }
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (!over) {
        for (int i = 0; i < 100; i++) {
            cairn_pool *pool = pools[check_below(&seed, POOLS - 1)];
            char *p = cairn_pool_malloc(pool, 1 + check_below(&seed, 200));
            CHECK(p != NULL);
            p[0] = 1;
            cairn_pool_free(pool, p);
        }
        cairn_pool *own = cairn_pool_create(NULL);
        CHECK(own != NULL && cairn_pool_malloc(own, 100) != NULL);
        cairn_pool_destroy(own);
    }
    return NULL;
}

static int count(cairn_pool *pool, void *context)
{
    (void)pool;
    ++*(int *)context;
    return 0;
}

static void child(void)
{
    int found = 0;
    CHECK(cairn_pools_walk(count, &found) == 0 && found >= POOLS);
    for (int i = 0; i < POOLS; i++) {
        CHECK_FILLED(kept[i], 150, (uint64_t)i);
        char *p = cairn_pool_malloc(pools[i], 180);
        CHECK(p != NULL && cairn_pool_of(p) == pools[i]);
        check_fill(p, 180, 99);
        cairn_pool_free(pools[i], p);
        cairn_pool_free(pools[i], kept[i]);
        cairn_stats s = {.struct_size = sizeof s};
        CHECK(cairn_pool_stats(pools[i], &s) == 0);
        cairn_pool_destroy(pools[i]);
    }
    cairn_pool *own = cairn_pool_create(NULL);
    CHECK(own != NULL && cairn_pool_malloc(own, 100) != NULL);
    cairn_pool_destroy(own);
    _exit(0);
}

int main(void)
{
    pthread_t threads[THREADS];
    check_seed();
    make_pools();
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            child();
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECKF(status == 0, "fork %d: status %#x", i, (unsigned)status);
    }
    over = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < POOLS; i++) {
        CHECK_FILLED(kept[i], 150, (uint64_t)i);
        CHECKF(cairn_pool_check(pools[i]) == 0, "%d: %s", i, cairn_errormsg());
        cairn_pool_destroy(pools[i]);
    }
    return 0;
}
