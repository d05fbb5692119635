/* adopt.c - see adopt.h. */
#include "persist/adopt.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/classes.h"
#include "engine/large.h"
#include "engine/pagemap.h"
#include "engine/span.h"
#include "os/report.h"
#include "persist/book.h"
#include "persist/protocol.h"

#define MARKS_PER_PAGE (PAGE_SIZE / MARK_BYTES)

static void *page_address(const struct pool_file *file, uint64_t page)
{
    return file->pages + page * PAGE_SIZE;
}

/* ---- Counting ------------------------------------------------------------------------------------- */

static size_t block_count(const struct page_descriptor *descriptor)
{
    return descriptor->pages * PAGE_SIZE / class_size(descriptor->size_class);
}

uint64_t adopt_count_live(const struct pool_file *file, uint64_t page,
                          const struct page_descriptor *descriptor)
{
    size_t step = class_size(descriptor->size_class) / MARK_BYTES;
    const uint8_t *mark = file->marks + page * MARKS_PER_PAGE;
    uint64_t live = 0;
    for (size_t i = 0, blocks = block_count(descriptor); i < blocks; i++, mark += step)
        live += load_relaxed(mark) != 0;
    return live;
}

/* Sets a bit in arena->kept for each live block; returns their number. */
static uint32_t keep_live(struct pool_file *file, uint64_t page, const struct page_descriptor *descriptor)
{
    size_t step = class_size(descriptor->size_class) / MARK_BYTES;
    uint64_t *kept = file->arena->kept;
    size_t at = page * MARKS_PER_PAGE;
    uint32_t live = 0;
    for (size_t i = 0, blocks = block_count(descriptor); i < blocks; i++, at += step) {
        if (load_relaxed(&file->marks[at]) != 0) {
            kept[at / BITS_PER_WORD] |= (uint64_t)1 << at % BITS_PER_WORD;
            live++;
        }
    }
    return live;
}

/* ---- One span ------------------------------------------------------------------------------------- */

/* Under the heap's lock: the span is in the page map and in the heap's books, full or shared. */
static struct span *adopt(struct pool_file *file, uint64_t page, const struct page_descriptor *descriptor)
{
    struct arena *arena = file->arena;
    struct run run = {.arena = arena, .first = page, .pages = descriptor->pages};
    for (uint64_t c = page / CHUNK_PAGES; c * CHUNK_PAGES < page + run.pages; c++)
        arena->chunks[c].arena = arena;
    if (descriptor->kind == PAGE_LARGE)
        return large_adopt(file->heap, &run);
    return span_adopt(file->heap, descriptor->size_class, &run, keep_live(file, page, descriptor));
}

/* The descriptor whose span covers the page; false: none, or damaged. */
static bool find_descriptor(const struct pool_file *file, uint64_t page, uint64_t *first,
                            struct page_descriptor *out)
{
    for (uint64_t at = page;; at--) {
        uint64_t word = load_relaxed(&file->descriptors[at]);
        if (word != 0) {
            *first = at;
            return format_read_descriptor(word, at, load_relaxed(&file->capacity), out) == NULL &&
                   page - at < out->pages;
        }
        if (at == 0 || (at <= file->looked && page - at >= SPAN_PAGES_MAX))
            return false; /* what begins before is in the page map */
    }
}

struct span *adopt_find(struct pool_file *file, const void *address)
{
    struct page_descriptor descriptor;
    uint64_t first;
    lock_take(&file->heap->lock);
    struct span *span = pagemap_find(address);
    if (span == NULL && file_has(file, address) &&
        find_descriptor(file, file_page(file, address), &first, &descriptor) &&
        (descriptor.kind == PAGE_LARGE || adopt_count_live(file, first, &descriptor) > 0))
        span = adopt(file, first, &descriptor);
    lock_release(&file->heap->lock);
    return span;
}

/* ---- In order ------------------------------------------------------------------------------------- */

static void give(struct pool_file *file, uint64_t first, uint64_t end, bool dirty)
{
    struct arena *arena = file->arena;
    for (uint64_t c = first / CHUNK_PAGES; c * CHUNK_PAGES < end; c++)
        arena->chunks[c].arena = arena;
    if (first < end)
        pages_give(file->heap, arena, first, end - first, dirty);
}

/* Whether a page without descriptor is news to the books: neither free there nor inside a span. */
static bool is_news(const struct pool_file *file, uint64_t page)
{
    return !bits_test(file->arena->free, page) && pagemap_find(page_address(file, page)) == NULL;
}

/* The span at a page with a descriptor comes into the books.  Returns the pages it has. */
static uint64_t enter(struct pool_file *file, uint64_t page)
{
    struct page_descriptor descriptor;
    const char *fault = format_read_descriptor(load_relaxed(&file->descriptors[page]), page,
                                               load_relaxed(&file->capacity), &descriptor);
    if (fault != NULL) {
        report_warning("pool file", fault);
        return 1; /* it stays taken */
    }
    if (pagemap_find(page_address(file, page)) != NULL)
        return descriptor.pages;
    if (descriptor.kind == PAGE_BLOCKS && adopt_count_live(file, page, &descriptor) == 0) {
        if (!file->read_only)
            file_store(&file->descriptors[page], 0);
        give(file, page, page + descriptor.pages, true);
    } else {
        (void)adopt(file, page,
                    &descriptor); /* without memory: its pages stay taken, adopt_find tries again */
    }
    return descriptor.pages;
}

/* Looks at touched pages from file->looked on, up to about `end`. */
static void look_at_touched(struct pool_file *file, uint64_t end)
{
    while (file->looked < end) {
        uint64_t first = file->looked, page = first;
        while (page < end && load_relaxed(&file->descriptors[page]) == 0 && is_news(file, page))
            page++;
        give(file, first, page, true);
        if (page < end)
            page += load_relaxed(&file->descriptors[page]) != 0 ? enter(file, page) : 1;
        file->looked = page;
    }
}

bool adopt_look(struct heap *heap, size_t pages)
{
    struct pool_file *file = book_file(heap);
    uint64_t capacity = load_relaxed(&file->capacity), from = file->looked;
    if (from >= capacity)
        return false;
    uint64_t end = pages < capacity - from ? from + size_max(pages, CHUNK_PAGES) : capacity;
    end = end < capacity ? end : capacity;
    if (from < file->touched) {
        look_at_touched(file, end < file->touched ? end : file->touched);
        return true;
    }
    /* at once for all that is free: what is asked for may be as large */
    give(file, from, end, false);
    file->looked = end;
    return true;
}

void adopt_all(struct pool_file *file)
{
    while (adopt_look(file->heap, CHUNK_PAGES * 64)) {}
}
