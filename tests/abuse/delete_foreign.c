// expect: ^cairn: (operator )?delete[^:]*: invalid pointer 0x[0-9a-f]+
/* delete_foreign.c - operator delete[] of a static variable */
#include <stdlib.h>

static char variable[64];
void operator_delete_array(void *block) __asm__("_ZdaPv");

int main(void)
{
    char *volatile p = variable;
    operator_delete_array(p);
    return 0;
}
