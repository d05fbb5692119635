// expect: ^cairn: malloc_usable_size: invalid pointer 0x[0-9a-f]+
/* usable_size_foreign.c - malloc_usable_size of a static variable */
#include <malloc.h>
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    return malloc_usable_size(p) == 12345;
    return 0;
}
