// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_code.c - free of the address of a function */
#include <stdlib.h>

int main(void);

int main(void)
{
    free((void *)&main);
    return 0;
}
