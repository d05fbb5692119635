/* inspect.c - looking at one span after the other.  See inspect.h; the checks of the whole are in inspect_heap.c. */
#include "observe/inspect.h"

#include "base/bits.h"
#include "engine/arena.h"
#include "engine/cache.h"
#include "engine/pagemap.h"
#include "engine/remote.h"
#include "engine/span.h"
#include "observe/inspect_span.h"
#include "os/os.h"

#include <string.h>

#define COPY_TRIES 64 /* of a span whose thread is held: each failure is an operation that ended meanwhile */
#define QUICK_TRIES 100 /* with the lock opened in between, before sleeping between them */
#define SPAN_TRIES                                                                                           \
    10000               /* then a thread stands still in the middle of something, and is taken as it stands */
#define FAULT_TRIES 200 /* that a fault must be seen again, in a span that another thread may be at work in */
#define SLEEP_US 100

/* ---- Finding spans ------------------------------------------------------------------------------- */

static bool is_lost(const struct heap *heap, const struct span *span)
{
    for (const struct span *lost = heap->lost; lost != NULL; lost = lost->next)
        if (lost == span)
            return true;
    return false;
}

/* The first span at or above `address`, under the heap's lock; one that begins below has come since. */
static struct span *span_from(struct heap *heap, uintptr_t address)
{
    const struct arena *arena;
    for (uintptr_t at = address; (arena = arena_above(heap, at)) != NULL;
         at = arena_address(arena, arena->pages)) {
        size_t page = at > arena->base ? (at - arena->base) >> PAGE_SHIFT : 0;
        while ((page = bits_next_clear(arena->free, page, arena->pages)) < arena->pages) {
            struct span *span = pagemap_find((void *)arena_address(arena, page));
            if (span != NULL && span->base >= address && !is_lost(heap, span))
                return span;
            page = span != NULL ? span_first_page(span) + span->pages : page + 1;
        }
    }
    return NULL;
}

/* ---- Reading a span's lists ---------------------------------------------------------------------- */

/* Takes the blocks of one list out of `live`; `memory` is the span's, or a copy.  NULL, or what is wrong. */
static const char *strike_list(struct inspector *in, const struct span *span, const char *memory,
                               const struct block *block, size_t *count)
{
    for (*count = 0; block != NULL; ++*count) {
        size_t offset = (uintptr_t)block - span->base;
        in->where = block;
        if (offset >= (size_t)span->capacity * span->block_size)
            return "a free list leads out of its span";
        if (!span_is_block(span, block))
            return "a free list leads into a block";
        size_t index = offset / span->block_size;
        if (!bits_test(in->live, index))
            return "a block is free twice";
        bits_clear(in->live, index, index + 1);
        memcpy(&block, memory + offset, sizeof block);
    }
    return NULL;
}

/* Blocks that are not cut count as live at first, so that strike_list finds each free one once.
 * NULL, or what is wrong; *settled: nobody is in the middle of an operation, as far as the numbers tell. */
static const char *read_lists(struct inspector *in, const struct span *span, const char *memory,
                              bool *settled)
{
    *settled = false;
    size_t free_count, remote_count;
    uint64_t remote = load_acquire(&span->remote); /* pairs with the push in remote.c */
    bits_set(in->live, 0, span->capacity);
    const char *wrong = strike_list(in, span, memory, span->free, &free_count);
    if (wrong == NULL)
        wrong = strike_list(in, span, memory, (const struct block *)(uintptr_t)(remote & REMOTE_BLOCK_MASK),
                            &remote_count);
    if (wrong != NULL)
        return wrong;
    in->where = span;
    if (remote_count != remote >> REMOTE_COUNT_SHIFT)
        return "a remote list has another length than its count";
    if (span->carved > span->capacity)
        return "more blocks are cut than fit";
    uint64_t used = load_relaxed(&span->allocs) - load_relaxed(&span->frees);
    *settled = free_count + used == span->carved &&
               bits_count(in->live, span->carved, span->capacity) == (size_t)span->capacity - span->carved;
    bits_clear(in->live, span->carved, span->capacity);
    return NULL;
}

/* A span that nobody else works on. */
static enum inspect_result look_at_quiet(struct inspector *in, const struct span *span)
{
    bool settled;
    in->fault = read_lists(in, span, (const char *)span->base, &settled);
    if (in->fault == NULL && !settled)
        in->fault = "the blocks of a span are miscounted";
    return INSPECT_DONE;
}

/* ---- A span of another thread -------------------------------------------------------------------- */

/* What its owner changes in any operation. */
static bool same_state(const struct span *a, const struct span *b)
{
    return a->owner == b->owner && a->free == b->free && a->allocs == b->allocs && a->frees == b->frees &&
           a->carved == b->carved;
}

/* A copy of one moment in in->descriptor and in->copy. */
static bool copy_span(struct inspector *in, const struct span *span)
{
    struct span after;
    size_t size = (size_t)span->capacity * span->block_size;
    for (int i = 0; i < COPY_TRIES; i++) {
        if (!os_peek(&in->descriptor, span, sizeof in->descriptor) ||
            !os_peek(in->copy, (const void *)span->base, size))
            return false;
        if (!CPU_KEEPS_STORE_ORDER)
            os_barrier_everywhere(); /* what came before anything that the copy has is seen below */
        if (!os_peek(&after, span, sizeof after))
            return false;
        if (same_state(&in->descriptor, &after))
            return true;
        os_yield();
    }
    return false;
}

static enum inspect_result look_at_foreign(struct inspector *in, struct span *span)
{
    struct cache *owner = load_relaxed(&span->owner);
    bool held = owner != NULL && cache_hold(owner);
    bool copied = copy_span(in, span);
    if (held)
        cache_let_go(owner);
    if (!copied)
        return INSPECT_AGAIN;
    bool settled;
    in->fault = read_lists(in, &in->descriptor, in->copy, &settled);
    if (in->fault == NULL && !settled && in->tries < SPAN_TRIES)
        return INSPECT_AGAIN; /* the thread was stopped between two stores */
    if (in->fault != NULL && in->faults++ < FAULT_TRIES)
        return INSPECT_AGAIN;
    return INSPECT_DONE;
}

/* ---- One span ------------------------------------------------------------------------------------ */

static enum inspect_result look_at_blocks(struct inspector *in, struct span *span)
{
    struct cache *owner = load_relaxed(&span->owner);
    uint64_t flags;
    if (owner != NULL && (owner == in->mine || owner == in->heap->late))
        return look_at_quiet(in, span);
    if (owner == NULL && span_guest_enter(span, &flags)) {
        (void)look_at_quiet(in, span);
        in->left = span_guest_leave(span, flags);
        in->guest = true;
        return INSPECT_DONE;
    }
    if (owner == NULL && in->tries < SPAN_TRIES)
        return INSPECT_AGAIN; /* on its way from one owner to another */
    return look_at_foreign(in, span);
}

static void locks_take(struct heap *heap)
{
    lock_take(&heap->late_lock);
    lock_take(&heap->lock);
}

static void locks_release(struct heap *heap)
{
    lock_release(&heap->lock);
    lock_release(&heap->late_lock);
}

/* With the locks: the next span into in->base, size, count and live.  The locks are open when it returns. */
static enum inspect_result look_at_next(struct inspector *in)
{
    enum inspect_result result = INSPECT_DONE;
    struct span *span = span_from(in->heap, in->cursor);
    in->fault = NULL;
    in->guest = false;
    if (span == NULL) {
        locks_release(in->heap);
        return INSPECT_END;
    }
    uintptr_t end = span->base + (span->pages << PAGE_SHIFT);
    in->base = span->base;
    in->is_large = span->size_class == CLASS_LARGE;
    in->block_size = in->is_large ? span->pages << PAGE_SHIFT : span->block_size;
    in->count = in->is_large ? 1 : span->capacity;
    if (in->is_large)
        in->live[0] = 1;
    else
        result = look_at_blocks(in, span);
    locks_release(in->heap);
    if (in->guest)
        span_guest_gone(span, in->left);
    if (result == INSPECT_DONE)
        in->cursor = end;
    return result;
}

enum inspect_result inspector_next(struct inspector *in)
{
    enum inspect_result result;
    in->faults = 0;
    for (in->tries = 0;; in->tries++) {
        locks_take(in->heap);
        result = look_at_next(in);
        if (result != INSPECT_AGAIN)
            return result;
        if (in->tries < QUICK_TRIES)
            os_yield();
        else
            os_sleep_us(SLEEP_US);
    }
}

bool inspector_begin(struct inspector *in, struct heap *heap, struct cache *mine)
{
    memset(in, 0, sizeof *in);
    in->heap = heap;
    in->mine = mine;
    in->mapped = align_up(INSPECT_COPY_BYTES + INSPECT_BITS_BYTES, os_page_size());
    char *room = os_map(NULL, in->mapped);
    if (room == NULL)
        return false;
    os_name(room, in->mapped, "cairn inspection");
    in->copy = room;
    in->live = (uint64_t *)(room + INSPECT_COPY_BYTES);
    return true;
}

void inspector_end(struct inspector *in)
{
    (void)os_unmap(in->copy, in->mapped);
}

/* ---- The walk ------------------------------------------------------------------------------------ */

static int visit_blocks(const struct inspector *in, cairn_visit *visit, void *context)
{
    for (size_t i = bits_next_set(in->live, 0, in->count); i < in->count;
         i = bits_next_set(in->live, i + 1, in->count)) {
        int result = visit((void *)(in->base + i * in->block_size), in->block_size, context);
        if (result != 0)
            return result;
    }
    return 0;
}

int inspect_walk(struct heap *heap, struct cache *mine, cairn_visit *visit, void *context, enum error *error)
{
    struct inspector in;
    int result = 0;
    if (!inspector_begin(&in, heap, mine)) {
        *error = ERROR_MEMORY;
        return -1;
    }
    while (result == 0 && inspector_next(&in) != INSPECT_END)
        if (in.fault == NULL)
            result = visit_blocks(&in, visit, context);
    inspector_end(&in);
    return result;
}
