// expect: ^cairn: (cairn_)?free: invalid pointer 0x[0-9a-f]+
/* cairn_free_foreign.c - cairn_free of a static variable */
#include <cairn/cairn.h>
#include <stdlib.h>

static char variable[64];

int main(void)
{
    char *volatile p = variable;
    cairn_free(p);
    return 0;
}
