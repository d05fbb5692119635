/* conf.c - takes CAIRN_CONF out of the environment before the command's own library can see it.
 *
 * The variable says how the program that is run shall allocate.  The command links libcairn-local, whose
 * constructor would read it, too: `cairn run` would confirm options twice, write statistics of its own heap, or
 * stop at a limit.  Constructors of libraries run before main; only .preinit_array of the program is earlier. */
#include "cli.h"

#include <string.h>

#define VARIABLE "CAIRN_CONF="

static const char *given; /* constant once main has begun */

const char *conf_given(void)
{
    return given;
}

/* libc may not be ready: nothing here may need it but for memory and string functions. */
static void take(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    char **kept = environment;
    for (char **entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, VARIABLE, sizeof VARIABLE - 1) != 0)
            *kept++ = *entry;
        else if (given == NULL)
            given = *entry + sizeof VARIABLE - 1;
    }
    *kept = NULL;
}

__attribute__((section(".preinit_array"), used)) static void (*taker)(int, char **, char **) = take;
