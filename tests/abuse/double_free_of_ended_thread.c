// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_of_ended_thread.c - a block of a thread that has ended is freed twice in a row */
#include <pthread.h>
#include <stdlib.h>

static void *blocks[100];

static void *allocate(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(48);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, allocate, NULL);
    pthread_join(thread, NULL);
    free(blocks[50]);
    free(blocks[50]);
    return 0;
}
