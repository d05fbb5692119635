// expect: ^cairn: free_sized: invalid pointer 0x[0-9a-f]+
/* free_sized_foreign.c - free_sized of a static variable */
#include <stdlib.h>

static char variable[64];
void free_sized(void *block, size_t size);

int main(void)
{
    char *volatile p = variable;
    free_sized(p, 64);
    return 0;
}
