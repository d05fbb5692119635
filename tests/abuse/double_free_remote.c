// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_remote.c - a thread frees another thread's block twice in a row */
#include <pthread.h>
#include <stdlib.h>

static void *blocks[100];

static void *free_twice(void *argument)
{
    (void)argument;
    free(blocks[50]);
    free(blocks[50]);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(48);
    pthread_create(&thread, NULL, free_twice, NULL);
    pthread_join(thread, NULL);
    return 0;
}
