/* replay.c - `cairn replay`: a recorded trace on Cairn, on the system's allocator and on others, in one table. */
#include "arguments.h"
#include "cli.h"
#include "library.h"
#include "numbers.h"
#include "plan.h"
#include "replay_worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRELOADS_MAX 16

static const char help[] =
    "usage: cairn replay [OPTION...] FILE\n\n"
    "Does what the trace FILE holds (`cairn trace` records one) on Cairn, on the system's allocator and on each\n"
    "library that --preload names, and shows time and memory in one table.  Threads are replayed as threads; a\n"
    "block is freed by the thread that freed it in the trace, after it has been allocated.\n\n"
    "  --preload LIBRARY     another allocator; may be given several times\n"
    "  --rounds N            replay N times on each, in turns, and show the medians (3)\n"
    "  --conf KEY:VALUE,...  options for Cairn, added to CAIRN_CONF; `cairn options` lists them\n"
    "  --touch WHAT          what is written in new blocks: pages (one byte of each page, the default), all, none\n"
    "  --json FILE           write everything to FILE as JSON; '-' is standard output\n"
    "  -h, --help            this text\n";

/* One allocator. */
struct contender {
    const char *name;
    char *preload; /* for LD_PRELOAD; "": nothing */
    char *conf;    /* CAIRN_CONF; "": none */
    bool is_system;
    char *file; /* that its malloc is in, as the last round found */
    struct replay_result *rounds;
};

struct replay {
    const char *file;
    const char *preloads[PRELOADS_MAX];
    unsigned preload_count;
    char *conf;
    const char *json;
    unsigned rounds;
    enum replay_touch touch;
    struct contender contenders[PRELOADS_MAX + 2];
    unsigned count;
    struct plan_sums sums;
};

/* ---- Arguments ----------------------------------------------------------------------------------- */

static bool set_touch(struct replay *replay, const char *text)
{
    static const char *const names[] = {"none", "pages", "all"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], text) == 0) {
            replay->touch = (enum replay_touch)i;
            return true;
        }
    complain("--touch %s: pages, all or none", text);
    return false;
}

static bool add_preload(struct replay *replay, const char *library)
{
    if (replay->preload_count == PRELOADS_MAX) {
        complain("--preload %s: more than %d", library, PRELOADS_MAX);
        return false;
    }
    if (strpbrk(library, " :") != NULL) {
        complain("--preload %s: LD_PRELOAD cannot hold a path with a space or a colon", library);
        return false;
    }
    replay->preloads[replay->preload_count++] = library;
    return true;
}

enum parsed { PARSED_REPLAY, PARSED_HELP, PARSED_BAD };

static enum parsed parse(struct replay *replay, int argc, char **argv)
{
    static const struct option table[] = {{"preload", required_argument, NULL, 'p'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"conf", required_argument, NULL, 'c'},
                                          {"touch", required_argument, NULL, 't'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    bool good = true;
    optind = 0;
    while (good && (option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        switch (option) {
        case 'p': good = add_preload(replay, optarg); break;
        case 'r': good = rounds_read(&replay->rounds, optarg); break;
        case 'c': conf_append(&replay->conf, optarg); break;
        case 't': good = set_touch(replay, optarg); break;
        case 'j': replay->json = optarg; break;
        case 'h': return PARSED_HELP;
        default: good = false; /* getopt has said why */
        }
    }
    if (good && optind + 1 != argc) {
        complain(optind == argc ? "replay: which trace? `cairn replay --help` says more"
                                : "replay takes one trace only");
        good = false;
    }
    replay->file = good ? argv[optind] : NULL;
    return good ? PARSED_REPLAY : PARSED_BAD;
}

/* ---- The allocators ------------------------------------------------------------------------------ */

static void add_contender(struct replay *replay, const char *name, char *preload, const char *conf)
{
    struct contender *contender = &replay->contenders[replay->count++];
    contender->name = name;
    contender->preload = preload;
    contender->conf = text_of("%s", conf);
    contender->rounds = allocate(replay->rounds, sizeof *contender->rounds);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Cairn first: ratios are to it. */
static bool add_contenders(struct replay *replay)
{
    struct elf elf;
    char *library = library_find(&elf);
    if (library == NULL)
        return false;
    char *others = library_removed(getenv("LD_PRELOAD"), library);
    const char *colon = others[0] != 0 ? ":" : "";
    add_contender(replay, "Cairn", text_of("%s%s%s", library, colon, others), replay->conf);
    add_contender(replay, "system", text_of("%s", others), "");
    replay->contenders[1].is_system = true;
    for (unsigned i = 0; i < replay->preload_count; i++)
        add_contender(replay, base_name(replay->preloads[i]),
                      text_of("%s%s%s", replay->preloads[i], colon, others), replay->conf);
    free(others);
    free(library);
    return true;
}

static void release(struct replay *replay)
{
    for (unsigned i = 0; i < replay->count; i++) {
        free(replay->contenders[i].preload);
        free(replay->contenders[i].conf);
        free(replay->contenders[i].file);
        free(replay->contenders[i].rounds);
    }
    free(replay->conf);
}

/* ---- One round ----------------------------------------------------------------------------------- */

static void set_variable(const char *name, const char *value)
{
    if (value[0] != 0)
        (void)setenv(name, value, 1);
    else
        (void)unsetenv(name);
}

/* The child's part. */
static _Noreturn void become_worker(const struct replay *replay, const struct contender *contender, int plan,
                                    int result)
{
    char *arguments[] = {text_of("cairn"),
                         text_of("replay"),
                         text_of(REPLAY_WORKER),
                         text_of("%d", plan),
                         text_of("%d", result),
                         text_of("%d", (int)replay->touch),
                         NULL};
    set_variable("LD_PRELOAD", contender->preload);
    set_variable("CAIRN_CONF", contender->conf);
    (void)fcntl(plan, F_SETFD, 0);
    (void)fcntl(result, F_SETFD, 0);
    (void)execv("/proc/self/exe", arguments);
    complain("/proc/self/exe: %s", strerror(errno));
    _exit(STATUS_TROUBLE);
}

static bool read_result(int fd, struct replay_result *result)
{
    ssize_t got;
    do
        got = read(fd, result, sizeof *result);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *result;
}

static bool run_worker(const struct replay *replay, const struct contender *contender, int plan,
                       struct replay_result *result)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        complain("no pipe can be made: %s", strerror(errno));
        return false;
    }
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        become_worker(replay, contender, plan, ends[1]);
    (void)close(ends[1]);
    bool good = child > 0 && read_result(ends[0], result);
    (void)close(ends[0]);
    if (child < 0) {
        complain("no process can be started: %s", strerror(errno));
        return false;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (good)
        return true;
    if (WIFSIGNALED(status))
        complain("the replay on %s was ended by signal %d", contender->name, WTERMSIG(status));
    else
        complain("the replay on %s failed with status %d", contender->name, WEXITSTATUS(status));
    return false;
}

/* The loader only warns of a library that it does not find, and goes on with the system's malloc. */
static bool is_on(const struct contender *contender, const char *file)
{
    Dl_info own;
    void *found = dlsym(RTLD_DEFAULT, "malloc");
    bool is_own =
        found != NULL && dladdr(found, &own) != 0 && strcmp(base_name(own.dli_fname), base_name(file)) == 0;
    if (contender->is_system || !is_own)
        return true;
    complain("%s was not loaded, or has no malloc: the replay ran on %s", contender->name, file);
    return false;
}

static bool run_rounds(struct replay *replay, int plan)
{
    for (unsigned round = 0; round < replay->rounds; round++)
        for (unsigned i = 0; i < replay->count; i++) {
            struct contender *contender = &replay->contenders[round % 2 == 0 ? i : replay->count - 1 - i];
            struct replay_result *result = &contender->rounds[round];
            if (!run_worker(replay, contender, plan, result) || !is_on(contender, result->allocator))
                return false;
            free(contender->file);
            contender->file = text_of("%s", result->allocator);
        }
    return true;
}

/* ---- Figures ------------------------------------------------------------------------------------- */

enum figure { WALL, CPU, PEAK, LEFT, FAILED, FIGURES };

static double figure_of(const struct replay_result *result, enum figure figure)
{
    switch (figure) {
    case WALL: return result->wall;
    case CPU: return result->user + result->system;
    case PEAK: return (double)result->peak;
    case LEFT: return (double)result->left;
    default: return (double)result->failed;
    }
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(const struct replay *replay, const struct contender *contender, enum figure figure)
{
    double values[ROUNDS_MAX];
    for (unsigned i = 0; i < replay->rounds; i++)
        values[i] = figure_of(&contender->rounds[i], figure);
    qsort(values, replay->rounds, sizeof *values, by_value);
    return (values[(replay->rounds - 1) / 2] + values[replay->rounds / 2]) / 2;
}

/* To Cairn's; negative: there is none. */
static double ratio(const struct replay *replay, const struct contender *contender, enum figure figure)
{
    double base = median(replay, &replay->contenders[0], figure);
    return base > 0 ? median(replay, contender, figure) / base : -1;
}

/* ---- The table ----------------------------------------------------------------------------------- */

enum { COLUMNS = 6 };

struct row {
    const char *name;
    char cells[COLUMNS][NUMBER_MAX];
};

static void write_ratio(char cell[NUMBER_MAX], double value)
{
    (void)snprintf(cell, NUMBER_MAX, value >= 0 ? "%.2f" : "-", value);
}

static void fill(const struct replay *replay, const struct contender *contender, struct row *row)
{
    row->name = contender->name;
    number_of_seconds(row->cells[0], median(replay, contender, WALL));
    write_ratio(row->cells[1], ratio(replay, contender, WALL));
    number_of_seconds(row->cells[2], median(replay, contender, CPU));
    number_of_bytes(row->cells[3], (uint64_t)median(replay, contender, PEAK));
    write_ratio(row->cells[4], ratio(replay, contender, PEAK));
    number_of_bytes(row->cells[5], (uint64_t)median(replay, contender, LEFT));
}

static void print_rows(const struct row *rows, unsigned count)
{
    int widths[COLUMNS] = {0}, name_width = 0;
    for (unsigned i = 0; i < count; i++) {
        name_width = (int)strlen(rows[i].name) > name_width ? (int)strlen(rows[i].name) : name_width;
        for (int c = 0; c < COLUMNS; c++)
            widths[c] = (int)strlen(rows[i].cells[c]) > widths[c] ? (int)strlen(rows[i].cells[c]) : widths[c];
    }
    for (unsigned i = 0; i < count; i++) {
        printf("  %-*s", name_width, rows[i].name);
        for (int c = 0; c < COLUMNS; c++)
            printf("  %*s", widths[c], rows[i].cells[c]);
        putchar('\n');
    }
}

static void print_notes(const struct replay *replay)
{
    const struct plan_sums *sums = &replay->sums;
    char count[NUMBER_MAX];
    if (sums->unknown > 0) {
        number_of_count(count, sums->unknown);
        printf("  Left out: %s frees of blocks that are older than the trace.\n", count);
    }
    if (sums->presumed > 0) {
        number_of_count(count, sums->presumed);
        printf("  Presumed: %s frees that the trace does not have.\n", count);
    }
    for (unsigned i = 0; i < replay->count; i++)
        if (median(replay, &replay->contenders[i], FAILED) > 0)
            printf("  Failed: %.0f calls on %s.\n", median(replay, &replay->contenders[i], FAILED),
                   replay->contenders[i].name);
}

static void print_table(const struct replay *replay)
{
    struct row rows[PRELOADS_MAX + 3] = {
        {"", {"time", "ratio", "CPU time", "peak memory", "ratio", "left at end"}}};
    char operations[NUMBER_MAX], threads[NUMBER_MAX], peak[NUMBER_MAX];
    for (unsigned i = 0; i < replay->count; i++)
        fill(replay, &replay->contenders[i], &rows[i + 1]);
    number_of_count(operations, replay->sums.operations);
    number_of_count(threads, replay->sums.threads);
    number_of_bytes(peak, replay->sums.peak_bytes);
    printf("%s: %s operations in %s thread%s, %s live at most", replay->file, operations, threads,
           replay->sums.threads == 1 ? "" : "s", peak);
    if (replay->rounds > 1)
        printf("; medians of %u rounds", replay->rounds);
    putchar('\n');
    print_rows(rows, replay->count + 1);
    print_notes(replay);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

static json_t *round_object(const struct replay_result *result)
{
    return json_pack("{s:f, s:f, s:f, s:I, s:I, s:I}", "wall_seconds", result->wall, "user_seconds",
                     result->user, "system_seconds", result->system, "peak_bytes", (json_int_t)result->peak,
                     "left_bytes", (json_int_t)result->left, "failed", (json_int_t)result->failed);
}

static json_t *contender_object(const struct replay *replay, const struct contender *contender)
{
    json_t *rounds = json_array();
    for (unsigned i = 0; i < replay->rounds; i++)
        (void)json_array_append_new(rounds, round_object(&contender->rounds[i]));
    return json_pack("{s:s, s:s, s:f, s:f, s:I, s:I, s:o}", "name", contender->name, "malloc",
                     contender->file, "wall_seconds", median(replay, contender, WALL), "cpu_seconds",
                     median(replay, contender, CPU), "peak_bytes",
                     (json_int_t)median(replay, contender, PEAK), "left_bytes",
                     (json_int_t)median(replay, contender, LEFT), "rounds", rounds);
}

static bool write_json(const struct replay *replay)
{
    const struct plan_sums *sums = &replay->sums;
    FILE *out = strcmp(replay->json, "-") == 0 ? stdout : fopen(replay->json, "we");
    json_t *allocators = json_array();
    for (unsigned i = 0; i < replay->count; i++)
        (void)json_array_append_new(allocators, contender_object(replay, &replay->contenders[i]));
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "file", replay->file, "operations",
                  (json_int_t)sums->operations, "threads", (json_int_t)sums->threads, "unknown_frees",
                  (json_int_t)sums->unknown, "presumed_frees", (json_int_t)sums->presumed, "left_blocks",
                  (json_int_t)sums->left, "peak_live_bytes", (json_int_t)sums->peak_bytes, "peak_live_blocks",
                  (json_int_t)sums->peak_blocks, "allocators", allocators);
    bool good = out != NULL && object != NULL &&
                json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', out) != EOF;
    if (out != NULL && out != stdout)
        good = fclose(out) == 0 && good;
    json_decref(object);
    if (!good)
        complain("%s: %s", replay->json,
                 object == NULL ? "no JSON can be made of this name" : strerror(errno));
    return good;
}

/* ---- The whole ----------------------------------------------------------------------------------- */

/* A file without name for the plan; -1 after a message. */
static int plan_file(void)
{
    const char *folder = getenv("TMPDIR");
    char *name = text_of("%s/cairn-replay.XXXXXX", folder != NULL && *folder != 0 ? folder : "/tmp");
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0 || unlink(name) != 0) {
        complain("%s: %s", name, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
    free(name);
    return fd;
}

/* The events are not kept: they would be copied with every fork. */
static int make_plan(struct replay *replay)
{
    struct trace trace;
    if (!trace_read(&trace, replay->file))
        return -1;
    if (trace.cut_at > 0)
        complain("%s: the trace ends in the middle of a chunk; what stands before is replayed", replay->file);
    else if (!trace.ended)
        complain("%s: the trace has no end mark; the last events of each thread are missing", replay->file);
    int fd = plan_file();
    if (fd >= 0 && !plan_make(&trace, fd, &replay->sums)) {
        complain("the plan of the replay: %s", strerror(errno));
        (void)close(fd);
        fd = -1;
    }
    trace_release(&trace);
    return fd;
}

static int run(struct replay *replay)
{
    int plan = add_contenders(replay) ? make_plan(replay) : -1;
    if (plan < 0)
        return STATUS_TROUBLE;
    bool good = run_rounds(replay, plan);
    (void)close(plan);
    if (!good)
        return STATUS_TROUBLE;
    bool only_json = replay->json != NULL && strcmp(replay->json, "-") == 0;
    if (!only_json)
        print_table(replay);
    if (replay->json != NULL && !write_json(replay))
        return STATUS_TROUBLE;
    return output_written() ? 0 : STATUS_TROUBLE;
}

int replay_command(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], REPLAY_WORKER) == 0)
        return replay_worker(argc, argv);
    const char *given = conf_given();
    struct replay replay = {
        .conf = text_of("%s", given != NULL ? given : ""), .rounds = 3, .touch = TOUCH_PAGES};
    int status = STATUS_USAGE;
    switch (parse(&replay, argc, argv)) {
    case PARSED_REPLAY: status = run(&replay); break;
    case PARSED_HELP:
        fputs(help, stdout);
        status = output_written() ? 0 : STATUS_TROUBLE;
        break;
    case PARSED_BAD: break;
    }
    release(&replay);
    return status;
}
