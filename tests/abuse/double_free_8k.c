// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_8k.c - the block freed last, of 8k bytes, is freed again */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(8 << 10);
    free(p);
    free(p);
    return 0;
}
