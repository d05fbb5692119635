/* book.c - see book.h.  Everything here happens under the heap's lock; the order of stores is that of protocol.h, steps
 * 1, 2, 6, 7 and 8.
 *
 * A large block's descriptor is its life, so the calls that must not leak (intent.h) write their intent just before it is
 * stored, and clear it just after it is taken away: between the two nobody else can get its pages. */
#include "persist/book.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/grow.h"
#include "os/os.h"
#include "persist/adopt.h"
#include "persist/intent.h"
#include "persist/protocol.h"

/* ---- The source: a file has what it has --------------------------------------------------------------- */

static void *reserve_nothing(struct source *source, size_t size, size_t align)
{
    (void)source, (void)size, (void)align;
    return NULL;
}

static bool keep(struct source *source, void *base, size_t size)
{
    (void)source, (void)base, (void)size;
    return false;
}

struct source *book_source(struct pool_file *file)
{
    file->source = (struct source){
        .name = "file",
        .reserve = reserve_nothing,
        .release = keep,
        .context = file,
        .align = PAGE_SIZE,
        .step = PAGE_SIZE,
        .unit = PAGE_SIZE,
    };
    return &file->source;
}

enum error book_open(struct pool_file *file, struct heap *heap)
{
    size_t capacity = file->max_pages;
    size_t kept = align_up(capacity * PAGE_SIZE / MARK_BYTES / 8, 64 * KiB);
    uint64_t *bits = os_map(NULL, kept);
    if (bits == NULL)
        return ERROR_MEMORY;
    os_name(bits, kept, "cairn metadata");
    struct arena *arena =
        arena_adopt(heap, heap->config.source, (uintptr_t)file->pages, file->capacity, capacity);
    if (arena == NULL) {
        (void)os_unmap(bits, kept);
        return ERROR_MEMORY;
    }
    arena->kept = bits;
    arena->marks = file->marks;
    file->kept_size = kept;
    file->heap = heap;
    file->arena = arena;
    return OK;
}

/* ---- The record ------------------------------------------------------------------------------------- */

void book_touch(struct pool_file *file, uint64_t end)
{
    if (end <= file->touched)
        return;
    file_set_word(file, WORD_TOUCHED, end);
    file->touched = end;
}

static void made(struct heap *heap, struct span *span)
{
    struct pool_file *file = book_file(heap);
    uint64_t page = span_first_page(span);
    book_touch(file, page + span->pages);
    if (span->size_class == CLASS_LARGE)
        intent_before_large(file, (void *)span->base);
    file_store(&file->descriptors[page], format_descriptor(page, span->size_class, span->pages));
}

static void released(struct heap *heap, struct span *span)
{
    struct pool_file *file = book_file(heap);
    uint64_t page = span_first_page(span);
    if (span->size_class != CLASS_LARGE) {
        size_t first = page * (PAGE_SIZE / MARK_BYTES);
        bits_clear(file->arena->kept, first, first + span->pages * (PAGE_SIZE / MARK_BYTES));
    }
    file_store(&file->descriptors[page], 0);
    if (span->size_class == CLASS_LARGE)
        intent_behind_large(file, (void *)span->base);
}

static void resized(struct heap *heap, struct span *span, size_t pages)
{
    struct pool_file *file = book_file(heap);
    uint64_t page = span_first_page(span);
    book_touch(file, page + pages);
    file_store(&file->descriptors[page], format_descriptor(page, CLASS_LARGE, pages));
}

const struct heap_events book_events = {
    .made = made, .released = released, .resized = resized, .look = adopt_look};
