/* profile.c - what a heap profile costs.  At the default rate, real programs: the processor time of bench/programs with
 * the profile on over that with it off, in turns (profile_instructions.c counts).  And a pair of malloc and free after a
 * profile has been stopped over one before, for what stays behind. */
#include "programs.h"

#include <cairn/profile.h>

enum { ROUNDS = 9, PAIRS = 2000000 };

static double lower(double a, double b)
{
    return a < b ? a : b;
}

static double seconds(const char *program, const char *conf)
{
    pid_t child = fork();
    if (child == 0)
        programs_become(program, "0.3", conf);
    return programs_wait(child, program);
}

/* Of the best rounds: what else runs on the machine only ever adds. */
static void measure(const char *program)
{
    double best_on = 1e9, best_off = 1e9;
    char name[100];
    (void)seconds(program, ""); /* warm */
    for (int i = 0; i < ROUNDS; i++) {
        best_on = lower(best_on, seconds(program, PROGRAMS_PROFILE));
        best_off = lower(best_off, seconds(program, ""));
    }
    (void)snprintf(name, sizeof name, "profile_%s", program);
    figure_print(name, best_on / best_off, "<=1.03", "x", "processor time with a profile / without");
}

static double pairs(void)
{
    double start = figure_cpu_now();
    for (int i = 0; i < PAIRS; i++) {
        void *block = cairn_malloc(64);
        figure_use(block);
        cairn_free(block);
    }
    return (figure_cpu_now() - start) / PAIRS;
}

/* A profile can be stopped, but not undone: each round is a process that has had none. */
static double round_of_pairs(void)
{
    int ends[2];
    double ratio = 0;
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        double before = 1e9, after = 1e9;
        for (int i = 0; i < 5; i++)
            before = lower(before, pairs());
        if (cairn_profile_start(0) != 0)
            _exit(1);
        cairn_free(cairn_malloc(64));
        cairn_profile_stop();
        for (int i = 0; i < 5; i++)
            after = lower(after, pairs());
        ratio = after / before;
        _exit(write(ends[1], &ratio, sizeof ratio) == (ssize_t)sizeof ratio ? 0 : 1);
    }
    (void)programs_wait(child, "a child");
    if (read(ends[0], &ratio, sizeof ratio) != (ssize_t)sizeof ratio)
        exit(1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return ratio;
}

int main(void)
{
    double ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ratio[i] = round_of_pairs();
    figure_print("profile_off", figure_median(ratio, ROUNDS), "<=1.01", "x",
                 "malloc and free after a profile was stopped / before it");
    measure("python");
    measure("python-malloc");
    measure("sqlite");
    measure("cc1");
    measure("lua");
    return 0;
}
