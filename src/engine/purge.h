/* purge.h - free dirty pages go back to the system.
 *
 * There is no background thread, and an idle program makes no calls.  So three rules work together:
 *   by amount   whenever pages are given back: no more than max(keep_least, span_bytes >> keep_shift)
 *               bytes stay dirty.  This is what makes memory return after the last free before a long
 *               sleep.  A program that takes purged pages into use again at once regrets them: the keep
 *               grows by what it regrets until that stops, and shrinks slowly again.
 *   by age      whenever pages are given back: the first chunk where nothing was freed for purge_delay ms.
 *   at a peak   before the heap commits more than ever, free dirty pages that did not fit the request go back.
 * All take whole chunks, the longest unused first.  All calls under the heap's lock. */
#ifndef ENGINE_PURGE_H
#define ENGINE_PURGE_H

#include "engine/types.h"

/* Pages [first, end) have just become free and dirty. */
void purge_enqueue(struct heap *heap, struct arena *arena, size_t first, size_t end);

/* The chunk has free dirty pages, used last just now: to the end of the queue. */
void purge_requeue(struct heap *heap, struct chunk *chunk);

/* The chunk has no free dirty pages: out of the queue, if it is there. */
void purge_forget(struct heap *heap, struct chunk *chunk);

/* Pages that had been purged are in use again: keep more for a while. */
void purge_note_regret(struct heap *heap, size_t bytes);

/* Applies the first two rules.  May drop and retake the lock. */
void purge_by_rules(struct heap *heap);

/* Pages were taken: keeps a new peak of committed bytes down, and notes it.  May drop and retake the lock. */
void purge_for_peak(struct heap *heap);

/* Purges until at most `target` dirty bytes are left, and returns arenas that are then unused.
 * May drop and retake the lock.  True if anything went back. */
bool purge_down_to(struct heap *heap, size_t target);

/* In the child of a fork: what threads that are gone were purging is free and dirty again. */
void purge_after_fork_child(struct heap *heap);

#endif
