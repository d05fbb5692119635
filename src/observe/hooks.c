/* hooks.c - see hooks.h. */
#include "observe/hooks.h"

#include "base/print.h"
#include "os/lock.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define YIELDS 64         /* before a wait sleeps between its looks */
#define SLEEP_US 50       /* how long it sleeps */
#define CHAINS_PER_MAP 25 /* about a page */

struct slot_block {
    struct hook_slot slots[HOOK_SLOTS];
    struct slot_block *next; /* set once; atomic */
};

struct hook_chain *hooks_chain; /* atomic */

static struct slot_block first_block;
static struct lock hooks_lock = {.rank = LOCK_RANK_HOOKS};

/* Under hooks_lock. */
static struct cairn_hook *stack;   /* top first */
static struct cairn_hook *removed; /* may still be in a chain that is in use */
static struct cairn_hook *bottom;  /* made by the first push */
static struct hook_chain *retired; /* may still be in use */
static unsigned in_place;

/* ---- Slots --------------------------------------------------------------------------------------- */

static struct slot_block *more_slots(struct slot_block *last)
{
    size_t size = align_up(sizeof *last, os_page_size());
    struct slot_block *block = os_map(NULL, size);
    struct slot_block *expected = NULL;
    if (block == NULL)
        return NULL;
    for (unsigned i = 0; i < HOOK_SLOTS; i++)
        block->slots[i].number = HOOK_SLOTS;
    if (!cas_seq(&last->next, &expected, block)) {
        (void)os_unmap(block, size); /* another thread was quicker */
        return expected;
    }
    return block;
}

static struct hook_slot *claim_in(struct slot_block *block, size_t home)
{
    for (size_t i = 0; i < HOOK_SLOTS; i++) {
        struct hook_slot *slot = &block->slots[(home + i) % HOOK_SLOTS];
        uint64_t turn = load_relaxed(&slot->turn);
        if ((turn & 1) == 0 && cas_seq(&slot->turn, &turn, turn + 1)) /* C1; pairs with hooks_leave, too */
            return slot;
    }
    return NULL;
}

/* The first blocks' slots serve all but a few threads; a search that fails begins anew. */
static struct hook_slot *claim(uintptr_t thread)
{
    size_t home = (size_t)(thread * UINT64_C(0x9e3779b97f4a7c15) >> 40) % HOOK_SLOTS;
    for (;;) {
        struct slot_block *block = &first_block;
        for (;;) {
            struct hook_slot *slot = claim_in(block, home);
            if (LIKELY(slot != NULL))
                return slot;
            struct slot_block *next = load_seq(&block->next);
            if (next == NULL)
                next = more_slots(block);
            if (next == NULL)
                break; /* no memory: wait for one of those that are there */
            block = next;
        }
        os_yield();
    }
}

struct hook_slot *hooks_enter(cairn_call *call, bool plain)
{
    uintptr_t thread = os_thread_id();
    struct hook_slot *slot = claim(thread);
    struct hook_chain *chain = load_seq(&hooks_chain); /* C2; pairs with publish */
    store_relaxed(&slot->thread, thread);
    if (UNLIKELY(chain == NULL || (plain && chain->plain[1] == NULL))) {
        hooks_leave(slot);
        return NULL;
    }
    store_release(&slot->chain, chain); /* C3; pairs with chain_in_use */
    call->below[0] = plain ? chain->plain : chain->hooks;
    call->below[1] = slot;
    return slot;
}

void hooks_leave(struct hook_slot *slot)
{
    store_relaxed(&slot->chain, NULL);
    store_relaxed(&slot->thread, 0); /* or the next owner would for a moment be taken for this one */
    store_release(&slot->turn,
                  load_relaxed(&slot->turn) + 1); /* C5; pairs with claim_in, grace, chain_in_use */
}

/* ---- Passing through ----------------------------------------------------------------------------- */

/* The functions of an interface by kind, to skip those that have none. */
#define BELOW(call) ((struct cairn_hook *const *)(call)->below[0])

static void count(struct cairn_hook *hook, const cairn_call *call, enum hook_count kind, uint64_t by)
{
    unsigned line = ((const struct hook_slot *)call->below[1])->number;
    if (LIKELY(line < HOOK_SLOTS))
        count_up(&hook->counts[line][kind], by);
    else
        add_relaxed(&hook->counts[line][kind], by);
}

static void *counted(struct cairn_hook *hook, const cairn_call *call, enum hook_count kind, void *block,
                     size_t size)
{
    count(hook, call, kind, 1);
    if (LIKELY(block != NULL))
        count(hook, call, COUNT_BYTES_IN, size);
    else
        count(hook, call, COUNT_FAILED, 1);
    return block;
}

/* `hook` becomes the next one downwards that has FUNCTION, and `next` the call as that one gets it.  The bottom has all. */
#define GO_DOWN(hook, next, call, function)                                                                  \
    cairn_call next = *(call);                                                                               \
    struct cairn_hook *const *at = BELOW(call);                                                              \
    while ((*at)->interface.function == NULL)                                                                \
        at++;                                                                                                \
    struct cairn_hook *hook = *at;                                                                           \
    next.below[0] = at + 1

void *cairn_below_malloc(const cairn_call *call, size_t size)
{
    GO_DOWN(hook, next, call, on_malloc);
    void *block = hook->interface.on_malloc(hook->interface.context, &next, size);
    return counted(hook, call, COUNT_MALLOC, block, size);
}

void *cairn_below_calloc(const cairn_call *call, size_t count_of, size_t size)
{
    GO_DOWN(hook, next, call, on_calloc);
    void *block = hook->interface.on_calloc(hook->interface.context, &next, count_of, size);
    return counted(hook, call, COUNT_CALLOC, block, count_of * size);
}

void *cairn_below_realloc(const cairn_call *call, void *block, size_t old_size, size_t size)
{
    GO_DOWN(hook, next, call, on_realloc);
    void *moved = hook->interface.on_realloc(hook->interface.context, &next, block, old_size, size);
    if (moved != NULL)
        count(hook, call, COUNT_BYTES_OUT, old_size);
    return counted(hook, call, COUNT_REALLOC, moved, size);
}

void *cairn_below_aligned_alloc(const cairn_call *call, size_t alignment, size_t size)
{
    GO_DOWN(hook, next, call, on_aligned_alloc);
    void *block = hook->interface.on_aligned_alloc(hook->interface.context, &next, alignment, size);
    return counted(hook, call, COUNT_ALIGNED, block, size);
}

void cairn_below_free(const cairn_call *call, void *block, size_t old_size)
{
    GO_DOWN(hook, next, call, on_free);
    count(hook, call, COUNT_FREE, 1);
    count(hook, call, COUNT_BYTES_OUT, old_size);
    hook->interface.on_free(hook->interface.context, &next, block, old_size);
}

size_t cairn_below_usable_size(const cairn_call *call, const void *block)
{
    GO_DOWN(hook, next, call, on_usable_size);
    return hook->interface.on_usable_size(hook->interface.context, &next, block);
}

/* ---- Memory for hooks and chains ----------------------------------------------------------------- */

static bool chain_has(const struct hook_chain *chain, const struct cairn_hook *hook)
{
    for (struct cairn_hook *const *at = chain->hooks; *at != NULL; at++)
        if (*at == hook)
            return true;
    return false;
}

/* Whether a caller may be inside a chain that is no longer published. */
static bool chain_in_use(const struct hook_chain *chain)
{
    for (struct slot_block *block = &first_block; block != NULL; block = load_seq(&block->next))
        for (unsigned i = 0; i < HOOK_SLOTS; i++) {
            struct hook_slot *slot = &block->slots[i];
            if ((load_seq(&slot->turn) & 1) == 0) /* W2 */
                continue;
            struct hook_chain *its = load_acquire(&slot->chain); /* pairs with C3 */
            if (its == NULL || its == chain)
                return true;
        }
    return false;
}

static struct hook_chain *chain_make(void)
{
    for (struct hook_chain **at = &retired; *at != NULL; at = &(*at)->next) {
        struct hook_chain *chain = *at;
        if (chain->hooks[0] != NULL && chain_in_use(chain))
            continue;
        *at = chain->next;
        return chain;
    }
    struct hook_chain *chains = os_map(NULL, align_up(CHAINS_PER_MAP * sizeof *chains, os_page_size()));
    if (chains == NULL)
        return NULL;
    for (unsigned i = 1; i < CHAINS_PER_MAP; i++) {
        chains[i].next = retired;
        retired = &chains[i];
    }
    return chains;
}

static void chain_retire(struct hook_chain *chain)
{
    if (chain == NULL)
        return;
    chain->next = retired;
    retired = chain;
}

/* Whether some caller may still be inside a hook that was removed. */
static bool hook_in_use(const struct cairn_hook *hook)
{
    for (const struct hook_chain *chain = retired; chain != NULL; chain = chain->next)
        if (chain_has(chain, hook) && chain_in_use(chain))
            return true;
    return false;
}

static struct cairn_hook *hook_make(const cairn_interface *interface, unsigned flags)
{
    struct cairn_hook *hook = NULL;
    for (struct cairn_hook **at = &removed; *at != NULL && hook == NULL;) {
        if (hook_in_use(*at)) {
            at = &(*at)->next;
        } else {
            hook = *at;
            *at = hook->next;
        }
    }
    if (hook == NULL)
        hook = os_map(NULL, align_up(sizeof *hook, os_page_size()));
    if (hook == NULL)
        return NULL;
    memset(hook, 0, sizeof *hook);
    memcpy(&hook->interface, interface, size_min(interface->struct_size, sizeof *interface));
    if (hook->interface.name != NULL)
        print_to_buffer(hook->name, sizeof hook->name, "%s", hook->interface.name);
    hook->interface.name = hook->name;
    hook->alone = (flags & HOOK_ALONE) != 0;
    hook->all_calls = (flags & HOOK_ALL_CALLS) != 0;
    return hook;
}

/* ---- Changes ------------------------------------------------------------------------------------- */

/* Makes `stack` the chain that callers find.  Under the lock; `chain` is for that, NULL when nothing is in place. */
static void publish(struct hook_chain *chain)
{
    if (chain != NULL) {
        struct cairn_hook **at = chain->hooks, **plain = chain->plain;
        for (struct cairn_hook *hook = stack; hook != NULL; hook = hook->alone ? NULL : hook->next) {
            *at++ = hook;
            if (hook->all_calls)
                *plain++ = hook;
        }
        *at++ = *plain++ = bottom;
        *at = *plain = NULL;
    }
    struct hook_chain *old = load_relaxed(&hooks_chain);
    store_seq(&hooks_chain, chain); /* W1 */
    chain_retire(old);
}

/* Before the first chain is published, so before anybody claims a slot. */
static bool bottom_made(const cairn_interface *interface)
{
    if (bottom != NULL)
        return true;
    for (unsigned i = 0; i < HOOK_SLOTS; i++)
        first_block.slots[i].number = i;
    bottom = hook_make(interface, 0);
    return bottom != NULL;
}

struct cairn_hook *hooks_push(const cairn_interface *interface, const cairn_interface *heap, unsigned flags,
                              int *error)
{
    struct cairn_hook *hook = NULL;
    struct hook_chain *chain = NULL;
    lock_take(&hooks_lock);
    *error = ENOSPC;
    if (in_place == CAIRN_HOOKS_MAX)
        goto fail;
    *error = ENOMEM;
    if (!bottom_made(heap) || (chain = chain_make()) == NULL)
        goto fail;
    hook = hook_make(interface, flags);
    if (hook == NULL) {
        chain->hooks[0] = NULL; /* nobody is in it */
        chain_retire(chain);
        goto fail;
    }
    hook->in_place = true;
    hook->next = stack;
    stack = hook;
    in_place++;
    publish(chain);
fail:
    lock_release(&hooks_lock);
    return hook;
}

/* Where `hook` is linked in the stack, or NULL.  Handles that are void are found out by looking, not by following. */
static struct cairn_hook **find(const struct cairn_hook *hook)
{
    for (struct cairn_hook **at = &stack; *at != NULL; at = &(*at)->next)
        if (*at == hook)
            return at;
    return NULL;
}

int hooks_remove(struct cairn_hook *hook)
{
    lock_take(&hooks_lock);
    struct cairn_hook **at = find(hook);
    struct hook_chain *chain = NULL;
    int error = at == NULL ? EINVAL : 0;
    if (error == 0 && in_place > 1 && (chain = chain_make()) == NULL)
        error = ENOMEM;
    if (error == 0) {
        *at = hook->next;
        hook->in_place = false;
        hook->next = removed;
        removed = hook;
        in_place--;
        publish(chain);
    }
    lock_release(&hooks_lock);
    return error;
}

/* ---- Grace --------------------------------------------------------------------------------------- */

static bool is_inside(uintptr_t thread)
{
    for (struct slot_block *block = &first_block; block != NULL; block = load_seq(&block->next))
        for (unsigned i = 0; i < HOOK_SLOTS; i++)
            if ((load_seq(&block->slots[i].turn) & 1) != 0 && load_relaxed(&block->slots[i].thread) == thread)
                return true;
    return false;
}

bool hooks_is_inside(void)
{
    return is_inside(os_thread_id());
}

static void wait_for(struct hook_slot *slot)
{
    uint64_t turn = load_seq(&slot->turn); /* W2; pairs with hooks_leave */
    if ((turn & 1) == 0)
        return;
    for (unsigned looks = 0; load_acquire(&slot->turn) == turn; looks++) { /* pairs with hooks_leave */
        if (looks < YIELDS)
            os_yield();
        else
            os_sleep_us(SLEEP_US);
    }
}

bool hooks_grace(void)
{
    if (hooks_is_inside())
        return false;
    for (struct slot_block *block = &first_block; block != NULL; block = load_seq(&block->next))
        for (unsigned i = 0; i < HOOK_SLOTS; i++)
            wait_for(&block->slots[i]);
    return true;
}

/* ---- Asking -------------------------------------------------------------------------------------- */

bool hooks_want_all_calls(void)
{
    bool found = false;
    lock_take(&hooks_lock);
    for (const struct cairn_hook *hook = stack; hook != NULL && !found; hook = hook->next)
        found = hook->all_calls;
    lock_release(&hooks_lock);
    return found;
}

static uint64_t sum(const struct cairn_hook *hook, enum hook_count kind)
{
    uint64_t total = 0;
    for (unsigned i = 0; i <= HOOK_SLOTS; i++)
        total += load_relaxed(&hook->counts[i][kind]);
    return total;
}

bool hooks_stats(struct cairn_hook *hook, cairn_hook_stats *out)
{
    lock_take(&hooks_lock);
    bool found = find(hook) != NULL;
    if (found)
        *out = (cairn_hook_stats){
            .struct_size = sizeof *out,
            .mallocs = sum(hook, COUNT_MALLOC),
            .callocs = sum(hook, COUNT_CALLOC),
            .reallocs = sum(hook, COUNT_REALLOC),
            .aligned_allocs = sum(hook, COUNT_ALIGNED),
            .frees = sum(hook, COUNT_FREE),
            .failures = sum(hook, COUNT_FAILED),
            .bytes_allocated = sum(hook, COUNT_BYTES_IN),
            .bytes_freed = sum(hook, COUNT_BYTES_OUT),
        };
    lock_release(&hooks_lock);
    return found;
}

size_t hooks_list(struct cairn_hook **out, size_t room)
{
    size_t found = 0;
    lock_take(&hooks_lock);
    for (struct cairn_hook *hook = stack; hook != NULL; hook = hook->next, found++)
        if (found < room)
            out[found] = hook;
    lock_release(&hooks_lock);
    return found;
}

const char *hooks_name(struct cairn_hook *hook)
{
    lock_take(&hooks_lock);
    bool found = find(hook) != NULL;
    lock_release(&hooks_lock);
    return found ? hook->name : "";
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

void hooks_before_fork(void)
{
    lock_take_next_for_fork(&hooks_lock);
}

void hooks_after_fork_parent(void)
{
    lock_release_after_fork(&hooks_lock);
}

/* The other threads are gone, and never leave their slots.  This one may be inside an interface itself. */
void hooks_after_fork_child(void)
{
    uintptr_t thread = os_thread_id();
    for (struct slot_block *block = &first_block; block != NULL; block = load_seq(&block->next))
        for (unsigned i = 0; i < HOOK_SLOTS; i++) {
            struct hook_slot *slot = &block->slots[i];
            if ((load_relaxed(&slot->turn) & 1) != 0 && load_relaxed(&slot->thread) != thread)
                hooks_leave(slot);
        }
    lock_release_after_fork(&hooks_lock);
}
