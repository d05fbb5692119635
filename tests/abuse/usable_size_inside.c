// expect: ^cairn: malloc_usable_size: misaligned pointer 0x[0-9a-f]+
/* usable_size_inside.c - malloc_usable_size of a pointer into a block */
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(64);
    return malloc_usable_size(p + 16) == 12345;
    return 0;
}
