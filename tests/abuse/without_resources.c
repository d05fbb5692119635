// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* without_resources.c - the message needs neither memory nor a new descriptor: there are none left */
#include <stdlib.h>
#include <sys/resource.h>

static char variable[64];
static void *volatile last;

int main(void)
{
    struct rlimit space = {64 << 20, 64 << 20}, descriptors = {0, 0};
    char *volatile p = variable;
    setrlimit(RLIMIT_AS, &space);
    setrlimit(RLIMIT_NOFILE, &descriptors);
    for (size_t size = 32 << 20; size >= 16; size /= 2)
        while ((last = malloc(size)) != NULL)
            continue;
    free(p);
    return 0;
}
