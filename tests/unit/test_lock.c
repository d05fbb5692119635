/* test_lock.c - the mutex: exclusion, sleeping and waking, the states of its word, ranks. */
#include "unit.h"

/* The check of ranks is part of debug builds. */
#undef CAIRN_DEBUG
#define CAIRN_DEBUG 1
#include "os/lock.c"

enum { THREADS = 4, ROUNDS = 20000 };

static struct lock lock = {.rank = LOCK_RANK_HEAP};
static uint64_t shared[4]; /* equal outside the lock */
static uint32_t inside;

static void *count(void *value)
{
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&lock);
        CHECK(__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED) == 0);
        CHECK(shared[0] == shared[1] && shared[1] == shared[2] && shared[2] == shared[3]);
        for (size_t k = 0; k < COUNT_OF(shared); k++)
            shared[k]++;
        if (i % 1000 == 0)
            os_yield();
        CHECK(__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED) == 1);
        lock_release(&lock);
    }
    return value;
}

static void *count_by_trying(void *value)
{
    for (int done = 0; done < ROUNDS;) {
        if (!lock_try(&lock)) {
            os_yield();
            continue;
        }
        CHECK(__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED) == 0);
        for (size_t k = 0; k < COUNT_OF(shared); k++)
            shared[k]++;
        CHECK(__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED) == 1);
        lock_release(&lock);
        done++;
    }
    return value;
}

static void one_thread_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, i == 0 ? count_by_trying : count, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(shared[0], THREADS * ROUNDS);
    CHECK_EQ(load_relaxed(&lock.state), 0);
}

static void states_without_contention(void **state)
{
    (void)state;
    struct lock own = {.rank = LOCK_RANK_HEAP};
    lock_take(&own);
    CHECK_EQ(own.state, 1);
    CHECK(!lock_try(&own));
    CHECK_EQ(own.state, 1);
    lock_release(&own);
    CHECK_EQ(own.state, 0);
    CHECK(lock_try(&own) && own.state == 1);
    lock_release(&own);
    CHECK_EQ(own.state, 0);
}

static uint32_t entered;

static void *take_once(void *value)
{
    lock_take(&lock);
    __atomic_fetch_add(&entered, 1, __ATOMIC_RELAXED);
    lock_release(&lock);
    return value;
}

/* Waiters sleep while the lock is held for long, say so in its word, and all get it in the end. */
static void sleepers_are_woken(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t threads[3];
        double end = check_now() + 20;
        lock_take(&lock);
        store_relaxed(&entered, 0);
        for (size_t i = 0; i < COUNT_OF(threads); i++)
            CHECK(pthread_create(&threads[i], NULL, take_once, NULL) == 0);
        while (load_relaxed(&lock.state) != 2 && check_now() < end)
            os_yield();
        CHECK_EQ(load_relaxed(&lock.state), 2);
        if (round % 4 == 0)
            check_sleep(0.005); /* for all of them to fall asleep */
        CHECK_EQ(load_relaxed(&entered), 0);
        lock_release(&lock);
        for (size_t i = 0; i < COUNT_OF(threads); i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(load_relaxed(&entered) == COUNT_OF(threads) && load_relaxed(&lock.state) == 0);
    }
}

/* The thread that forks may take the lock that it holds again; others wait, in the child, too. */
static void held_for_fork_it_may_be_taken_again(void **state)
{
    (void)state;
    pthread_t parents, childs;
    double end = check_now() + 20;
    store_relaxed(&entered, 0);
    lock_take_for_fork(&lock);
    CHECK(pthread_create(&parents, NULL, take_once, NULL) == 0);
    while (load_relaxed(&lock.state) != 2 && check_now() < end)
        os_yield();
    for (int i = 0; i < 3; i++) {
        lock_take(&lock);
        lock_take(&lock);
        lock_release(&lock);
        lock_release(&lock);
    }
    CHECK(!lock_try(&lock) && load_relaxed(&lock.state) == 2);
    pid_t child = fork();
    CHECK(child >= 0);
    check_in_task = child == 0;
    bool starts = child == 0 && !CHECK_SANITIZED; /* the thread sanitizer allows no threads in such a child */
    if (starts)
        CHECK(pthread_create(&childs, NULL, take_once, NULL) == 0);
    check_sleep(0.02);
    lock_take(&lock);
    lock_release(&lock);
    CHECK_EQ(load_relaxed(&entered), 0);
    lock_release_after_fork(&lock);
    if (starts || child > 0)
        CHECK(pthread_join(child == 0 ? childs : parents, NULL) == 0);
    CHECK(load_relaxed(&entered) == (starts || child > 0) && load_relaxed(&lock.state) == 0);
    if (child == 0)
        _exit(0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    lock_take(&lock);
    CHECK(!lock_try(&lock));
    lock_release(&lock);
}

static void errno_survives(void **state)
{
    (void)state;
    uint32_t word = 1;
    errno = 4242;
    os_futex_wait(&word, 2); /* EAGAIN */
    os_futex_wake_one(&word);
    os_yield();
    CHECK_EQ(errno, 4242);
}

/* ---- Ranks --------------------------------------------------------------------------------------- */

static struct lock start = {.rank = LOCK_RANK_START}, late = {.rank = LOCK_RANK_LATE},
                   heap = {.rank = LOCK_RANK_HEAP};

static void rising(void)
{
    for (int i = 0; i < 2; i++) {
        lock_rank_check(&start, true);
        lock_rank_check(&late, true);
        lock_rank_check(&heap, true);
        lock_rank_check(&late, false);
        lock_rank_check(&heap, false);
        lock_rank_check(&start, false);
    }
}

static void again_for_fork(void)
{
    lock_take_for_fork(&start);
    lock_take_for_fork(&heap);
    lock_take(&start);
    lock_take(&heap);
    lock_release(&start);
    lock_release(&heap);
    lock_release_after_fork(&heap);
    lock_release_after_fork(&start);
    rising();
}

static void falling(void)
{
    lock_rank_check(&heap, true);
    lock_rank_check(&late, true);
}

static void twice(void)
{
    lock_rank_check(&late, true);
    lock_rank_check(&late, true);
}

static const check_task tasks[] = {{"rising", rising},
                                   {"again_for_fork", again_for_fork},
                                   {"falling", falling},
                                   {"twice", twice},
                                   {NULL, NULL}};

static void ranks_only_rise(void **state)
{
    (void)state;
    static check_run run;
    check_task_ok("rising", NULL);
    check_task_ok("again_for_fork", NULL);
    check_task_run(&run, "falling");
    check_run_aborted(&run, "^cairn: lock: taken out of rank 0x[0-9a-f]+$");
    memset(&run, 0, sizeof run);
    check_task_run(&run, "twice");
    check_run_aborted(&run, "taken out of rank");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_at_a_time), cmocka_unit_test(states_without_contention),
        cmocka_unit_test(sleepers_are_woken),   cmocka_unit_test(held_for_fork_it_may_be_taken_again),
        cmocka_unit_test(errno_survives),       cmocka_unit_test(ranks_only_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
