/* profile.c - `cairn profile`: what a heap profile says, as tables and as a picture. */
#include "cli.h"
#include "numbers.h"
#include "profile_file.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define TOP 20
#define TOP_MOST 1000000

static const char help[] =
    "usage: cairn profile [OPTION...] FILE\n\n"
    "Shows a heap profile that `cairn run --profile FILE -- PROGRAM` or CAIRN_CONF=profile:on wrote: which functions\n"
    "hold how much memory.  Pprof reads the same file.\n\n"
    "  --allocated    sort by, and draw, all bytes allocated, not those still live\n"
    "  --stacks       show whole stacks, not functions\n"
    "  --top N        show N functions or stacks (20)\n"
    "  --svg OUT      write a flame graph to OUT, too; '-' is standard output, and then nothing else is\n"
    "  -h, --help     this text\n";

struct request {
    const char *file, *svg;
    unsigned value;
    bool stacks;
    size_t top;
};

/* ---- By function --------------------------------------------------------------------------------- */

/* In functions of one name, and in what they call. */
struct function {
    const char *name;
    uint64_t own, with_callees, blocks;
    size_t last_site; /* counted from 1: a function counts once for a stack that has it twice */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct function *)a)->name, ((const struct function *)b)->name);
}

static int by_bytes(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->own != y->own)
        return (x->own < y->own) - (x->own > y->own);
    return (x->with_callees < y->with_callees) - (x->with_callees > y->with_callees);
}

/* One for each name, sorted by it. */
static struct function *list_functions(const struct profile *profile, size_t *count)
{
    struct function *functions = allocate(profile->place_count + 1, sizeof *functions);
    for (size_t i = 0; i < profile->place_count; i++)
        functions[i].name = profile->places[i].function;
    qsort(functions, profile->place_count, sizeof *functions, by_name);
    *count = 0;
    for (size_t i = 0; i < profile->place_count; i++)
        if (*count == 0 || strcmp(functions[*count - 1].name, functions[i].name) != 0)
            functions[(*count)++] = functions[i];
    return functions;
}

static void add_site(struct function *functions, size_t count, const struct profile_site *site, size_t number,
                     unsigned value)
{
    for (size_t i = 0; i < site->depth; i++) {
        struct function key = {.name = site->stack[i]->function};
        struct function *found = bsearch(&key, functions, count, sizeof key, by_name);
        if (i == 0) {
            found->own += site->values[value];
            found->blocks += site->values[value - 1];
        }
        if (found->last_site != number)
            found->with_callees += site->values[value];
        found->last_site = number;
    }
}

static void print_functions(const struct profile *profile, const struct request *request)
{
    size_t count;
    struct function *functions = list_functions(profile, &count);
    for (size_t i = 0; i < profile->site_count; i++)
        add_site(functions, count, &profile->sites[i], i + 1, request->value);
    qsort(functions, count, sizeof *functions, by_bytes);
    double total = (double)profile->totals[request->value];
    printf("%12s %6s %12s %12s %6s  %s\n", "own", "%", "blocks", "with callees", "%", "function");
    for (size_t i = 0; i < count && i < request->top && functions[i].with_callees > 0; i++) {
        char own[NUMBER_MAX], blocks[NUMBER_MAX], all[NUMBER_MAX];
        number_of_bytes(own, functions[i].own);
        number_of_count(blocks, functions[i].blocks);
        number_of_bytes(all, functions[i].with_callees);
        printf("%12s %6.2f %12s %12s %6.2f  %s\n", own, 100 * (double)functions[i].own / total, blocks, all,
               100 * (double)functions[i].with_callees / total, functions[i].name);
    }
    free(functions);
}

/* ---- The command --------------------------------------------------------------------------------- */

static void print_head(const struct profile *profile, const char *file)
{
    char live[NUMBER_MAX], live_blocks[NUMBER_MAX], all[NUMBER_MAX], blocks[NUMBER_MAX], interval[NUMBER_MAX];
    number_of_bytes(live, profile->totals[LIVE_BYTES]);
    number_of_count(live_blocks, profile->totals[LIVE_BLOCKS]);
    number_of_bytes(all, profile->totals[ALLOCATED_BYTES]);
    number_of_count(blocks, profile->totals[ALLOCATED_BLOCKS]);
    number_of_bytes(interval, profile->interval);
    printf("%s: live %s in %s blocks; allocated %s in %s blocks\n", file, live, live_blocks, all, blocks);
    if (profile->interval > 1)
        printf("estimates, from one sample in %s\n", interval);
    putchar('\n');
}

static bool draw(const struct profile *profile, const struct request *request)
{
    bool to_screen = strcmp(request->svg, "-") == 0;
    FILE *out = to_screen ? stdout : fopen(request->svg, "we");
    char bytes[NUMBER_MAX];
    number_of_bytes(bytes, profile->totals[request->value]);
    char *title =
        text_of("%s: %s %s", request->file, bytes, request->value == LIVE_BYTES ? "live" : "allocated");
    bool good = out != NULL && profile_draw(profile, request->value, title, out);
    int why = errno;
    if (out != NULL && !to_screen && fclose(out) != 0)
        good = false;
    if (!good)
        complain("%s: %s", request->svg, strerror(why));
    free(title);
    return good;
}

static int show(const struct request *request)
{
    struct profile profile;
    if (!profile_read(request->file, &profile))
        return EXIT_FAILURE;
    bool good = true;
    profile_sort(&profile, request->value);
    if (request->svg == NULL || strcmp(request->svg, "-") != 0) {
        print_head(&profile, request->file);
        if (request->stacks)
            profile_print_sites(&profile, request->value, request->top, stdout);
        else
            print_functions(&profile, request);
    }
    if (request->svg != NULL)
        good = draw(&profile, request);
    profile_release(&profile);
    return output_written() && good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool set_top(struct request *request, const char *text)
{
    char *end;
    unsigned long top = strtoul(text, &end, 10);
    if (end == text || *end != 0 || *text == '-' || top == 0 || top > TOP_MOST) {
        complain("--top %s: not a number from 1 to %d", text, TOP_MOST);
        return false;
    }
    request->top = top;
    return true;
}

int profile_command(int argc, char **argv)
{
    static const struct option table[] = {
        {"allocated", no_argument, NULL, 'a'}, {"stacks", no_argument, NULL, 's'},
        {"top", required_argument, NULL, 't'}, {"svg", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    struct request request = {.value = LIVE_BYTES, .top = TOP};
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        switch (option) {
        case 'a': request.value = ALLOCATED_BYTES; break;
        case 's': request.stacks = true; break;
        case 't':
            if (!set_top(&request, optarg))
                return STATUS_USAGE;
            break;
        case 'v': request.svg = optarg; break;
        case 'h': fputs(help, stdout); return output_written() ? EXIT_SUCCESS : EXIT_FAILURE;
        default: return STATUS_USAGE; /* getopt has said why */
        }
    }
    if (optind + 1 != argc) {
        complain("profile: %s; `cairn profile --help` says more",
                 optind == argc ? "which file?" : "one file only");
        return STATUS_USAGE;
    }
    request.file = argv[optind];
    return show(&request);
}
