/* profile.h - the heap profile: which stacks have allocated how much, and how much of it is live.
 *
 *   watch.h      tells of blocks: the samples (one in `interval` bytes on the average), or every block
 *   profile.c    the books: sites (one for each stack), locations (each address in them once), live samples
 *   profile_write.c  the books as text and as protocol buffer
 *
 * An estimate: a sampled block of n bytes stands for 1 / (1 - exp(-n / interval)) blocks of its kind, which is right
 * on the average whatever the sizes are.  Sites and locations are entered once and stay, so that the books can be
 * written without a lock, in a signal handler too; live samples are under a lock.  All of it lies in mappings of its
 * own. */
#ifndef OBSERVE_PROFILE_H
#define OBSERVE_PROFILE_H

#include "engine/types.h"

#define PROFILE_FILE_MAX 1024
#define PROFILE_EVERY_BLOCK                                                                                  \
    ((size_t)4096) /* a shorter interval would cost a page for each of few bytes: all are seen */

/* Estimates are kept in this many parts. */
#define PROFILE_PARTS_LOG2 12

enum profile_format { PROFILE_PPROF, PROFILE_TEXT };

struct profile_settings {
    bool at_start;
    bool text;
    int signal; /* 0: none */
    size_t interval;
    char file[PROFILE_FILE_MAX]; /* %p in it is the process id */
};

extern struct profile_settings profile_settings;

/* After the options are known; at exit. */
void profile_begin(struct heap *heap);
void profile_exit(void);

enum profile_started {
    PROFILE_STARTED,
    PROFILE_BUSY,     /* somebody is at work in the books */
    PROFILE_NO_PLACE, /* there are too many watchers */
};

/* A new profile: what an earlier one holds is forgotten.  For any thread, and for signal handlers. */
enum profile_started profile_start(struct heap *heap, size_t interval);
void profile_stop(struct heap *heap);
bool profile_is_on(void);

/* False with errno. */
bool profile_write(int fd, enum profile_format format);

/* ---- For profile_write.c ------------------------------------------------------------------------- */

/* One stack.  Numbers are relaxed atomics, written under the lock. */
struct site {
    struct site *next_in_bucket;
    struct site *next; /* of all sites; constant */
    uint64_t hash;
    uint64_t live_blocks, live_bytes, blocks, bytes; /* in parts */
    uint32_t depth;
    uintptr_t callers[]; /* the innermost first */
};

/* An address in a stack. */
struct location {
    struct location *next_in_bucket;
    struct location *next; /* constant */
    uintptr_t address;
};

/* The heads of the lists, with all that they lead to. */
const struct site *profile_sites(void);
const struct location *profile_locations(void);
size_t profile_interval(void);
uint64_t profile_started_at(void); /* as os_unix_ns */

#endif
