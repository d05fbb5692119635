// timeout: 60
// sanitize: no, a fork among threads is more than they follow
// compat: mps
/* mps_fork.c - forks while threads use an arena of the Memory Pool System's interface and its pools of every kind: the child
 * finds all of them whole and goes on. */
#include <mps.h>
#include <mpsavm.h>
#include <mpscmfs.h>
#include <mpscmvff.h>

#include "check.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POOLS = 3, THREADS = 4, FORKS = 200, SIZE = 64 };

static mps_arena_t arena;
static mps_pool_t pools[POOLS];
static int over; /* atomic */

static void use(mps_pool_t pool, size_t count)
{
    mps_addr_t blocks[200];
    for (size_t i = 0; i < count; i++)
        CHECK(mps_alloc(&blocks[i], pool, SIZE) == MPS_RES_OK);
    for (size_t i = 0; i < count; i++)
        mps_free(pool, blocks[i], SIZE);
}

static void *body(void *number)
{
    for (size_t i = (uintptr_t)number; __atomic_load_n(&over, __ATOMIC_RELAXED) == 0; i++) {
        use(pools[i % POOLS], 200); /* grains come and go */
        mps_pool_t own, found;
        CHECK(mps_pool_create_k(&own, arena, mps_class_mvff(), mps_args_none) == MPS_RES_OK);
        use(own, 10);
        CHECK(mps_arena_committed(arena) > 0 && !mps_addr_pool(&found, arena, &own));
        mps_pool_destroy(own);
    }
    return NULL;
}

static void child(void)
{
    alarm(20);
    CHECK(mps_arena_committed(arena) <= mps_arena_reserved(arena));
    for (size_t i = 0; i < POOLS; i++) {
        use(pools[i], 200);
        CHECK(mps_pool_total_size(pools[i]) >= mps_pool_free_size(pools[i]));
    }
    _exit(0);
}

static void make(void)
{
    mps_pool_class_t classes[POOLS] = {mps_class_mvff(), mps_class_mvff_debug(), mps_class_mfs()};
    CHECK(mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none) == MPS_RES_OK);
    for (size_t i = 0; i < POOLS; i++) {
        MPS_ARGS_BEGIN(args)
        {
            MPS_ARGS_ADD(args, MPS_KEY_EXTEND_BY, 4096);
            MPS_ARGS_ADD(args, MPS_KEY_MFS_UNIT_SIZE, SIZE);
            CHECK(mps_pool_create_k(&pools[i], arena, classes[i], args) == MPS_RES_OK);
        }
        MPS_ARGS_END(args);
    }
}

int main(void)
{
    pthread_t threads[THREADS];
    make();
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            child();
        int status;
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECKF(status == 0, "fork %d: the child ended with %#x", i, (unsigned)status);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < POOLS; i++)
        mps_pool_destroy(pools[i]);
    mps_arena_destroy(arena);
    return 0;
}
