/* options.c - `cairn options`: the table of what CAIRN_CONF knows, from the library itself. */
#include "cli.h"

#include <cairn/cairn.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: cairn options [--markdown]\n\n"
    "Prints the options that the environment variable CAIRN_CONF may set, as key:value,key:value.\n\n"
    "  --markdown   as the page docs/options.md\n"
    "  -h, --help   this text\n";

int options_command(int argc, char **argv)
{
    static const struct option table[] = {
        {"markdown", no_argument, NULL, 'm'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int markdown = 0;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        if (option == 'm') {
            markdown = 1;
        } else if (option == 'h') {
            fputs(help, stdout);
            return output_written() ? 0 : STATUS_TROUBLE;
        } else {
            return STATUS_USAGE; /* getopt has said why */
        }
    }
    if (optind < argc) {
        complain("options takes no argument '%s'", argv[optind]);
        return STATUS_USAGE;
    }
    if (cairn_options_print(STDOUT_FILENO, markdown) == 0)
        return 0;
    complain("standard output: %s", strerror(errno));
    return STATUS_TROUBLE;
}
