/* main.c - the cairn command: finds the subcommand and runs it. */
#include "cli.h"

#include <cairn/cairn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int help_command(int argc, char **argv);

static const struct subcommand subcommands[] = {
    {"run", "run a program on Cairn and say what it took", run_command},
    {"trace", "record every allocation of a program", trace_command},
    {"replay", "compare allocators on a recorded trace", replay_command},
    {"pool", "make, show, check and recover pools in files", pool_command},
    {"profile", "show a heap profile: which functions hold how much", profile_command},
    {"options", "print the options that CAIRN_CONF knows", options_command},
    {"help", "explain a command", help_command},
};
#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof subcommands[0])

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("cairn: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static void out_of_memory(void)
{
    complain("out of memory");
    exit(STATUS_TROUBLE);
}

char *text_of(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        out_of_memory();
    va_end(arguments);
    return text;
}

void *allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (block == NULL)
        out_of_memory();
    return block;
}

bool output_written(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    complain("standard output: %s", strerror(errno));
    return false;
}

static const struct subcommand *find(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        if (strcmp(subcommands[i].name, name) == 0)
            return &subcommands[i];
    complain("there is no command '%s'; `cairn help` lists them", name);
    return NULL;
}

static int run_subcommand(const struct subcommand *command, int argc, char **argv)
{
    argv[0] = text_of("cairn %s", command->name);
    int status = command->run(argc, argv);
    free(argv[0]);
    return status;
}

static void print_help(FILE *out)
{
    fputs("usage: cairn COMMAND [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
    fputs("\n`cairn help COMMAND` or `cairn COMMAND --help` says more; `cairn --version` the version.\n",
          out);
}

static int help_command(int argc, char **argv)
{
    static char option[] = "--help";
    if (argc > 1 && strcmp(argv[1], option) != 0 && strcmp(argv[1], "help") != 0) {
        const struct subcommand *command = find(argv[1]);
        return command != NULL ? run_subcommand(command, 2, (char *[]){NULL, option, NULL}) : STATUS_USAGE;
    }
    print_help(stdout);
    return output_written() ? 0 : STATUS_TROUBLE;
}

static int print_version(void)
{
    printf("cairn %s\n", cairn_version());
    return output_written() ? 0 : STATUS_TROUBLE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return print_version();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_command(1, argv + 1);
    const struct subcommand *command = find(argv[1]);
    return command != NULL ? run_subcommand(command, argc - 1, argv + 1) : STATUS_USAGE;
}
