/* profile.c - what a heap profile at the default rate costs real programs: processor time of bench/programs with the
 * profile on over that with it off, in turns.  A profile that is off costs nothing to compare: the instructions of
 * malloc and free are the same. */
#include "figures.h"

#include <cairn/cairn.h>
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 7 };

static char library[PATH_MAX], programs[PATH_MAX];

/* Seconds of processor time, children's children included; the program ends this one if it fails. */
static double cpu_seconds(const char *program, const char *conf)
{
    char path[2 * PATH_MAX];
    struct rusage usage;
    int status;
    (void)snprintf(path, sizeof path, "%s/%s.sh", programs, program);
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("CAIRN_BENCH_PRELOAD", library, 1);
        (void)setenv("CAIRN_CONF", conf, 1);
        if (freopen("/dev/null", "w", stdout) != NULL)
            (void)execl("/bin/bash", "bash", path, "0.3", (char *)NULL);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
        (void)fprintf(stderr, "%s failed\n", path);
        exit(1);
    }
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void measure(const char *program)
{
    static const char on[] = "profile:on,profile_file:/dev/null";
    double ratio[ROUNDS];
    char name[100];
    (void)cpu_seconds(program, ""); /* warm */
    for (int i = 0; i < ROUNDS; i++) {
        double first = cpu_seconds(program, i % 2 == 0 ? on : "");
        double second = cpu_seconds(program, i % 2 == 0 ? "" : on);
        ratio[i] = i % 2 == 0 ? first / second : second / first;
    }
    (void)snprintf(name, sizeof name, "profile_%s", program);
    figure_print(name, figure_median(ratio, ROUNDS), "<=1.03", "x",
                 "processor time with a profile / without");
}

int main(void)
{
    Dl_info info;
    char source[] = __FILE__;
    (void)snprintf(programs, sizeof programs, "%s/../programs", dirname(source));
    if (dladdr((void *)(uintptr_t)cairn_malloc, &info) == 0 || realpath(info.dli_fname, library) == NULL)
        return 1;
    measure("sqlite");
    measure("python");
    measure("cc1");
    return 0;
}
