/* hooks.h - the stack of interfaces of <cairn/hooks.h>: who is in place, how calls pass through it, and when something
 * that was removed is left by all.
 *
 * The interfaces in place form a chain: an array of hooks, top first, the bottom (the heap) last.  A chain never changes;
 * to push or remove publishes another one in `hooks_chain` (NULL: no interface, and callers skip all this).
 *
 * Who is inside.  Whoever passes through a chain claims a slot first: its word `turn` is odd from then to the end of the
 * call.
 *
 *     caller                                    who changes the stack
 *     C1  turn: even -> odd        (seq)        W1  hooks_chain = new           (seq)
 *     C2  chain = hooks_chain      (seq)        W2  for each slot: read turn    (seq)
 *     C3  slot.chain = chain
 *     ... the interfaces ...                    odd:  the caller may have the old chain; wait until turn changes
 *     C4  slot.chain = NULL                     even: whoever claims it after W2 does C2 after W1 and finds the new one
 *     C5  turn: odd -> even        (release, pairs with W2)
 *
 * A claimed slot belongs to one thread, so the counts that each hook keeps per slot need no atomic additions.  A thread that
 * finds all slots claimed adds a block of further ones.  slot.chain spares changes from waiting: a chain that is in no
 * odd slot, each of which has a chain, may be used for something else.
 *
 * Plain calls (malloc and its like) know only where they return to.  They come here while some interface wants them
 * (WATCH_HOOKS in engine/types.h), and pass through those that do.  What a thread allocates inside goes straight to the
 * heap, which front/plain.c sees to.
 *
 * Chains, hooks and slots are recycled, never unmapped.  Neighbours: front/hooks.c (the calls, and the bottom). */
#ifndef OBSERVE_HOOKS_H
#define OBSERVE_HOOKS_H

#include "base/atomic.h"
#include "cairn/hooks.h"

#define HOOK_SLOTS 64 /* of a block; a power of two */
#define HOOK_NAME_BYTES 32

/* By slot; the line after the last is for the slots of further blocks, which add atomically. */
enum hook_count {
    COUNT_MALLOC,
    COUNT_CALLOC,
    COUNT_REALLOC,
    COUNT_ALIGNED,
    COUNT_FREE,
    COUNT_FAILED,
    COUNT_BYTES_IN,
    COUNT_BYTES_OUT,
    COUNT_KINDS
};

struct cairn_hook {
    cairn_interface interface; /* constant while in a chain that may be in use */
    char name[HOOK_NAME_BYTES];
    bool alone;              /* what is below in the stack is out of use; hooks lock */
    bool all_calls;          /* plain calls (malloc and its like) go through it, too; hooks lock */
    bool in_place;           /* hooks lock */
    struct cairn_hook *next; /* in the stack downwards, or among those removed; hooks lock */
    uint64_t counts[HOOK_SLOTS + 1][COUNT_KINDS]
        __attribute__((aligned(CACHE_LINE))); /* atomic for readers */
};

struct hook_chain {
    struct cairn_hook *hooks[CAIRN_HOOKS_MAX + 2]; /* the bottom behind the last, then NULL */
    struct cairn_hook *plain[CAIRN_HOOKS_MAX + 2]; /* of these, those for plain calls; the same */
    struct hook_chain *next;                       /* among those retired; hooks lock */
};

struct hook_slot {
    uint64_t turn;            /* odd: claimed; atomic */
    struct hook_chain *chain; /* what its owner passes through; NULL: not known yet; atomic */
    uintptr_t thread;         /* its owner; 0: not known yet; atomic */
    uint32_t number;          /* line of the hooks' counts; constant */
} __attribute__((aligned(CACHE_LINE)));

extern struct hook_chain *hooks_chain __attribute__((visibility("hidden")));

/* ---- For callers --------------------------------------------------------------------------------- */

/* NULL when there is no interface after all; else hooks_leave has to follow, and `call` is ready for hooks_malloc and so
 * on, which are cairn_below_malloc and its like. */
struct hook_slot *hooks_enter(cairn_call *call, bool plain);
void hooks_leave(struct hook_slot *slot);

/* Whether the calling thread is inside an interface.  Looks at all slots. */
bool hooks_is_inside(void);

/* ---- For changes --------------------------------------------------------------------------------- */

/* NULL with *error an errno.  `heap` is the bottom: it has every function, and is the same each time. */
#define HOOK_ALONE 1u
#define HOOK_ALL_CALLS 2u

struct cairn_hook *hooks_push(const cairn_interface *interface, const cairn_interface *heap, unsigned flags,
                              int *error);
int hooks_remove(struct cairn_hook *hook); /* 0, EINVAL or ENOMEM */
bool hooks_grace(void);                    /* false: the caller is inside */
bool hooks_want_all_calls(void);           /* some interface in place does */

bool hooks_stats(struct cairn_hook *hook,
                 cairn_hook_stats *out); /* the whole structure; false: not in place */
size_t hooks_list(struct cairn_hook **out, size_t room);
const char *hooks_name(struct cairn_hook *hook);

void hooks_before_fork(void);
void hooks_after_fork_parent(void);
void hooks_after_fork_child(void);

#endif
