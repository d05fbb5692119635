// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_unaligned_foreign.c - free of an odd address outside the heap */
#include <stdlib.h>

int main(void)
{
    static char bytes[64];
    char *volatile p = bytes + 1;
    free(p);
    return 0;
}
