/* json.c - the results of `cairn run` as JSON; docs/cairn.1 describes the form. */
#include "arguments.h"
#include "cli.h"
#include "results.h"

#include <cairn/cairn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static json_t *strings(char *const *texts)
{
    json_t *array = json_array();
    for (; *texts != NULL; texts++)
        (void)json_array_append_new(array, json_text(*texts));
    return array;
}

static json_t *run_object(const struct outcome *run, bool on_cairn)
{
    json_t *object = json_pack("{s:i, s:f, s:f, s:f, s:I}", "exit_status", outcome_status(run),
                               "wall_seconds", run->wall, "user_seconds", run->user, "system_seconds",
                               run->system, "peak_bytes", (json_int_t)run->peak);
    json_t *signal = WIFSIGNALED(run->status) ? json_integer(WTERMSIG(run->status)) : json_null();
    (void)json_object_set_new(object, "signal", signal);
    if (on_cairn) {
        (void)json_object_set_new(object, "other_processes", json_integer(run->others));
        json_t *statistics = run->statistics != NULL ? json_incref(run->statistics) : json_null();
        (void)json_object_set_new(object, "statistics", statistics);
    }
    return object;
}

static json_t *series_object(const struct series *series, bool on_cairn)
{
    json_t *runs = json_array();
    for (unsigned i = 0; i < series->count; i++)
        (void)json_array_append_new(runs, run_object(&series->runs[i], on_cairn));
    return json_pack("{s:f, s:f, s:f, s:I, s:o}", "wall_seconds", results_median(series, FIGURE_WALL),
                     "user_seconds", results_median(series, FIGURE_USER), "system_seconds",
                     results_median(series, FIGURE_SYSTEM), "peak_bytes",
                     (json_int_t)results_median(series, FIGURE_PEAK), "runs", runs);
}

static json_t *ratio(const struct results *results, enum figure figure)
{
    double value = results_ratio(results, figure);
    return value >= 0 ? json_real(value) : json_null();
}

static json_t *results_object(const struct results *results)
{
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:i, s:o}", "version", cairn_version(), "program",
                  json_text(results->file), "arguments", strings(results->arguments), "library",
                  json_text(results->library), "conf", json_text(results->conf), "rounds",
                  (int)results->rounds, "cairn", series_object(&results->series[ON_CAIRN], true));
    if (!results->compare)
        return object;
    (void)json_object_set_new(object, "system", series_object(&results->series[ON_SYSTEM], false));
    (void)json_object_set_new(object, "ratio",
                              json_pack("{s:o, s:o, s:o}", "wall", ratio(results, FIGURE_WALL), "cpu",
                                        ratio(results, FIGURE_CPU), "peak", ratio(results, FIGURE_PEAK)));
    return object;
}

bool json_write(const struct results *results, FILE *out)
{
    json_t *object = results_object(results);
    if (object == NULL) {
        errno = ENOMEM;
        return false;
    }
    errno = EIO;
    bool good = json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                fputc('\n', out) != EOF && fflush(out) == 0;
    json_decref(object);
    return good;
}
