// expect: ^cairn: reallocarray: invalid pointer 0x[0-9a-f]+
/* reallocarray_foreign.c - reallocarray of a static variable */
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    p = reallocarray(p, 10, 10);
    return 0;
}
