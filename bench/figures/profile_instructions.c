/* profile_instructions.c - as profile.c, counted instead of timed: the instructions of real programs with a heap profile
 * at the default rate over those without, by valgrind's callgrind, so whatever else the machine does makes no difference.
 * Short runs, because callgrind takes 50 times as long; a compiler's would not be short. */
#include "programs.h"

/* The sum over all processes of the run, bash and the program. */
static double instructions(const char *program, const char *conf)
{
    char line[1000];
    double sum = 0, count;
    int ends[2];
    if (pipe(ends) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], 2);
        (void)setenv("CAIRN_BENCH_WRAPPER",
                     "valgrind --tool=callgrind --callgrind-out-file=/dev/null --trace-children=yes", 1);
        programs_become(program, "0.05", conf);
    }
    (void)close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    while (from != NULL && fgets(line, sizeof line, from) != NULL) {
        const char *found = strstr(line, "Collected : ");
        if (found != NULL && sscanf(found, "Collected : %lf", &count) == 1)
            sum += count;
    }
    (void)programs_wait(child, program);
    if (from == NULL || fclose(from) != 0 || sum == 0) {
        (void)fprintf(stderr, "%s was not counted\n", program);
        exit(1);
    }
    return sum;
}

static void measure(const char *program)
{
    char name[100];
    (void)snprintf(name, sizeof name, "profile_instructions_%s", program);
    figure_print(name, instructions(program, PROGRAMS_PROFILE) / instructions(program, ""), "<=1.03", "x",
                 "instructions with a profile / without");
}

int main(void)
{
    if (system("command -v valgrind >/dev/null") != 0) {
        (void)fprintf(stderr, "valgrind is missing\n");
        return 1;
    }
    measure("python");
    measure("python-malloc");
    measure("sqlite");
    measure("lua");
    return 0;
}
