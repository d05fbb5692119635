// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_static.c - free of a static variable */
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    free(p);
    return 0;
}
