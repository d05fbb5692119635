// expect: ^cairn: free_sized: wrong size .*0x[0-9a-f]+
/* free_sized_wrong.c - free_sized with a size above that of the block */
#include <stdlib.h>

void free_sized(void *block, size_t size);

int main(void)
{
    void *p = malloc(64);
    free_sized(p, 4096);
    return 0;
}
