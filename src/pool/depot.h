/* depot.h - the pages that pools get theirs from: one heap without blocks over each system source.
 *
 * A pool that mapped its own pages would cost two system calls and two mappings at each end of its life.  The depot
 * keeps what pools give back for the next one, purges it by the engine's rules (purge.h), and serves pools from a
 * few large mappings.  As a source it takes any part of a range back, in pages.  Its lock is the last in rank. */
#ifndef POOL_DEPOT_H
#define POOL_DEPOT_H

#include "engine/types.h"

extern struct source depot_os;  /* over mmap */
extern struct source depot_brk; /* over the program break */

/* Handles and such: zeroed or used memory that is never unmapped.  `size` up to a few KiB. */
void *depot_keep(size_t size);

void depots_before_fork(void);
void depots_after_fork(bool child);

#endif
