/* limits.c - so many live bytes and blocks for each place.  See <cairn/tools.h>.
 *
 * A place's sums are raised before the allocation and lowered again if it fails, so however many threads come at once, no
 * place ever has more than its limit. */
#include "observe/live.h"
#include "observe/tool.h"

#include "base/atomic.h"
#include "os/os.h"
#include "pool/thread.h"

#include <errno.h>

/* One place's live sums; atomic, several threads write. */
struct use {
    uint64_t bytes, blocks, peak, refused;
};

struct limits {
    struct cairn_tool tool;
    struct live live;
    uint64_t bytes, blocks; /* UINT64_MAX: no bound */
    struct use *uses;       /* by number of the place, PLACES_MAX of them, touched as needed */
};

static void *refuse(struct limits *limits, const struct place *place, size_t size)
{
    struct printer p;
    if (fetch_add_relaxed(&limits->uses[place->id].refused, 1) == 0 &&
        (limits->tool.flags & CAIRN_TOOL_QUIET) == 0) {
        tool_say_begin(&p, &limits->tool);
        place_print(&p, place);
        print(&p, " is at its limit: %ju bytes in %ju blocks are live, and %zu more were asked for",
              load_relaxed(&limits->uses[place->id].bytes), load_relaxed(&limits->uses[place->id].blocks),
              size);
        tool_say_end(&p);
    }
    return thread_fail(ENOMEM, "the limit of this place is reached");
}

/* Adds to a sum unless it would pass the limit. */
static bool raise_to(uint64_t *sum, uint64_t by, uint64_t limit)
{
    uint64_t old = load_relaxed(sum);
    do {
        if (by > limit || old > limit - by)
            return false;
    } while (!cas_acq_rel(sum, &old, old + by));
    return true;
}

static void note_peak(struct use *use)
{
    uint64_t now = load_relaxed(&use->bytes), peak = load_relaxed(&use->peak);
    while (now > peak && !cas_acq_rel(&use->peak, &peak, now))
        continue;
}

static bool enter(struct limits *limits, const struct place *place, size_t size)
{
    struct use *use = &limits->uses[place->id];
    if (!raise_to(&use->bytes, size, limits->bytes))
        return false;
    if (!raise_to(&use->blocks, 1, limits->blocks)) {
        add_relaxed(&use->bytes, -(uint64_t)size);
        return false;
    }
    note_peak(use);
    return true;
}

static void leave(struct limits *limits, uint32_t place, size_t size)
{
    add_relaxed(&limits->uses[place].bytes, -(uint64_t)size);
    add_relaxed(&limits->uses[place].blocks, UINT64_MAX);
}

/* After the allocation that `enter` allowed. */
static void *keep(struct limits *limits, const struct place *place, void *block, size_t size)
{
    if (block == NULL || !live_put(&limits->live, &(struct live_block){(uintptr_t)block, size, place->id, 0}))
        leave(limits, place->id, size); /* what cannot be kept would never be taken off again */
    return block;
}

/* ---- The interface ------------------------------------------------------------------------------- */

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    struct limits *limits = context;
    if (!tool_chooses(&limits->tool.where, call, size))
        return cairn_below_malloc(call, size);
    const struct place *place = place_of(call);
    if (!enter(limits, place, size))
        return refuse(limits, place, size);
    return keep(limits, place, cairn_below_malloc(call, size), size);
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    struct limits *limits = context;
    if (!tool_chooses(&limits->tool.where, call, count * size))
        return cairn_below_calloc(call, count, size);
    const struct place *place = place_of(call);
    if (!enter(limits, place, count * size))
        return refuse(limits, place, count * size);
    return keep(limits, place, cairn_below_calloc(call, count, size), count * size);
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    struct limits *limits = context;
    if (!tool_chooses(&limits->tool.where, call, size))
        return cairn_below_aligned_alloc(call, alignment, size);
    const struct place *place = place_of(call);
    if (!enter(limits, place, size))
        return refuse(limits, place, size);
    return keep(limits, place, cairn_below_aligned_alloc(call, alignment, size), size);
}

/* At the place that the block is from: only the difference is new, or goes. */
static void *realloc_here(struct limits *limits, const cairn_call *call, const struct live_block *known,
                          size_t old_size, size_t size)
{
    uint64_t *bytes = &limits->uses[known->place].bytes;
    size_t more = size > known->size ? size - known->size : 0;
    void *block = (void *)known->address;
    bool allowed = raise_to(bytes, more, limits->bytes);
    void *moved = allowed ? cairn_below_realloc(call, block, old_size, size) : NULL;
    if (moved == NULL) {
        if (allowed)
            add_relaxed(bytes, -(uint64_t)more);
        if (!live_put(&limits->live, known))
            leave(limits, known->place, known->size);
        return allowed ? NULL : refuse(limits, place_by_id(known->place), size);
    }
    note_peak(&limits->uses[known->place]);
    if (size < known->size)
        add_relaxed(bytes, -(uint64_t)(known->size - size));
    return keep(limits, place_by_id(known->place), moved, size);
}

/* Elsewhere: the new block is all new to its place; the old one's keeps it until it is gone. */
static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    struct limits *limits = context;
    struct live_block known;
    const struct place *place = tool_chooses(&limits->tool.where, call, size) ? place_of(call) : NULL;
    bool was_known = live_take(&limits->live, block, &known);
    if (was_known && place != NULL && known.place == place->id)
        return realloc_here(limits, call, &known, old_size, size);
    bool allowed = place == NULL || enter(limits, place, size);
    void *moved = allowed ? cairn_below_realloc(call, block, old_size, size) : NULL;
    if (moved != NULL) {
        if (was_known)
            leave(limits, known.place, known.size);
        return place != NULL ? keep(limits, place, moved, size) : moved;
    }
    if (allowed && place != NULL)
        leave(limits, place->id, size);
    if (was_known && !live_put(&limits->live, &known))
        leave(limits, known.place, known.size);
    return allowed ? NULL : refuse(limits, place, size);
}

static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    struct limits *limits = context;
    struct live_block known;
    bool was_known = live_take(&limits->live, block, &known);
    cairn_below_free(call, block, old_size);
    if (was_known)
        leave(limits, known.place, known.size);
}

/* ---- Output and life ----------------------------------------------------------------------------- */

static void limits_print(struct cairn_tool *tool, struct printer *p, bool json)
{
    const struct limits *limits = (const struct limits *)tool;
    const char *separator = "";
    if (json)
        print(p, "{\"cairn\": \"%s\", \"tool\": \"limits\", \"places\": [", cairn_version());
    else
        print(p, "cairn: limits\n%14s %10s %14s %10s  %s\n", "bytes", "blocks", "peak bytes", "refused",
              "place");
    for (uint32_t id = 0; id < PLACES_MAX; id++) {
        const struct use *use = &limits->uses[id];
        uint64_t peak = load_relaxed(&use->peak), refused = load_relaxed(&use->refused);
        uint64_t bytes = load_relaxed(&use->bytes), blocks = load_relaxed(&use->blocks);
        if (peak == 0 && refused == 0)
            continue;
        if (json) {
            print(p, "%s{", separator);
            place_print_json(p, place_by_id(id));
            print(p, ", \"bytes\": %ju, \"blocks\": %ju, \"peak\": %ju, \"refused\": %ju}", bytes, blocks,
                  peak, refused);
        } else {
            print(p, "%14ju %10ju %14ju %10ju  ", bytes, blocks, peak, refused);
            place_print(p, place_by_id(id));
            print(p, "\n");
        }
        separator = ", ";
    }
    if (json)
        print(p, "]}\n");
}

static void limits_fork(struct cairn_tool *tool, enum tool_fork when)
{
    struct limits *limits = (struct limits *)tool;
    if (when == TOOL_FORK_BEFORE)
        live_before_fork(&limits->live);
    else
        live_after_fork(&limits->live);
}

static size_t uses_bytes(void)
{
    return align_up(PLACES_MAX * sizeof(struct use), os_page_size());
}

static bool limits_end(struct cairn_tool *tool)
{
    struct limits *limits = (struct limits *)tool;
    live_release(&limits->live);
    (void)os_unmap(limits->uses, uses_bytes());
    return true;
}

static const struct tool_kind limits_kind = {
    .name = "limits", .print = limits_print, .fork = limits_fork, .end = limits_end};

struct cairn_tool *limits_make(const cairn_limits_config *given)
{
    cairn_limits_config config = {.struct_size = sizeof config};
    if (!tool_config_read(&config, sizeof config, given))
        return NULL;
    if (config.bytes == 0 && config.blocks == 0)
        return thread_fail(EINVAL, "neither bytes nor blocks are limited");
    struct tool_config common = {sizeof common, config.flags, config.output, config.where};
    struct limits *limits = tool_make(&limits_kind, sizeof *limits, &common);
    if (limits == NULL)
        return NULL;
    limits->uses = os_map(NULL, uses_bytes());
    if (limits->uses == NULL) {
        tool_release(&limits->tool);
        return thread_fail(ENOMEM, "the system has no memory for the tool");
    }
    live_init(&limits->live);
    limits->bytes = config.bytes != 0 ? config.bytes : UINT64_MAX;
    limits->blocks = config.blocks != 0 ? config.blocks : UINT64_MAX;
    cairn_interface *interface = &limits->tool.interface;
    interface->on_malloc = on_malloc;
    interface->on_calloc = on_calloc;
    interface->on_aligned_alloc = on_aligned_alloc;
    interface->on_realloc = on_realloc;
    interface->on_free = on_free;
    return &limits->tool;
}
