// expect: ^cairn: free: (double free of|invalid pointer) 0x[0-9a-f]+
/* double_free_after_realloc.c - the block that realloc has moved away from is freed */
#include <stdlib.h>

int main(void)
{
    void *old = malloc(20 << 10), *barrier = malloc(20 << 10);
    void *moved = realloc(old, 8 << 20);
    if (moved == old || barrier == NULL)
        return 1;
    free(old);
    return 0;
}
