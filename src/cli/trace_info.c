/* trace_info.c - `cairn trace --info FILE`. */
#include "trace_info.h"

#include "cli.h"
#include "numbers.h"
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DOUBLINGS 48

/* Requests of sizes below 2^i, and from 2^(i-1) on. */
struct doubling {
    uint64_t count, bytes;
};

struct sums {
    struct doubling doublings[DOUBLINGS];
    uint64_t bytes;
    double seconds; /* from the first event to the last */
};

static bool asks(const struct trace_event *event)
{
    return event->kind == TRACE_MALLOC || event->kind == TRACE_CALLOC || event->kind == TRACE_ALIGNED ||
           event->kind == TRACE_LEAVE;
}

static void sum_up(const struct trace *trace, struct sums *sums)
{
    memset(sums, 0, sizeof *sums);
    for (size_t i = 0; i < trace->count; i++) {
        const struct trace_event *event = &trace->events[i];
        if (!asks(event))
            continue;
        unsigned doubling = 0;
        while (event->size >> doubling != 0)
            doubling++; /* below 48: reading has seen to that */
        sums->doublings[doubling].count++;
        sums->doublings[doubling].bytes += event->size;
        sums->bytes += event->size;
    }
    if (trace->count > 0)
        sums->seconds =
            (double)(trace->events[trace->count - 1].time - trace->events[0].time) / trace->ticks_per_second;
}

static void print_heading(const struct trace *trace, const struct sums *sums)
{
    char date[64] = "", duration[NUMBER_MAX];
    time_t began = (time_t)(trace->began_ns / 1000000000);
    struct tm local;
    if (localtime_r(&began, &local) != NULL)
        (void)strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
    number_of_seconds(duration, sums->seconds);
    printf("%s: process %" PRIu32 ", %s, %s\n", trace->name, trace->process, date, duration);
}

static void print_count(const char *label, uint64_t count)
{
    char cell[NUMBER_MAX];
    number_of_count(cell, count);
    printf("  %-14s %15s\n", label, cell);
}

static void print_bytes(const char *label, uint64_t bytes)
{
    char cell[NUMBER_MAX];
    number_of_bytes(cell, bytes);
    printf("  %-14s %15s\n", label, cell);
}

static void print_sizes(const struct sums *sums)
{
    char count[NUMBER_MAX], bytes[NUMBER_MAX];
    printf("  %14s %15s %15s\n", "sizes up to", "requests", "bytes");
    for (unsigned i = 0; i < DOUBLINGS; i++) {
        char limit[NUMBER_MAX];
        if (sums->doublings[i].count == 0)
            continue;
        number_of_count(limit, i == 0 ? 0 : (UINT64_C(1) << i) - 1);
        number_of_count(count, sums->doublings[i].count);
        number_of_bytes(bytes, sums->doublings[i].bytes);
        printf("  %14s %15s %15s\n", limit, count, bytes);
    }
}

static void print_end(const struct trace *trace)
{
    if (trace->cut_at > 0)
        printf("  The file ends in the middle of a chunk, at byte %" PRIu64 ".\n", trace->cut_at);
    else if (!trace->ended)
        printf(
            "  There is no end mark: the program was killed, and the last events of its threads are missing.\n");
    if (trace->lost > 0)
        printf("  The file did not take %" PRIu64 " events.\n", trace->lost);
}

int trace_info(const char *name)
{
    struct trace trace;
    struct sums sums;
    struct plan_sums plan;
    if (!trace_read(&trace, name))
        return STATUS_TROUBLE;
    sum_up(&trace, &sums);
    (void)plan_make(&trace, -1, &plan); /* cannot fail without a file */
    print_heading(&trace, &sums);
    print_count("threads", trace.threads);
    print_count("malloc", trace.kinds[TRACE_MALLOC]);
    print_count("calloc", trace.kinds[TRACE_CALLOC]);
    print_count("aligned", trace.kinds[TRACE_ALIGNED]);
    print_count("realloc", trace.kinds[TRACE_LEAVE]);
    print_count("free", trace.kinds[TRACE_FREE]);
    print_count("failed", trace.kinds[TRACE_FAILED]);
    print_count("sites", trace.sites);
    print_bytes("asked for", sums.bytes);
    print_bytes("live at most", plan.peak_bytes);
    print_count("in blocks", plan.peak_blocks);
    print_count("never freed", plan.left);
    print_sizes(&sums);
    print_end(&trace);
    trace_release(&trace);
    return output_written() ? 0 : STATUS_TROUBLE;
}
