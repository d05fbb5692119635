// expect: ^cairn: .*CAIRN_CONF.*bogus:1
// environment: CAIRN_CONF=bogus:1,abort_conf:true
/* option_fatal.c - with abort_conf an option that does not exist is fatal */
#include <stdlib.h>

int main(void)
{
    free(malloc(100));
    return 0;
}
