// expect: ^cairn: realloc: invalid pointer 0x[0-9a-f]+
/* realloc_to_zero_foreign.c - realloc of a foreign pointer to no bytes */
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    p = realloc(p, 0);
    return 0;
}
