/* stepper.h - for tests that run a child one instruction at a time, or from one system call to the next, between the places
 * in its work where it says that they count. */
#ifndef FAULT_STEPPER_H
#define FAULT_STEPPER_H

#include "unit/unit.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned long steps;   /* instructions, or system calls entered or left */
static bool stepper_by_calls; /* which of the two */

/* In the child: from here on, or no longer, every instruction counts. */
static inline void stepper_toggle(void)
{
    raise(SIGUSR2);
}

/* A child that goes through `body` once it is stepped through. */
static inline pid_t stepper_begin(void (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(9);
    raise(SIGSTOP);
    body();
    _exit(0);
}

/* Runs the child to its end, which must be a good one, with `behind` behind each step that counts; `begin` is called where
 * some begin to. */
static inline void stepper_run(pid_t child, void (*begin)(void), void (*behind)(void))
{
    bool stepping = false;
    int status;
    const int step = stepper_by_calls ? PTRACE_SYSCALL : PTRACE_SINGLESTEP;
    assert_int_equal(waitpid(child, &status, 0), child);
    while (WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);
        if (signal == SIGUSR2) {
            stepping = !stepping;
            if (stepping)
                begin();
        } else if (signal == SIGTRAP && stepping) {
            steps++;
            behind();
        } else if (signal != SIGTRAP && signal != SIGSTOP) {
            fail_msg("the child gets signal %d behind step %lu", signal, steps);
        }
        assert_int_equal(ptrace(stepping ? step : PTRACE_CONT, child, NULL, NULL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
