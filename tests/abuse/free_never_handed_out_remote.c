// expect: ^cairn: free: pointer never handed out 0x[0-9a-f]+
/* free_never_handed_out_remote.c - the same in memory of another thread */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

static void *last;
static pthread_barrier_t barrier;

static void *allocate(void *argument)
{
    char *p = malloc(3000);
    char *q = malloc(3000);
    last = q > p ? q : p;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* alive, so that the memory stays this thread's */
    return argument;
}

int main(void)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, allocate, NULL);
    pthread_barrier_wait(&barrier);
    free((char *)last + malloc_usable_size(last));
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return 0;
}
