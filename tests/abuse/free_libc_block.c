// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_libc_block.c - free of a block from libc's own heap, as after a dlopen with a deep binding */
#include <stdlib.h>

void *__libc_malloc(size_t size);

int main(void)
{
    void *p = __libc_malloc(100);
    free(p);
    return 0;
}
