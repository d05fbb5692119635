// expect: ^cairn: free: misaligned pointer 0x[0-9a-f]+
/* free_inside_remote.c - free of a pointer into another thread's block */
#include <pthread.h>
#include <stdlib.h>

static void *allocate(void *argument)
{
    (void)argument;
    return malloc(64);
}

int main(void)
{
    pthread_t thread;
    void *p;
    pthread_create(&thread, NULL, allocate, NULL);
    pthread_join(thread, &p);
    free((char *)p + 16);
    return 0;
}
