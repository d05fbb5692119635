// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_small_number.c - free of a number that is no address */
#include <stdlib.h>

int main(void)
{
    free((void *)16);
    return 0;
}
