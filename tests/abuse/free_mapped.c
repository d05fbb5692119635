// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_mapped.c - free of memory that the program mapped by itself */
#include <stdlib.h>
#include <sys/mman.h>

int main(void)
{
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    free(p);
    return 0;
}
