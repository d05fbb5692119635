/* trace_reader.h - reads a trace file by docs/trace-format.md, and by nothing else: it shares no code with the
 * writer.  Any deviation from the page fails the test. */
#ifndef CAIRN_TESTS_TRACE_READER_H
#define CAIRN_TESTS_TRACE_READER_H

#include "check.h"

struct read_event {
    int kind, failed, alignment_log2;
    uint64_t time, took, address, old, size, site, heap, key;
};

struct read_site {
    uint64_t id, line, frames, frame[8];
    char file[700], func[700];
};

struct trace {
    uint8_t *bytes;
    size_t size;
    uint64_t unix_ns, start_ns, start_tick, per_second, pid;
    struct read_event *events;
    size_t event_count, event_room;
    struct read_site *sites;
    size_t site_count;
    size_t chunks, threads, mapping_bytes;
    char *mappings;
    int ended;
    uint64_t end_events, end_lost;
    double ns_per_tick;
};

static inline uint64_t read_fixed(const uint8_t *at, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = bytes; i-- > 0;)
        n = n << 8 | at[i];
    return n;
}

static inline uint64_t read_varint(const uint8_t **at, const uint8_t *end)
{
    uint64_t n = 0;
    for (unsigned shift = 0;; shift += 7) {
        CHECK(*at < end && shift < 70);
        uint8_t byte = *(*at)++;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return n;
    }
}

static inline int64_t read_signed(const uint8_t **at, const uint8_t *end)
{
    uint64_t n = read_varint(at, end);
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static inline uint64_t read_address(const uint8_t **at, const uint8_t *end, uint64_t *last, int in_bytes)
{
    *last += (uint64_t)(read_signed(at, end) * (in_bytes ? 1 : 8));
    return *last;
}

static inline void read_events(struct trace *t, const uint8_t *at, const uint8_t *end, uint64_t records,
                               uint64_t time)
{
    uint64_t address = 0, key = 0;
    for (uint64_t i = 0; i < records; i++) {
        CHECK(at < end);
        struct read_event e = {0};
        unsigned tag = *at++;
        CHECK((tag & 0x80) == 0);
        int in_bytes = (tag & 0x40) != 0;
        e.kind = tag & 15;
        CHECK(e.kind >= 1 && e.kind <= 7 && (i > 0 || e.kind == 7));
        time += (uint64_t)read_signed(&at, end);
        e.time = time;
        if (e.kind == 7) {
            key = read_varint(&at, end);
            CHECK(key != 0 && read_varint(&at, end) != 0);
            t->threads++;
            continue;
        }
        if (e.kind == 6) {
            unsigned call = *at++;
            e.failed = call & 0x7f;
            CHECK(e.failed >= 1 && e.failed <= 4);
            e.size = read_varint(&at, end);
            e.alignment_log2 = *at++;
            if (call & 0x80)
                e.old = read_address(&at, end, &address, in_bytes);
        } else {
            if (e.kind == 4)
                e.old = read_address(&at, end, &address, in_bytes);
            e.address = read_address(&at, end, &address, in_bytes);
            if (e.kind != 5)
                e.size = read_varint(&at, end);
            if (e.kind == 3)
                e.alignment_log2 = *at++;
            if (e.kind == 4)
                e.took = read_varint(&at, end);
        }
        if (tag & 0x10)
            e.site = read_varint(&at, end);
        if (tag & 0x20)
            e.heap = read_varint(&at, end);
        e.key = key;
        if (e.site != 0) {
            size_t k = 0;
            while (k < t->site_count && t->sites[k].id != e.site)
                k++;
            CHECKF(k < t->site_count, "site %llu is used before it is defined", (unsigned long long)e.site);
        }
        if (t->event_count == t->event_room) {
            t->event_room = t->event_room * 2 + 1000;
            t->events = realloc(t->events, t->event_room * sizeof *t->events);
            CHECK(t->events != NULL);
        }
        t->events[t->event_count++] = e;
    }
    CHECK(at == end);
}

static inline void read_text(const uint8_t **at, const uint8_t *end, char *out, size_t room)
{
    uint64_t length = read_varint(at, end);
    CHECK(length < room && length <= (size_t)(end - *at));
    memcpy(out, *at, length);
    out[length] = 0;
    *at += length;
}

static inline void read_sites(struct trace *t, const uint8_t *at, const uint8_t *end, uint64_t records)
{
    for (uint64_t i = 0; i < records; i++) {
        t->sites = realloc(t->sites, (t->site_count + 1) * sizeof *t->sites);
        CHECK(t->sites != NULL);
        struct read_site *s = &t->sites[t->site_count++];
        s->id = read_varint(&at, end);
        CHECK(s->id != 0);
        s->line = read_varint(&at, end);
        read_text(&at, end, s->file, sizeof s->file);
        read_text(&at, end, s->func, sizeof s->func);
        s->frames = read_varint(&at, end);
        for (uint64_t k = 0; k < s->frames; k++) {
            uint64_t frame = read_varint(&at, end);
            if (k < 8)
                s->frame[k] = frame;
        }
    }
    CHECK(at == end);
}

static inline int read_by_time(const void *a, const void *b)
{
    const struct read_event *x = a, *y = b;
    return x->time < y->time ? -1 : x->time > y->time;
}

/* Reads all, and sorts the events by time. */
static inline void read_trace(struct trace *t, const char *path)
{
    memset(t, 0, sizeof *t);
    FILE *in = fopen(path, "rb");
    CHECKF(in != NULL, "%s", path);
    fseek(in, 0, SEEK_END);
    t->size = (size_t)ftell(in);
    rewind(in);
    t->bytes = malloc(t->size + 1);
    CHECK(fread(t->bytes, 1, t->size, in) == t->size);
    fclose(in);
    const uint8_t *at = t->bytes, *end = at + t->size;
    CHECK(t->size >= 64 && memcmp(at, "CAIRNTRC", 8) == 0);
    CHECK(read_fixed(at + 8, 4) == 1 && read_fixed(at + 12, 4) == 64 && at[52] == sizeof(void *));
    t->unix_ns = read_fixed(at + 16, 8);
    t->start_ns = read_fixed(at + 24, 8);
    t->start_tick = read_fixed(at + 32, 8);
    t->per_second = read_fixed(at + 40, 8);
    t->pid = read_fixed(at + 48, 4);
    for (at += 64; at < end;) {
        CHECK(end - at >= 40 && memcmp(at, "CHNK", 4) == 0 && !t->ended);
        uint64_t type = read_fixed(at + 4, 2), size = read_fixed(at + 8, 4), records = read_fixed(at + 12, 4);
        CHECK(size <= (size_t)(end - at) - 40);
        t->ns_per_tick =
            (double)(read_fixed(at + 24, 8) - t->start_ns) / (double)(read_fixed(at + 32, 8) - t->start_tick);
        const uint8_t *inside = at + 40, *next = inside + size;
        t->chunks++;
        if (type == 1) {
            read_events(t, inside, next, records, read_fixed(at + 16, 8));
        } else if (type == 2) {
            read_sites(t, inside, next, records);
        } else if (type == 3) {
            t->mappings = realloc(t->mappings, t->mapping_bytes + size + 1);
            memcpy(t->mappings + t->mapping_bytes, inside, size);
            t->mapping_bytes += size;
            t->mappings[t->mapping_bytes] = 0;
        } else {
            CHECK(type == 4 && size == 16);
            t->end_events = read_fixed(inside, 8);
            t->end_lost = read_fixed(inside + 8, 8);
            t->ended = 1;
        }
        at = next;
    }
    if (t->ended)
        CHECK_EQ(t->event_count, t->end_events);
    qsort(t->events, t->event_count, sizeof *t->events, read_by_time);
}

static inline void read_done(struct trace *t)
{
    free(t->bytes);
    free(t->events);
    free(t->sites);
    free(t->mappings);
}

#endif
