/* inspect.h - which blocks of a heap are live, found while its threads go on allocating.
 *
 * Liveness of a small block is written down nowhere: a block is live if it is cut, and neither on its span's free
 * list nor on its remote list.  Both are read, and what is not on them is live.  Who may be at work on the span
 * decides how that is done safely:
 *
 *   the span's owner is    how its lists are read
 *   the calling thread     as they are
 *   nobody                 as a guest (remote.h): nobody can take it over meanwhile
 *   the late cache         under its lock
 *   another thread         that thread is held (cache.h), which leaves it one operation at most to end; the kernel
 *                          copies descriptor, blocks and descriptor again, until both descriptors say the same
 *
 * All of it under the heap's lock, one span at a time; the lock is open in between, and while visitors run. */
#ifndef OBSERVE_INSPECT_H
#define OBSERVE_INSPECT_H

#include "cairn/cairn.h"
#include "engine/types.h"

/* Calls visit(block, usable size, context) for each live block, by rising address, with no lock held, until it
 * returns something else than 0, and returns that.  -1 with *error set: no memory for the walk itself.
 * A block that is live all the time is visited once; one that comes or goes meanwhile, once or not at all.
 * `mine` is the calling thread's cache in the heap, or NULL. */
int inspect_walk(struct heap *heap, struct cache *mine, cairn_visit *visit, void *context, enum error *error);

/* What is wrong with the heap, and where; `what` NULL: nothing. */
struct inspect_fault {
    const char *what;
    const void *where; /* the span, arena or block */
};

/* Checks all that types.h says of arenas, pages, spans, blocks and lists, as far as it can be seen while other
 * threads work.  False with *error set: no memory for the check itself. */
bool inspect_heap(struct heap *heap, struct cache *mine, struct inspect_fault *fault, enum error *error);

#endif
