// expect: ^cairn: free: (misaligned|invalid) pointer 0x[0-9a-f]+
/* free_inside_large.c - free of a pointer into the middle of a block of 100 KiB */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(100 << 10);
    free(p + (50 << 10));
    return 0;
}
