/* plain.c - see plain.h.
 *
 * Whether a thread is inside stands in its cache; one that has given its cache back already, or got none, looks for
 * itself among the slots. */
#include "front/plain.h"

#include "front/process.h"
#include "os/os.h"

struct hook_slot *passage_enter(cairn_call *call, bool plain)
{
    struct cache *cache = thread_own_cache();
    if (plain && (cache != NULL ? cache->inside != 0 : hooks_is_inside()))
        return NULL;
    struct hook_slot *slot = hooks_enter(call, plain);
    if (slot != NULL && cache != NULL)
        store_relaxed(&cache->inside, cache->inside + 1);
    return slot;
}

void passage_leave(struct hook_slot *slot)
{
    struct cache *cache = process_cache();
    if (cache != NULL && cache->inside > 0) /* it may have got one only inside */
        store_relaxed(&cache->inside, cache->inside - 1);
    hooks_leave(slot);
}

/* Tools look at files and write messages: a call that went well leaves errno as it was. */
static void *done(struct hook_slot *slot, void *block, int saved)
{
    passage_leave(slot);
    if (block != NULL)
        os_errno_set(saved);
    return block;
}

bool plain_alloc(void **out, size_t align, size_t size, bool zero, const void *caller)
{
    cairn_call call = {.address = caller};
    int saved = os_errno_get();
    struct hook_slot *slot = passage_enter(&call, true);
    if (slot == NULL)
        return false;
    void *block = align != 0 ? cairn_below_aligned_alloc(&call, align, size)
                  : zero     ? cairn_below_calloc(&call, 1, size)
                             : cairn_below_malloc(&call, size);
    *out = done(slot, block, saved);
    return true;
}

bool plain_realloc(void **out, void *block, size_t size, const void *caller)
{
    cairn_call call = {.address = caller};
    int saved = os_errno_get();
    struct hook_slot *slot = passage_enter(&call, true);
    if (slot == NULL)
        return false;
    size_t old_size = cairn_below_usable_size(&call, block);
    *out = done(slot, cairn_below_realloc(&call, block, old_size, size), saved);
    return true;
}

bool plain_free(void *block, const void *caller)
{
    cairn_call call = {.address = caller};
    int saved = os_errno_get();
    struct hook_slot *slot = block != NULL ? passage_enter(&call, true) : NULL;
    if (slot == NULL)
        return false;
    cairn_below_free(&call, block, cairn_below_usable_size(&call, block));
    passage_leave(slot);
    os_errno_set(saved);
    return true;
}

bool plain_usable_size(size_t *out, const void *block)
{
    cairn_call call = {.address = NULL};
    struct hook_slot *slot = block != NULL ? passage_enter(&call, true) : NULL;
    if (slot == NULL)
        return false;
    *out = cairn_below_usable_size(&call, block);
    passage_leave(slot);
    return true;
}

void plain_begin(void)
{
    cache_watch(&process_heap, WATCH_HOOKS, 0);
}

void plain_end(void)
{
    if (hooks_want_all_calls())
        return;
    cache_watch(&process_heap, 0, WATCH_HOOKS);
    if (hooks_want_all_calls()) /* put in place meanwhile by another thread */
        cache_watch(&process_heap, WATCH_HOOKS, 0);
}
