/* trace.c - `cairn trace`: records every allocation of a program, or says what a trace holds.
 *
 * Each process that the program starts writes a file of its own, FILE.PROCESS; that of the program itself becomes
 * FILE when it has ended. */
#include "arguments.h"
#include "cli.h"
#include "launch.h"
#include "library.h"
#include "numbers.h"
#include "program.h"
#include "results.h"
#include "trace_info.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME_MAX 1000 /* the library takes somewhat longer names */

static const char help[] =
    "usage: cairn trace [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "       cairn trace --info FILE\n\n"
    "Runs PROGRAM with libcairn.so preloaded and records every allocation: when, which thread, what size, what\n"
    "address.  `cairn replay` runs the trace again, on any allocator; docs/trace-format.md has the format.\n\n"
    "  -o, --output FILE     the trace; processes that PROGRAM starts write FILE.PROCESS (cairn.trace)\n"
    "  --conf KEY:VALUE,...  options of the allocator, added to CAIRN_CONF; `cairn options` lists them\n"
    "  --info FILE           say what is in the trace FILE, and run nothing\n"
    "  -h, --help            this text\n\n"
    "The exit status is PROGRAM's, 128 + n if signal n ended it; 125 if cairn itself failed, 126 if PROGRAM\n"
    "cannot be run on Cairn, 127 if it is not found.  CAIRN_LIBRARY may name another libcairn.so.\n";

struct request {
    char *conf;
    const char *output, *info;
    char **arguments; /* of the program, which is the first */
};

/* ---- Arguments ----------------------------------------------------------------------------------- */

static bool add_conf(struct request *request, const char *conf)
{
    if (strncmp(conf, "trace:", 6) == 0 || strstr(conf, ",trace:") != NULL) {
        complain("--conf %s: trace needs this option itself; use --output", conf);
        return false;
    }
    conf_append(&request->conf, conf);
    return true;
}

/* CAIRN_CONF has no way to hold these. */
static bool set_output(struct request *request, const char *name)
{
    if (strchr(name, ',') != NULL || strstr(name, "%p") != NULL || *name == 0) {
        complain("--output %s: the name of a trace cannot be empty or have a comma or %%p", name);
        return false;
    }
    request->output = name;
    return true;
}

enum parsed { PARSED_RUN, PARSED_HELP, PARSED_INFO, PARSED_BAD };

static enum parsed parse(struct request *request, int argc, char **argv)
{
    static const struct option table[] = {{"output", required_argument, NULL, 'o'},
                                          {"conf", required_argument, NULL, 'c'},
                                          {"info", required_argument, NULL, 'i'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    bool good = true;
    optind = 0;
    while (good && (option = getopt_long(argc, argv, "+o:h", table, NULL)) != -1) {
        switch (option) {
        case 'o': good = set_output(request, optarg); break;
        case 'c': good = add_conf(request, optarg); break;
        case 'i': request->info = optarg; break;
        case 'h': return PARSED_HELP;
        default: good = false; /* getopt has said why */
        }
    }
    request->arguments = argv + optind;
    if (good && request->info != NULL && optind < argc) {
        complain("trace --info takes no program; `cairn trace --help` says more");
        good = false;
    } else if (good && request->info == NULL && optind == argc) {
        complain("trace: which program? `cairn trace --help` says more");
        good = false;
    }
    if (!good)
        return PARSED_BAD;
    return request->info != NULL ? PARSED_INFO : PARSED_RUN;
}

/* ---- The files ----------------------------------------------------------------------------------- */

/* The folder that the trace is to be in, absolute, as the program may change its own; NULL after a message. */
static char *absolute(const char *name)
{
    char *copy = text_of("%s", name);
    char *slash = strrchr(copy, '/');
    if (slash != NULL)
        *slash = 0;
    char *folder = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, NULL);
    if (folder == NULL)
        complain("%s: %s", name, strerror(errno));
    char *whole = folder != NULL
                      ? text_of("%s/%s", folder[1] != 0 ? folder : "", slash != NULL ? slash + 1 : name)
                      : NULL;
    free(folder);
    free(copy);
    if (whole != NULL &&
        (strlen(whole) > FILE_NAME_MAX || strchr(whole, ',') != NULL || strstr(whole, "%p") != NULL)) {
        complain("%s: CAIRN_CONF cannot hold this name", whole);
        free(whole);
        whole = NULL;
    }
    return whole;
}

/* How many files FILE.PROCESS of other processes there are that this run has made. */
static unsigned count_others(const char *file, time_t since)
{
    char *folder = text_of("%s", file);
    char *slash = strrchr(folder, '/');
    *slash = 0;
    const char *name = slash + 1;
    size_t length = strlen(name);
    unsigned count = 0;
    DIR *entries = opendir(folder[0] != 0 ? folder : "/");
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        struct stat status;
        if (strncmp(entry->d_name, name, length) != 0 || entry->d_name[length] != '.')
            continue;
        const char *number = entry->d_name + length + 1;
        if (number[strspn(number, "0123456789")] == 0 &&
            fstatat(dirfd(entries), entry->d_name, &status, 0) == 0 && status.st_mtime >= since)
            count++;
    }
    if (entries != NULL)
        (void)closedir(entries);
    free(folder);
    return count;
}

static bool report(const char *file, const struct outcome *outcome, time_t since)
{
    struct stat status;
    char *own = text_of("%s.%d", file, (int)outcome->process);
    char size[NUMBER_MAX];
    bool good = rename(own, file) == 0 && stat(file, &status) == 0;
    free(own);
    if (!good) {
        complain("%s: no trace was written: %s", file,
                 errno == ENOENT ? "the program did not load libcairn.so" : strerror(errno));
        return false;
    }
    number_of_bytes(size, (uint64_t)status.st_size);
    unsigned others = count_others(file, since);
    if (others == 0)
        complain("%s: %s", file, size);
    else
        complain("%s: %s, and %u more process%s in %s.*", file, size, others, others == 1 ? "" : "es", file);
    return true;
}

/* ---- Running ------------------------------------------------------------------------------------- */

static int record(const struct request *request, const char *program, const char *library, const char *file)
{
    struct launch launch = {.file = program, .arguments = request->arguments};
    struct outcome outcome;
    time_t since = time(NULL);
    char *others = library_removed(getenv("LD_PRELOAD"), library);
    char *preload = text_of("%s%s%s", library, *others != 0 ? ":" : "", others);
    char *conf = text_of("%s%strace:%s.%%p", request->conf, request->conf[0] != 0 ? "," : "", file);
    launch.environments[ON_CAIRN] = launch_environment(preload, conf);
    launch_catch_signals();
    int status = launch_run(&launch, ON_CAIRN, &outcome);
    if (status == 0)
        status = report(file, &outcome, since) ? outcome_status(&outcome) : STATUS_TROUBLE;
    launch_release(&launch);
    free(conf);
    free(preload);
    free(others);
    return status;
}

static int run(const struct request *request)
{
    struct elf elf;
    char *program = NULL, *library = NULL, *file = NULL;
    int status = program_find(request->arguments[0], &program);
    if (status == 0 && ((library = library_find(&elf)) == NULL || (file = absolute(request->output)) == NULL))
        status = STATUS_TROUBLE;
    if (status == 0)
        status = program_check(program, &elf);
    if (status == 0)
        status = record(request, program, library, file);
    free(file);
    free(library);
    free(program);
    return status;
}

int trace_command(int argc, char **argv)
{
    const char *given = conf_given();
    struct request request = {.conf = text_of("%s", given != NULL ? given : ""), .output = "cairn.trace"};
    int status = STATUS_TROUBLE;
    switch (parse(&request, argc, argv)) {
    case PARSED_RUN: status = run(&request); break;
    case PARSED_INFO: status = trace_info(request.info); break;
    case PARSED_HELP:
        fputs(help, stdout);
        status = output_written() ? 0 : STATUS_TROUBLE;
        break;
    case PARSED_BAD: break;
    }
    free(request.conf);
    return status;
}
