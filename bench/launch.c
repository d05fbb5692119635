/* launch - runs one program and says how long it took and how much memory it had at its peak.
 *
 *   launch REPORT_FD VARIABLE=VALUE PROGRAM [ARGUMENT...]
 *
 * The variable is set for the program only; with an empty value it is unset.  One line goes to the file
 * descriptor REPORT_FD: "STATUS NANOSECONDS PEAK_KB USER_US SYSTEM_US", where STATUS is the exit status, or
 * 128 plus the signal.  The peak is that of the biggest process among the program and the descendants that
 * were waited for.
 *
 * Why not the runner itself: Linux counts the memory of the process that calls exec into the peak of the
 * program that follows.  A program of 2 MB that a Python script of 10 MB starts is reported with 10 MB.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long microseconds(struct timeval t)
{
    return t.tv_sec * 1000000LL + t.tv_usec;
}

/* In the child: never returns. */
static void start(char *assignment, char **program)
{
    char *value = strchr(assignment, '=');
    *value++ = '\0';
    int failed = *value == '\0' ? unsetenv(assignment) : setenv(assignment, value, 1);
    if (failed == 0) {
        (void)execvp(program[0], program);
    }
    (void)fprintf(stderr, "launch: %s: %s\n", program[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    int report = argc < 4 ? -1 : atoi(argv[1]);
    if (report <= 2 || strchr(argv[2], '=') == NULL || fcntl(report, F_SETFD, FD_CLOEXEC) != 0) {
        (void)fprintf(stderr, "usage: launch REPORT_FD VARIABLE=VALUE PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    long long begin = now();
    pid_t child = fork();
    if (child == 0) {
        start(argv[2], argv + 3);
    }
    int status = 0;
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    pid_t ended = -1;
    while (child > 0 && (ended = wait4(child, &status, 0, &usage)) < 0 && errno == EINTR) {}
    long long end = now();
    if (ended < 0) {
        perror("launch");
        return 2;
    }
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    int written = dprintf(report, "%d %lld %ld %lld %lld\n", code, end - begin, usage.ru_maxrss,
                          microseconds(usage.ru_utime), microseconds(usage.ru_stime));
    return written > 0 ? 0 : 2;
}
