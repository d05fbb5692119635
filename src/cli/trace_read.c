/* trace_read.c - see trace_read.h. */
#include "trace_read.h"

#include "cli.h"
#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "CAIRNTRC"
#define CHUNK_MAGIC "CHNK"
#define VERSION 1
#define FILE_HEADER 64
#define CHUNK_HEADER 40
#define SIZE_LIMIT (UINT64_C(1) << 47) /* no block can be larger, and none lies above */
#define ALIGNMENT_LIMIT 47

enum chunk_type { CHUNK_EVENTS = 1, CHUNK_SITES = 2, CHUNK_MAPPINGS = 3, CHUNK_END = 4 };
enum { KIND_THREAD = 7 }; /* in the file */
enum { KIND_MASK = 0x0f, HAS_SITE = 0x10, HAS_HEAP = 0x20, IN_BYTES = 0x40, UNKNOWN_BITS = 0x80 };
enum { HAS_OLD = 0x80 };

/* ---- Bytes --------------------------------------------------------------------------------------- */

/* A stretch of the file that is read from its front; `wrong` is what was found first, NULL: nothing. */
struct reader {
    const uint8_t *begin, *at, *end; /* begin: of the file */
    const char *wrong;
};

static uint64_t fixed(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint8_t byte(struct reader *r)
{
    if (r->at < r->end)
        return *r->at++;
    if (r->wrong == NULL)
        r->wrong = "a record goes beyond the end of its chunk";
    return 0;
}

static uint64_t varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t next = byte(r);
        if (shift == 63 && next > 1)
            break;
        value |= (uint64_t)(next & 0x7f) << shift;
        if (next < 0x80)
            return value;
    }
    if (r->wrong == NULL)
        r->wrong = "a number has more than 64 bits";
    return 0;
}

static int64_t signed_varint(struct reader *r)
{
    uint64_t value = varint(r);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* ---- Events -------------------------------------------------------------------------------------- */

/* What one record says of the next. */
struct running {
    struct trace *trace;
    struct table *threads; /* from a thread's key to its number + 1 */
    uint64_t time, address;
    uint32_t thread;
};

static void keep(struct trace *trace, const struct trace_event *event)
{
    if (trace->count == trace->room) {
        trace->room = trace->room > 0 ? trace->room + trace->room / 2 : 4096;
        trace->events = realloc(trace->events, trace->room * sizeof *trace->events);
        if (trace->events == NULL) {
            complain("%s: out of memory after %zu events", trace->name, trace->count);
            exit(STATUS_TROUBLE);
        }
    }
    trace->events[trace->count++] = *event;
    trace->kinds[event->kind]++;
}

static uint64_t read_address(struct reader *r, struct running *run, unsigned shift)
{
    run->address += (uint64_t)signed_varint(r) << shift;
    if ((run->address == 0 || run->address >= SIZE_LIMIT) && r->wrong == NULL)
        r->wrong = "a block has an impossible address";
    return run->address;
}

static uint64_t read_size(struct reader *r)
{
    uint64_t size = varint(r);
    if (size >= SIZE_LIMIT && r->wrong == NULL)
        r->wrong = "a block has an impossible size";
    return size;
}

static uint8_t read_alignment(struct reader *r)
{
    uint8_t alignment = byte(r);
    if (alignment > ALIGNMENT_LIMIT && r->wrong == NULL)
        r->wrong = "a block has an impossible alignment";
    return alignment;
}

static void read_failed(struct reader *r, struct running *run, unsigned shift)
{
    uint8_t call = byte(r);
    (void)varint(r); /* what nobody could give may have any size */
    (void)byte(r);
    if ((call & HAS_OLD) != 0)
        (void)read_address(r, run, shift);
}

static void read_thread(struct reader *r, struct running *run)
{
    uint64_t key = varint(r);
    (void)varint(r); /* the system's number */
    if (key == 0) {
        r->wrong = r->wrong != NULL ? r->wrong : "a thread has the key 0";
        return;
    }
    uint64_t *number = table_put(run->threads, key);
    if (*number == 0)
        *number = ++run->trace->threads;
    run->thread = (uint32_t)*number; /* counts from 1 here, so 0 is nobody */
}

static void read_realloc(struct reader *r, struct running *run, struct trace_event *event, unsigned shift)
{
    event->address = read_address(r, run, shift);
    uint64_t to = read_address(r, run, shift);
    event->size = read_size(r);
    uint64_t took = varint(r);
    keep(run->trace, event);
    event->kind = TRACE_ARRIVE;
    event->address = to;
    event->time = run->time + (took < UINT64_MAX - run->time ? took : 0);
}

/* The fields of an event; the caller adds it. */
static void read_fields(struct reader *r, struct running *run, struct trace_event *event, unsigned shift)
{
    switch (event->kind) {
    case TRACE_MALLOC:
    case TRACE_CALLOC:
    case TRACE_ALIGNED:
        event->address = read_address(r, run, shift);
        event->size = read_size(r);
        if (event->kind == TRACE_ALIGNED)
            event->alignment = read_alignment(r);
        break;
    case TRACE_LEAVE: read_realloc(r, run, event, shift); break;
    case TRACE_FREE: event->address = read_address(r, run, shift); break;
    case TRACE_FAILED: read_failed(r, run, shift); break;
    default: r->wrong = r->wrong != NULL ? r->wrong : "a record is of no known kind";
    }
}

static void read_record(struct reader *r, struct running *run)
{
    uint8_t head = byte(r);
    uint8_t kind = head & KIND_MASK;
    run->time += (uint64_t)signed_varint(r);
    if ((head & UNKNOWN_BITS) != 0 && r->wrong == NULL)
        r->wrong = "a record is of no known kind";
    if (kind == KIND_THREAD) {
        read_thread(r, run);
        return;
    }
    if (run->thread == 0 && r->wrong == NULL)
        r->wrong = "an event is nobody's";
    if (r->wrong != NULL)
        return;
    struct trace_event event = {.time = run->time, .thread = run->thread - 1, .kind = kind};
    event.has_site = (head & HAS_SITE) != 0;
    read_fields(r, run, &event, (head & IN_BYTES) != 0 ? 0 : 3);
    if ((head & HAS_SITE) != 0)
        (void)varint(r);
    if ((head & HAS_HEAP) != 0)
        (void)varint(r);
    if (r->wrong == NULL)
        keep(run->trace, &event);
}

static void read_events(struct reader *r, struct trace *trace, struct table *threads, uint64_t records,
                        uint64_t base)
{
    struct running run = {.trace = trace, .threads = threads, .time = base};
    for (uint64_t i = 0; i < records && r->wrong == NULL; i++)
        read_record(r, &run);
    if (r->wrong == NULL && r->at != r->end)
        r->wrong = "a chunk has more bytes than its records";
}

/* ---- Sorting ------------------------------------------------------------------------------------- */

/* The end of the stretch from `at` on that is in order already. */
static size_t run_end(const struct trace_event *events, size_t at, size_t count)
{
    for (at++; at < count && events[at - 1].time <= events[at].time; at++) {}
    return at;
}

static void merge(struct trace_event *out, const struct trace_event *in, size_t from, size_t middle,
                  size_t to)
{
    size_t a = from, b = middle;
    for (size_t i = from; i < to; i++)
        out[i] = b >= to || (a < middle && in[a].time <= in[b].time) ? in[a++] : in[b++];
}

/* Merges neighbouring runs until there is one: stable, and quick with what lanes leave, long runs. */
static void sort(struct trace *trace)
{
    struct trace_event *from = trace->events;
    if (trace->count == 0 || run_end(from, 0, trace->count) == trace->count)
        return;
    struct trace_event *to = allocate(trace->count, sizeof *to);
    bool sorted = false;
    while (!sorted) {
        for (size_t at = 0, middle, end; at < trace->count; at = end) {
            middle = run_end(from, at, trace->count);
            end = middle < trace->count ? run_end(from, middle, trace->count) : middle;
            merge(to, from, at, middle, end);
            sorted = at == 0 && end == trace->count;
        }
        struct trace_event *other = from;
        from = to;
        to = other;
    }
    free(to);
    trace->events = from;
    trace->room = trace->count;
}

/* ---- The file ------------------------------------------------------------------------------------ */

/* Two points of both clocks: the header's and the last chunk's. */
struct clocks {
    uint64_t first_ns, first_tick, last_ns, last_tick;
};

static void read_end(struct reader *r, struct trace *trace)
{
    if (r->end - r->at < 16) {
        r->wrong = "the end mark is too short";
        return;
    }
    trace->lost = fixed(r->at + 8, 8);
    trace->ended = true;
}

/* One chunk at r->at; false at the end of what can be read. */
static bool read_chunk(struct reader *r, struct trace *trace, struct table *threads, struct clocks *clocks)
{
    const uint8_t *head = r->at;
    size_t left = (size_t)(r->end - head);
    size_t known = left < sizeof CHUNK_MAGIC - 1 ? left : sizeof CHUNK_MAGIC - 1;
    if (left == 0)
        return false;
    if (memcmp(head, CHUNK_MAGIC, known) != 0) {
        r->wrong = "there should be a chunk";
        return false;
    }
    if (left < CHUNK_HEADER || fixed(head + 8, 4) > left - CHUNK_HEADER) {
        trace->cut_at = (uint64_t)(r->end - r->begin);
        return false;
    }
    struct reader body = {r->begin, head + CHUNK_HEADER, head + CHUNK_HEADER + fixed(head + 8, 4), NULL};
    r->at = body.end;
    switch (fixed(head + 4, 2)) {
    case CHUNK_EVENTS: read_events(&body, trace, threads, fixed(head + 12, 4), fixed(head + 16, 8)); break;
    case CHUNK_SITES: trace->sites += fixed(head + 12, 4); break;
    case CHUNK_END: read_end(&body, trace); break;
    default: break; /* mappings, or newer than this reader */
    }
    clocks->last_ns = fixed(head + 24, 8);
    clocks->last_tick = fixed(head + 32, 8);
    if (body.wrong != NULL) {
        r->wrong = body.wrong;
        r->at = body.at;
    }
    return r->wrong == NULL;
}

static void find_tick(struct trace *trace, const struct clocks *clocks, uint64_t given)
{
    double ns = (double)clocks->last_ns - (double)clocks->first_ns;
    double ticks = (double)clocks->last_tick - (double)clocks->first_tick;
    trace->ticks_per_second = 1e9;
    if (given != 0)
        trace->ticks_per_second = (double)given;
    else if (ns > 0 && ticks > 0)
        trace->ticks_per_second = ticks / ns * 1e9;
}

static bool read_header(struct trace *trace, const uint8_t *data, size_t size, size_t *first)
{
    if (size < sizeof MAGIC - 1 || memcmp(data, MAGIC, sizeof MAGIC - 1) != 0) {
        complain("%s: is no trace", trace->name);
        return false;
    }
    if (size < FILE_HEADER) {
        complain("%s: the trace ends within its header", trace->name);
        return false;
    }
    if (fixed(data + 8, 4) != VERSION || data[52] != 8) {
        complain("%s: a trace of version %" PRIu64
                 " with pointers of %d bytes; this command reads version %d with 8",
                 trace->name, fixed(data + 8, 4), data[52], VERSION);
        return false;
    }
    *first = fixed(data + 12, 4);
    if (*first < FILE_HEADER || *first > size) {
        complain("%s: damaged at byte 12: the header has an impossible size", trace->name);
        return false;
    }
    trace->began_ns = fixed(data + 16, 8);
    trace->process = (uint32_t)fixed(data + 48, 4);
    return true;
}

static bool read_data(struct trace *trace, const uint8_t *data, size_t size)
{
    size_t first;
    if (!read_header(trace, data, size, &first))
        return false;
    struct clocks clocks = {fixed(data + 24, 8), fixed(data + 32, 8), 0, 0};
    struct table threads = {NULL, 0, 0};
    struct reader r = {data, data + first, data + size, NULL};
    while (read_chunk(&r, trace, &threads, &clocks)) {}
    table_release(&threads);
    if (r.wrong != NULL) {
        complain("%s: damaged at byte %zu: %s", trace->name, (size_t)(r.at - data), r.wrong);
        return false;
    }
    find_tick(trace, &clocks, fixed(data + 40, 8));
    sort(trace);
    return true;
}

bool trace_read(struct trace *trace, const char *name)
{
    struct stat status;
    void *data = MAP_FAILED;
    *trace = (struct trace){.name = name};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        complain("%s: %s", name, strerror(errno));
    } else if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        complain("%s: is no trace", name);
    } else {
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            complain("%s: %s", name, strerror(errno));
    }
    if (fd >= 0)
        (void)close(fd);
    if (data == MAP_FAILED)
        return false;
    bool good = read_data(trace, data, (size_t)status.st_size);
    (void)munmap(data, (size_t)status.st_size);
    if (!good)
        trace_release(trace);
    return good;
}

void trace_release(struct trace *trace)
{
    free(trace->events);
    trace->events = NULL;
}
