// expect-exit: 0
// expect-not: .
/* hopeless_sizes.c - requests that nobody can serve end in NULL, with nothing said */
#include <stdlib.h>

int main(void)
{
    size_t volatile size = (size_t)-1;
    void *p = malloc(100);
    if (malloc(size) != NULL || calloc(size, size) != NULL || realloc(p, size / 2 + 1) != NULL)
        return 1;
    if (aligned_alloc(64, size - 200) != NULL || reallocarray(p, size, 3) != NULL)
        return 2;
    free(p);
    return 0;
}
