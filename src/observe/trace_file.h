/* trace_file.h - writes the trace of a program's allocations to a file.
 *
 * docs/trace-format.md has the format, byte by byte.  Any thread may put events at any time; none waits for
 * another, but for the moment in which a full buffer goes to the file.  Nothing here allocates from a heap.
 *
 * Lanes.  Events are encoded into one of LANES buffers, each with a `busy` word.  A thread looks for the lane
 * that it used last, by its key; as long as there are no more threads than lanes, each has one to itself and
 * pays one compare-and-swap.  A lane that holds another thread's events can be taken over: a THREAD record
 * says so.  So a thread's events may be in several lanes, and readers sort by time.
 *
 * Times.  The file's order is nothing, its times are all: an event's time is to be read by trace_file_now
 *    after the call, for what gives a block; before the call, for what takes one;
 *    before, and `took` after, for realloc, which does both.
 * Then two events about one address always have times in the order in which they happened. */
#ifndef OBSERVE_TRACE_FILE_H
#define OBSERVE_TRACE_FILE_H

#include "base/base.h"

enum trace_kind {
    TRACE_MALLOC = 1,
    TRACE_CALLOC = 2,
    TRACE_ALIGNED = 3,
    TRACE_REALLOC = 4,
    TRACE_FREE = 5,
    TRACE_FAILED = 6, /* a call that returned NULL; `failed` says which */
    TRACE_THREAD = 7, /* written here only */
};

struct trace_event {
    enum trace_kind kind;
    enum trace_kind failed; /* with TRACE_FAILED: the call */
    uint64_t time;          /* ticks, see above */
    uint64_t took;          /* realloc: ticks from `time` to its return */
    uintptr_t address;      /* the block; 0 with TRACE_FAILED */
    uintptr_t old;          /* realloc: the block that was; else 0 */
    size_t size;            /* as asked for; calloc: the product */
    size_t alignment;       /* aligned: a power of two; else 0 */
    uint32_t site;          /* defined by trace_file_site before; 0: unknown */
    uint32_t heap;          /* which heap or pool; 0: the process heap */
};

struct trace_site {
    uint32_t id;             /* not 0 */
    int line;                /* 0: unknown */
    const char *file, *func; /* NULL: unknown */
    const uintptr_t *frames; /* return addresses, innermost first; may be NULL */
    unsigned frame_count;
};

struct trace_file;

/* Creates (or empties) the file; %p in the name is the process id.  NULL with errno.  One page of address
 * space per 4 KiB of buffers is taken, touched as threads come. */
struct trace_file *trace_file_open(const char *path);

/* `thread_key` identifies the calling thread, and no thread after it: any number but 0.  Fails silently but
 * counted: see trace_file_close. */
void trace_file_put(struct trace_file *file, uint64_t thread_key, const struct trace_event *event);

/* Defines a site: once per id, before the first event with it is put.  Goes to the file at once, so it stands
 * before them there, too. */
void trace_file_site(struct trace_file *file, const struct trace_site *site);

/* Writes out all buffers; events that are put meanwhile may or may not be among them. */
void trace_file_flush(struct trace_file *file);

/* Writes what is left, the process's mappings and an end mark, and closes the file; events that still come are dropped,
 * until trace_file_again takes them into another file.  False with errno, from _end when some of the trace is missing,
 * from _again as trace_file_open. */
bool trace_file_end(struct trace_file *file);
bool trace_file_again(struct trace_file *file, const char *path);

/* trace_file_end, and frees `file`; nobody may be in, or come into, a call on `file`.
 * False with errno when some of the trace is missing, as the file did not take it. */
bool trace_file_close(struct trace_file *file);

/* Around fork: no lane stays busy.  The child has to abandon the file: what is in the buffers is the
 * parent's, and goes away without being written. */
void trace_file_before_fork(struct trace_file *file);
void trace_file_after_fork_parent(struct trace_file *file);
void trace_file_abandon_in_child(struct trace_file *file);

/* The clock of the events. */
uint64_t trace_file_now(const struct trace_file *file);

/* How many events were put so far, and how many of them were lost. */
uint64_t trace_file_events(const struct trace_file *file, uint64_t *lost);

#endif
