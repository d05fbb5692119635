/* launch.c - see launch.h.
 *
 * The program is started by fork and exec, not by posix_spawn: Linux takes the memory of the process that calls
 * exec for the lowest peak of the program that follows.  A forked child has its own count, of the few pages that
 * it touches; one that shares the memory of the command would bring in all of it, more than a small program has. */
#include "launch.h"

#include "cli.h"
#include "library.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- Environment --------------------------------------------------------------------------------- */

char **launch_environment(const char *preload, const char *conf)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **environment = allocate(count + 3, sizeof *environment);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) /* conf.c has taken CAIRN_CONF out */
        if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0)
            environment[kept++] = text_of("%s", environ[i]);
    if (preload != NULL && *preload != 0)
        environment[kept++] = text_of("LD_PRELOAD=%s", preload);
    if (conf != NULL && *conf != 0)
        environment[kept++] = text_of("CAIRN_CONF=%s", conf);
    return environment;
}

void launch_prepare(struct launch *launch, const char *library, const char *conf)
{
    char *others = library_removed(getenv("LD_PRELOAD"), library);
    char *preload = text_of("%s%s%s", library, *others != 0 ? ":" : "", others);
    char *with_statistics = text_of("%s%sstats:exit,stats_format:json,stats_file:%s/%%p", conf,
                                    *conf != 0 ? "," : "", launch->folder);
    launch->environments[ON_CAIRN] = launch_environment(preload, with_statistics);
    launch->environments[ON_SYSTEM] = launch_environment(others, conf_given());
    free(with_statistics);
    free(preload);
    free(others);
}

void launch_release(struct launch *launch)
{
    for (int i = 0; i < ALLOCATOR_COUNT; i++) {
        for (char **entry = launch->environments[i]; entry != NULL && *entry != NULL; entry++)
            free(*entry);
        free(launch->environments[i]);
    }
}

/* ---- Signals ------------------------------------------------------------------------------------- */

static const int caught[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
#define CAUGHT_COUNT (sizeof caught / sizeof caught[0])

static atomic_int running; /* process id, 0: none */
static atomic_bool interrupted;

/* What the terminal sends goes to the program as well, as it is in the same process group; what a process sends
 * to the command alone is passed on. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    atomic_store(&interrupted, true);
    pid_t child = atomic_load(&running);
    if (child > 0 && info->si_code <= 0) /* SI_USER and its like: not from the kernel */
        (void)kill(child, number);
    errno = saved;
}

void launch_catch_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CAUGHT_COUNT; i++) {
        struct sigaction old;
        if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(caught[i], &action, NULL);
    }
}

bool launch_interrupted(void)
{
    return atomic_load(&interrupted);
}

static void block_signals(sigset_t *old)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < CAUGHT_COUNT; i++)
        (void)sigaddset(&set, caught[i]);
    (void)sigprocmask(SIG_BLOCK, &set, old);
}

/* In the child: our handler goes before the signals may come, so that none is swallowed before exec. */
static void restore_signals(const sigset_t *mask)
{
    for (size_t i = 0; i < CAUGHT_COUNT; i++) {
        struct sigaction action;
        if (sigaction(caught[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)signal(caught[i], SIG_DFL);
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
}

/* ---- Statistics ---------------------------------------------------------------------------------- */

static json_t *read_statistics(const char *folder, pid_t pid)
{
    char *file = text_of("%s/%d", folder, (int)pid);
    json_t *statistics = NULL;
    json_error_t error;
    if (access(file, F_OK) == 0) {
        statistics = json_load_file(file, 0, &error);
        if (statistics == NULL)
            complain("the statistics cannot be read: %s", error.text);
    }
    free(file);
    return statistics;
}

unsigned launch_empty_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    unsigned count = 0;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.' && unlinkat(dirfd(entries), entry->d_name, 0) == 0)
            count++;
    if (entries != NULL)
        (void)closedir(entries);
    return count;
}

/* ---- Running ------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* The child's part; what exec has against it goes through the pipe. */
static _Noreturn void become(const struct launch *launch, enum allocator allocator, const sigset_t *mask,
                             int report)
{
    restore_signals(mask);
    (void)execve(launch->file, launch->arguments, launch->environments[allocator]);
    int why = errno;
    ssize_t ignored = write(report, &why, sizeof why);
    (void)ignored;
    _exit(STATUS_TROUBLE);
}

/* 0 once the child has become the program, else why it could not. */
static int exec_error(int report)
{
    int why = 0;
    ssize_t got;
    do
        got = read(report, &why, sizeof why);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof why ? why : 0;
}

/* Starts the child and gives its process id, or -1 with errno. */
static pid_t start(const struct launch *launch, enum allocator allocator, int *report)
{
    int ends[2];
    sigset_t mask;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    block_signals(&mask);
    pid_t child = fork();
    if (child == 0)
        become(launch, allocator, &mask, ends[1]);
    int why = errno;
    atomic_store(&running, child > 0 ? child : 0);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    (void)close(ends[1]);
    *report = ends[0];
    if (child < 0)
        (void)close(ends[0]);
    errno = why;
    return child;
}

/* The process stays a zombie, and its number its own, until no handler can use that number any more. */
static void await(pid_t child, struct outcome *out)
{
    siginfo_t info;
    struct rusage usage = {0};
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    atomic_store(&running, 0);
    while (wait4(child, &out->status, 0, &usage) < 0 && errno == EINTR) {}
    out->user = seconds(usage.ru_utime);
    out->system = seconds(usage.ru_stime);
    out->peak = (uint64_t)usage.ru_maxrss << 10;
}

int launch_run(const struct launch *launch, enum allocator allocator, struct outcome *out)
{
    int report;
    *out = (struct outcome){0};
    double begin = now();
    pid_t child = start(launch, allocator, &report);
    if (child < 0) {
        complain("no process can be started: %s", strerror(errno));
        return STATUS_TROUBLE;
    }
    int why = exec_error(report);
    (void)close(report);
    await(child, out);
    out->wall = now() - begin;
    if (why != 0) {
        complain("%s cannot be run: %s", launch->file,
                 why == ENOENT ? "the loader that it asks for is missing" : strerror(why));
        return why == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    }
    out->process = child;
    if (launch->folder == NULL)
        return 0;
    if (allocator == ON_CAIRN)
        out->statistics = read_statistics(launch->folder, child);
    unsigned files = launch_empty_folder(launch->folder);
    out->others = files - (files > 0 && out->statistics != NULL);
    return 0;
}
