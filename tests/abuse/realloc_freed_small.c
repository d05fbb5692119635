// expect: ^cairn: realloc: (double free of|invalid pointer) 0x[0-9a-f]+
/* realloc_freed_small.c - realloc of the small block that was just freed, to a larger size */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(64), *other = malloc(64);
    free(p);
    p = realloc(p, 1000);
    free(other);
    return 0;
}
