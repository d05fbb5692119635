/* trace_read.h - a trace file in memory, its events in the order in which they happened.
 * docs/trace-format.md has the form; nothing in a file is believed before it is checked. */
#ifndef CLI_TRACE_READ_H
#define CLI_TRACE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A realloc is two events: it leaves the old block, and arrives at the new one. */
enum trace_kind {
    TRACE_MALLOC = 1,
    TRACE_CALLOC = 2,
    TRACE_ALIGNED = 3,
    TRACE_LEAVE = 4, /* `size` is the new one */
    TRACE_FREE = 5,
    TRACE_FAILED = 6,
    TRACE_ARRIVE = 7,
    TRACE_KINDS = 8
};

struct trace_event {
    uint64_t time;     /* ticks */
    uint64_t address;  /* of the block; 0 with TRACE_FAILED */
    uint64_t size;     /* as asked for */
    uint32_t thread;   /* numbered from 0 in the order of the file */
    uint8_t kind;      /* enum trace_kind */
    uint8_t alignment; /* TRACE_ALIGNED: its binary logarithm */
    uint16_t has_site; /* 1: the place in the code is known */
};

struct trace {
    const char *name;
    struct trace_event *events; /* sorted by time; those of one time in the order of the file */
    size_t count, room;
    uint64_t kinds[TRACE_KINDS]; /* how many of each */
    uint32_t threads;
    uint64_t began_ns; /* since 1970 */
    uint32_t process;
    double ticks_per_second;
    uint64_t sites;
    uint64_t lost;   /* events, as the end mark says */
    bool ended;      /* there is an end mark */
    uint64_t cut_at; /* byte at which the file ends in the middle of a chunk; 0: it does not */
};

/* False after a message.  A file that was cut off, as by the death of its writer, is read as far as it goes. */
bool trace_read(struct trace *trace, const char *name);
void trace_release(struct trace *trace);

#endif
