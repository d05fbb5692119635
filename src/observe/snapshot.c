/* snapshot.c - see snapshot.h. */
#include "observe/snapshot.h"

#include "engine/classes.h"
#include "engine/statistics.h"
#include "os/os.h"
#include "pool/pool.h"

#include <string.h>

#define SPARE_POOLS 16 /* that may come while a snapshot is taken */

struct amount {
    uint64_t bytes, blocks;
};

struct pool_entry {
    const cairn_pool *pool;
    char name[POOL_NAME_MAX];
    struct amount live;
};

struct cairn_snapshot {
    size_t mapped;
    uint64_t committed;
    struct amount classes[CLASS_COUNT + 1]; /* the last: large blocks */
    size_t room, count;
    struct pool_entry pools[];
};

/* ---- Taking -------------------------------------------------------------------------------------- */

static int count_pool(cairn_pool *pool, void *context)
{
    (void)pool;
    ++*(size_t *)context;
    return 0;
}

static int note_pool(cairn_pool *pool, void *context)
{
    cairn_snapshot *snapshot = context;
    cairn_stats stats = {.struct_size = sizeof stats};
    if (snapshot->count == snapshot->room)
        return 1;
    if (cairn_pool_stats(pool, &stats) != 0)
        return 0;
    struct pool_entry *entry = &snapshot->pools[snapshot->count++];
    entry->pool = pool;
    memcpy(entry->name, pool->name, sizeof entry->name);
    entry->live = (struct amount){stats.live, stats.live_blocks};
    return 0;
}

cairn_snapshot *snapshot_take(struct heap *heap)
{
    struct statistics statistics;
    size_t pools = 0;
    (void)cairn_pools_walk(count_pool, &pools);
    size_t room = pools + SPARE_POOLS;
    size_t size = align_up(sizeof(cairn_snapshot) + room * sizeof(struct pool_entry),
                           size_max(os_page_size(), PAGE_SIZE));
    cairn_snapshot *snapshot = os_map(NULL, size);
    if (snapshot == NULL)
        return NULL;
    os_name(snapshot, size, "cairn snapshot");
    snapshot->mapped = size;
    snapshot->room = room;
    statistics_read(heap, &statistics);
    snapshot->committed = statistics.total.committed;
    for (unsigned i = 0; i <= CLASS_COUNT; i++)
        snapshot->classes[i] = (struct amount){statistics.classes[i].live, statistics.classes[i].live_blocks};
    (void)cairn_pools_walk(note_pool, snapshot);
    return snapshot;
}

void snapshot_free(cairn_snapshot *snapshot)
{
    if (snapshot != NULL)
        (void)os_unmap(snapshot, snapshot->mapped);
}

/* ---- Asking -------------------------------------------------------------------------------------- */

static void give(const struct amount *amount, uint64_t *bytes, uint64_t *blocks)
{
    if (bytes != NULL)
        *bytes = amount->bytes;
    if (blocks != NULL)
        *blocks = amount->blocks;
}

void snapshot_live(const cairn_snapshot *snapshot, size_t size, uint64_t *bytes, uint64_t *blocks)
{
    struct amount sum = {0, 0};
    for (unsigned i = 0; i <= CLASS_COUNT; i++)
        if (size == SIZE_MAX || (i < CLASS_COUNT && class_size(i) <= size)) {
            sum.bytes += snapshot->classes[i].bytes;
            sum.blocks += snapshot->classes[i].blocks;
        }
    give(&sum, bytes, blocks);
}

/* A handle may be another pool's by now: then the name is as a rule another, too. */
static const struct pool_entry *find(const cairn_snapshot *snapshot, const cairn_pool *pool, const char *name)
{
    for (size_t i = 0; snapshot != NULL && i < snapshot->count; i++)
        if (snapshot->pools[i].pool == pool && strcmp(snapshot->pools[i].name, name) == 0)
            return &snapshot->pools[i];
    return NULL;
}

void snapshot_pool(const cairn_snapshot *snapshot, const cairn_pool *pool, uint64_t *bytes, uint64_t *blocks)
{
    const struct pool_entry *entry = find(snapshot, pool, pool->name);
    give(entry != NULL ? &entry->live : &(struct amount){0, 0}, bytes, blocks);
}

/* ---- The difference ------------------------------------------------------------------------------ */

struct line {
    const char *name; /* of a pool; NULL: a size class */
    size_t size;      /* of the class; 0: large blocks */
    struct amount before, after;
};

static int64_t growth(const struct line *line)
{
    return (int64_t)(line->after.bytes - line->before.bytes);
}

static uint64_t distance(int64_t growth_bytes)
{
    return growth_bytes < 0 ? -(uint64_t)growth_bytes : (uint64_t)growth_bytes;
}

/* In order: growth first, the largest first; then what has shrunk, the least first. */
static size_t insert(struct line *lines, size_t count, const struct line *line)
{
    if (line->before.bytes == line->after.bytes && line->before.blocks == line->after.blocks)
        return count;
    size_t at = count;
    for (; at > 0 && growth(&lines[at - 1]) < growth(line); at--)
        lines[at] = lines[at - 1];
    lines[at] = *line;
    return count + 1;
}

static size_t compare(struct line *lines, const cairn_snapshot *before, const cairn_snapshot *after)
{
    size_t count = 0;
    const struct amount none = {0, 0};
    for (unsigned i = 0; i <= CLASS_COUNT; i++) {
        struct line line = {NULL, i < CLASS_COUNT ? class_size(i) : 0,
                            before != NULL ? before->classes[i] : none, after->classes[i]};
        count = insert(lines, count, &line);
    }
    for (size_t i = 0; i < after->count; i++) {
        const struct pool_entry *now = &after->pools[i], *then = find(before, now->pool, now->name);
        count =
            insert(lines, count, &(struct line){now->name, 0, then != NULL ? then->live : none, now->live});
    }
    for (size_t i = 0; before != NULL && i < before->count; i++) {
        const struct pool_entry *then = &before->pools[i];
        if (find(after, then->pool, then->name) == NULL)
            count = insert(lines, count, &(struct line){then->name, 0, then->live, none});
    }
    return count;
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static void print_label(struct printer *p, const struct line *line)
{
    char label[64];
    if (line->name != NULL)
        print_to_buffer(label, sizeof label, "pool %s", line->name[0] != 0 ? line->name : "without name");
    else if (line->size != 0)
        print_to_buffer(label, sizeof label, "%zu bytes", line->size);
    else
        print_to_buffer(label, sizeof label, "large blocks");
    print(p, "  %-36s", label);
}

static void print_text(struct printer *p, const struct line *lines, size_t count)
{
    struct amount before = {0, 0}, after = {0, 0};
    print(p, "  %-36s %14s %14s  %s\n", "live", "blocks", "bytes", "growth in bytes");
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &lines[i];
        print_label(p, line);
        print(p, " %14ju %14ju  %s%ju\n", line->after.blocks, line->after.bytes, growth(line) < 0 ? "-" : "+",
              distance(growth(line)));
        before.bytes += line->before.bytes;
        after.bytes += line->after.bytes;
        after.blocks += line->after.blocks;
    }
    struct line sum = {NULL, 0, before, after};
    print(p, "  %-36s %14ju %14ju  %s%ju\n", "all that has changed", after.blocks, after.bytes,
          growth(&sum) < 0 ? "-" : "+", distance(growth(&sum)));
}

/* A pool's name may hold any bytes. */
static void print_json_text(struct printer *p, const char *text)
{
    print(p, "\"");
    for (; *text != 0; text++)
        if (*text == '"' || *text == '\\')
            print(p, "\\%c", *text);
        else
            print(p, "%c", (unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f ? '?' : *text);
    print(p, "\"");
}

static void print_json_line(struct printer *p, const struct line *line)
{
    print(p, "{");
    if (line->name != NULL) {
        print(p, "\"pool\": ");
        print_json_text(p, line->name);
    } else if (line->size != 0) {
        print(p, "\"block_size\": %zu", line->size);
    } else {
        print(p, "\"block_size\": null");
    }
    print(p, ", \"bytes_before\": %ju, \"bytes\": %ju, \"blocks_before\": %ju, \"blocks\": %ju}",
          line->before.bytes, line->after.bytes, line->before.blocks, line->after.blocks);
}

bool snapshot_print(struct printer *p, const cairn_snapshot *before, const cairn_snapshot *after, bool json)
{
    size_t most = CLASS_COUNT + 1 + after->count + (before != NULL ? before->count : 0);
    size_t size = align_up(most * sizeof(struct line), size_max(os_page_size(), PAGE_SIZE));
    struct line *lines = os_map(NULL, size);
    if (lines == NULL)
        return false;
    size_t count = compare(lines, before, after);
    if (json) {
        print(p, "{\"cairn\": \"%s\", \"committed_before\": %ju, \"committed\": %ju, \"changes\": [",
              cairn_version(), before != NULL ? before->committed : 0, after->committed);
        for (size_t i = 0; i < count; i++) {
            print(p, "%s", i > 0 ? ", " : "");
            print_json_line(p, &lines[i]);
        }
        print(p, "]}\n");
    } else {
        print_text(p, lines, count);
    }
    (void)printer_flush(p);
    (void)os_unmap(lines, size);
    return true;
}
