// expect: ^cairn: free: misaligned pointer 0x[0-9a-f]+
/* free_inside_aligned.c - free of a pointer into the middle of an aligned block */
#include <stdlib.h>

int main(void)
{
    char *p = aligned_alloc(1024, 4096);
    free(p + 1024);
    return 0;
}
