/* plan.h - what a replay does, step by step: one list of operations for each thread, in a file.
 *
 *   header | remaining[epochs] | threads | operations of thread 0 | of thread 1 | ...
 *
 * Blocks live in slots, numbered boxes: who allocates puts the address into an empty one, who frees takes it out.
 * So a block can be freed by another thread than the one that allocated it, and the one waits for the other.  A
 * realloc goes to another slot, or who frees the block could come before it.
 *
 * Epochs keep the threads together: no thread begins an epoch before all have done what they have to do in the last
 * but one.  Without that a thread could run ahead of those that free what it allocates, and the replay would need
 * memory that the program never did.  Nothing waits for what comes later in the trace, so nothing waits forever. */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "trace_read.h"

#define PLAN_EPOCH_EVENTS 256
#define PLAN_NO_EPOCH UINT32_MAX

enum plan_kind {
    PLAN_MALLOC = 1,
    PLAN_CALLOC,
    PLAN_ALIGNED,
    PLAN_REALLOC, /* takes the block out of `slot`; the next step says where it goes */
    PLAN_INTO,
    PLAN_FREE,
    PLAN_START, /* thread number `slot` begins */
    PLAN_EPOCH, /* `size` operations of epoch `done` (PLAN_NO_EPOCH: none) are done; epoch `slot` begins */
};

struct plan_step {
    uint8_t kind;      /* enum plan_kind */
    uint8_t alignment; /* PLAN_ALIGNED: its binary logarithm */
    uint16_t count;    /* PLAN_EPOCH: what was done in the epoch that ends */
    uint32_t slot;
    union {
        uint64_t size;
        uint32_t done;
    };
};

struct plan_thread {
    uint64_t first, count; /* steps, counted from the first of all */
};

struct plan_header {
    uint64_t threads, epochs, slots, steps;
    uint64_t remaining_at, threads_at, steps_at; /* bytes */
};

/* What the command says about it. */
struct plan_sums {
    uint64_t operations, threads;
    uint64_t unknown;  /* frees of blocks that were there before the trace */
    uint64_t presumed; /* blocks whose free is not in the trace, though their address was given out again */
    uint64_t left;     /* blocks never freed */
    uint64_t peak_bytes, peak_blocks; /* asked for and live at once */
};

/* Writes the plan of a trace to `fd` (negative: nowhere).  False with errno. */
bool plan_make(const struct trace *trace, int fd, struct plan_sums *sums);

#endif
