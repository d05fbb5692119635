// expect: ^cairn: free: (misaligned|invalid) pointer 0x[0-9a-f]+
/* free_inside_large_by_1.c - free of a pointer one byte into a block of 100 KiB */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(100 << 10);
    free(p + 1);
    return 0;
}
