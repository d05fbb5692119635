/* screen.c - the results of `cairn run` for the eye, on standard error. */
#include "cli.h"
#include "numbers.h"
#include "results.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- Numbers ------------------------------------------------------------------------------------- */

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

/* ---- The table ----------------------------------------------------------------------------------- */

enum { COLUMN_CAIRN, COLUMN_SYSTEM, COLUMN_RATIO, COLUMN_COUNT };

struct row {
    const char *label;
    char cells[COLUMN_COUNT][NUMBER_MAX];
};

static void fill(const struct results *results, struct row *row, const char *label, enum figure figure)
{
    row->label = label;
    for (int i = 0; i < ALLOCATOR_COUNT; i++) {
        double value = results_median(&results->series[i], figure);
        if (results->series[i].count == 0)
            (void)strcpy(row->cells[i], "-");
        else if (figure == FIGURE_PEAK)
            number_of_bytes(row->cells[i], (uint64_t)value);
        else
            number_of_seconds(row->cells[i], value);
    }
    double ratio = results_ratio(results, figure);
    if (ratio >= 0)
        (void)snprintf(row->cells[COLUMN_RATIO], NUMBER_MAX, "%.2f", ratio);
}

/* What only Cairn counts: three rows. */
static void fill_counts(const struct results *results, struct row rows[3])
{
    static const char *const labels[] = {"allocations", "live at exit", "in blocks"};
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        rows[i] = (struct row){labels[i], {"-"}};
    const struct outcome *run = results_with_statistics(&results->series[ON_CAIRN]);
    if (run == NULL)
        return;
    number_of_count(rows[0].cells[COLUMN_CAIRN], number(run->statistics, "allocations"));
    number_of_bytes(rows[1].cells[COLUMN_CAIRN], number(run->statistics, "live"));
    number_of_count(rows[2].cells[COLUMN_CAIRN], number(run->statistics, "live_blocks"));
}

static void print_rows(const struct row *rows, size_t count, int columns)
{
    int widths[COLUMN_COUNT] = {0};
    for (size_t i = 0; i < count; i++)
        for (int column = 0; column < columns; column++) {
            int length = (int)strlen(rows[i].cells[column]);
            widths[column] = length > widths[column] ? length : widths[column];
        }
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, "  %-12s", rows[i].label);
        int last = columns - 1; /* no blanks at the end of a line */
        while (last > 0 && rows[i].cells[last][0] == 0)
            last--;
        for (int column = 0; column <= last; column++)
            fprintf(stderr, "  %*s", widths[column], rows[i].cells[column]);
        fputc('\n', stderr);
    }
}

static void print_table(const struct results *results)
{
    enum { ROWS = 7 };
    struct row rows[ROWS] = {{"", {"Cairn", "system", "ratio"}}};
    fill(results, &rows[1], "time", FIGURE_WALL);
    fill(results, &rows[2], "CPU time", FIGURE_CPU);
    fill(results, &rows[3], "peak memory", FIGURE_PEAK);
    fill_counts(results, &rows[4]);
    if (results->compare)
        print_rows(rows, ROWS, COLUMN_COUNT);
    else
        print_rows(rows + 1, ROWS - 1, 1);
}

/* ---- What is around it --------------------------------------------------------------------------- */

static void print_end(const struct outcome *run)
{
    if (!WIFSIGNALED(run->status)) {
        fprintf(stderr, "status %d", WEXITSTATUS(run->status));
        return;
    }
    const char *name = sigabbrev_np(WTERMSIG(run->status));
    fprintf(stderr, "signal %d%s%s", WTERMSIG(run->status), name != NULL ? ", SIG" : "",
            name != NULL ? name : "");
}

/* The program and its arguments in one line, however long and strange they are. */
static void print_heading(const struct results *results)
{
    enum { SHOWN_MAX = 60 };
    char line[SHOWN_MAX + 1] = "";
    size_t used = 0;
    bool whole = true;
    for (char **argument = results->arguments; *argument != NULL && whole; argument++) {
        int wanted = snprintf(line + used, sizeof line - used, "%s%s", used > 0 ? " " : "", *argument);
        whole = wanted >= 0 && (size_t)wanted < sizeof line - used;
        used = strlen(line);
    }
    for (char *c = line; *c != 0; c++)
        if (iscntrl((unsigned char)*c))
            *c = '?';
    const struct series *cairn = &results->series[ON_CAIRN];
    fprintf(stderr, "cairn: %s%s: ", line, whole ? "" : "...");
    print_end(&cairn->runs[cairn->count - 1]);
    if (cairn->count > 1)
        fprintf(stderr, ", medians of %u rounds", cairn->count);
    fputc('\n', stderr);
}

static void print_why_no_statistics(const struct outcome *run)
{
    if (WIFSIGNALED(run->status))
        fputs("  No statistics: a signal ended the program before it could write them.\n", stderr);
    else
        fputs("  No statistics: the program ended by _exit or exec, or could not write them.\n", stderr);
}

static void print_notes(const struct results *results)
{
    const struct series *cairn = &results->series[ON_CAIRN];
    const struct series *system = &results->series[ON_SYSTEM];
    const struct outcome *run = results_with_statistics(cairn);
    if (run == NULL)
        print_why_no_statistics(&cairn->runs[cairn->count - 1]);
    else if (number(run->statistics, "allocations") == 0)
        fputs("  The program allocated nothing through malloc, or has a malloc of its own.\n", stderr);
    if (run != NULL && run->others > 0)
        fprintf(stderr, "  The counts are those of the program itself, without %u more process%s on Cairn.\n",
                run->others, run->others == 1 ? "" : "es");
    if (system->count > 0 && results_status(cairn) != results_status(system)) {
        fputs("  The runs ended differently: on the system's allocator with ", stderr);
        print_end(&system->runs[system->count - 1]);
        fputs(".\n", stderr);
    }
    if (cairn->count < results->rounds || (results->compare && system->count < results->rounds))
        fprintf(stderr, "  Interrupted: %u of %u rounds.\n",
                results->compare && system->count < cairn->count ? system->count : cairn->count,
                results->rounds);
}

/* ---- Full statistics ----------------------------------------------------------------------------- */

static void print_classes(const json_t *classes)
{
    size_t index;
    json_t *class;
    fprintf(stderr, "  %10s %8s %12s %14s %14s\n", "block size", "spans", "blocks", "live", "held");
    json_array_foreach(classes, index, class)
    {
        const json_t *size = json_object_get(class, "block_size");
        if (json_is_integer(size))
            fprintf(stderr, "  %10" PRIu64, number(class, "block_size"));
        else
            fprintf(stderr, "  %10s", "large");
        fprintf(stderr, " %8" PRIu64 " %12" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n", number(class, "spans"),
                number(class, "live_blocks"), number(class, "live"), number(class, "held"));
    }
}

/* Whatever the library has written, in its order: a figure that is new needs nothing here. */
static void print_full(json_t *statistics)
{
    const char *key;
    json_t *value;
    fputs("cairn: statistics at exit, in bytes unless the name says a count\n", stderr);
    json_object_foreach(statistics, key, value)
    {
        if (json_is_integer(value))
            fprintf(stderr, "  %-15s %16" PRIu64 "\n", key, number(statistics, key));
        else if (json_is_null(value))
            fprintf(stderr, "  %-15s %16s\n", key, "none");
    }
    print_classes(json_object_get(statistics, "classes"));
}

void screen_print(const struct results *results, bool full)
{
    if (results->series[ON_CAIRN].count == 0)
        return;
    print_heading(results);
    print_table(results);
    print_notes(results);
    const struct outcome *run = results_with_statistics(&results->series[ON_CAIRN]);
    if (full && run != NULL)
        print_full(run->statistics);
}
