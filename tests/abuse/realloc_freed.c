// expect: ^cairn: realloc: (double free of|invalid pointer) 0x[0-9a-f]+
/* realloc_freed.c - realloc of the large block that was just freed */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(8 << 20);
    free(p);
    p = realloc(p, 9 << 20);
    return 0;
}
