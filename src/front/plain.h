/* plain.h - plain calls, which are malloc and its like, operator new and cairn_malloc, through the interfaces of
 * <cairn/hooks.h>: only while one of these wants them (WATCH_HOOKS in engine/types.h), when all of them end in the slow
 * paths of process.c.
 *
 * A thread that is inside an interface allocates straight from the heap: what the interface does for itself must not
 * come back to it, and the bottom of the stack is the heap by the same calls. */
#ifndef FRONT_PLAIN_H
#define FRONT_PLAIN_H

#include "observe/hooks.h"

/* Each is true when the call was made, with its result in *out; false: it has to go straight to the heap. */
bool plain_alloc(void **out, size_t align, size_t size, bool zero,
                 const void *caller); /* align 0: malloc's */
bool plain_realloc(void **out, void *block, size_t size, const void *caller);
bool plain_free(void *block, const void *caller); /* keeps errno */
bool plain_usable_size(size_t *out, const void *block);

/* As hooks_enter and hooks_leave, and notes that the thread is inside. */
struct hook_slot *passage_enter(cairn_call *call, bool plain);
void passage_leave(struct hook_slot *slot);

/* As cairn_hook_push, for plain calls as well.  In hooks.c. */
cairn_hook *hook_push_for_all(const cairn_interface *interface);

/* The first interface that wants plain calls is in place; perhaps the last one is gone. */
void plain_begin(void);
void plain_end(void);

#endif
