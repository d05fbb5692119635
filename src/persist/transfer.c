/* transfer.c - malloc_to, realloc_to and free_from: a block's life and the pointer to it as one step.
 *
 * Steps 9 to 25 of protocol.h.  A block of a size class is popped without its mark, so that the intent can be written
 * between; a large block's life is its descriptor, so its intent is written where the heap tells of it (book.c). */
#include "cairn/persist.h"

#include "engine/alloc.h"
#include "engine/cache.h"
#include "engine/heap.h"
#include "engine/large.h"
#include "os/report.h"
#include "persist/adopt.h"
#include "persist/file_pool.h"
#include "persist/intent.h"
#include "persist/protocol.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

/* ---- Marks --------------------------------------------------------------------------------------- */

static void set_mark(const struct span *span, void *block, uint8_t mark)
{
    if (span->marks != 0)
        file_store(span_mark(span, block), mark);
}

/* ---- Allocating ---------------------------------------------------------------------------------- */

/* A block that is not marked live; a large one is live by its descriptor. */
static void *pop_block(struct cairn_pool *pool, size_t size)
{
    enum error error = ERROR_MEMORY;
    struct cache *cache = thread_quick_cache(pool);
    struct heap *heap = pool_heap(pool);
    void *block = NULL;
    if (cache == NULL)
        cache = thread_pool_cache(pool, true);
    if (cache != NULL) {
        block = heap_alloc(cache, size, false, &error);
    } else {
        lock_take(&heap->late_lock);
        if (heap->late == NULL)
            heap->late = cache_make(heap);
        if (heap->late != NULL)
            block = heap_alloc(heap->late, size, false, &error);
        lock_release(&heap->late_lock);
    }
    return block;
}

/* The same; for a large one the intent is in the file. */
static void *take_block(struct cairn_pool *pool, size_t size, struct intent *intent)
{
    if (size <= CLASS_SIZE_MAX)
        return pop_block(pool, size);
    intent_expect(intent);
    void *block = pop_block(pool, size);
    intent_expect_no_more(intent);
    return block;
}

/* The intent is in the file and the block live; `contents` bytes of `from` are in it, or with from NULL it is zeroed. */
static void *bring(struct cairn_pool *pool, size_t size, struct intent *intent, const void *from,
                   size_t contents)
{
    if (size > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (load_relaxed(&pool->limit_soft) != SIZE_MAX)
        pool_watch_soft_limit(pool, size);
    void *block = take_block(pool, size, intent);
    for (int tries = 0; block == NULL && pool_relieve(pool, ERROR_FULL, tries, size); tries++)
        block = take_block(pool, size, intent);
    if (block == NULL)
        return thread_fail(ENOMEM, "there is no more memory for the pool: its file is full");
    if (from != NULL)
        memcpy(block, from, contents);
    else if (contents > 0)
        memset(block, 0, contents);
    if (!intent->is_open) {
        intent->fresh = block;
        intent_write(intent);
        set_mark(pagemap_find(block), block, MARK_LIVE);
    }
    return block;
}

/* ---- Freeing ------------------------------------------------------------------------------------- */

/* The block, which has no mark, goes back to its span. */
static void push_block(struct cairn_pool *pool, const char *call, struct span *span, void *block)
{
    struct cache *cache = thread_quick_cache(pool);
    if (cache == NULL || load_relaxed(&span->owner) != cache || !span_push(span, block))
        heap_free(thread_pool_cache_if_any(pool), call, block);
}

/* Frees the old block of an intent that is in the file; the intent is cleared before anybody can have the memory. */
static void end_old(struct cairn_pool *pool, const char *call, struct intent *intent, struct span *span)
{
    void *old = intent->old;
    if (span->size_class == CLASS_LARGE) {
        intent_expect(intent); /* cleared with the descriptor */
        heap_free(thread_pool_cache_if_any(pool), call, old);
        intent_expect_no_more(intent);
    } else {
        set_mark(span, old, 0);
        intent_clear(intent);
        push_block(pool, call, span, old);
    }
}

/* A block that the program names must be one.  Only first bytes of live ones have marks. */
static struct span *old_span(struct cairn_pool *pool, const char *call, const void *block)
{
    struct span *span = pagemap_find(block);
    if (LIKELY(span != NULL && pool_of_span(span) == pool && span->marks != 0 &&
               load_relaxed(span_mark(span, block)) == MARK_LIVE && (uintptr_t)block % MARK_BYTES == 0))
        return span;
    (void)pool->ops->usable(pool, call, block);
    span = pagemap_find(block);
    if (span->marks != 0 && load_relaxed(span_mark(span, block)) == 0)
        report_fatal(call, block, "double free of");
    return span;
}

/* ---- The three, for every kind of slot ------------------------------------------------------------- */

/* Whether a pointer may lie there. */
static bool is_slot(const struct pool_file *file, enum intent_slot kind, const void *slot)
{
    return kind == SLOT_ROOT || ((uintptr_t)slot % sizeof(uint64_t) == 0 && file_has(file, slot));
}

/* The file, if the pool and the slot are as they should be; errno and message otherwise. */
static struct pool_file *begin(const struct cairn_pool *pool, enum intent_slot kind, const void *slot)
{
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL || is_slot(file, kind, slot))
        return file;
    return thread_fail(EINVAL, "the slot is not in the pool, or not at a multiple of 8");
}

static void *malloc_to(struct cairn_pool *pool, size_t size, bool zero, enum intent_slot kind, void *slot)
{
    struct pool_file *file = begin(pool, kind, slot);
    if (file == NULL)
        return NULL;
    struct intent intent = {.call = INTENT_MALLOC, .kind = kind, .slot = slot};
    intent_take(file, &intent);
    void *block = bring(pool, size, &intent, NULL, zero ? size : 0);
    if (block != NULL)
        intent_store_slot(file, kind, slot, block);
    intent_leave(&intent);
    return block;
}

static void *realloc_to(struct cairn_pool *pool, size_t size, enum intent_slot kind, void *slot)
{
    static const char call[] = "cairn_pool_realloc_to";
    struct pool_file *file = begin(pool, kind, slot);
    if (file == NULL)
        return NULL;
    void *old = intent_load_slot(file, kind, slot);
    if (old == NULL)
        return malloc_to(pool, size, false, kind, slot);
    struct span *span = old_span(pool, call, old);
    if (heap_block_stays(span, size) || (size > CLASS_SIZE_MAX && large_resize_in_place(span, size)))
        return old;
    struct intent intent = {.call = INTENT_REALLOC, .kind = kind, .slot = slot, .old = old};
    intent_take(file, &intent);
    void *fresh = bring(pool, size, &intent, old, size_min(span_usable_size(span), size));
    if (fresh != NULL) {
        intent_store_slot(file, kind, slot, fresh);
        end_old(pool, call, &intent, span);
    }
    intent_leave(&intent);
    return fresh;
}

static int free_from(struct cairn_pool *pool, enum intent_slot kind, void *slot)
{
    static const char call[] = "cairn_pool_free_from";
    struct pool_file *file = begin(pool, kind, slot);
    if (file == NULL)
        return -1;
    void *old = intent_load_slot(file, kind, slot);
    if (old == NULL)
        return 0;
    struct span *span = old_span(pool, call, old);
    struct intent intent = {.call = INTENT_FREE, .kind = kind, .slot = slot, .old = old};
    intent_take(file, &intent);
    intent_write(&intent);
    intent_store_slot(file, kind, slot, NULL);
    end_old(pool, call, &intent, span);
    intent_leave(&intent);
    return 0;
}

/* ---- The calls ------------------------------------------------------------------------------------ */

static enum intent_slot kind_of(const void *slot, enum intent_slot kind)
{
    return slot != NULL ? kind : SLOT_ROOT;
}

static void *calloc_to(struct cairn_pool *pool, size_t count, size_t size, enum intent_slot kind, void *slot)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return thread_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    return malloc_to(pool, total, true, kind, slot);
}

void *cairn_pool_malloc_to(cairn_pool *pool, size_t size, void **slot)
{
    return malloc_to(pool, size, false, kind_of(slot, SLOT_POINTER), slot);
}

void *cairn_pool_calloc_to(cairn_pool *pool, size_t count, size_t size, void **slot)
{
    return calloc_to(pool, count, size, kind_of(slot, SLOT_POINTER), slot);
}

void *cairn_pool_realloc_to(cairn_pool *pool, void **slot, size_t size)
{
    return realloc_to(pool, size, kind_of(slot, SLOT_POINTER), slot);
}

int cairn_pool_free_from(cairn_pool *pool, void **slot)
{
    return free_from(pool, kind_of(slot, SLOT_POINTER), slot);
}

void *cairn_pool_malloc_to_ptr(cairn_pool *pool, size_t size, cairn_ptr *slot)
{
    return malloc_to(pool, size, false, kind_of(slot, SLOT_RELATIVE), slot);
}

void *cairn_pool_calloc_to_ptr(cairn_pool *pool, size_t count, size_t size, cairn_ptr *slot)
{
    return calloc_to(pool, count, size, kind_of(slot, SLOT_RELATIVE), slot);
}

void *cairn_pool_realloc_to_ptr(cairn_pool *pool, cairn_ptr *slot, size_t size)
{
    return realloc_to(pool, size, kind_of(slot, SLOT_RELATIVE), slot);
}

int cairn_pool_free_from_ptr(cairn_pool *pool, cairn_ptr *slot)
{
    return free_from(pool, kind_of(slot, SLOT_RELATIVE), slot);
}
