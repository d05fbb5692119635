/* arguments.c - see arguments.h. */
#include "arguments.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>

bool rounds_read(unsigned *rounds, const char *text)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || *text == '-' || number == 0 || number > ROUNDS_MAX) {
        complain("--rounds %s: not a number from 1 to %d", text, ROUNDS_MAX);
        return false;
    }
    *rounds = (unsigned)number;
    return true;
}

void conf_append(char **conf, const char *more)
{
    char *joined = text_of("%s%s%s", *conf, (*conf)[0] != 0 ? "," : "", more);
    free(*conf);
    *conf = joined;
}

json_t *json_text(const char *text)
{
    json_t *result = json_string(text);
    if (result != NULL)
        return result;
    char *plain = text_of("%s", text);
    for (char *c = plain; *c != 0; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    result = json_string(plain);
    free(plain);
    return result;
}
