// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_huge.c - the huge block freed last is freed again */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(8 << 20);
    free(p);
    free(p);
    return 0;
}
