/* leaks.c - the leak tracker: live blocks by place.  See <cairn/tools.h>, live.h.
 *
 * A block is taken out of the table before it is freed below, and put in after it was got, so another thread that is given
 * the same address next finds no entry of old. */
#include "observe/live.h"
#include "observe/tool.h"

#include "base/atomic.h"
#include "os/os.h"
#include "pool/thread.h"

#include <errno.h>

struct leaks {
    struct cairn_tool tool;
    struct live live;
};

/* One place's sum, in an array by the number of the place. */
struct sum {
    uint64_t blocks, bytes, largest;
    uint32_t place;
};

struct sums {
    struct sum *of; /* PLACES_MAX of them, touched as needed; later sorted, `count` of them */
    size_t count;
    uint64_t blocks, bytes;
};

/* ---- The interface ------------------------------------------------------------------------------- */

static void *keep(struct leaks *leaks, const cairn_call *call, void *block, size_t size)
{
    if (block != NULL && tool_chooses(&leaks->tool.where, call, size))
        (void)live_put(&leaks->live, &(struct live_block){(uintptr_t)block, size, place_of(call)->id, 0});
    return block;
}

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    return keep(context, call, cairn_below_malloc(call, size), size);
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    return keep(context, call, cairn_below_calloc(call, count, size), count * size);
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    return keep(context, call, cairn_below_aligned_alloc(call, alignment, size), size);
}

static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    struct leaks *leaks = context;
    struct live_block known;
    bool was_known = live_take(&leaks->live, block, &known);
    void *moved = cairn_below_realloc(call, block, old_size, size);
    if (moved == NULL) {
        if (was_known)
            (void)live_put(&leaks->live, &known);
        return NULL;
    }
    return keep(leaks, call, moved, size);
}

static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    struct leaks *leaks = context;
    struct live_block known;
    (void)live_take(&leaks->live, block, &known);
    cairn_below_free(call, block, old_size);
}

/* ---- The sums ------------------------------------------------------------------------------------ */

static void add(void *context, const struct live_block *block)
{
    struct sums *sums = context;
    struct sum *sum = &sums->of[block->place];
    sum->place = block->place;
    sum->blocks++;
    sum->bytes += block->size;
    sum->largest = block->size > sum->largest ? block->size : sum->largest;
    sums->blocks++;
    sums->bytes += block->size;
}

static bool comes_before(const struct sum *a, const struct sum *b)
{
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes;
    return a->blocks != b->blocks ? a->blocks > b->blocks : a->place < b->place;
}

/* Heapsort: `of[at]` goes down until both of its children come before it. */
static void sift(struct sum *of, size_t at, size_t count)
{
    struct sum moving = of[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && comes_before(&of[child], &of[child + 1]))
            child++;
        if (comes_before(&of[child], &moving))
            break;
        of[at] = of[child];
        at = child;
    }
    of[at] = moving;
}

static void sort(struct sum *of, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        sift(of, at, count);
    for (size_t last = count; last-- > 1;) {
        struct sum top = of[0];
        of[0] = of[last];
        of[last] = top;
        sift(of, 0, last);
    }
}

static size_t sums_bytes(void)
{
    return align_up(PLACES_MAX * sizeof(struct sum), os_page_size());
}

static bool sums_make(struct sums *sums, struct leaks *leaks)
{
    *sums = (struct sums){.of = os_map(NULL, sums_bytes())};
    if (sums->of == NULL)
        return false;
    live_each(&leaks->live, add, sums);
    for (size_t id = 0; id < PLACES_MAX; id++)
        if (sums->of[id].blocks != 0)
            sums->of[sums->count++] = sums->of[id];
    sort(sums->of, sums->count);
    return true;
}

static void sums_drop(struct sums *sums)
{
    (void)os_unmap(sums->of, sums_bytes());
}

/* ---- Output -------------------------------------------------------------------------------------- */

static void print_text(struct printer *p, const struct leaks *leaks, const struct sums *sums)
{
    uint64_t missed = load_relaxed(&leaks->live.missed);
    print(p, "cairn: %ju blocks with %ju bytes are live, from %zu places\n", sums->blocks, sums->bytes,
          sums->count);
    if (missed != 0)
        print(p, "cairn: there was no memory to keep %ju others\n", missed);
    if (sums->count != 0)
        print(p, "%14s %10s %12s  %s\n", "bytes", "blocks", "largest", "place");
    for (size_t i = 0; i < sums->count; i++) {
        const struct sum *sum = &sums->of[i];
        print(p, "%14ju %10ju %12ju  ", sum->bytes, sum->blocks, sum->largest);
        place_print(p, place_by_id(sum->place));
        print(p, "\n");
    }
}

static void print_json(struct printer *p, const struct leaks *leaks, const struct sums *sums)
{
    print(
        p,
        "{\"cairn\": \"%s\", \"tool\": \"leaks\", \"blocks\": %ju, \"bytes\": %ju, \"missed\": %ju, \"places\": [",
        cairn_version(), sums->blocks, sums->bytes, load_relaxed(&leaks->live.missed));
    for (size_t i = 0; i < sums->count; i++) {
        const struct sum *sum = &sums->of[i];
        print(p, "%s{", i > 0 ? ", " : "");
        place_print_json(p, place_by_id(sum->place));
        print(p, ", \"blocks\": %ju, \"bytes\": %ju, \"largest\": %ju}", sum->blocks, sum->bytes,
              sum->largest);
    }
    print(p, "]}\n");
}

static void leaks_print(struct cairn_tool *tool, struct printer *p, bool json)
{
    struct leaks *leaks = (struct leaks *)tool;
    struct sums sums;
    if (!sums_make(&sums, leaks)) {
        print(p, "%s\n", json ? "{\"error\": \"no memory\"}" : "cairn: no memory to list the live blocks");
        return;
    }
    if (json)
        print_json(p, leaks, &sums);
    else
        print_text(p, leaks, &sums);
    sums_drop(&sums);
}

int leaks_visit(struct cairn_tool *tool, int (*visit)(const cairn_leak *leak, void *context), void *context)
{
    struct sums sums;
    int result = 0;
    if (!sums_make(&sums, (struct leaks *)tool)) {
        (void)thread_fail(ENOMEM, "the system has no memory for the list of live blocks");
        return -1;
    }
    for (size_t i = 0; i < sums.count && result == 0; i++) {
        const struct sum *sum = &sums.of[i];
        const struct place *place = place_by_id(sum->place);
        cairn_leak leak = {place->file, place->func, place->line, place->address,
                           sum->blocks, sum->bytes,  sum->largest};
        result = visit(&leak, context);
    }
    sums_drop(&sums);
    return result;
}

/* ---- Life ---------------------------------------------------------------------------------------- */

static void leaks_fork(struct cairn_tool *tool, enum tool_fork when)
{
    struct leaks *leaks = (struct leaks *)tool;
    if (when == TOOL_FORK_BEFORE)
        live_before_fork(&leaks->live);
    else
        live_after_fork(&leaks->live);
}

static bool leaks_end(struct cairn_tool *tool)
{
    live_release(&((struct leaks *)tool)->live);
    return true;
}

const struct tool_kind leaks_kind = {
    .name = "leaks", .print = leaks_print, .fork = leaks_fork, .end = leaks_end};

struct cairn_tool *leaks_make(const cairn_leaks_config *given)
{
    cairn_leaks_config config = {.struct_size = sizeof config};
    if (!tool_config_read(&config, sizeof config, given))
        return NULL;
    struct tool_config common = {sizeof common, config.flags, config.output, config.where};
    struct leaks *leaks = tool_make(&leaks_kind, sizeof *leaks, &common);
    if (leaks == NULL)
        return NULL;
    live_init(&leaks->live);
    cairn_interface *interface = &leaks->tool.interface;
    interface->on_malloc = on_malloc;
    interface->on_calloc = on_calloc;
    interface->on_aligned_alloc = on_aligned_alloc;
    interface->on_realloc = on_realloc;
    interface->on_free = on_free;
    return &leaks->tool;
}
