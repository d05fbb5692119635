// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* free_in_key_destructor.c - a thread's last destructor frees a block twice */
#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key;

/* comes round until the last round, when the thread's cache is gone */
static void twice(void *round)
{
    if ((char *)round < (char *)4) {
        pthread_setspecific(key, (char *)round + 1);
        return;
    }
    void *p = malloc(64), *other = malloc(64);
    free(p);
    free(p);
    free(other);
}

static void *body(void *argument)
{
    free(malloc(64));
    pthread_setspecific(key, (void *)1);
    return argument;
}

int main(void)
{
    pthread_t thread;
    pthread_key_create(&key, twice);
    pthread_create(&thread, NULL, body, NULL);
    pthread_join(thread, NULL);
    return 0;
}
