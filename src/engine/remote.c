/* remote.c - see remote.h and the protocol in types.h. */
#include "engine/remote.h"

#include "engine/cache.h"
#include "engine/span.h"

#define LIST_SHARE 8 /* a full span is worth listing when one block in so many is free again */

/* ---- The heap's shared spans (heap lock) --------------------------------------------------------- */

static void shared_unlink(struct span *span)
{
    struct heap *heap = span_heap(span);
    if (span->previous != NULL)
        span->previous->next = span->next;
    else
        store_relaxed(&heap->shared_first[span->size_class], span->next);
    if (span->next != NULL)
        span->next->previous = span->previous;
    else
        heap->shared_last[span->size_class] = span->previous;
    span->next = span->previous = NULL;
    span->is_shared = 0;
}

static void shared_append(struct span *span)
{
    struct heap *heap = span_heap(span);
    struct span *last = heap->shared_last[span->size_class];
    span->next = NULL;
    span->previous = last;
    if (last != NULL)
        last->next = span;
    else
        store_relaxed(&heap->shared_first[span->size_class], span); /* shared_take peeks without the lock */
    heap->shared_last[span->size_class] = span;
    span->is_shared = 1;
}

void shared_adopt(struct span *span)
{
    store_relaxed(&span->remote, REMOTE_UNOWNED | REMOTE_LISTED);
    shared_append(span);
}

/* Lists a span whose L bit this thread has set, unless it has an owner by now or is listed. */
static void shared_list(struct heap *heap, struct span *span)
{
    lock_take(&heap->lock);
    uint64_t remote =
        load_acquire(&span->remote); /* pairs with span_disown: L may be a later owner's, gone again */
    if ((remote & REMOTE_LISTED) != 0 && !span->is_shared)
        shared_append(span);
    lock_release(&heap->lock);
}

/* After taking over a span whose L bit was set: it may be listed. */
static void shared_forget(struct span *span)
{
    struct heap *heap = span_heap(span);
    lock_take(&heap->lock);
    if (span->is_shared)
        shared_unlink(span);
    lock_release(&heap->lock);
}

/* ---- Taking over --------------------------------------------------------------------------------- */

/* Takes a span without owner over, if it still has none; *now is what `remote` held last. */
static bool take_over(struct span *span, uint64_t *now)
{
    while ((*now & REMOTE_UNOWNED) != 0)
        if (cas_acq_rel(&span->remote, now, 0)) /* pairs with the CAS by which the last owner left */
            return true;
    return false;
}

bool shared_take(struct cache *cache, unsigned size_class)
{
    struct heap *heap = cache->heap;
    uint64_t remote = 0;
    if (load_relaxed(&heap->shared_first[size_class]) == NULL)
        return false;
    lock_take(&heap->lock);
    struct span *span;
    while ((span = heap->shared_first[size_class]) != NULL) {
        shared_unlink(span);
        remote = load_relaxed(&span->remote);
        if (take_over(span, &remote))
            break;
    }
    lock_release(&heap->lock);
    if (span == NULL)
        return false;
    store_relaxed(&span->owner, cache);
    span_collect_word(span, remote);
    cache_add_last(cache, span);
    return true;
}

/* The calling thread has won the CAS that took `remote` out: it is the owner now. */
static void settle(struct span *span, uint64_t remote)
{
    if ((remote & REMOTE_LISTED) != 0)
        shared_forget(span);
    span_collect_word(span, remote);
}

static void free_as_owner(struct cache *cache, struct span *span, struct block *block, uint64_t remote)
{
    store_relaxed(&span->owner, cache);
    settle(span, remote);
    block->next = span->free;
    span->free = block;
    count_up(&span->frees, 1);
    cache_add_last(cache, span);
    if (span->allocs == span->frees)
        cache_span_empty(cache, span);
}

/* ---- Freeing ------------------------------------------------------------------------------------- */

/* The push just made may have freed the span's last block: then the span goes. */
static void release_if_empty(struct span *span, uint64_t remote)
{
    if (load_relaxed(&span->allocs) - load_relaxed(&span->frees) != remote >> REMOTE_COUNT_SHIFT)
        return;
    if (!cas_acq_rel(&span->remote, &remote, 0)) /* pairs as in take_over */
        return; /* somebody took it over, or freed again: no longer our business */
    settle(span, remote);
    if (span->allocs == span->frees)
        span_release(span, NULL);
    else
        span_disown(span); /* it was taken, used and left again in between, down to the same word */
}

/* After a push on a span that had no owner then. */
static void after_unowned_push(struct heap *heap, struct span *span, uint64_t remote, uint64_t list_at)
{
    if (remote >> REMOTE_COUNT_SHIFT == list_at)
        shared_list(heap, span);
    release_if_empty(span, remote);
}

/* Whether the thread may have a span without owner in which it frees: what it left itself, and a full one that a
 * thread left that is gone.  Not that thread's listed ones: those wait for a thread in need, and taking them made idle
 * threads hoard (docs/measurements.md). */
static bool may_take(const struct cache *cache, const struct span *span, uint64_t remote)
{
    const struct cache *last = load_relaxed(&span->last_owner);
    if ((remote & REMOTE_UNOWNED) == 0)
        return false;
    if (last == cache && load_relaxed(&span->last_life) == load_relaxed(&cache->life))
        return true;
    return (remote & REMOTE_LISTED) == 0 &&
           (last == NULL || load_relaxed(&last->life) != load_relaxed(&span->last_life));
}

void remote_free(struct cache *cache, struct span *span, struct block *block)
{
    struct heap *heap = span_heap(span);
    uint64_t list_at = size_max(span->capacity / LIST_SHARE, 1);
    uint64_t now = load_relaxed(&span->remote);
    uint64_t next;
    if (cache != NULL && may_take(cache, span, now) && take_over(span, &now)) {
        free_as_owner(cache, span, block, now);
        return;
    }
    do {
        block->next = (struct block *)(uintptr_t)(now & REMOTE_BLOCK_MASK);
        next = (now & ~REMOTE_BLOCK_MASK) + REMOTE_ONE + (uintptr_t)block;
        if ((now & REMOTE_UNOWNED) != 0 && next >> REMOTE_COUNT_SHIFT == list_at)
            next |= REMOTE_LISTED;
    } while (!cas_acq_rel(&span->remote, &now, next)); /* pairs with who takes the list out */
    if ((next & REMOTE_UNOWNED) != 0)
        after_unowned_push(heap, span, next, list_at);
}

/* ---- Leaving ------------------------------------------------------------------------------------- */

void span_disown(struct span *span)
{
    struct heap *heap = span_heap(span);
    bool has_free = span->free != NULL || span->carved < span->capacity;
    uint64_t now = load_relaxed(&span->remote);
    uint64_t next;
    struct cache *owner = load_relaxed(&span->owner);
    if (owner != NULL) {
        store_relaxed(&span->last_owner, owner);
        store_relaxed(&span->last_life, load_relaxed(&owner->life));
    }
    store_relaxed(&span->owner, NULL);
    do {
        next = now | REMOTE_UNOWNED;
        if (has_free || now != 0)
            next |= REMOTE_LISTED;
    } while (!cas_acq_rel(&span->remote, &now, next)); /* pairs with take_over */
    if ((next & REMOTE_LISTED) != 0)
        shared_list(heap, span);
    release_if_empty(span, next);
}

/* ---- Looking ------------------------------------------------------------------------------------- */

bool span_guest_enter(struct span *span, uint64_t *flags)
{
    const uint64_t mask = REMOTE_UNOWNED | REMOTE_LISTED;
    uint64_t now = load_relaxed(&span->remote);
    while ((now & REMOTE_UNOWNED) != 0) {
        if (cas_acq_rel(&span->remote, &now, now & ~mask)) { /* pairs as in take_over */
            *flags = now & mask;
            return true;
        }
    }
    return false;
}

/* The pushes meanwhile found U gone and left the listing to us. */
uint64_t span_guest_leave(struct span *span, uint64_t flags)
{
    uint64_t list_at = size_max(span->capacity / LIST_SHARE, 1);
    uint64_t now = load_relaxed(&span->remote);
    uint64_t next;
    do {
        next = now | flags;
        if (now >> REMOTE_COUNT_SHIFT >= list_at)
            next |= REMOTE_LISTED;
    } while (!cas_acq_rel(&span->remote, &now, next)); /* pairs with take_over */
    if ((next & REMOTE_LISTED) != 0 && !span->is_shared)
        shared_append(span);
    return next;
}

void span_guest_gone(struct span *span, uint64_t remote)
{
    release_if_empty(span, remote);
}
