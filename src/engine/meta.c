/* meta.c - see meta.h. */
#include "engine/meta.h"

#include "engine/arena.h"
#include "os/os.h"

#include <string.h>

/* At the start of each piece of the store. */
struct meta_piece {
    struct meta_piece *next;
    size_t size;
};

void *meta_map(struct heap *heap, size_t *size)
{
    size_t whole = align_up(*size, size_max(os_page_size(), PAGE_SIZE));
    if (limits_allow(heap, whole) != OK)
        return NULL;
    void *got = os_map(NULL, whole);
    if (got == NULL)
        return NULL;
    os_huge_pages(got, whole, false);
    os_name(got, whole, "cairn metadata");
    count_up(&heap->counts.meta_bytes, whole);
    *size = whole;
    return got;
}

void meta_unmap(struct heap *heap, void *address, size_t size)
{
    if (os_unmap(address, size))
        count_down(&heap->counts.meta_bytes, size);
}

/* A zeroed piece of the store, from the heap's own source if it has one. */
static char *map_piece(struct heap *heap, size_t *size)
{
    struct source *source = heap->config.meta_source;
    if (source == NULL)
        return meta_map(heap, size);
    *size = align_up(*size, size_max(os_page_size(), PAGE_SIZE));
    if (limits_allow(heap, *size) != OK)
        return NULL;
    char *got = source->reserve(source, *size, PAGE_SIZE);
    if (got == NULL)
        return NULL;
    if (source->is_stale != NULL && source->is_stale(source, got, *size))
        memset(got, 0, *size);
    count_up(&heap->counts.meta_bytes, *size);
    return got;
}

void *meta_alloc(struct heap *heap, size_t size)
{
    struct meta_store *meta = &heap->meta;
    size = align_up(size, CACHE_LINE);
    if ((size_t)(meta->end - meta->at) < size) {
        size_t size_of_piece = size_max(heap->config.meta_piece, size + CACHE_LINE);
        char *got = map_piece(heap, &size_of_piece);
        if (got == NULL)
            return NULL;
        struct meta_piece *piece = (struct meta_piece *)got;
        piece->size = size_of_piece;
        piece->next = meta->pieces;
        meta->pieces = piece;
        meta->at = got + CACHE_LINE;
        meta->end = got + size_of_piece;
    }
    void *result = meta->at;
    meta->at += size;
    return result;
}

void meta_release_all(struct heap *heap)
{
    struct source *source = heap->config.meta_source;
    for (struct meta_piece *piece = heap->meta.pieces, *next; piece != NULL; piece = next) {
        next = piece->next;
        if (source != NULL)
            (void)source->release(source, piece, piece->size);
        else
            meta_unmap(heap, piece, piece->size);
    }
    memset(&heap->meta, 0, sizeof heap->meta);
}

enum error meta_error(struct heap *heap)
{
    return limits_allow(heap, heap->config.meta_piece) == OK ? ERROR_MEMORY : ERROR_LIMIT;
}

struct span *meta_span_alloc(struct heap *heap)
{
    struct span *span = heap->meta.free_spans;
    if (span == NULL)
        return meta_alloc(heap, sizeof *span);
    heap->meta.free_spans = span->next;
    return span;
}

void meta_span_free(struct heap *heap, struct span *span)
{
    span->next = heap->meta.free_spans;
    heap->meta.free_spans = span;
}
