// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_stack.c - free of a variable on the stack */
#include <stdlib.h>

int main(void)
{
    char local[64];
    char *volatile p = local;
    free(p);
    return 0;
}
