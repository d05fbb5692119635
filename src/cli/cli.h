/* cli.h - what the files of the command share: exit statuses, messages, the subcommands.
 *
 *   main.c      the table of subcommands, help, version
 *   conf.c      CAIRN_CONF, which is for the program that is run, not for the command
 *   options.c   cairn options
 *   pool*.c     cairn pool: see pool.h
 *   run.c       cairn run: arguments, rounds; it uses
 *     library.c   where libcairn.so is
 *     program.c   where the program is, and whether the loader would preload anything into it
 *     launch.c    one run: environment, signals, time, memory, statistics
 *     input.c     standard input for several runs
 *     results.c   figures out of several runs
 *     screen.c, json.c   the same figures for the eye and for programs
 *   trace.c       cairn trace: arguments, recording
 *     trace_info.c  what is in a trace
 *   replay.c      cairn replay: arguments, rounds, table
 *     replay_worker.c  one replay, in a process of its own
 *     plan.c      from a trace to what each thread does
 *     trace_read.c  reads a trace file
 *   profile.c     cairn profile: arguments, tables
 *     profile_file.c  reads a profile; its sites with their stacks
 *     symbols.c   from addresses to functions and lines
 *     flame.c     a profile as a picture
 *     leaks.c     what cairn run does with profiles
 *   arguments.c   arguments and JSON text that several subcommands share
 *   numbers.c, table.c   numbers for people; a hash table
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Of `cairn run`, as env(1), nohup(1) and timeout(1) have them; other statuses there are the program's. */
enum {
    STATUS_TROUBLE = 125,    /* the command itself failed, wrong arguments included */
    STATUS_CANNOT_RUN = 126, /* the program is there but cannot be run on Cairn */
    STATUS_NOT_FOUND = 127
};
enum { STATUS_USAGE = 2 }; /* wrong arguments anywhere else */

/* argv[0] is "cairn NAME", for messages; returns the exit status. */
struct subcommand {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

int options_command(int argc, char **argv);
int pool_command(int argc, char **argv);
int run_command(int argc, char **argv);
int profile_command(int argc, char **argv);
int replay_command(int argc, char **argv);
int trace_command(int argc, char **argv);

/* One line on standard error: "cairn: ", then the text. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As asprintf, but never NULL: without memory the command ends. */
char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed; never NULL. */
void *allocate(size_t count, size_t size);

/* Flushes standard output; false, after a message, if any of it could not be written. */
bool output_written(void);

/* The value that CAIRN_CONF had when the command started, or NULL; the environment no longer has it. */
const char *conf_given(void);

#endif
