// expect: ^cairn: (operator )?delete[^:]*: double free of 0x[0-9a-f]+
/* double_delete.c - operator delete of a block that was just deleted */
#include <stdlib.h>

void *operator_new(size_t size) __asm__("_Znwm");
void operator_delete(void *block) __asm__("_ZdlPv");

int main(void)
{
    void *p = operator_new(64);
    operator_delete(p);
    operator_delete(p);
    return 0;
}
