/* supply.c - see supply.h. */
#include "pool/supply.h"

#include "engine/pagemap.h"
#include "os/os.h"
#include "os/report.h"

#include <string.h>

#define STORE_ALIGN 16
#define PIECE_MAX (64 * KiB)

/* At the start of each mapping of the store. */
struct store_piece {
    struct store_piece *next;
    size_t size;
} __attribute__((aligned(STORE_ALIGN)));

static size_t limit_of(size_t configured)
{
    return configured == 0 ? SIZE_MAX : configured;
}

void supply_init(struct supply *supply, struct cairn_pool *pool, const cairn_pool_config *config)
{
    *supply = (struct supply){
        .pool = pool,
        .granule = 1,
        .limit_hard = limit_of(config->limit),
        .limit_soft = limit_of(config->limit_soft),
    };
    if (pool->buffer == 0) {
        const struct source *source = pool->source;
        supply->granule = size_max(size_max(source->align, os_page_size()), PAGE_SIZE);
        return;
    }
    if ((pool->flags & CAIRN_POOL_OUTSIDE) != 0)
        return;
    uintptr_t at = pool->buffer, handle = (uintptr_t)pool;
    if (handle >= at && handle < pool->buffer_end)
        at = handle + sizeof *pool;
    at = size_min(align_up(at, STORE_ALIGN), pool->buffer_end);
    supply->buffer_store = true;
    supply->store_at = (char *)at;
    supply->store_end = (char *)pool->buffer_end;
    supply->store_bytes = supply->peak = at - pool->buffer;
}

/* ---- Counting ------------------------------------------------------------------------------------- */

/* Bytes that the hard limit still allows. */
static size_t limit_room(const struct supply *supply)
{
    size_t used = supply_committed(supply);
    return used < supply->limit_hard ? supply->limit_hard - used : 0;
}

static void note_peak(struct supply *supply)
{
    supply->peak = size_max(supply->peak, supply_committed(supply));
}

static void name_range(const struct supply *supply, void *base, size_t size, bool in_use)
{
    if (supply->pool->name[0] != 0)
        os_name(base, size, in_use ? supply->pool->name : "cairn");
}

/* ---- The store ------------------------------------------------------------------------------------- */

/* Zeroed memory for the store: from the source that the pool names for it, or from the system. */
static void *piece_map(const struct supply *supply, size_t size)
{
    struct source *store = &supply->pool->own_store;
    if (store->reserve == NULL) {
        void *piece = os_map(NULL, size);
        if (piece != NULL)
            os_huge_pages(piece, size, false);
        return piece;
    }
    void *piece = store->reserve(store, size, store->align);
    if (piece != NULL && store->commit != NULL && !store->commit(store, piece, size)) {
        (void)store->release(store, piece, size); /* what it keeps is lost to us */
        return NULL;
    }
    if (piece != NULL && store->is_stale(store, piece, size))
        memset(piece, 0, size);
    return piece;
}

static void piece_unmap(struct source *store, void *piece, size_t size)
{
    if (store->reserve == NULL)
        (void)os_unmap(piece, size); /* what stays mapped is lost to us; below, too */
    else
        (void)store->release(store, piece, size);
}

/* A new mapping with room for `size` bytes; each is twice as large as the one before. */
static bool store_grow(struct supply *supply, size_t size)
{
    size_t page = size_max(size_max(os_page_size(), PAGE_SIZE), supply->pool->own_store.unit);
    size_t usual = supply->pieces == NULL ? page : size_min(2 * supply->pieces->size, PIECE_MAX);
    size_t whole = align_up(size + sizeof(struct store_piece), page);
    if (whole > limit_room(supply))
        return false;
    size_t least = whole;
    if (usual > whole && usual <= limit_room(supply))
        whole = usual;
    struct store_piece *piece = piece_map(supply, whole);
    if (piece == NULL && whole > least) {
        whole = least;
        piece = piece_map(supply, whole);
    }
    if (piece == NULL)
        return false;
    name_range(supply, piece, whole, true);
    *piece = (struct store_piece){supply->pieces, whole};
    supply->pieces = piece;
    supply->store_at = (char *)(piece + 1);
    supply->store_end = (char *)piece + whole;
    supply->store_bytes += whole;
    note_peak(supply);
    return true;
}

void *supply_store(struct supply *supply, size_t size)
{
    if (size > PTRDIFF_MAX)
        return NULL;
    size = align_up(size, STORE_ALIGN);
    if ((size_t)(supply->store_end - supply->store_at) < size) {
        if (supply->buffer_store || !store_grow(supply, size))
            return NULL;
    } else if (supply->buffer_store && size > limit_room(supply)) {
        return NULL;
    }
    void *got = supply->store_at;
    supply->store_at += size;
    if (supply->buffer_store) { /* mapped pieces are counted, and zero, as a whole */
        supply->store_bytes += size;
        note_peak(supply);
        memset(got, 0, size);
    }
    return got;
}

void *supply_state(struct supply *supply, size_t size)
{
    struct cairn_pool *pool = supply->pool;
    if (supply->buffer_store)
        return supply_store(supply, size);
    if (size > POOL_STATE_SIZE)
        report_fatal("cairn_pool_create", pool, "no room behind the handle for the class's structure:");
    memset(pool + 1, 0, size);
    return pool + 1;
}

/* ---- The list of ranges ------------------------------------------------------------------------------ */

/* The first range that ends behind `at`; range_count: none. */
static size_t range_find(const struct supply *supply, uintptr_t at)
{
    size_t low = 0, high = supply->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct supply_range *range = &supply->ranges[middle];
        if (range->base + range->size <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one range more.  The old list stays in the store: half of the new one, at most. */
static bool range_room(struct supply *supply)
{
    if (supply->range_count < supply->range_capacity)
        return true;
    if (supply->ranges == NULL) {
        supply->ranges = supply->first_ranges;
        supply->range_capacity = SUPPLY_RANGES_FIRST;
        return true;
    }
    size_t capacity = 2 * supply->range_capacity;
    struct supply_range *ranges = supply_store(supply, capacity * sizeof *ranges);
    if (ranges == NULL)
        return false;
    if (supply->range_count > 0)
        memcpy(ranges, supply->ranges, supply->range_count * sizeof *ranges);
    supply->ranges = ranges;
    supply->range_capacity = capacity;
    return true;
}

static void range_insert(struct supply *supply, size_t at, uintptr_t base, size_t size)
{
    struct supply_range *ranges = supply->ranges;
    memmove(&ranges[at + 1], &ranges[at], (supply->range_count - at) * sizeof *ranges);
    ranges[at] = (struct supply_range){base, size};
    supply->range_count++;
}

static void range_remove(struct supply *supply, size_t at)
{
    struct supply_range *ranges = supply->ranges;
    supply->range_count--;
    memmove(&ranges[at], &ranges[at + 1], (supply->range_count - at) * sizeof *ranges);
}

/* Enters a new extent; range_room has been asked.  Where parts can go back, neighbours become one. */
static void range_enter(struct supply *supply, uintptr_t base, size_t size)
{
    size_t at = range_find(supply, base);
    struct supply_range *ranges = supply->ranges;
    bool joins = supply_splits(supply);
    if (joins && at > 0 && ranges[at - 1].base + ranges[at - 1].size == base) {
        at--;
        ranges[at].size += size;
    } else {
        range_insert(supply, at, base, size);
    }
    if (joins && at + 1 < supply->range_count && ranges[at].base + ranges[at].size == ranges[at + 1].base) {
        ranges[at].size += ranges[at + 1].size;
        range_remove(supply, at + 1);
    }
}

/* Takes [base, base + size) out of range `at`, which holds it; range_room has been asked. */
static void range_cut(struct supply *supply, size_t at, uintptr_t base, size_t size)
{
    struct supply_range *range = &supply->ranges[at];
    uintptr_t end = range->base + range->size;
    size_t head = base - range->base, tail = end - (base + size);
    if (head == 0 && tail == 0) {
        range_remove(supply, at);
    } else if (head == 0) {
        *range = (struct supply_range){base + size, tail};
    } else {
        range->size = head;
        if (tail > 0)
            range_insert(supply, at + 1, base + size, tail);
    }
}

/* ---- Extents ----------------------------------------------------------------------------------------- */

bool supply_splits(const struct supply *supply)
{
    return supply->pool->buffer == 0 && supply->pool->source->splits;
}

size_t supply_room(const struct supply *supply)
{
    const struct cairn_pool *pool = supply->pool;
    if (pool->buffer == 0)
        return SIZE_MAX;
    if (supply->buffer_used)
        return 0;
    return supply->buffer_store ? (size_t)(supply->store_end - supply->store_at)
                                : pool->buffer_end - pool->buffer;
}

/* The rest of the buffer.  What alignment leaves in front of it counts as store. */
static void *get_from_buffer(struct supply *supply, size_t least, size_t align, size_t *size,
                             enum error *error)
{
    *error = ERROR_MEMORY;
    if (supply->buffer_used)
        return NULL;
    uintptr_t start = supply->buffer_store ? (uintptr_t)supply->store_at : supply->pool->buffer;
    uintptr_t end = supply->pool->buffer_end, base = align_up(start, align);
    if (base < start || base > end || end - base < least)
        return NULL;
    size_t gap = base - start, room = limit_room(supply);
    if (room < gap || room - gap < least) {
        *error = ERROR_LIMIT;
        return NULL;
    }
    *size = size_min(end - base, room - gap);
    supply->buffer_used = true;
    supply->store_bytes += gap;
    supply->extent_bytes = *size;
    if (supply->buffer_store)
        supply->store_at = supply->store_end; /* nothing is behind the extent */
    note_peak(supply);
    *error = OK;
    return (void *)base;
}

/* A range from the source, in the page map; NULL: the source or the page map has no memory. */
static void *reserve(struct supply *supply, size_t size, size_t align)
{
    struct cairn_pool *pool = supply->pool;
    struct source *source = pool->source;
    void *got = source->reserve(source, size, align);
    if (got == NULL)
        return NULL;
    if (((uintptr_t)got & (align - 1)) != 0 || pagemap_cover((uintptr_t)got, size) != OK ||
        (source->commit != NULL && !source->commit(source, got, size))) {
        (void)source->release(source, got, size); /* what it keeps is lost to us */
        return NULL;
    }
    pagemap_set((uintptr_t)got, size >> PAGE_SHIFT, &pool->extent);
    name_range(supply, got, size, true);
    return got;
}

/* What to ask the source for, at first: what is wanted, its own step at least, as far as the limit allows. */
static size_t first_choice(const struct supply *supply, size_t need, size_t wanted)
{
    const struct cairn_pool *pool = supply->pool;
    if (pool->source == &pool->own_source)
        wanted = size_max(wanted, pool->source->step);
    wanted = size_max(align_up(size_min(wanted, PTRDIFF_MAX), supply->granule), need);
    return size_min(wanted, align_down(limit_room(supply), supply->granule));
}

void *supply_get(struct supply *supply, size_t least, size_t wanted, size_t align, size_t *size, bool *zero,
                 enum error *error)
{
    struct source *source = supply->pool->source;
    *zero = false;
    if (supply->pool->buffer != 0)
        return get_from_buffer(supply, least, align, size, error);
    *error = ERROR_MEMORY;
    if (least > PTRDIFF_MAX || !range_room(supply))
        return NULL;
    size_t need = size_max(align_up(least, supply->granule), supply->granule);
    if (need > limit_room(supply)) {
        *error = ERROR_LIMIT;
        return NULL;
    }
    align = size_max(align, size_max(supply->granule, source->align));
    *size = first_choice(supply, need, wanted);
    void *got = reserve(supply, *size, align);
    if (got == NULL && *size > need) {
        *size = need;
        got = reserve(supply, need, align);
    }
    if (got == NULL)
        return NULL;
    *zero = source->is_stale == NULL || !source->is_stale(source, got, *size);
    range_enter(supply, (uintptr_t)got, *size);
    supply->extent_bytes += *size;
    note_peak(supply);
    *error = OK;
    return got;
}

bool supply_give(struct supply *supply, void *base, size_t size)
{
    struct cairn_pool *pool = supply->pool;
    uintptr_t start = (uintptr_t)base;
    if (pool->buffer != 0)
        return false;
    if (supply_splits(supply) && !range_room(supply))
        return false;
    size_t at = range_find(supply, start);
    const struct supply_range *range = &supply->ranges[at];
    if (at == supply->range_count ||
        (!supply_splits(supply) && (range->base != start || range->size != size)))
        return false;
    /* Out of the page map first: once released, the range may be somebody else's. */
    pagemap_set(start, size >> PAGE_SHIFT, NULL);
    name_range(supply, base, size, false);
    if (!pool->source->release(pool->source, base, size)) {
        pagemap_set(start, size >> PAGE_SHIFT, &pool->extent);
        name_range(supply, base, size, true);
        return false;
    }
    range_cut(supply, at, start, size);
    supply->extent_bytes -= size;
    return true;
}

void supply_close(struct supply *supply, bool extents)
{
    struct supply last = *supply; /* it may lie in the store */
    struct source *source = last.pool->source;
    for (size_t i = 0; extents && i < last.range_count; i++) {
        const struct supply_range range = last.ranges[i];
        pagemap_set(range.base, range.size >> PAGE_SHIFT, NULL);
        name_range(&last, (void *)range.base, range.size, false);
        (void)source->release(source, (void *)range.base, range.size); /* what it keeps is lost to us */
    }
    for (struct store_piece *piece = last.pieces, *next; piece != NULL; piece = next) {
        next = piece->next;
        piece_unmap(&last.pool->own_store, piece, piece->size);
    }
}

/* ---- Asking ------------------------------------------------------------------------------------------- */

void supply_limit(struct supply *supply, size_t hard, size_t soft)
{
    supply->limit_hard = hard;
    supply->limit_soft = soft;
}

static uint64_t limit_shown(size_t limit)
{
    return limit == SIZE_MAX ? UINT64_MAX : limit;
}

void supply_stats(const struct supply *supply, cairn_stats *out)
{
    const struct cairn_pool *pool = supply->pool;
    out->metadata = supply->store_bytes;
    out->committed = supply_committed(supply);
    out->committed_peak = supply->peak;
    out->reserved = supply_committed(supply);
    if (pool->buffer != 0)
        out->reserved += supply_room(supply);
    out->limit_hard = limit_shown(supply->limit_hard);
    out->limit_soft = limit_shown(supply->limit_soft);
    out->arenas = pool->buffer != 0 ? 1 : supply->range_count;
}

const char *supply_check(const struct supply *supply)
{
    size_t total = 0;
    if (supply->pool->buffer != 0)
        return supply->range_count == 0 ? NULL : "a buffer has ranges elsewhere";
    for (size_t i = 0; i < supply->range_count; i++) {
        const struct supply_range *range = &supply->ranges[i];
        if (range->size == 0 || ((range->base | range->size) & (supply->granule - 1)) != 0)
            return "an extent is not made of whole granules";
        if (i > 0 && range->base < range[-1].base + range[-1].size)
            return "extents overlap or are out of order";
        for (size_t offset = 0; offset < range->size; offset += PAGE_SIZE)
            if (pagemap_find((void *)(range->base + offset)) != &supply->pool->extent)
                return "the page map does not lead from an extent to its pool";
        total += range->size;
    }
    return total == supply->extent_bytes ? NULL : "the sizes of the extents do not add up";
}
