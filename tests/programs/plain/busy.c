/* busy.c LIBRARY - threads that allocate, while others load a library, fork and take signals. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;
static int over;

static void tick(int number)
{
    (void)number;
    ticks++;
}

static void *allocate(void *unused)
{
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        char *block = malloc(100), *more = realloc(block, 5000);
        free(more != NULL ? more : block);
        free(calloc(10, 30));
    }
    return unused;
}

int main(int argc, char **argv)
{
    enum { THREADS = 3, TURNS = 40 };
    pthread_t threads[THREADS];
    struct itimerval often = {{0, 2000}, {0, 2000}};
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    int made = 0;
    if (argc < 2 || sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0)
        return 1;
    for (; made < THREADS; made++)
        if (pthread_create(&threads[made], NULL, allocate, NULL) != 0)
            break; /* a thread needs memory, too */
    for (int i = 0; i < TURNS; i++) {
        void *library = dlopen(argv[1], RTLD_NOW);
        if (library != NULL)
            (void)dlclose(library);
        pid_t child = fork();
        if (child == 0) {
            free(malloc(10));
            _exit(0);
        }
        int status = 0;
        if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
            return 2;
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    while (made > 0)
        (void)pthread_join(threads[--made], NULL);
    return ticks > 0 ? 0 : 4;
}
