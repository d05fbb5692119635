// expect: ^cairn: free: invalid pointer 0x[0-9a-f]+
/* free_at_exit.c - a foreign pointer is freed by an exit handler, when the process is almost gone */
#include <stdlib.h>

static char variable[64];

static void free_foreign(void)
{
    char *volatile p = variable;
    free(p);
}

int main(void)
{
    atexit(free_foreign);
    return 0;
}
