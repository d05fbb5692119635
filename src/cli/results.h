/* results.h - the runs of one `cairn run`, and figures out of them. */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "launch.h"

#include <stdio.h>

/* All runs on one allocator. */
struct series {
    struct outcome *runs;
    unsigned count;
};

struct results {
    char **arguments;    /* of the program */
    const char *file;    /* the program */
    const char *library; /* what was preloaded */
    const char *conf;    /* CAIRN_CONF as the user has it */
    bool compare;
    unsigned rounds; /* asked for; an interrupt makes fewer */
    struct series series[ALLOCATOR_COUNT];
};

enum figure { FIGURE_WALL, FIGURE_USER, FIGURE_SYSTEM, FIGURE_CPU, FIGURE_PEAK };

/* Over the runs; 0 without any. */
double results_median(const struct series *series, enum figure figure);

/* Cairn / system; negative: there is none. */
double results_ratio(const struct results *results, enum figure figure);

/* The last run with statistics, or NULL. */
const struct outcome *results_with_statistics(const struct series *series);

/* The exit status of the last run, 128 + n for signal n. */
int results_status(const struct series *series);
int outcome_status(const struct outcome *outcome);

/* The table on standard error; the full statistics too, if `full`. */
void screen_print(const struct results *results, bool full);

/* Everything as JSON; false when that fails, errno says why. */
bool json_write(const struct results *results, FILE *out);

#endif
