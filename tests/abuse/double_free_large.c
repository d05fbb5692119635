// expect: ^cairn: free: double free of 0x[0-9a-f]+
/* double_free_large.c - the large block freed last is freed again */
#include <stdlib.h>

int main(void)
{
    void *p = malloc(100 << 10);
    free(p);
    free(p);
    return 0;
}
