// expect: ^cairn: realloc: misaligned pointer 0x[0-9a-f]+
/* realloc_inside.c - realloc of a pointer into a block */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(64);
    p = realloc(p + 16, 1000);
    return 0;
}
