/* arguments.h - what several subcommands take the same way: rounds, options for CAIRN_CONF; and text for their JSON. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <jansson.h>
#include <stdbool.h>

#define ROUNDS_MAX 1000

/* The value of --rounds; false after a message. */
bool rounds_read(unsigned *rounds, const char *text);

/* Adds to a list of options that is the caller's (allocated; "" for none). */
void conf_append(char **conf, const char *more);

/* Adds the options of a tool: "VALUE,KEY=VALUE,..." of TOOL becomes "TOOL:VALUE,TOOL_KEY:VALUE,...".  False after a
 * message: there is no such option. */
bool conf_append_tool(char **conf, const char *tool, const char *list);

/* Arguments and names are bytes, JSON has only UTF-8: where that fails, bytes beyond ASCII become '?'. */
json_t *json_text(const char *text);

#endif
