/* grow.c - see grow.h; also gives arenas back (arena.h). */
#include "engine/grow.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/meta.h"
#include "engine/pagemap.h"
#include "engine/purge.h"
#include "engine/span.h"
#include "os/os.h"

#define STORE_MAX (16 * KiB)                       /* bit sets up to this size live in the common store */
#define RELEASE_PAGES_MIN (16 * GiB >> PAGE_SHIFT) /* from here on a range that is free goes as a whole */
#define ARENA_MAX (1 * GiB) /* no arena is made larger than this unless one request needs it */

/* ---- An arena's descriptor ----------------------------------------------------------------------- */

static size_t bookkeeping_size(const struct heap *heap, size_t capacity)
{
    return 2 * BITS_WORDS(capacity) * sizeof(uint64_t) +
           (capacity + CHUNK_PAGES - 1) / CHUNK_PAGES * sizeof(struct chunk) +
           (heap->config.marks ? (capacity << PAGE_SHIFT) / MARK_BYTES : 0);
}

/* A used descriptor whose bit sets are large enough, or one without any. */
static struct arena *reuse_descriptor(struct heap *heap, size_t capacity, bool in_store)
{
    for (struct arena **at = &heap->meta.free_arenas; *at != NULL; at = &(*at)->next) {
        struct arena *arena = *at;
        if (in_store ? arena->capacity >= capacity : arena->capacity == 0) {
            *at = arena->next;
            return arena;
        }
    }
    return NULL;
}

static void place_bookkeeping(const struct heap *heap, struct arena *arena, char *at, size_t capacity)
{
    size_t words = BITS_WORDS(capacity);
    arena->chunks = (struct chunk *)at;
    arena->free = (uint64_t *)(at + (capacity + CHUNK_PAGES - 1) / CHUNK_PAGES * sizeof(struct chunk));
    arena->dirty = arena->free + words;
    arena->marks = heap->config.marks ? (uint8_t *)(arena->dirty + words) : NULL;
    arena->capacity = capacity;
}

/* An arena with all bits clear and `capacity` pages of room (at least); NULL: no memory. */
static struct arena *make_descriptor(struct heap *heap, size_t capacity)
{
    size_t size = bookkeeping_size(heap, capacity);
    bool in_store = size <= STORE_MAX || heap->config.meta_piece == 0;
    struct arena *arena = reuse_descriptor(heap, capacity, in_store);
    if (arena != NULL && in_store) {
        bits_clear(arena->free, 0, arena->capacity);
        bits_clear(arena->dirty, 0, arena->capacity);
        return arena;
    }
    if (arena == NULL)
        arena = meta_alloc(heap, sizeof *arena);
    if (arena == NULL)
        return NULL;
    size_t mapped = size;
    char *at = in_store ? meta_alloc(heap, size) : meta_map(heap, &mapped);
    if (at == NULL) {
        arena->capacity = 0;
        arena->next = heap->meta.free_arenas;
        heap->meta.free_arenas = arena;
        return NULL;
    }
    arena->meta_mapped = in_store ? 0 : mapped;
    place_bookkeeping(heap, arena, at, capacity);
    return arena;
}

static void drop_descriptor(struct heap *heap, struct arena *arena)
{
    if (arena->meta_mapped > 0) {
        meta_unmap(heap, arena->chunks, arena->meta_mapped);
        arena->meta_mapped = 0;
        arena->capacity = 0;
    }
    arena->next = heap->meta.free_arenas;
    heap->meta.free_arenas = arena;
}

/* ---- Growing ------------------------------------------------------------------------------------- */

static void add_pages(struct heap *heap, struct arena *arena, size_t more)
{
    size_t from = arena->pages;
    arena->pages += more;
    arena->free_pages += more;
    bits_set(arena->free, from, arena->pages);
    size_t start = bits_run_start(arena->free, from, from > CHUNK_PAGES ? from - CHUNK_PAGES : 0);
    for (size_t c = start / CHUNK_PAGES; c * CHUNK_PAGES < arena->pages; c++) {
        size_t room = size_min(arena->pages - size_max(start, c * CHUNK_PAGES), CHUNK_PAGES);
        arena->chunks[c].room = (uint32_t)size_max(arena->chunks[c].room, room);
    }
    arena->room = arena->pages;
    count_up(&heap->counts.reserved_bytes, more << PAGE_SHIFT);
}

/* Puts the heap's name on a range, in /proc/self/maps, or takes it off before the range goes back. */
static void name_range(const struct heap *heap, void *base, size_t size, bool in_use)
{
    if (heap->config.name != NULL)
        os_name(base, size, in_use ? heap->config.name : "cairn");
}

static enum error add_arena(struct heap *heap, struct source *source, size_t size, size_t align)
{
    size_t capacity = size_max(size, source->growth) >> PAGE_SHIFT;
    void *base = source->reserve(source, size, size_max(align, os_page_size()));
    if (base == NULL)
        return ERROR_MEMORY;
    struct arena *arena = ((uintptr_t)base & (align - 1)) == 0 ? make_descriptor(heap, capacity) : NULL;
    if (arena == NULL)
        goto fail_range;
    if (pagemap_cover((uintptr_t)base, capacity << PAGE_SHIFT) != OK)
        goto fail_descriptor;
    arena->heap = heap;
    arena->source = source;
    arena->base = (uintptr_t)base;
    arena->pages = arena->free_pages = arena->dirty_pages = arena->room = 0;
    arena->is_stale = source->is_stale != NULL && source->is_stale(source, base, size);
    arena->next = NULL;
    for (size_t c = 0; c * CHUNK_PAGES < arena->capacity; c++)
        arena->chunks[c] = (struct chunk){.arena = arena};
    add_pages(heap, arena, size >> PAGE_SHIFT);
    name_range(heap, base, size, true);
    if (heap->last_arena == NULL)
        heap->arenas = arena;
    else
        heap->last_arena->next = arena;
    heap->last_arena = arena;
    count_up(&heap->counts.arenas, 1);
    return OK;

fail_descriptor:
    drop_descriptor(heap, arena);
fail_range:
    (void)source->release(source, base, size);
    return ERROR_MEMORY;
}

/* Lengthens an arena of `source` so that its end has room for the run. */
static bool extend_arena(struct heap *heap, struct source *source, size_t pages, size_t align)
{
    for (struct arena *arena = heap->arenas; arena != NULL && source->extend != NULL; arena = arena->next) {
        if (arena->source != source)
            continue;
        size_t start = bits_run_start(arena->free, arena->pages, 0);
        start = (align_up(arena_address(arena, start), align) - arena->base) >> PAGE_SHIFT;
        if (start + pages > arena->capacity)
            continue;
        size_t more = align_up(start + pages - arena->pages, os_page_size() >> PAGE_SHIFT);
        size_t usual = size_max(source->step, heap->counts.reserved_bytes / 8) >> PAGE_SHIFT;
        usual = size_min(align_up(usual, os_page_size() >> PAGE_SHIFT), arena->capacity - arena->pages);
        void *end = (void *)arena_address(arena, arena->pages);
        if (more < usual && source->extend(source, end, usual << PAGE_SHIFT))
            more = usual;
        else if (!source->extend(source, end, more << PAGE_SHIFT))
            continue;
        add_pages(heap, arena, more);
        return true;
    }
    return false;
}

/* New arenas double the heap's address space, up to a size; less when the system refuses that much.  An alignment above
 * that size is the source's to find: in an arena as large, every page would have to be accounted for. */
static enum error add_some_arena(struct heap *heap, struct source *source, size_t pages, size_t align)
{
    size_t unit = source->growth != 0 ? os_page_size() : CHUNK_PAGES * PAGE_SIZE;
    size_t largest = source->largest != 0 ? source->largest : ARENA_MAX;
    if (source->unit != 0)
        unit = source->unit;
    size_t need;
    if (__builtin_add_overflow(pages << PAGE_SHIFT, align - PAGE_SIZE, &need) || need > PTRDIFF_MAX)
        return ERROR_MEMORY;
    bool apart = align > ARENA_MAX;
    size_t least = align_up(align <= source->align || apart ? pages << PAGE_SHIFT : need, unit);
    size_t usual = source->growth != 0
                       ? source->step
                       : size_min(size_max(source->step, heap->counts.reserved_bytes), largest);
    for (size_t size = size_max(align_up(usual, unit), least);;
         size = size_max(align_up(size / 2, unit), least)) {
        if (add_arena(heap, source, size, apart ? align : source->align) == OK)
            return OK;
        if (size == least)
            return ERROR_MEMORY;
    }
}

static enum error grow_any_source(struct heap *heap, size_t pages, size_t align)
{
    for (struct source *source = heap->config.source; source != NULL; source = source->fallback) {
        if (extend_arena(heap, source, pages, align) || add_some_arena(heap, source, pages, align) == OK)
            return OK;
    }
    return ERROR_MEMORY;
}

static void release_unused(struct heap *heap)
{
    for (struct arena *arena = heap->arenas, *next; arena != NULL; arena = next) {
        next = arena->next;
        arena_release_if_unused(heap, arena);
    }
}

void arena_lengthen(struct heap *heap, struct arena *arena, size_t more)
{
    arena->pages += more;
    count_up(&heap->counts.reserved_bytes, more << PAGE_SHIFT);
    count_up(&heap->counts.span_bytes, more << PAGE_SHIFT);
}

struct arena *arena_adopt(struct heap *heap, struct source *source, uintptr_t base, size_t pages,
                          size_t capacity)
{
    struct arena *arena = make_descriptor(heap, capacity);
    if (arena == NULL)
        return NULL;
    if (pagemap_cover(base, capacity << PAGE_SHIFT) != OK) {
        drop_descriptor(heap, arena);
        return NULL;
    }
    arena->heap = heap;
    arena->source = source;
    arena->base = base;
    arena->pages = pages;
    arena->free_pages = arena->dirty_pages = arena->room = 0;
    arena->next = NULL;
    heap->arenas = heap->last_arena = arena;
    count_up(&heap->counts.arenas, 1);
    count_up(&heap->counts.reserved_bytes, pages << PAGE_SHIFT);
    count_up(&heap->counts.span_bytes, pages << PAGE_SHIFT);
    return arena;
}

enum error grow(struct heap *heap, size_t pages, size_t align)
{
    if (heap->config.events != NULL && heap->config.events->look(heap, pages))
        return OK;
    if (grow_any_source(heap, pages, align) == OK)
        return OK;
    purge_down_to(heap, 0);
    release_unused(heap);
    return grow_any_source(heap, pages, align);
}

/* ---- Giving back --------------------------------------------------------------------------------- */

/* Whether every page is free and clean. */
static bool is_unused(const struct arena *arena)
{
    return arena->free_pages == arena->pages && arena->dirty_pages == 0;
}

void arenas_release_all(struct heap *heap)
{
    for (struct arena *arena = heap->arenas, *next; arena != NULL; arena = next) {
        next = arena->next;
        if (arena->kept != NULL) /* pages that nobody has looked at count as taken: seldom worth a visit */
            pagemap_clear(arena->base, arena->capacity << PAGE_SHIFT);
        for (size_t at = bits_next_clear(arena->free, 0, arena->pages), stop;
             at < arena->pages && arena->kept == NULL;
             at = bits_next_clear(arena->free, stop, arena->pages)) {
            stop = bits_next_set(arena->free, at, arena->pages);
            pagemap_set(arena_address(arena, at), stop - at, NULL);
        }
        name_range(heap, (void *)arena->base, arena->pages << PAGE_SHIFT, false);
        (void)arena->source->release(arena->source, (void *)arena->base, arena->pages << PAGE_SHIFT);
        if (arena->meta_mapped > 0)
            meta_unmap(heap, arena->chunks, arena->meta_mapped);
    }
    heap->arenas = heap->last_arena = NULL;
}

void arena_forget_dirty(struct heap *heap, struct arena *arena)
{
    if (arena->dirty_pages == 0)
        return;
    for (size_t c = 0; c * CHUNK_PAGES < arena->pages; c++)
        arena->chunks[c].dirty = 0;
    bits_clear(arena->dirty, 0, arena->pages);
    count_down(&heap->counts.dirty_bytes, arena->dirty_pages << PAGE_SHIFT);
    arena->dirty_pages = 0;
}

void arena_release_if_unused(struct heap *heap, struct arena *arena)
{
    if (arena == heap->arenas || !is_unused(arena))
        return;
    for (size_t c = 0; c * CHUNK_PAGES < arena->capacity; c++)
        purge_forget(heap, &arena->chunks[c]);
    size_t size = arena->pages << PAGE_SHIFT;
    name_range(heap, (void *)arena->base, size, false);
    if (!arena->source->release(arena->source, (void *)arena->base, size))
        return;
    span_forget_given(heap);
    struct arena *before = heap->arenas;
    while (before->next != arena)
        before = before->next;
    before->next = arena->next;
    if (heap->last_arena == arena)
        heap->last_arena = before;
    count_down(&heap->counts.reserved_bytes, size);
    count_down(&heap->counts.arenas, 1);
    drop_descriptor(heap, arena);
}

void pages_give_back(struct heap *heap, struct arena *arena, size_t first, size_t pages, bool dirty)
{
    bool whole = pages >= RELEASE_PAGES_MIN && arena->free_pages + pages == arena->pages &&
                 arena != heap->arenas && arena->source->purge != NULL && !arena->source->keeps_old;
    pages_give(heap, arena, first, pages, dirty && !whole); /* what the source does not release, it empties */
    if (whole)
        arena_forget_dirty(heap, arena);
    if (whole || !dirty) /* else whoever purges the pages looks whether the arena can go */
        arena_release_if_unused(heap, arena);
}

void arena_shrink(struct heap *heap, struct arena *arena)
{
    struct source *source = arena->source;
    if (source->shrink == NULL)
        return;
    size_t from = bits_run_start(arena->free, arena->pages, 0);
    from = align_up(from, os_page_size() >> PAGE_SHIFT);
    if (from >= arena->pages)
        return;
    size_t count = arena->pages - from;
    if (!source->shrink(source, (void *)arena_address(arena, arena->pages), count << PAGE_SHIFT))
        return;
    for (size_t at = from; at < arena->pages;) {
        struct chunk *chunk = &arena->chunks[at / CHUNK_PAGES];
        size_t stop = size_min((at / CHUNK_PAGES + 1) * CHUNK_PAGES, arena->pages);
        size_t dirty = bits_count(arena->dirty, at, stop);
        chunk->dirty = (uint16_t)(chunk->dirty - dirty);
        arena->dirty_pages -= dirty;
        count_down(&heap->counts.dirty_bytes, dirty << PAGE_SHIFT);
        /* What comes here later was never purged. */
        size_t left = bits_count(arena->free, at / CHUNK_PAGES * CHUNK_PAGES, at) - chunk->dirty;
        chunk->purged = (uint16_t)size_min(chunk->purged, left);
        at = stop;
    }
    bits_clear(arena->free, from, arena->pages);
    bits_clear(arena->dirty, from, arena->pages);
    arena->pages = from;
    arena->free_pages -= count;
    count_down(&heap->counts.reserved_bytes, count << PAGE_SHIFT);
}
