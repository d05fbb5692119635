/* loaded.c - a library whose constructor waits for a thread that allocates, as some do that start their workers. */
#include <pthread.h>
#include <stdlib.h>

static void *work(void *unused)
{
    for (int i = 0; i < 1000; i++)
        free(realloc(malloc(100), 3000));
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) == 0)
        (void)pthread_join(thread, NULL);
}
