// expect: ^cairn: (operator )?delete[^:]*: wrong size .*0x[0-9a-f]+
/* delete_array_wrong_size.c - sized operator delete[] with a much larger size */
#include <stdlib.h>

void *operator_new_array(size_t size) __asm__("_Znam");
void operator_delete_array(void *block, size_t size) __asm__("_ZdaPvm");

int main(void)
{
    void *p = operator_new_array(1000);
    operator_delete_array(p, 100000);
    return 0;
}
