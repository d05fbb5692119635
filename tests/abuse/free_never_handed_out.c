// expect: ^cairn: free: pointer never handed out 0x[0-9a-f]+
/* free_never_handed_out.c - free of the place of a block that malloc has not given to anybody yet */
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(3000);
    char *q = malloc(3000);
    free((q > p ? q : p) + malloc_usable_size(p));
    return 0;
}
