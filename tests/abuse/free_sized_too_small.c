// expect: ^cairn: free_sized: wrong size .*0x[0-9a-f]+
/* free_sized_too_small.c - free_sized of 100 KiB as 10 bytes */
#include <stdlib.h>

void free_sized(void *block, size_t size);

int main(void)
{
    void *p = malloc(100 << 10);
    free_sized(p, 10);
    return 0;
}
