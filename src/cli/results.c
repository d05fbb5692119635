/* results.c - see results.h. */
#include "results.h"

#include "cli.h"

#include <stdlib.h>
#include <sys/wait.h>

static double figure_of(const struct outcome *run, enum figure figure)
{
    switch (figure) {
    case FIGURE_WALL: return run->wall;
    case FIGURE_USER: return run->user;
    case FIGURE_SYSTEM: return run->system;
    case FIGURE_CPU: return run->user + run->system;
    case FIGURE_PEAK: return (double)run->peak;
    }
    return 0;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double results_median(const struct series *series, enum figure figure)
{
    unsigned count = series->count;
    if (count == 0)
        return 0;
    double *values = allocate(count, sizeof *values);
    for (unsigned i = 0; i < count; i++)
        values[i] = figure_of(&series->runs[i], figure);
    qsort(values, count, sizeof *values, by_value);
    double median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    free(values);
    return median;
}

double results_ratio(const struct results *results, enum figure figure)
{
    const struct series *cairn = &results->series[ON_CAIRN];
    const struct series *system = &results->series[ON_SYSTEM];
    double base = results_median(system, figure);
    return cairn->count > 0 && system->count > 0 && base > 0 ? results_median(cairn, figure) / base : -1;
}

const struct outcome *results_with_statistics(const struct series *series)
{
    for (unsigned i = series->count; i-- > 0;)
        if (series->runs[i].statistics != NULL)
            return &series->runs[i];
    return NULL;
}

int outcome_status(const struct outcome *outcome)
{
    return WIFSIGNALED(outcome->status) ? 128 + WTERMSIG(outcome->status) : WEXITSTATUS(outcome->status);
}

int results_status(const struct series *series)
{
    return outcome_status(&series->runs[series->count - 1]);
}
