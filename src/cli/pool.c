/* pool.c - cairn pool: arguments and help; see pool.h. */
#include "pool.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* ---- Actions and options -------------------------------------------------------------------------- */

/* `options`: the letters of those that it takes, besides -j and -h; `second`: it takes another argument. */
static const struct action {
    const char *name, *options;
    bool second;
    int (*run)(const struct pool_request *request);
    const char *summary;
} actions[] = {
    {"create", "smLMrP", false, pool_create, "make a pool in a new file"},
    {"info", "", false, pool_info, "what the file's header says; reads nothing else"},
    {"check", "LP", false, pool_check, "check all of the file's structure; never writes"},
    {"stat", "", false, pool_stat, "what is live in the pool, and its checkpoints"},
    {"dump", "bP", false, pool_dump, "header, roots and spans; with --blocks every live block"},
    {"map", "cgpP", false, pool_map, "draw the pool's pages: used, free, fragmentation per size"},
    {"recover", "tkP", false, pool_recover, "bring a pool that was not closed in order, and close it"},
    {"leaks", "fP", false, pool_leaks, "find blocks that no root leads to"},
    {"grow", "P", true, pool_grow, "give the pool SIZE bytes of disk in all"},
    {"export", "oP", false, pool_export, "write every live block as a line of JSON"},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static const struct option options[] = {
    {"size", required_argument, NULL, 's'},
    {"max-size", required_argument, NULL, 'm'},
    {"layout", required_argument, NULL, 'L'},
    {"mode", required_argument, NULL, 'M'},
    {"relocatable", no_argument, NULL, 'r'},
    {"blocks", no_argument, NULL, 'b'},
    {"columns", required_argument, NULL, 'c'},
    {"svg", required_argument, NULL, 'g'},
    {"png", required_argument, NULL, 'p'},
    {"trust", no_argument, NULL, 't'},
    {"rollback", no_argument, NULL, 'k'},
    {"free", no_argument, NULL, 'f'},
    {"output", required_argument, NULL, 'o'},
    {"json", no_argument, NULL, 'j'},
    {"progress", no_argument, NULL, 'P'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(FILE *out)
{
    fputs("usage: cairn pool ACTION [OPTION...] FILE\n\nActions:\n", out);
    for (size_t i = 0; i < ACTION_COUNT; i++)
        fprintf(out, "  %-8s %s\n", actions[i].name, actions[i].summary);
    fputs(
        "\nOptions:\n"
        "  --size SIZE       create: bytes of disk that the pool takes, at least 1M (K, M, G, T)\n"
        "  --max-size SIZE   create: up to where it can grow; default: --size\n"
        "  --layout NAME     create: what is in the pool; check: what must be in it\n"
        "  --mode OCTAL      create: permissions of the file; default: 600\n"
        "  --relocatable     create: nothing in the pool is a raw pointer, it may be opened anywhere\n"
        "  --blocks          dump: every live block, too\n"
        "  --columns N       map: width of the picture; default: the terminal's\n"
        "  --svg OUT         map: the picture as SVG\n"
        "  --png OUT         map: the picture as PNG; needs rsvg-convert\n"
        "  --trust           recover: a pool that was open when the machine went down, taken as it is\n"
        "  --rollback        recover: back to the last checkpoint, whatever was stored since\n"
        "  --free            leaks: free them\n"
        "  --output OUT      export: where to; default: standard output\n"
        "  --progress        create, check, dump, map, recover, leaks, grow, export: say how far it is on standard error, though\n"
        "                    that is no terminal; on one it is said after half a second anyway\n"
        "  --json            everything as JSON\n"
        "  -h, --help        this text\n"
        "\nExit status: 0; 1 check: faults, or not closed properly; leaks: there are some; 2 wrong arguments;\n"
        "125 it could not be done.\n",
        out);
}

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    complain("pool has no action '%s'; `cairn pool --help` lists them", name);
    return NULL;
}

static const char *option_name(int letter)
{
    for (const struct option *option = options; option->name != NULL; option++)
        if (option->val == letter)
            return option->name;
    return "?";
}

/* ---- Arguments ------------------------------------------------------------------------------------ */

bool pool_parse_size(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || text[0] == '-')
        return false;
    const char *unit = *end != 0 ? strchr(units, *end & ~32) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (unit != NULL)
        end += end[1] == 'i' && end[2] == 'B' ? 3 : end[1] == 'B' ? 2 : 1;
    if (*end != 0 || value > UINT64_MAX >> 1 >> shift)
        return false;
    *out = (uint64_t)value << shift;
    return true;
}

static bool parse_number(const char *text, int base, unsigned least, unsigned most, unsigned *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, base);
    *out = (unsigned)value;
    return end != text && *end == 0 && text[0] != '-' && value >= least && value <= most;
}

static bool set_option(struct pool_request *request, int letter, const char *value)
{
    switch (letter) {
    case 's': return pool_parse_size(value, &request->size);
    case 'm': return pool_parse_size(value, &request->max_size);
    case 'M': return parse_number(value, 8, 0, 0777, &request->mode);
    case 'c': return parse_number(value, 10, 8, 1000, &request->columns);
    case 'L': request->layout = value; break;
    case 'g': request->svg = value; break;
    case 'p': request->png = value; break;
    case 'o': request->output = value; break;
    case 'r': request->relocatable = true; break;
    case 'b': request->blocks = true; break;
    case 't': request->trust = true; break;
    case 'k': request->rollback = true; break;
    case 'f': request->free = true; break;
    case 'P': request->progress = true; break;
    default: request->json = true; break;
    }
    return true;
}

/* -1: go on; else the exit status. */
static int read_arguments(int argc, char **argv, const struct action **action, struct pool_request *request)
{
    int letter, used = 0;
    char given[32];
    optind = 0;
    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (letter == 'h') {
            print_help(stdout);
            return pool_done(0);
        }
        if (letter == '?')
            return STATUS_USAGE; /* getopt has said why */
        if (!set_option(request, letter, optarg)) {
            complain("--%s: not understood: '%s'", option_name(letter), optarg);
            return STATUS_USAGE;
        }
        given[used < 31 ? used++ : 31] = (char)letter;
    }
    if (optind == argc) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    *action = find_action(argv[optind++]);
    if (*action == NULL)
        return STATUS_USAGE;
    for (int i = 0; i < used; i++)
        if (given[i] != 'j' && strchr((*action)->options, given[i]) == NULL) {
            complain("pool %s has no option --%s", (*action)->name, option_name(given[i]));
            return STATUS_USAGE;
        }
    if (argc - optind != 1 + (*action)->second) {
        complain("pool %s needs %s", (*action)->name, (*action)->second ? "FILE and SIZE" : "one FILE");
        return STATUS_USAGE;
    }
    request->file = argv[optind];
    request->argument = (*action)->second ? argv[optind + 1] : NULL;
    return -1;
}

int pool_command(int argc, char **argv)
{
    const struct action *action = NULL;
    struct pool_request request = {0};
    int status = read_arguments(argc, argv, &action, &request);
    return status >= 0 ? status : action->run(&request);
}

/* ---- Helpers -------------------------------------------------------------------------------------- */

int pool_failed(const struct pool_request *request)
{
    const char *message = cairn_errormsg();
    complain("%s: %s%s%s", request->file, message, message[0] != 0 ? ": " : "", strerror(errno));
    return STATUS_TROUBLE;
}

int pool_done(int status)
{
    return output_written() ? status : STATUS_TROUBLE;
}

int pool_print_json(json_t *object, int status)
{
    bool good = object != NULL && json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(object);
    if (!good && object == NULL) {
        complain("out of memory");
        return STATUS_TROUBLE;
    }
    return pool_done(status);
}

const char *pool_bytes(uint64_t bytes)
{
    enum { TURNS = 8 };
    static char buffers[TURNS][32];
    static unsigned turn;
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    char *out = buffers[turn++ % TURNS];
    double value = (double)bytes;
    unsigned unit = 0;
    for (; value >= 1023.95 && unit < 5; unit++)
        value /= 1024;
    (void)snprintf(out, sizeof buffers[0], unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

bool pool_read_info(const struct pool_request *request, cairn_file_info *info)
{
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    if (cairn_pool_file_info(request->file, info) == 0)
        return true;
    (void)pool_failed(request);
    return false;
}

cairn_pool *pool_open_to_read(const struct pool_request *request)
{
    cairn_file_config config = {.struct_size = sizeof config, .flags = CAIRN_FILE_READ_ONLY};
    cairn_pool *pool = cairn_pool_open(request->file, &config);
    if (pool == NULL)
        (void)pool_failed(request);
    return pool;
}
