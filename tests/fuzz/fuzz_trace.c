/* fuzz_trace.c - any bytes as a trace: reading ends with a message or with events in order, and the plan that is made
 * of them can be carried out, by threads that each do what comes next whenever they may.
 *
 * An odd first byte: the rest is the file.  Otherwise the rest is the contents of chunks of events, in a good file. */
#include "cli/plan.c"
#include "cli/table.c"
#include "cli/trace_read.c"

#include <stdarg.h>
#include <stdio.h>

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* ---- What main.c has for the command --------------------------------------------------------------- */

static unsigned complaints;

void complain(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    MUST(length > 0);
    complaints++;
}

void *allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    MUST(block != NULL);
    return block;
}

/* ---- Carrying a plan out --------------------------------------------------------------------------- */

struct run {
    struct plan_header header;
    struct plan_thread *threads;
    struct plan_step *steps;
    uint32_t *remaining;
    uint64_t *at; /* per thread: the next step */
    bool *begun;
    bool *full; /* per slot */
    uint32_t completed;
};

static void *read_part(int fd, uint64_t offset, uint64_t size)
{
    void *part = calloc(1, size + 1);
    MUST(part != NULL && pread(fd, part, size, (off_t)offset) == (ssize_t)size);
    return part;
}

/* Does the thread's next step if it need not wait. */
static bool step(struct run *run, uint64_t number)
{
    const struct plan_thread *thread = &run->threads[number];
    if (!run->begun[number] || run->at[number] == thread->count)
        return false;
    const struct plan_step *step = &run->steps[thread->first + run->at[number]];
    switch (step->kind) {
    case PLAN_MALLOC:
    case PLAN_CALLOC:
    case PLAN_ALIGNED:
        MUST(step->slot < run->header.slots && step->size < SIZE_LIMIT);
        if (run->full[step->slot])
            return false;
        run->full[step->slot] = true;
        break;
    case PLAN_REALLOC:
        MUST(step->slot < run->header.slots && step[1].slot < run->header.slots && step[1].kind == PLAN_INTO);
        if (!run->full[step->slot] || run->full[step[1].slot])
            return false;
        run->full[step->slot] = false;
        run->full[step[1].slot] = true;
        run->at[number]++;
        break;
    case PLAN_FREE:
        MUST(step->slot < run->header.slots);
        if (!run->full[step->slot])
            return false;
        run->full[step->slot] = false;
        break;
    case PLAN_START:
        MUST(step->slot < run->header.threads && !run->begun[step->slot]);
        run->begun[step->slot] = true;
        break;
    default:
        MUST(step->kind == PLAN_EPOCH);
        if (step->slot != PLAN_NO_EPOCH && step->slot > run->completed + 1 &&
            (step->done == PLAN_NO_EPOCH || step->count == 0))
            return false;
        if (step->done != PLAN_NO_EPOCH && step->count > 0) {
            MUST(step->done < run->header.epochs && run->remaining[step->done] >= step->count);
            run->remaining[step->done] -= step->count;
            run->steps[thread->first + run->at[number]].count = 0; /* done, but it may have to wait */
        }
        while (run->completed < run->header.epochs && run->remaining[run->completed] == 0)
            run->completed++;
        if (step->slot != PLAN_NO_EPOCH && step->slot > run->completed + 1)
            return false;
    }
    run->at[number]++;
    return true;
}

/* The last thread goes first, and as far as it can: the order most unlike the trace's. */
static void carry_out(int fd)
{
    struct run run = {.completed = 0};
    MUST(pread(fd, &run.header, sizeof run.header, 0) == (ssize_t)sizeof run.header);
    run.threads = read_part(fd, run.header.threads_at, run.header.threads * sizeof *run.threads);
    run.steps = read_part(fd, run.header.steps_at, run.header.steps * sizeof *run.steps);
    run.remaining = read_part(fd, run.header.remaining_at, run.header.epochs * sizeof *run.remaining);
    run.at = allocate(run.header.threads + 1, sizeof *run.at);
    run.begun = allocate(run.header.threads + 1, sizeof *run.begun);
    run.full = allocate(run.header.slots + 1, sizeof *run.full);
    run.begun[0] = true;
    uint64_t left = run.header.steps;
    for (uint64_t before = left + 1; left > 0 && left < before;) {
        before = left;
        left = 0;
        for (uint64_t i = run.header.threads; i-- > 0;) {
            while (step(&run, i)) {}
            left += run.threads[i].count - run.at[i];
        }
    }
    MUST(left == 0); /* or the replay would wait for ever */
    for (uint64_t i = 0; i < run.header.epochs; i++)
        MUST(run.remaining[i] == 0);
    free(run.threads);
    free(run.steps);
    free(run.remaining);
    free(run.at);
    free(run.begun);
    free(run.full);
}

/* ---- The file -------------------------------------------------------------------------------------- */

static void put(int fd, const void *data, size_t size)
{
    MUST(write(fd, data, size) == (ssize_t)size);
}

static void put_header(int fd)
{
    uint8_t header[FILE_HEADER] = MAGIC;
    header[8] = VERSION;
    header[12] = FILE_HEADER;
    header[52] = 8;
    put(fd, header, sizeof header);
}

/* A chunk whose bytes begin with a THREAD record. */
static void put_chunk(int fd, const uint8_t *data, size_t size, uint8_t records, uint8_t thread)
{
    uint8_t head[CHUNK_HEADER] = CHUNK_MAGIC;
    uint8_t first[] = {KIND_THREAD, 0, (uint8_t)(thread % 5 + 1), 1};
    size_t whole = size + sizeof first;
    head[4] = CHUNK_EVENTS;
    head[8] = (uint8_t)whole;
    head[9] = (uint8_t)(whole >> 8);
    head[12] = (uint8_t)(records + 1);
    put(fd, head, sizeof head);
    put(fd, first, sizeof first);
    put(fd, data, size);
}

/* "LENGTH RECORDS THREAD bytes..." again and again. */
static void put_chunks(int fd, const uint8_t *data, size_t size)
{
    put_header(fd);
    while (size > 3) {
        size_t length = data[0] < size - 3 ? data[0] : size - 3;
        put_chunk(fd, data + 3, length, data[1] % 64, data[2]);
        data += length + 3;
        size -= length + 3;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[64];
    struct trace trace;
    struct plan_sums sums;
    if (size == 0)
        return 0;
    int file = memfd_create("trace", MFD_CLOEXEC), plan = memfd_create("plan", MFD_CLOEXEC);
    MUST(file >= 0 && plan >= 0);
    if (data[0] % 2 != 0)
        put(file, data + 1, size - 1);
    else
        put_chunks(file, data + 1, size - 1);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", file);
    complaints = 0;
    if (trace_read(&trace, name)) {
        MUST(complaints == 0);
        for (size_t i = 1; i < trace.count; i++)
            MUST(trace.events[i - 1].time <= trace.events[i].time);
        MUST(plan_make(&trace, plan, &sums));
        carry_out(plan);
        trace_release(&trace);
    } else {
        MUST(complaints == 1);
    }
    (void)close(file);
    (void)close(plan);
    return 0;
}
