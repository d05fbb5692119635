// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_among_others.c - the block freed last is freed again while its neighbours live */
#include <stdlib.h>

int main(void)
{
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(48);
    free(blocks[50]);
    free(blocks[50]);
    return 0;
}
