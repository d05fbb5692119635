// expect: ^cairn: (operator )?delete[^:]*: wrong size .*0x[0-9a-f]+
/* delete_wrong_size.c - sized operator delete with the size of another class */
#include <stdlib.h>

void *operator_new(size_t size) __asm__("_Znwm");
void operator_delete(void *block, size_t size) __asm__("_ZdlPvm");

int main(void)
{
    void *p = operator_new(64);
    operator_delete(p, 4096);
    return 0;
}
