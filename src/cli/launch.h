/* launch.h - one run of the program, on Cairn or on the system's allocator, and what it took. */
#ifndef CLI_LAUNCH_H
#define CLI_LAUNCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Constant while runs go on. */
struct launch {
    const char *file; /* what exec gets */
    char **arguments; /* what main gets */
    const char
        *folder; /* for the files with statistics; nothing else may be in it when a run begins; NULL: none */
    char **environments[2];
};

enum allocator { ON_CAIRN, ON_SYSTEM, ALLOCATOR_COUNT };

struct outcome {
    int status;         /* as waitpid has it */
    double wall;        /* seconds */
    double user;        /* seconds; with children that were waited for, as all below */
    double system;      /* seconds */
    uint64_t peak;      /* bytes resident; of the largest process */
    json_t *statistics; /* as the library wrote them; NULL: it did not, or ran on the system's allocator */
    unsigned others;    /* further processes that left statistics */
    pid_t process;      /* its number, which others may have by now */
};

/* The environments for both allocators, from the command's own: `library` at the head of LD_PRELOAD, and
 * `conf` with what makes the library write its statistics into `folder`. */
void launch_prepare(struct launch *launch, const char *library, const char *conf);
void launch_release(struct launch *launch);

/* The command's environment with these two values; NULL or "" leaves the variable out.  For launch_release. */
char **launch_environment(const char *preload, const char *conf);

/* From here on signals that end a program are for the one that runs; the command waits for it. */
void launch_catch_signals(void);

/* Has such a signal come? */
bool launch_interrupted(void);

/* Runs the program to its end.  0, or the exit status after a message when it could not be started. */
int launch_run(const struct launch *launch, enum allocator allocator, struct outcome *out);

/* Removes what is in the folder and counts it. */
unsigned launch_empty_folder(const char *folder);

#endif
