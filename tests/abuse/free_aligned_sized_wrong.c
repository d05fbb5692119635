// expect: ^cairn: free_aligned_sized: wrong size .*0x[0-9a-f]+
/* free_aligned_sized_wrong.c - free_aligned_sized with a size above that of the block */
#include <stdlib.h>

void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *p = aligned_alloc(64, 640);
    free_aligned_sized(p, 64, 64000);
    return 0;
}
