/* trace_file.c - see trace_file.h, and docs/trace-format.md for every byte that is written here.
 *
 * Invariants of a lane while it is not busy: used <= LANE_BYTES - RECORD_MAX, so the next record fits;
 * records == number of records in the buffer; used == CHUNK_HEADER exactly if records == 0. */
#include "observe/trace_file.h"

#include "base/atomic.h"
#include "base/cpu.h"
#include "base/print.h"
#include "os/lock.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define LANES 128 /* a power of two */
#define PROBES 8  /* lanes that a thread looks at for its own */
#define LANE_BYTES ((size_t)32 * KiB)
#define RECORD_MAX 96 /* a THREAD record and the longest other one */
#define NAME_BYTES 1024
#define VERSION 1
#define FILE_HEADER 64
#define CHUNK_HEADER 40
#define SITE_BYTES 2048 /* of one site's chunk: names are cut, frames left out */
#define SITE_NAME_MAX 600
#define SITE_FRAMES_MAX 64

enum chunk_type { CHUNK_EVENTS = 1, CHUNK_SITES = 2, CHUNK_MAPPINGS = 3, CHUNK_END = 4 };
enum { HAS_SITE = 0x10, HAS_HEAP = 0x20, IN_BYTES = 0x40, HAS_OLD = 0x80 };

/* Whoever sets `busy` owns the rest; `key` is looked at by others. */
struct lane {
    uint32_t busy;    /* 1: a thread is at it; atomic */
    uint32_t records; /* in the buffer */
    uint64_t key;     /* the thread that the latest records are of; 0: nobody's; atomic */
    uint64_t base;    /* the time that the buffer's first record counts from */
    uint64_t time;    /* of the latest record */
    uintptr_t address;
    size_t used;                /* bytes of the buffer, the chunk's header included */
    uint64_t events, lost;      /* kinds 1 to 6, since the file was opened; atomic for readers */
    uint32_t unwritten;         /* events in the buffer */
    uint8_t buffer[LANE_BYTES]; /* as it goes to the file */
};

struct trace_file {
    int fd;
    int error;        /* errno of the first write that failed; 0: none; under `writing` */
    bool ended;       /* nothing is written any more; under `writing` */
    uint64_t written; /* events in the file; under `writing` */
    bool by_counter;  /* ticks are the processor's, not nanoseconds; constant */
    struct lock writing;
    struct lane lanes[LANES];
};

uint64_t trace_file_now(const struct trace_file *file)
{
    return file->by_counter ? cpu_ticks() : os_now_ns();
}

/* ---- Encoding ------------------------------------------------------------------------------------ */

ALWAYS_INLINE uint8_t *put_varint(uint8_t *at, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *at++ = (uint8_t)n | 0x80;
    *at++ = (uint8_t)n;
    return at;
}

ALWAYS_INLINE uint8_t *put_signed(uint8_t *at, int64_t n)
{
    return put_varint(at, (uint64_t)n << 1 ^ (uint64_t)(n >> 63));
}

static uint8_t *put_fixed(uint8_t *at, uint64_t n, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *at++ = (uint8_t)(n >> 8 * i);
    return at;
}

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t length = text != NULL ? strnlen(text, SITE_NAME_MAX) : 0;
    at = put_varint(at, length);
    memcpy(at, text != NULL ? text : "", length);
    return at + length;
}

static unsigned alignment_log2(size_t alignment)
{
    return alignment != 0 ? (unsigned)__builtin_ctzll(alignment) : 0;
}

/* ---- The file ------------------------------------------------------------------------------------ */

/* Under `writing`, or with nobody else about.  After one failure nothing more is written: what came after a
 * hole could not be read. */
static bool write_out(struct trace_file *file, const void *data, size_t size)
{
    int saved = os_errno_get();
    if (file->error == 0 && !file->ended && !os_write(file->fd, data, size))
        file->error = os_errno_get();
    os_errno_set(saved);
    return file->error == 0 && !file->ended;
}

/* What the header of a chunk says of it; and how many of the records are events. */
struct chunk {
    enum chunk_type type;
    unsigned lane;
    uint32_t records, events;
    uint64_t base;
};

/* Fills in the header in front of a chunk's contents and writes both.  Under `writing`. */
static bool write_locked(struct trace_file *file, uint8_t *bytes, size_t size, const struct chunk *chunk)
{
    uint8_t *at = bytes;
    memcpy(at, (const char[]){'C', 'H', 'N', 'K'}, 4);
    at = put_fixed(at + 4, chunk->type, 2);
    at = put_fixed(at, chunk->lane, 2);
    at = put_fixed(at, size - CHUNK_HEADER, 4);
    at = put_fixed(at, chunk->records, 4);
    at = put_fixed(at, chunk->base, 8);
    at = put_fixed(at, os_now_ns(), 8);
    (void)put_fixed(at, trace_file_now(file), 8);
    bool done = write_out(file, bytes, size);
    if (done)
        file->written += chunk->events;
    return done;
}

static bool write_chunk(struct trace_file *file, uint8_t *bytes, size_t size, const struct chunk *chunk)
{
    lock_take(&file->writing);
    bool done = write_locked(file, bytes, size, chunk);
    lock_release(&file->writing);
    return done;
}

static bool write_file_header(struct trace_file *file)
{
    uint8_t header[FILE_HEADER] = {0};
    uint8_t *at = header;
    memcpy(at, "CAIRNTRC", 8);
    at = put_fixed(at + 8, VERSION, 4);
    at = put_fixed(at, FILE_HEADER, 4);
    at = put_fixed(at, os_unix_ns(), 8);
    at = put_fixed(at, os_now_ns(), 8);
    at = put_fixed(at, trace_file_now(file), 8);
    at = put_fixed(at, file->by_counter ? 0 : 1000000000, 8);
    at = put_fixed(at, os_process_id(), 4);
    (void)put_fixed(at, sizeof(void *), 1);
    return write_out(file, header, sizeof header);
}

/* Out of the way of programs that close or reuse low descriptors. */
static int create(const char *path)
{
    char name[NAME_BYTES];
    os_expand_name(name, sizeof name, path);
    int low = os_create_file(name);
    int high = low >= 0 ? os_duplicate(low) : -1;
    if (high < 0)
        return low;
    os_close(low);
    return high;
}

/* The file begins; its lanes are empty. */
static bool begin(struct trace_file *file, const char *path)
{
    int fd = create(path);
    if (fd < 0)
        return false;
    lock_take(&file->writing);
    file->fd = fd;
    file->error = 0;
    file->written = 0;
    file->ended = false;
    bool good = write_file_header(file);
    file->ended = !good;
    int error = file->error;
    lock_release(&file->writing);
    if (!good) {
        os_close(fd);
        os_errno_set(error);
    }
    return good;
}

struct trace_file *trace_file_open(const char *path)
{
    struct trace_file *file = os_map(NULL, align_up(sizeof *file, os_page_size()));
    if (file == NULL) {
        os_errno_set(ENOMEM);
        return NULL;
    }
    file->writing.rank = LOCK_RANK_TRACE;
    file->by_counter = CPU_HAS_TICKS && os_clock_is_counter();
    for (unsigned i = 0; i < LANES; i++)
        file->lanes[i].used = CHUNK_HEADER;
    if (begin(file, path))
        return file;
    int error = os_errno_get();
    (void)os_unmap(file, align_up(sizeof *file, os_page_size()));
    os_errno_set(error);
    return NULL;
}

/* ---- Lanes --------------------------------------------------------------------------------------- */

/* The calling thread has the lane.  Leaves nothing in the buffer. */
static void lane_flush(struct trace_file *file, struct lane *lane)
{
    if (lane->records == 0)
        return;
    struct chunk chunk = {CHUNK_EVENTS, (unsigned)(lane - file->lanes), lane->records, lane->unwritten,
                          lane->base};
    if (!write_chunk(file, lane->buffer, lane->used, &chunk))
        count_up(&lane->lost, lane->unwritten);
    lane->used = CHUNK_HEADER;
    lane->records = lane->unwritten = 0;
    store_relaxed(&lane->key, 0); /* a chunk begins with a THREAD record */
}

static bool lane_try(struct lane *lane)
{
    uint32_t expected = 0;
    return load_relaxed(&lane->busy) == 0 &&
           cas_acquire(&lane->busy, &expected, 1); /* pairs with lane_release */
}

static void lane_release(struct lane *lane)
{
    store_release(&lane->busy, 0);
}

/* Tries those near `home` whose key is `key`. */
static struct lane *lane_of_key(struct trace_file *file, size_t home, uint64_t key)
{
    for (size_t i = 0; i < PROBES; i++) {
        struct lane *lane = &file->lanes[(home + i) % LANES];
        if (load_relaxed(&lane->key) != key || !lane_try(lane))
            continue;
        if (lane->key == key)
            return lane;
        lane_release(lane); /* it was taken over in between */
    }
    return NULL;
}

/* The thread's lane of before, or a lane that is nobody's, or any that is not busy. */
static struct lane *lane_take(struct trace_file *file, uint64_t key)
{
    size_t home = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % LANES;
    struct lane *lane = lane_of_key(file, home, key);
    if (LIKELY(lane != NULL))
        return lane;
    lane = lane_of_key(file, home, 0);
    while (lane == NULL) {
        for (size_t i = 0; i < LANES && lane == NULL; i++)
            if (lane_try(&file->lanes[(home + i) % LANES]))
                lane = &file->lanes[(home + i) % LANES];
        if (lane == NULL)
            os_yield();
    }
    return lane;
}

/* Says in the lane that what follows is another thread's. */
COLD static void lane_new_thread(struct lane *lane, uint64_t key, uint64_t time)
{
    if (lane->records == 0) {
        lane->base = lane->time = time;
        lane->address = 0;
    }
    uint8_t *at = lane->buffer + lane->used;
    *at++ = TRACE_THREAD;
    at = put_signed(at, (int64_t)(time - lane->time));
    at = put_varint(at, key);
    at = put_varint(at, os_thread_number());
    lane->used = (size_t)(at - lane->buffer);
    lane->time = time;
    lane->records++;
    store_relaxed(&lane->key, key);
}

/* ---- Events -------------------------------------------------------------------------------------- */

ALWAYS_INLINE uint8_t *put_address(uint8_t *at, struct lane *lane, uintptr_t address, unsigned shift)
{
    int64_t distance = (int64_t)(address - lane->address);
    lane->address = address;
    return put_signed(at, distance >> shift);
}

static uint8_t *put_failed(uint8_t *at, struct lane *lane, const struct trace_event *event, unsigned shift)
{
    *at++ = (uint8_t)(event->failed | (event->old != 0 ? HAS_OLD : 0));
    at = put_varint(at, event->size);
    *at++ = (uint8_t)alignment_log2(event->alignment);
    return event->old != 0 ? put_address(at, lane, event->old, shift) : at;
}

static uint8_t *put_fields(uint8_t *at, struct lane *lane, const struct trace_event *event, unsigned shift)
{
    if (event->kind == TRACE_FAILED)
        return put_failed(at, lane, event, shift);
    if (event->kind == TRACE_REALLOC)
        at = put_address(at, lane, event->old, shift);
    at = put_address(at, lane, event->address, shift);
    if (event->kind == TRACE_FREE)
        return at;
    at = put_varint(at, event->size);
    if (event->kind == TRACE_ALIGNED)
        *at++ = (uint8_t)alignment_log2(event->alignment);
    if (event->kind == TRACE_REALLOC)
        at = put_varint(at, event->took);
    return at;
}

static void lane_put(struct lane *lane, const struct trace_event *event)
{
    bool in_bytes = ((event->address | event->old | lane->address) & 7) != 0;
    uint8_t *at = lane->buffer + lane->used;
    *at++ = (uint8_t)(event->kind | (event->site != 0 ? HAS_SITE : 0) | (event->heap != 0 ? HAS_HEAP : 0) |
                      (in_bytes ? IN_BYTES : 0));
    at = put_signed(at, (int64_t)(event->time - lane->time));
    lane->time = event->time;
    at = put_fields(at, lane, event, in_bytes ? 0 : 3);
    if (event->site != 0)
        at = put_varint(at, event->site);
    if (event->heap != 0)
        at = put_varint(at, event->heap);
    lane->used = (size_t)(at - lane->buffer);
    lane->records++;
    lane->unwritten++;
    count_one(&lane->events);
}

void trace_file_put(struct trace_file *file, uint64_t thread_key, const struct trace_event *event)
{
    struct lane *lane = lane_take(file, thread_key);
    if (UNLIKELY(lane->key != thread_key))
        lane_new_thread(lane, thread_key, event->time);
    lane_put(lane, event);
    if (UNLIKELY(lane->used > LANE_BYTES - RECORD_MAX))
        lane_flush(file, lane);
    lane_release(lane);
}

void trace_file_site(struct trace_file *file, const struct trace_site *site)
{
    uint8_t chunk[CHUNK_HEADER + SITE_BYTES];
    uint8_t *at = chunk + CHUNK_HEADER;
    struct chunk what = {.type = CHUNK_SITES, .records = 1};
    unsigned frames = site->frame_count < SITE_FRAMES_MAX ? site->frame_count : SITE_FRAMES_MAX;
    at = put_varint(at, site->id);
    at = put_varint(at, site->line > 0 ? (uint64_t)site->line : 0);
    at = put_text(at, site->file);
    at = put_text(at, site->func);
    at = put_varint(at, frames);
    for (unsigned i = 0; i < frames; i++)
        at = put_varint(at, site->frames[i]);
    (void)write_chunk(file, chunk, (size_t)(at - chunk), &what); /* a failure is kept in error */
}

/* ---- Flush, end, fork ---------------------------------------------------------------------------- */

static void lane_wait(struct lane *lane)
{
    while (!lane_try(lane))
        os_yield();
}

void trace_file_flush(struct trace_file *file)
{
    for (unsigned i = 0; i < LANES; i++) {
        lane_wait(&file->lanes[i]);
        lane_flush(file, &file->lanes[i]);
        lane_release(&file->lanes[i]);
    }
}

uint64_t trace_file_events(const struct trace_file *file, uint64_t *lost)
{
    uint64_t events = 0;
    *lost = 0;
    for (unsigned i = 0; i < LANES; i++) {
        events += load_relaxed(&file->lanes[i].events);
        *lost += load_relaxed(&file->lanes[i].lost);
    }
    return events;
}

/* In pieces, as the size is not known before; /proc gives whole lines. */
static void write_mappings(struct trace_file *file)
{
    uint8_t *chunk = file->lanes[0].buffer;
    struct chunk what = {.type = CHUNK_MAPPINGS};
    int fd = os_open_file("/proc/self/maps");
    ptrdiff_t got;
    if (fd < 0)
        return;
    lane_wait(&file->lanes[0]);
    lane_flush(file, &file->lanes[0]);
    while ((got = os_read(fd, chunk + CHUNK_HEADER, LANE_BYTES - CHUNK_HEADER)) > 0)
        (void)write_chunk(file, chunk, CHUNK_HEADER + (size_t)got, &what);
    lane_release(&file->lanes[0]);
    os_close(fd);
}

bool trace_file_end(struct trace_file *file)
{
    uint64_t lost;
    uint8_t end[CHUNK_HEADER + 16];
    trace_file_flush(file);
    write_mappings(file);
    (void)trace_file_events(file, &lost);
    lock_take(&file->writing);
    (void)put_fixed(put_fixed(end + CHUNK_HEADER, file->written, 8), lost, 8);
    (void)write_locked(file, end, sizeof end, &(struct chunk){.type = CHUNK_END});
    file->ended = true;
    int error = file->error;
    lock_release(&file->writing);
    os_close(file->fd);
    if (error != 0)
        os_errno_set(error);
    return error == 0;
}

bool trace_file_again(struct trace_file *file, const char *path)
{
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *lane = &file->lanes[i];
        lane_wait(lane);
        lane_flush(file, lane); /* goes nowhere */
        store_relaxed(&lane->events, 0);
        store_relaxed(&lane->lost, 0);
        lane_release(lane);
    }
    return begin(file, path);
}

bool trace_file_close(struct trace_file *file)
{
    bool good = trace_file_end(file);
    int error = os_errno_get();
    (void)os_unmap(file, align_up(sizeof *file, os_page_size()));
    os_errno_set(error);
    return good;
}

void trace_file_before_fork(struct trace_file *file)
{
    for (unsigned i = 0; i < LANES; i++)
        lane_wait(&file->lanes[i]);
    lock_take_next_for_fork(&file->writing);
}

void trace_file_after_fork_parent(struct trace_file *file)
{
    lock_release_after_fork(&file->writing);
    for (unsigned i = 0; i < LANES; i++)
        lane_release(&file->lanes[i]);
}

void trace_file_abandon_in_child(struct trace_file *file)
{
    lock_release_after_fork(&file->writing);
    os_close(file->fd);
    (void)os_unmap(file, align_up(sizeof *file, os_page_size()));
}
