/* run.c - `cairn run`: a program on Cairn, and what it took; beside it, when asked, on the system's allocator. */
#include "arguments.h"
#include "cli.h"
#include "input.h"
#include "launch.h"
#include "leaks.h"
#include "library.h"
#include "program.h"
#include "results.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_MAX 900 /* the library takes somewhat longer names */

static const char help[] =
    "usage: cairn run [OPTION...] [--] PROGRAM [ARGUMENT...]\n\n"
    "Runs PROGRAM with libcairn.so preloaded and then says on standard error how long it took, its peak\n"
    "memory, its allocations and what was live at its exit.\n\n"
    "  --conf KEY:VALUE,...  options of the allocator, added to CAIRN_CONF; `cairn options` lists them\n"
    "  --compare             run PROGRAM on the system's allocator, too, and show both side by side\n"
    "  --rounds N            run N times, in turns with --compare, and show the medians\n"
    "  --stats               show all statistics, per size class too\n"
    "  --json FILE           write everything to FILE as JSON; '-' is standard output\n"
    "  --profile FILE        write a heap profile to FILE, compressed, for `cairn profile` and pprof; those of\n"
    "                        further processes to FILE.PID\n"
    "  --leaks               name the stacks whose blocks are live at exit; every call is observed, which is slow\n"
    "  --faults N,...        let allocation N fail, or by every=N, ppm=N, seed=N, most=N; of those only that\n"
    "                        function=NAME, library=FILE, size=SIZE choose; report=exit counts them\n"
    "  --limits SIZE,...     let no place have more than SIZE live, nor blocks=N; function=, library=\n"
    "  --guard FUNCTION,...  put its blocks against inaccessible pages; library=, every=N, size=\n"
    "                        '*' is any text; `cairn options` says more of faults, limits and guard\n"
    "  -h, --help            this text\n\n"
    "The exit status is PROGRAM's, 128 + n if signal n ended it; 125 if cairn itself failed, 126 if PROGRAM\n"
    "cannot be run on Cairn, 127 if it is not found.  CAIRN_LIBRARY may name another libcairn.so.\n";

/* What was asked for; constant once parsed. */
struct request {
    char *conf; /* CAIRN_CONF for the program, without what the command adds */
    const char *json;
    const char *profile; /* FILE, or NULL */
    bool compare, stats, leaks;
    unsigned rounds;
    char **arguments; /* of the program, which is the first */
};

/* ---- Arguments ----------------------------------------------------------------------------------- */

/* The options with which the command gets its figures cannot be the user's as well. */
static bool is_ours(const char *pair)
{
    static const char *const ours[] = {"stats:", "stats_format:", "stats_file:"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strncmp(pair, ours[i], strlen(ours[i])) == 0)
            return true;
    return false;
}

static bool add_conf(struct request *request, const char *conf)
{
    for (const char *pair = conf; *pair != 0; pair += *pair == ',') {
        if (is_ours(pair)) {
            complain("--conf %s: run needs this option itself; use --stats or --json", conf);
            return false;
        }
        pair += strcspn(pair, ",");
    }
    conf_append(&request->conf, conf);
    return true;
}

enum parsed { PARSED_RUN, PARSED_HELP, PARSED_BAD };

static enum parsed parse(struct request *request, int argc, char **argv)
{
    static const struct option table[] = {
        {"conf", required_argument, NULL, 'c'},   {"compare", no_argument, NULL, 'C'},
        {"rounds", required_argument, NULL, 'r'}, {"stats", no_argument, NULL, 's'},
        {"json", required_argument, NULL, 'j'},   {"profile", required_argument, NULL, 'p'},
        {"leaks", no_argument, NULL, 'l'},        {"faults", required_argument, NULL, 'f'},
        {"limits", required_argument, NULL, 'L'}, {"guard", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int option;
    bool good = true;
    optind = 0;
    while (good && (option = getopt_long(argc, argv, "+h", table, NULL)) != -1) {
        switch (option) {
        case 'c': good = add_conf(request, optarg); break;
        case 'C': request->compare = true; break;
        case 'r': good = rounds_read(&request->rounds, optarg); break;
        case 's': request->stats = true; break;
        case 'j': request->json = optarg; break;
        case 'p': request->profile = optarg; break;
        case 'l': request->leaks = true; break;
        case 'f': good = conf_append_tool(&request->conf, "faults", optarg); break;
        case 'L': good = conf_append_tool(&request->conf, "limits", optarg); break;
        case 'g': good = conf_append_tool(&request->conf, "guard", optarg); break;
        case 'h': return PARSED_HELP;
        default: good = false; /* getopt has said why */
        }
    }
    request->arguments = argv + optind;
    if (good && (request->profile != NULL || request->leaks) && (request->compare || request->rounds > 1)) {
        complain("run: --profile and --leaks are for one run, without --compare and --rounds");
        good = false;
    }
    if (good && optind == argc) {
        complain("run: which program? `cairn run --help` says more");
        good = false;
    }
    return good ? PARSED_RUN : PARSED_BAD;
}

/* ---- Running ------------------------------------------------------------------------------------- */

/* The folder for temporary files (to be freed), NULL if its name is none that CAIRN_CONF can hold. */
static char *temporary_parent(void)
{
    const char *wanted = getenv("TMPDIR");
    char *parent = wanted != NULL && *wanted != 0 ? realpath(wanted, NULL) : NULL;
    if (parent != NULL && strlen(parent) < FOLDER_MAX && strchr(parent, ',') == NULL &&
        strstr(parent, "%p") == NULL)
        return parent;
    free(parent);
    return NULL;
}

/* A folder of our own for statistics (to be freed), in TMPDIR or else in /tmp; NULL after a message. */
static char *make_folder(void)
{
    char *parents[] = {temporary_parent(), text_of("/tmp")};
    char *folder = NULL;
    for (size_t i = 0; i < 2 && folder == NULL; i++) {
        char *name = parents[i] != NULL ? text_of("%s/cairn-run.XXXXXX", parents[i]) : NULL;
        if (name != NULL && mkdtemp(name) != NULL)
            folder = name;
        else
            free(name);
    }
    if (folder == NULL)
        complain("no folder for temporary files can be made in %s: %s", parents[1], strerror(errno));
    free(parents[0]);
    free(parents[1]);
    return folder;
}

static void remove_folder(char *folder)
{
    (void)launch_empty_folder(folder);
    if (rmdir(folder) != 0)
        complain("%s: %s", folder, strerror(errno));
    free(folder);
}

static int run_once(const struct launch *launch, enum allocator allocator, struct series *series)
{
    int status = launch_run(launch, allocator, &series->runs[series->count]);
    if (status == 0)
        series->count++;
    return status;
}

/* All rounds; with a comparison Cairn is first in the even ones, the system in the odd ones. */
static int run_rounds(const struct launch *launch, struct results *results)
{
    struct input input = {INPUT_AS_IT_IS, 0};
    unsigned runs = results->compare ? 2 * results->rounds : results->rounds;
    if (runs > 1 && !input_prepare(&input, launch->folder))
        return STATUS_TROUBLE;
    for (unsigned i = 0; i < runs && !launch_interrupted(); i++) {
        enum allocator allocator = results->compare && (i % 4 == 1 || i % 4 == 2) ? ON_SYSTEM : ON_CAIRN;
        if (i > 0 && !input_again(&input))
            return STATUS_TROUBLE;
        int status = run_once(launch, allocator, &results->series[allocator]);
        if (status != 0)
            return status;
    }
    if (results->series[ON_CAIRN].count > 0)
        return 0;
    complain("interrupted before the program was run");
    return STATUS_TROUBLE;
}

/* What the library is asked for besides its statistics: profiles in a folder of their own.  To be freed. */
static char *conf_with_profile(const struct request *request, const char *profiles)
{
    if (profiles == NULL)
        return text_of("%s", request->conf);
    return text_of("%s%sprofile:on,profile_format:pprof,profile_file:%s/%%p%s", request->conf,
                   request->conf[0] != 0 ? "," : "", profiles, request->leaks ? ",profile_interval:1" : "");
}

static int take_profiles(const struct request *request, const struct results *results, const char *profiles)
{
    const struct series *series = &results->series[ON_CAIRN];
    int process = series->count > 0 ? series->runs[series->count - 1].process : 0;
    bool good = request->profile == NULL || profiles_keep(profiles, process, request->profile);
    if (request->leaks && !profiles_print_leaks(profiles, process))
        good = false;
    return good ? 0 : STATUS_TROUBLE;
}

static int run_in_folder(const struct request *request, struct results *results)
{
    bool profiled = request->profile != NULL || request->leaks;
    char *folder = make_folder();
    if (folder == NULL)
        return STATUS_TROUBLE;
    char *profiles = profiled ? make_folder() : NULL;
    if (profiled && profiles == NULL) {
        remove_folder(folder);
        return STATUS_TROUBLE;
    }
    char *conf = conf_with_profile(request, profiles);
    struct launch launch = {.file = results->file, .arguments = results->arguments, .folder = folder};
    launch_catch_signals();
    launch_prepare(&launch, results->library, conf);
    for (int i = 0; i < ALLOCATOR_COUNT; i++)
        results->series[i].runs = allocate(results->rounds, sizeof(struct outcome));
    int status = run_rounds(&launch, results);
    launch_release(&launch);
    free(conf);
    remove_folder(folder);
    if (profiles != NULL) {
        if (status == 0)
            status = take_profiles(request, results, profiles);
        remove_folder(profiles);
    }
    return status;
}

/* ---- Reporting ----------------------------------------------------------------------------------- */

/* Opened before the program runs, so that a bad name costs no run; NULL after a message. */
static FILE *open_json(const char *name)
{
    FILE *file = strcmp(name, "-") == 0 ? stdout : fopen(name, "we");
    if (file == NULL)
        complain("%s: %s", name, strerror(errno));
    return file;
}

static int write_json(const struct results *results, FILE *file, const char *name)
{
    bool good = json_write(results, file);
    if (!good)
        complain("%s: %s", name, strerror(errno));
    if (file != stdout && fclose(file) != 0 && good) {
        complain("%s: %s", name, strerror(errno));
        good = false;
    }
    return good ? 0 : STATUS_TROUBLE;
}

static void release(struct results *results)
{
    for (int i = 0; i < ALLOCATOR_COUNT; i++) {
        for (unsigned run = 0; run < results->series[i].count; run++)
            json_decref(results->series[i].runs[run].statistics);
        free(results->series[i].runs);
    }
}

static int run_and_report(const struct request *request, struct results *results)
{
    FILE *json = NULL;
    if (request->json != NULL && (json = open_json(request->json)) == NULL)
        return STATUS_TROUBLE;
    int status = run_in_folder(request, results);
    if (status != 0) {
        if (json != NULL && json != stdout)
            (void)fclose(json); /* nothing was written */
        return status;
    }
    screen_print(results, request->stats);
    if (json != NULL)
        status = write_json(results, json, request->json);
    return status != 0 ? status : results_status(&results->series[ON_CAIRN]);
}

static int run(const struct request *request)
{
    struct elf library_elf;
    char *file = NULL;
    char *library = NULL;
    int status = program_find(request->arguments[0], &file);
    if (status == 0 && (library = library_find(&library_elf)) == NULL)
        status = STATUS_TROUBLE;
    if (status == 0)
        status = program_check(file, &library_elf);
    if (status == 0) {
        struct results results = {.arguments = request->arguments,
                                  .file = file,
                                  .library = library,
                                  .conf = request->conf,
                                  .compare = request->compare,
                                  .rounds = request->rounds};
        status = run_and_report(request, &results);
        release(&results);
    }
    free(library);
    free(file);
    return status;
}

int run_command(int argc, char **argv)
{
    const char *given = conf_given();
    struct request request = {.conf = text_of("%s", given != NULL ? given : ""), .rounds = 1};
    int status = STATUS_TROUBLE;
    switch (parse(&request, argc, argv)) {
    case PARSED_RUN: status = run(&request); break;
    case PARSED_HELP:
        fputs(help, stdout);
        status = output_written() ? 0 : STATUS_TROUBLE;
        break;
    case PARSED_BAD: break;
    }
    free(request.conf);
    return status;
}
