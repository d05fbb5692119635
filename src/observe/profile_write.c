/* profile_write.c - the books of profile.c for others to read.
 *
 *   text    the heap profile of gperftools, which google-pprof reads; figures are estimates, not to be scaled again
 *   pprof   the protocol buffer of https://github.com/google/pprof (profile.proto), not compressed
 *
 * No lock and no heap: signal handlers write, too.  Each message that lies inside another is put together in a buffer
 * first, because its length precedes it. */
#include "observe/profile.h"

#include "base/print.h"
#include "os/os.h"

#include <string.h>

#define VARINT_MAX 10
#define MESSAGE_MAX ((STACK_WORDS_MAX + 16) * VARINT_MAX)
#define STACK_WORDS_MAX 128
#define MODULES_BYTES (128 * KiB)

/* What a site stands for, rounded. */
struct figures {
    uint64_t blocks, bytes, live_blocks, live_bytes;
};

static uint64_t whole(const uint64_t *parts)
{
    return (load_relaxed(parts) + (1 << (PROFILE_PARTS_LOG2 - 1))) >> PROFILE_PARTS_LOG2;
}

static struct figures figures_of(const struct site *site)
{
    return (struct figures){whole(&site->blocks), whole(&site->bytes), whole(&site->live_blocks),
                            whole(&site->live_bytes)};
}

static bool to_file(void *context, const char *text, size_t size)
{
    return os_write(*(int *)context, text, size);
}

/* ---- Text ---------------------------------------------------------------------------------------- */

static void text_figures(struct printer *out, const struct figures *f)
{
    print(out, "%ju: %ju [%ju: %ju] @", f->live_blocks, f->live_bytes, f->blocks, f->bytes);
}

static void text_mapping(void *context, const struct os_mapping *mapping)
{
    print(context, "%s\n", mapping->line);
}

static bool write_text(int fd)
{
    struct printer out;
    struct figures total = {0, 0, 0, 0};
    printer_init(&out, to_file, &fd);
    for (const struct site *site = profile_sites(); site != NULL; site = site->next) {
        struct figures f = figures_of(site);
        total.blocks += f.blocks;
        total.bytes += f.bytes;
        total.live_blocks += f.live_blocks;
        total.live_bytes += f.live_bytes;
    }
    print(&out, "heap profile: ");
    text_figures(&out, &total);
    print(&out, " heapprofile\n");
    for (const struct site *site = profile_sites(); site != NULL; site = site->next) {
        struct figures f = figures_of(site);
        if (f.blocks == 0)
            continue;
        text_figures(&out, &f);
        for (uint32_t i = 0; i < site->depth; i++)
            print(&out, " %p", (void *)site->callers[i]);
        print(&out, "\n");
    }
    print(&out, "\nMAPPED_LIBRARIES:\n");
    (void)os_mappings(text_mapping, &out);
    return printer_flush(&out);
}

/* ---- Messages ------------------------------------------------------------------------------------ */

/* A message under construction. */
struct message {
    size_t size;
    uint8_t bytes[MESSAGE_MAX];
};

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void add_varint(struct message *m, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        m->bytes[m->size++] = (uint8_t)(value | 0x80);
    m->bytes[m->size++] = (uint8_t)value;
}

static void add_number(struct message *m, unsigned field, uint64_t value)
{
    add_varint(m, field << 3 | WIRE_VARINT);
    add_varint(m, value);
}

/* The file, in larger pieces than messages are. */
struct writer {
    int fd;
    bool failed;
    size_t used;
    uint8_t buffer[4096];
    uint64_t strings; /* written so far */
    struct module *modules;
    size_t module_count;
};

static void flush(struct writer *out)
{
    out->failed |= !os_write(out->fd, out->buffer, out->used);
    out->used = 0;
}

static void write_bytes(struct writer *out, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        size_t step = size_min(size, sizeof out->buffer - out->used);
        memcpy(out->buffer + out->used, at, step);
        out->used += step;
        at += step;
        size -= step;
        if (out->used == sizeof out->buffer)
            flush(out);
    }
}

static void write_field(struct writer *out, unsigned field, const void *bytes, size_t size)
{
    struct message head = {.size = 0};
    add_varint(&head, field << 3 | WIRE_BYTES);
    add_varint(&head, size);
    write_bytes(out, head.bytes, head.size);
    write_bytes(out, bytes, size);
}

static void write_number(struct writer *out, unsigned field, uint64_t value)
{
    struct message m = {.size = 0};
    add_number(&m, field, value);
    write_bytes(out, m.bytes, m.size);
}

/* ---- The profile message ------------------------------------------------------------------------- */

/* Numbers of fields in profile.proto. */
enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE,
    PROFILE_MAPPING,
    PROFILE_LOCATION,
    PROFILE_STRINGS = 6,
    PROFILE_DROP_FRAMES,
    PROFILE_TIME = 9,
    PROFILE_DURATION,
    PROFILE_PERIOD_TYPE,
    PROFILE_PERIOD,
    PROFILE_DEFAULT = 14
};
enum { TYPE_TYPE = 1, TYPE_UNIT };
enum { SAMPLE_LOCATIONS = 1, SAMPLE_VALUES };
enum { MAPPING_ID = 1, MAPPING_START, MAPPING_LIMIT, MAPPING_OFFSET, MAPPING_FILE, MAPPING_BUILD_ID };
enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS };

/* The first strings, by their numbers; names of files follow. */
enum {
    TEXT_EMPTY,
    TEXT_BLOCKS,
    TEXT_COUNT,
    TEXT_BYTES_ALLOCATED,
    TEXT_BYTES,
    TEXT_LIVE_BLOCKS,
    TEXT_LIVE_BYTES,
    TEXT_SPACE,
    TEXT_OURS,
    TEXTS
};
static const char *const texts[TEXTS] = {
    [TEXT_EMPTY] = "",
    [TEXT_BLOCKS] = "alloc_objects",
    [TEXT_COUNT] = "count",
    [TEXT_BYTES_ALLOCATED] = "alloc_space",
    [TEXT_BYTES] = "bytes",
    [TEXT_LIVE_BLOCKS] = "inuse_objects",
    [TEXT_LIVE_BYTES] = "inuse_space",
    [TEXT_SPACE] = "space",
    /* Where the library is linked into the program its own frames are in the stacks. */
    [TEXT_OURS] =
        "(cairn|process|watch|stack)_.*|malloc|calloc|realloc|memalign|posix_memalign|aligned_alloc",
};

static uint64_t write_string(struct writer *out, const char *text)
{
    write_field(out, PROFILE_STRINGS, text, strlen(text));
    return out->strings++;
}

static void write_type(struct writer *out, unsigned field, unsigned type, unsigned unit)
{
    struct message m = {.size = 0};
    add_number(&m, TYPE_TYPE, type);
    add_number(&m, TYPE_UNIT, unit);
    write_field(out, field, m.bytes, m.size);
}

static void write_head(struct writer *out)
{
    for (unsigned i = 0; i < TEXTS; i++)
        (void)write_string(out, texts[i]);
    write_type(out, PROFILE_SAMPLE_TYPE, TEXT_BLOCKS, TEXT_COUNT);
    write_type(out, PROFILE_SAMPLE_TYPE, TEXT_BYTES_ALLOCATED, TEXT_BYTES);
    write_type(out, PROFILE_SAMPLE_TYPE, TEXT_LIVE_BLOCKS, TEXT_COUNT);
    write_type(out, PROFILE_SAMPLE_TYPE, TEXT_LIVE_BYTES, TEXT_BYTES);
    write_type(out, PROFILE_PERIOD_TYPE, TEXT_SPACE, TEXT_BYTES);
    write_number(out, PROFILE_PERIOD, profile_interval());
    write_number(out, PROFILE_DEFAULT, TEXT_LIVE_BYTES);
    write_number(out, PROFILE_DROP_FRAMES, TEXT_OURS);
    uint64_t started = profile_started_at();
    write_number(out, PROFILE_TIME, started);
    write_number(out, PROFILE_DURATION, os_unix_ns() - started);
}

/* ---- Mappings ------------------------------------------------------------------------------------ */

/* Code that is mapped from a file; its number in the profile is its place in the table, from 1. */
struct module {
    uintptr_t start, end;
};

/* The mapping of the file's beginning, which has its headers, comes before that of its code. */
struct modules_visit {
    struct writer *out;
    uintptr_t head_start, head_end;
    char head_name[256];
};

/* As hexadecimal digits; "" if there is none. */
static void build_id_of(const struct modules_visit *visit, const struct os_mapping *code, char *text,
                        size_t size)
{
    const uint8_t *id = NULL;
    bool known = strncmp(visit->head_name, code->name, sizeof visit->head_name - 1) == 0;
    size_t length = 0;
    text[0] = 0;
    if (known && os_readable((const void *)visit->head_start))
        length = os_build_id(visit->head_start, visit->head_end, &id);
    for (size_t i = 0; i < length && 2 * i + 3 <= size; i++)
        print_to_buffer(text + 2 * i, 3, "%x%x", id[i] >> 4, id[i] & 15u);
}

static void write_module(struct modules_visit *visit, const struct os_mapping *mapping)
{
    struct writer *out = visit->out;
    struct message m = {.size = 0};
    char id[160];
    build_id_of(visit, mapping, id, sizeof id);
    if (out->module_count < MODULES_BYTES / sizeof *out->modules)
        out->modules[out->module_count++] = (struct module){mapping->start, mapping->end};
    else
        return;
    add_number(&m, MAPPING_ID, out->module_count);
    add_number(&m, MAPPING_START, mapping->start);
    add_number(&m, MAPPING_LIMIT, mapping->end);
    add_number(&m, MAPPING_OFFSET, mapping->offset);
    add_number(&m, MAPPING_FILE, write_string(out, mapping->name));
    if (id[0] != 0)
        add_number(&m, MAPPING_BUILD_ID, write_string(out, id));
    write_field(out, PROFILE_MAPPING, m.bytes, m.size);
}

static void visit_mapping(void *context, const struct os_mapping *mapping)
{
    struct modules_visit *visit = context;
    if (mapping->offset == 0 && mapping->name[0] == '/') {
        visit->head_start = mapping->start;
        visit->head_end = mapping->end;
        print_to_buffer(visit->head_name, sizeof visit->head_name, "%s", mapping->name);
    }
    if (mapping->is_code && mapping->name[0] != 0)
        write_module(visit, mapping);
}

/* ---- Locations and samples ----------------------------------------------------------------------- */

static size_t module_at(const struct writer *out, uintptr_t address)
{
    for (size_t i = 0; i < out->module_count; i++)
        if (address >= out->modules[i].start && address < out->modules[i].end)
            return i + 1;
    return 0;
}

/* A return address is its own number.  What is shown is the call, which ends where it returns to. */
static void write_location(struct writer *out, uintptr_t address)
{
    struct message m = {.size = 0};
    size_t module = module_at(out, address - 1);
    add_number(&m, LOCATION_ID, address);
    if (module != 0)
        add_number(&m, LOCATION_MAPPING, module);
    add_number(&m, LOCATION_ADDRESS, address - 1);
    write_field(out, PROFILE_LOCATION, m.bytes, m.size);
}

static void add_packed(struct message *m, unsigned field, const struct message *numbers)
{
    add_varint(m, field << 3 | WIRE_BYTES);
    add_varint(m, numbers->size);
    memcpy(m->bytes + m->size, numbers->bytes, numbers->size);
    m->size += numbers->size;
}

static void write_sample(struct writer *out, const struct site *site)
{
    struct figures f = figures_of(site);
    struct message m = {.size = 0}, numbers = {.size = 0};
    if (f.blocks == 0)
        return;
    for (uint32_t i = 0; i < size_min(site->depth, STACK_WORDS_MAX); i++)
        add_varint(&numbers, site->callers[i]);
    add_packed(&m, SAMPLE_LOCATIONS, &numbers);
    numbers.size = 0;
    add_varint(&numbers, f.blocks);
    add_varint(&numbers, f.bytes);
    add_varint(&numbers, f.live_blocks);
    add_varint(&numbers, f.live_bytes);
    add_packed(&m, SAMPLE_VALUES, &numbers);
    write_field(out, PROFILE_SAMPLE, m.bytes, m.size);
}

/* Samples first: a location that a sample names is then in the list that is read after it. */
static bool write_pprof(int fd)
{
    struct writer out = {.fd = fd, .modules = os_map(NULL, MODULES_BYTES)};
    if (out.modules == NULL)
        return false;
    struct modules_visit visit = {.out = &out};
    write_head(&out);
    (void)os_mappings(visit_mapping, &visit);
    for (const struct site *site = profile_sites(); site != NULL; site = site->next)
        write_sample(&out, site);
    for (const struct location *at = profile_locations(); at != NULL; at = at->next)
        write_location(&out, at->address);
    flush(&out);
    (void)os_unmap(out.modules, MODULES_BYTES);
    return !out.failed;
}

bool profile_write(int fd, enum profile_format format)
{
    return format == PROFILE_TEXT ? write_text(fd) : write_pprof(fd);
}
