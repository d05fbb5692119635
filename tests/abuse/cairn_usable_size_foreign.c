// expect: ^cairn: (cairn_)?usable_size: invalid pointer 0x[0-9a-f]+
/* cairn_usable_size_foreign.c - cairn_usable_size of a static variable */
#include <cairn/cairn.h>
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    return cairn_usable_size(p) == 12345;
    return 0;
}
