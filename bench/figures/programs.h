/* programs.h - for figures about real programs: one run of bench/programs/NAME.sh on the library that this one is linked
 * with.  "python-malloc" is python.sh as it stands, every object from malloc; "python" is the same with Python's own
 * allocator for small objects, which is how people run it. */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

#include "figures.h"

#include <cairn/cairn.h>
#include <dlfcn.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child: becomes the program, with CAIRN_CONF as given.  Its output goes nowhere. */
static inline void programs_become(const char *program, const char *scale, const char *conf)
{
    char library[PATH_MAX], path[PATH_MAX + 100];
    const char *folder = strrchr(__FILE__, '/');
    bool own = strcmp(program, "python") == 0;
    Dl_info info;
    (void)snprintf(path, sizeof path, "%.*s/../programs/%s.sh", (int)(folder - __FILE__), __FILE__,
                   strncmp(program, "python", 6) == 0 ? "python" : program);
    if (dladdr((void *)(uintptr_t)cairn_malloc, &info) == 0 || realpath(info.dli_fname, library) == NULL)
        _exit(127);
    (void)setenv("CAIRN_BENCH_PRELOAD", library, 1);
    (void)setenv("CAIRN_BENCH_PYTHONMALLOC", own ? "pymalloc" : "malloc", 1);
    (void)setenv("CAIRN_CONF", conf, 1);
    if (freopen("/dev/null", "w", stdout) != NULL)
        (void)execl("/bin/bash", "bash", path, scale, (char *)NULL);
    _exit(127);
}

/* Seconds that the child and its children computed outside the kernel; ends this program if it failed. */
static inline double programs_wait(pid_t child, const char *program)
{
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
        (void)fprintf(stderr, "%s failed\n", program);
        exit(1);
    }
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec * 1e-6;
}

#define PROGRAMS_PROFILE "profile:on,profile_file:/dev/null"

#endif
