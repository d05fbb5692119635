// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_16.c - the block freed last, of 16 bytes, is freed again */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(16);
    free(p);
    free(p);
    return 0;
}
