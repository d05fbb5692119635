// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_non_canonical.c - free of an address that no program can have */
#include <stdlib.h>

int main(void)
{
    free((void *)0xdeadbeefdeadbeefu);
    return 0;
}
