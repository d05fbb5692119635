/* arguments.c - see arguments.h. */
#include "arguments.h"

#include "cli.h"

#include <cairn/cairn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* The library says itself which options it knows: each stands at the beginning of a line. */
static bool is_option(const char *key)
{
    char line[512];
    size_t length = strlen(key);
    bool found = false;
    FILE *table = tmpfile();
    if (table == NULL || cairn_options_print(fileno(table), 0) != 0 || fseek(table, 0, SEEK_SET) != 0) {
        found = true; /* it will say so when the program runs */
    } else {
        while (!found && fgets(line, sizeof line, table) != NULL)
            found = strncmp(line, key, length) == 0 && line[length] == ' ';
    }
    if (table != NULL)
        (void)fclose(table);
    return found;
}

bool conf_append_tool(char **conf, const char *tool, const char *list)
{
    bool good = true;
    while (good && *list != 0) {
        int length = (int)strcspn(list, ","), name = (int)strcspn(list, "=,");
        char *key = name < length ? text_of("%s_%.*s", tool, name, list) : text_of("%s", tool);
        const char *value = name < length ? list + name + 1 : list;
        char *pair = text_of("%s:%.*s", key, (int)(list + length - value), value);
        good = is_option(key);
        if (good)
            conf_append(conf, pair);
        else
            complain("--%s: there is no '%.*s'; `cairn options` lists what %s_ may begin", tool, name, list,
                     tool);
        free(pair);
        free(key);
        list += length + (list[length] == ',');
    }
    return good;
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
