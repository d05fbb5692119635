// expect: ^cairn: .*CAIRN_CONF.*limit:lots
// expect-exit: 0
// environment: CAIRN_CONF=limit:lots
/* option_bad_value.c - a value that is none is named, and the program runs */
#include <stdlib.h>

int main(void)
{
    free(malloc(100));
    return 0;
}
