/* meta.c - see meta.h. */
#include "engine/meta.h"

#include "os/os.h"

#define PIECE (64 * KiB) /* also the largest page size */

void *meta_map(struct heap *heap, size_t *size)
{
    size_t whole = align_up(*size, size_max(os_page_size(), PAGE_SIZE));
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

void *meta_alloc(struct heap *heap, size_t size)
{
    struct meta_store *meta = &heap->meta;
    size = align_up(size, CACHE_LINE);
    if ((size_t)(meta->end - meta->at) < size) {
        size_t piece = size_max(PIECE, size);
        char *got = meta_map(heap, &piece);
        if (got == NULL)
            return NULL;
        meta->at = got;
        meta->end = got + piece;
    }
    void *result = meta->at;
    meta->at += size;
    return result;
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
