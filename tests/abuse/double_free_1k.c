// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_1k.c - the block freed last, of 1k bytes, is freed again */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(1 << 10);
    free(p);
    free(p);
    return 0;
}
