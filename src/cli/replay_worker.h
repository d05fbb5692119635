/* replay_worker.h - one replay of a plan, in a process of its own, on the malloc that is preloaded into it. */
#ifndef CLI_REPLAY_WORKER_H
#define CLI_REPLAY_WORKER_H

#include <stdint.h>

#define REPLAY_WORKER "--worker" /* the argument by which `cairn replay` starts itself */

enum replay_touch { TOUCH_NONE, TOUCH_PAGES, TOUCH_ALL };

/* What the worker writes to its pipe. */
struct replay_result {
    double wall, user, system; /* seconds */
    uint64_t peak, left; /* resident bytes, beyond those before the first operation: highest, at the end */
    uint64_t failed;     /* calls that returned NULL */
    char allocator[256]; /* file that malloc is in */
};

/* Arguments: PLAN_FD RESULT_FD TOUCH. */
int replay_worker(int argc, char **argv);

#endif
