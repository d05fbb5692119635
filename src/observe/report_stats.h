/* report_stats.h - writing a heap's statistics where the options say: at exit, on a signal, by call. */
#ifndef OBSERVE_REPORT_STATS_H
#define OBSERVE_REPORT_STATS_H

#include "engine/types.h"

#define STATS_FILE_MAX 1024

struct observe_settings {
    bool stats_at_exit;
    bool stats_json;                 /* else text */
    int stats_signal;                /* 0: none */
    char stats_file[STATS_FILE_MAX]; /* "": standard error; %p in it is the process id */
    char trace_file[STATS_FILE_MAX]; /* "": no trace; as above */
};

extern struct observe_settings observe_settings;

/* Installs the signal handler if one is asked for.  `heap` is what gets reported. */
void observe_start(struct heap *heap);

/* At exit, when the options ask for it. */
void observe_exit(void);

/* False with errno when the file descriptor does not take it. */
bool observe_write_stats(struct heap *heap, int fd, bool json);

#endif
