// expect: ^cairn: realloc: pointer never handed out 0x[0-9a-f]+
/* realloc_never_handed_out.c - realloc of the place of a block that malloc has not given to anybody yet */
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
    char *p = malloc(3000);
    char *q = malloc(3000);
    p = realloc((q > p ? q : p) + malloc_usable_size(p), 5000);
    return p == NULL;
}
