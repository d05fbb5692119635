// expect: ^cairn: free: misaligned pointer 0x[0-9a-f]+
/* free_inside_by_1.c - free of a pointer 1 bytes into a block of 64 */
#include <stdlib.h>

int main(void)
{
    char *p = malloc(64);
    free(p + 1);
    return 0;
}
