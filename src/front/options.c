/* options.c - see options.h. */
#include "front/options.h"

#include "base/print.h"
#include "observe/tool.h"
#include "os/os.h"
#include "os/report.h"

#include <string.h>

#define VARIABLE "CAIRN_CONF"

/* ---- The table ----------------------------------------------------------------------------------- */

enum kind { KIND_SIZE, KIND_NUMBER, KIND_BOOL, KIND_CHOICE, KIND_TEXT };

/* Values as they stand before they are applied: one number each, or a text. */
struct values {
    uint64_t source, limit, soft_limit, purge_delay, keep, stats, stats_format, stats_signal, profile,
        profile_interval, profile_format, profile_signal, abort_conf, confirm_conf;
    char stats_file[STATS_FILE_MAX], trace[STATS_FILE_MAX], profile_file[PROFILE_FILE_MAX];
    uint64_t hook_leaks, hook_format, hook_limit, hook_guard_every, hook_fault_nth, hook_fault_every,
        hook_fault_ppm, hook_fault_seed, hook_fault_line, hook_fault_size;
    char hook_output[STATS_FILE_MAX], hook_trace[STATS_FILE_MAX], hook_guard[STATS_FILE_MAX],
        hook_fault_file[STATS_FILE_MAX], hook_fault_function[STATS_FILE_MAX];
    uint64_t faults, faults_every, faults_ppm, faults_seed, faults_most, faults_size, faults_report, limits,
        limits_blocks, guard_every, guard_size;
    char faults_function[STATS_FILE_MAX], faults_library[STATS_FILE_MAX], limits_function[STATS_FILE_MAX],
        limits_library[STATS_FILE_MAX], guard[STATS_FILE_MAX], guard_library[STATS_FILE_MAX];
};

/* OPTION(key, kind, default as text, lowest, highest, choices, what it does) */
#define OPTIONS(OPTION)                                                                                        \
    OPTION(source, KIND_CHOICE, "os", 0, 0, "os|brk",                                                          \
           "where memory comes from: mmap, or the program break (with mmap when the break cannot move)")       \
    OPTION(limit, KIND_SIZE, "none", 1, SIZE_MAX, "",                                                          \
           "hard limit on committed bytes: above it requests end in NULL with ENOMEM")                         \
    OPTION(soft_limit, KIND_SIZE, "none", 1, SIZE_MAX, "",                                                     \
           "soft limit on committed bytes: above it free pages go back before more is taken")                  \
    OPTION(purge_delay, KIND_NUMBER, "500", 0, 3600000, "",                                                    \
           "milliseconds that free pages are kept while the heap is in use")                                   \
    OPTION(                                                                                                    \
        keep, KIND_SIZE, "1M", 0, SIZE_MAX, "",                                                                \
        "bytes of free pages that may be kept however little is in use; above, a sixteenth of what is in use") \
    OPTION(stats, KIND_CHOICE, "off", 0, 0, "off|exit", "write statistics when the process exits")             \
    OPTION(stats_format, KIND_CHOICE, "text", 0, 0, "text|json", "the form of the statistics")                 \
    OPTION(stats_file, KIND_TEXT, "", 0, 0, "",                                                                \
           "file for the statistics, %p in it is the process id; empty: standard error")                       \
    OPTION(stats_signal, KIND_NUMBER, "0", 0, 64, "",                                                          \
           "number of a signal on which statistics are written at once; 0: none")                              \
    OPTION(trace, KIND_TEXT, "", 0, 0, "",                                                                     \
           "file for a trace of every call, %p in it is the process id; empty: none")                          \
    OPTION(profile, KIND_CHOICE, "off", 0, 0, "off|on",                                                        \
           "profile the heap from the start, and write it when the process exits")                             \
    OPTION(profile_interval, KIND_SIZE, "512K", 1, SIZE_MAX / 2, "",                                           \
           "mean distance of samples in bytes; below 4096 every block is one")                                 \
    OPTION(profile_file, KIND_TEXT, "cairn-profile.%p", 0, 0, "",                                              \
           "file for the profile, %p in it is the process id")                                                 \
    OPTION(profile_format, KIND_CHOICE, "pprof", 0, 0, "pprof|text",                                           \
           "the form of the profile: protocol buffer, or gperftools' text")                                    \
    OPTION(profile_signal, KIND_NUMBER, "0", 0, 64, "",                                                        \
           "number of a signal that starts a profile, and when one is on writes it and stops; 0: none")        \
    OPTION(                                                                                                    \
        hook_leaks, KIND_CHOICE, "off", 0, 0, "off|on|exit",                                                   \
        "calls through <cairn/hooks.h>: keep live blocks by place; exit: print them when the process exits")   \
    OPTION(hook_format, KIND_CHOICE, "text", 0, 0, "text|json", "the form of what hook_leaks prints")          \
    OPTION(hook_output, KIND_TEXT, "", 0, 0, "",                                                               \
           "file for what hook_leaks prints, %p in it is the process id; empty: standard error")               \
    OPTION(hook_trace, KIND_TEXT, "", 0, 0, "",                                                                \
           "file for a trace of the calls through <cairn/hooks.h>, %p in it is the process id; empty: none")   \
    OPTION(hook_limit, KIND_SIZE, "none", 1, SIZE_MAX, "",                                                     \
           "live bytes that each place that calls through <cairn/hooks.h> may have")                           \
    OPTION(hook_guard, KIND_TEXT, "", 0, 0, "",                                                                \
           "functions, a star stands for any text, whose blocks lie against an inaccessible page")             \
    OPTION(hook_guard_every, KIND_NUMBER, "1", 1, UINT64_MAX, "",                                              \
           "guard only every so many of those blocks")                                                         \
    OPTION(hook_fault_nth, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                                \
           "calls through <cairn/hooks.h>: let the allocation of this number fail; 0: none")                   \
    OPTION(hook_fault_every, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                              \
           "let every so many allocations fail; 0: none")                                                      \
    OPTION(hook_fault_ppm, KIND_NUMBER, "0", 0, 1000000, "",                                                   \
           "let so many of a million allocations fail, by chance")                                             \
    OPTION(hook_fault_seed, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                               \
           "of that chance: the same seed lets the same allocations fail; 0: from the clock")                  \
    OPTION(hook_fault_file, KIND_TEXT, "", 0, 0, "",                                                           \
           "count and fail allocations of these files only, a star stands for any text")                       \
    OPTION(hook_fault_function, KIND_TEXT, "", 0, 0, "", "of these functions only")                            \
    OPTION(hook_fault_line, KIND_NUMBER, "0", 0, INT32_MAX, "", "of this line only; 0: any")                   \
    OPTION(hook_fault_size, KIND_SIZE, "0", 0, SIZE_MAX, "", "of this size and above only")                    \
    OPTION(faults, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                                        \
           "let the program's allocation of this number fail; 0: none")                                        \
    OPTION(faults_every, KIND_NUMBER, "0", 0, UINT64_MAX, "", "let every so many allocations fail; 0: none")   \
    OPTION(faults_ppm, KIND_NUMBER, "0", 0, 1000000, "",                                                       \
           "let so many of a million allocations fail, by chance")                                             \
    OPTION(faults_seed, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                                   \
           "of that chance: the same seed lets the same allocations fail; 0: from the clock")                  \
    OPTION(faults_most, KIND_NUMBER, "0", 0, UINT64_MAX, "", "let no more than so many fail; 0: no bound")     \
    OPTION(faults_function, KIND_TEXT, "", 0, 0, "",                                                           \
           "count and fail allocations that this function asks for only, a star stands for any text")          \
    OPTION(faults_library, KIND_TEXT, "", 0, 0, "",                                                            \
           "of the code in this library, or the program itself, by its file name only")                        \
    OPTION(faults_size, KIND_SIZE, "0", 0, SIZE_MAX, "", "of this size and above only")                        \
    OPTION(faults_report, KIND_CHOICE, "off", 0, 0, "off|exit",                                                \
           "exit: say at the end how many there were and how many failed")                                     \
    OPTION(limits, KIND_SIZE, "none", 1, SIZE_MAX, "",                                                         \
           "live bytes that each place in the program that allocates may have")                                \
    OPTION(limits_blocks, KIND_NUMBER, "0", 0, UINT64_MAX, "",                                                 \
           "live blocks that each such place may have; 0: no bound")                                           \
    OPTION(limits_function, KIND_TEXT, "", 0, 0, "",                                                           \
           "limit places in this function only, a star stands for any text")                                   \
    OPTION(limits_library, KIND_TEXT, "", 0, 0, "",                                                            \
           "in this library, or the program itself, by its file name only")                                    \
    OPTION(guard, KIND_TEXT, "", 0, 0, "",                                                                     \
           "functions, a star stands for any text, whose blocks lie against an inaccessible page")             \
    OPTION(guard_library, KIND_TEXT, "", 0, 0, "",                                                             \
           "libraries, or the program itself, whose blocks do; with guard: those of both only")                \
    OPTION(guard_every, KIND_NUMBER, "1", 1, UINT64_MAX, "", "guard only every so many of those blocks")       \
    OPTION(guard_size, KIND_SIZE, "0", 0, SIZE_MAX, "", "of this size and above only")                         \
    OPTION(abort_conf, KIND_BOOL, "false", 0, 0, "", "a bad key or value in " VARIABLE " ends the process")    \
    OPTION(confirm_conf, KIND_BOOL, "false", 0, 0, "", "print the options in force at start")

struct option {
    const char *key;
    enum kind kind;
    const char *initial;
    uint64_t lowest, highest;
    const char *choices;
    const char *what;
    size_t offset; /* of the value in struct values */
};

#define ROW(key, kind, initial, lowest, highest, choices, what)                                              \
    {#key, kind, initial, lowest, highest, choices, what, offsetof(struct values, key)},
static const struct option options[] = {OPTIONS(ROW)};
#undef ROW
#define OPTION_COUNT (sizeof options / sizeof options[0])

/* ---- Parsing ------------------------------------------------------------------------------------- */

/* A stretch of the variable's text. */
struct piece {
    const char *text;
    size_t length;
};

static bool piece_is(struct piece piece, const char *text)
{
    return strlen(text) == piece.length && memcmp(piece.text, text, piece.length) == 0;
}

static bool parse_number(struct piece piece, bool with_unit, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < piece.length && piece.text[i] >= '0' && piece.text[i] <= '9'; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, piece.text[i] - '0', &value))
            return false;
    if (i == 0)
        return false;
    if (with_unit && i + 1 == piece.length) {
        const char *units = "KMGT";
        const char *unit = strchr(units, piece.text[i] & ~0x20);
        if (unit == NULL || *unit == 0)
            return false;
        unsigned shift = 10u * ((unsigned)(unit - units) + 1);
        if (value > UINT64_MAX >> shift)
            return false;
        value <<= shift;
        i++;
    }
    *out = value;
    return i == piece.length;
}

static bool parse_choice(struct piece piece, const char *choices, uint64_t *out)
{
    for (uint64_t index = 0;; index++) {
        const char *stop = strchr(choices, '|');
        struct piece choice = {choices, stop != NULL ? (size_t)(stop - choices) : strlen(choices)};
        if (choice.length == piece.length && memcmp(choice.text, piece.text, piece.length) == 0) {
            *out = index;
            return true;
        }
        if (stop == NULL)
            return false;
        choices = stop + 1;
    }
}

/* Stores the value of `option`; false if it is none. */
static bool set(struct values *values, const struct option *option, struct piece piece)
{
    char *at = (char *)values + option->offset;
    uint64_t number = 0;
    bool good = false;
    if (option->kind == KIND_TEXT) {
        if (piece.length >= STATS_FILE_MAX)
            return false;
        memcpy(at, piece.text, piece.length);
        at[piece.length] = 0;
        return true;
    }
    if (option->kind == KIND_BOOL)
        good = parse_choice(piece, "false|true", &number);
    else if (option->kind == KIND_CHOICE)
        good = parse_choice(piece, option->choices, &number);
    else if (option->kind == KIND_SIZE && piece_is(piece, "none"))
        good = true, number = SIZE_MAX;
    else
        good = parse_number(piece, option->kind == KIND_SIZE, &number) && number >= option->lowest &&
               number <= option->highest;
    if (good)
        memcpy(at, &number, sizeof number);
    return good;
}

static const struct option *find(struct piece key)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (piece_is(key, options[i].key))
            return &options[i];
    return NULL;
}

/* One "key:value".  NULL, or what is wrong with it. */
static const char *set_pair(struct values *values, struct piece pair)
{
    const char *colon = memchr(pair.text, ':', pair.length);
    if (colon == NULL)
        return "has no ':'";
    struct piece key = {pair.text, (size_t)(colon - pair.text)};
    struct piece value = {colon + 1, pair.length - key.length - 1};
    const struct option *option = find(key);
    if (option == NULL)
        return "is no option";
    return set(values, option, value) ? NULL : "has no such value";
}

static void complain(struct piece pair, const char *wrong)
{
    char text[200];
    print_to_buffer(text, size_min(sizeof text, pair.length + 1), "%s", pair.text);
    char line[256];
    print_to_buffer(line, sizeof line, "%s (ignored)", text);
    report_warning(wrong[0] == 'i' ? VARIABLE ": unknown key" : VARIABLE ": bad value", line);
}

/* Reads the whole variable; the number of pairs that were no good. */
static unsigned parse(struct values *values, const char *text)
{
    unsigned bad = 0;
    while (*text != 0) {
        const char *stop = strchr(text, ',');
        struct piece pair = {text, stop != NULL ? (size_t)(stop - text) : strlen(text)};
        const char *wrong = pair.length > 0 ? set_pair(values, pair) : NULL;
        if (wrong != NULL) {
            complain(pair, wrong);
            bad++;
        }
        text += pair.length + (stop != NULL);
    }
    return bad;
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static bool to_file(void *context, const char *text, size_t size)
{
    return os_write(*(int *)context, text, size);
}

static void print_value(struct printer *p, const struct values *values, const struct option *option)
{
    const char *at = (const char *)values + option->offset;
    uint64_t number;
    if (option->kind == KIND_TEXT) {
        print(p, "%s", at);
        return;
    }
    memcpy(&number, at, sizeof number);
    const char *choices = option->kind == KIND_BOOL ? "false|true" : option->choices;
    if (option->kind == KIND_BOOL || option->kind == KIND_CHOICE) {
        for (; number > 0; number--)
            choices = strchr(choices, '|') + 1;
        for (; *choices != 0 && *choices != '|'; choices++)
            print(p, "%c", *choices);
    } else if (number == SIZE_MAX) {
        print(p, "none");
    } else {
        print(p, "%ju", number);
    }
}

static void print_in_force(const struct values *values)
{
    int standard_error = 2;
    struct printer printer;
    printer_init(&printer, to_file, &standard_error);
    print(&printer, "cairn: options in force: ");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        print(&printer, "%s%s:", i > 0 ? "," : "", options[i].key);
        print_value(&printer, values, &options[i]);
    }
    print(&printer, "\n");
    (void)printer_flush(&printer);
}

static const char *kind_text(const struct option *option)
{
    static const char *const texts[] = {"bytes, with K M G T", "number", "true, false", "", "text"};
    return option->kind == KIND_CHOICE ? option->choices : texts[option->kind];
}

/* A '|' inside a table cell of Markdown is written as a comma. */
static void print_cell(struct printer *p, const char *text)
{
    for (; *text != 0; text++)
        print(p, *text == '|' ? ", " : "%c", *text);
}

bool options_print(int fd, bool markdown)
{
    struct printer p;
    printer_init(&p, to_file, &fd);
    if (markdown)
        print(&p,
              "# Options\n\nGenerated by `cairn options --markdown`; the table is in src/front/options.c.\n\n"
              "Set them in the environment: `" VARIABLE "=\"key:value,key:value\"`.\n\n"
              "| key | values | default | what it does |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        const char *initial = o->initial[0] != 0 ? o->initial : "(empty)";
        if (markdown) {
            print(&p, "| `%s` | ", o->key);
            print_cell(&p, kind_text(o));
            print(&p, " | %s | %s |\n", initial, o->what);
        } else {
            print(&p, "%-14s %s\n%-14s (%s; default %s)\n", o->key, o->what, "", kind_text(o), initial);
        }
    }
    return printer_flush(&p);
}

/* ---- Applying ------------------------------------------------------------------------------------ */

_Static_assert(STATS_FILE_MAX == PROFILE_FILE_MAX, "all texts have the same room");

static void apply_profile(const struct values *values, struct profile_settings *profile)
{
    profile->at_start = values->profile == 1;
    profile->interval = values->profile_interval;
    profile->text = values->profile_format == 1;
    profile->signal = (int)values->profile_signal;
    memcpy(profile->file, values->profile_file, sizeof values->profile_file);
}

static void apply_hook_tools(const struct values *values)
{
    struct tool_settings *tools = &tool_settings;
    tools->leaks = values->hook_leaks != 0;
    tools->leaks_flags =
        (values->hook_leaks == 2 ? CAIRN_TOOL_AT_EXIT : 0) | (values->hook_format == 1 ? CAIRN_TOOL_JSON : 0);
    tools->output = values->hook_output;
    tools->trace = values->hook_trace;
    tools->hook_limits = (struct limit_settings){values->hook_limit, 0, "", ""};
    tools->hook_guard = (struct guard_settings){values->hook_guard_every, 0, "", values->hook_guard};
    tools->hook_faults = (struct fault_settings){
        .nth = values->hook_fault_nth,
        .every = values->hook_fault_every,
        .ppm = values->hook_fault_ppm,
        .seed = values->hook_fault_seed,
        .line = (int)values->hook_fault_line,
        .size = values->hook_fault_size,
        .file = values->hook_fault_file,
        .function = values->hook_fault_function,
    };
}

static void apply_tools(const struct values *values)
{
    struct tool_settings *tools = &tool_settings;
    tools->limits = (struct limit_settings){values->limits, values->limits_blocks, values->limits_library,
                                            values->limits_function};
    tools->guard = (struct guard_settings){values->guard_every, values->guard_size, values->guard_library,
                                           values->guard};
    tools->faults = (struct fault_settings){
        .nth = values->faults,
        .every = values->faults_every,
        .ppm = values->faults_ppm,
        .seed = values->faults_seed,
        .most = values->faults_most,
        .size = values->faults_size,
        .report = values->faults_report == 1,
        .file = values->faults_library,
        .function = values->faults_function,
    };
}

static void apply(const struct values *values, struct heap_config *heap, struct observe_settings *observe)
{
    heap->source = values->source == 1 ? &source_brk : &source_os;
    heap->limit_hard = values->limit;
    heap->limit_soft = values->soft_limit;
    heap->purge_delay = (uint32_t)values->purge_delay;
    heap->keep_least = values->keep;
    observe->stats_at_exit = values->stats == 1;
    observe->stats_json = values->stats_format == 1;
    observe->stats_signal = (int)values->stats_signal;
    memcpy(observe->stats_file, values->stats_file, sizeof values->stats_file);
    memcpy(observe->trace_file, values->trace, sizeof values->trace);
    apply_hook_tools(values);
    apply_tools(values);
}

void options_load(struct heap_config *heap, struct observe_settings *observe,
                  struct profile_settings *profile)
{
    static struct values values; /* too large for the stack of a small thread */
    for (size_t i = 0; i < OPTION_COUNT; i++)
        (void)set(&values, &options[i], (struct piece){options[i].initial, strlen(options[i].initial)});
    const char *text = os_is_privileged() ? NULL : os_environment(VARIABLE);
    unsigned bad = text != NULL ? parse(&values, text) : 0;
    if (bad > 0 && values.abort_conf) {
        report_warning(VARIABLE, "aborting, as abort_conf:true asks");
        os_abort();
    }
    apply(&values, heap, observe);
    apply_profile(&values, profile);
    if (values.confirm_conf)
        print_in_force(&values);
}
