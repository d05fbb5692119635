// expect: ^cairn: free_sized: double free of 0x[0-9a-f]+
/* free_sized_twice.c - free_sized of the block freed last */
#include <stdlib.h>

void free_sized(void *block, size_t size);

int main(void)
{
    void *p = malloc(64), *other = malloc(64);
    free_sized(p, 64);
    free_sized(p, 64);
    free(other);
    return 0;
}
