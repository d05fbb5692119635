// expect: ^cairn: .*CAIRN_CONF.*bogus:1
// expect-exit: 0
// environment: CAIRN_CONF=bogus:1
/* option_unknown.c - an option that does not exist is named, and the program runs */
#include <stdlib.h>

int main(void)
{
    free(malloc(100));
    return 0;
}
