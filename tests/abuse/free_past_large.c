// expect: ^cairn: free: (misaligned|invalid) pointer 0x[0-9a-f]+
/* free_past_large.c - free of the address just behind a block of 100 KiB */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(100 << 10);
    free(p + (100 << 10));
    return 0;
}
