// expect: ^cairn: realloc: invalid pointer 0x[0-9a-f]+
/* realloc_foreign.c - realloc of a static variable */
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    p = realloc(p, 100);
    return 0;
}
