// timeout: 120
/* fork_load.c - fork while eight threads allocate, free and hand over; each child allocates at once, frees
 * what lost threads had allocated, and leaves.  With CAIRN_TEST_LONG=1: 100,000 forks. */
#include "stress.h"

enum { THREADS = 8, SLOTS = 200 };
static _Atomic(struct stress_block *) slots[SLOTS];
static _Atomic int stop;

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 15); /* load, but forks come first */
    while (!stop)
        stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)], stress_new(&seed, 20000)));
    return NULL;
}

static void child(uint64_t seed)
{
    alarm(30); /* a lock left held would show as a hang */
    for (int i = 0; i < 30; i++)
        stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)], stress_new(&seed, 20000)));
    stress_free(stress_new(&seed, MIB));
    _exit(0);
}

int main(void)
{
    pthread_t threads[THREADS];
    uint64_t before = stress_stats().live_blocks;
    int forks = check_long() ? 100000 : (int)check_scale(CHECK_SANITIZED ? 200 : 1000);
    check_seed();
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, body, (void *)i) == 0);
    for (int i = 0; i < forks; i++) {
        pid_t pid = fork();
        int status;
        CHECK(pid >= 0);
        if (pid == 0)
            child((uint64_t)i + 1);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %d ended with status %d%s", i, status,
               WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (it hung)" : "");
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
