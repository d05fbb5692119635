// expect: ^cairn: free: misaligned pointer 0x[0-9a-f]+
/* free_inside_by_16.c - free of a pointer 16 bytes into a block of 64 */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(64);
    free(p + 16);
    return 0;
}
