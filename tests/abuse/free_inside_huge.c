// expect: ^cairn: free: (misaligned|invalid) pointer 0x[0-9a-f]+
/* free_inside_huge.c - free of a pointer into the middle of a block of 8 MiB */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(8 << 20);
    free(p + (4 << 20));
    return 0;
}
