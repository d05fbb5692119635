/* recorder.h - every call of a heap into a trace file (docs/trace-format.md), for programs that know nothing of it. */
#ifndef OBSERVE_RECORDER_H
#define OBSERVE_RECORDER_H

#include "engine/types.h"

/* Starts a trace; %p in the name is the process id, and a child of a fork then gets a trace of its own, which begins
 * with the fork.  `thread_key` gives a number that tells the calling thread from others, not 0.
 * False with errno: EBUSY while one is being written, or as open(2). */
bool recorder_start(struct heap *heap, const char *path, uint64_t (*thread_key)(void));

/* Ends it.  False with errno: EINVAL when there is none, or why some of it is missing in the file. */
bool recorder_stop(struct heap *heap);

#endif
