/* protocol.h - in which order the file is written, and what a kill between two stores leaves.
 *
 * A process that is killed has made all of its stores up to one instruction and none after it; the kernel keeps the
 * pages.  So order in the program is all that is needed: no flush, no fence of the processor, only the compiler must not
 * move a store (file_store).  The truth in the file is: descriptors say which pages are spans, marks say which blocks are
 * live.  Free lists, thread caches and books of free pages are in memory, and end with the process.
 *
 *   what is done                 stores into the file, in this order                         killed behind one of them
 *   ---------------------------  ----------------------------------------------------------  -------------------------------------
 *   a span is made               1 touched, when it lies behind                              more pages count as touched: harmless
 *   (book.c)                     2 its descriptor, one word                                  blocks: an empty span, freed when it is
 *                                                                                            met; large: one block leaks (a)
 *   malloc (slab.c)              3 the mark                                                  one block leaks (a)
 *     before 3: the block is free; its bytes were a link, or old
 *   free (slab.c)                4 the mark := 0                                             the block is free
 *                                5 the link, into the block                                  the same
 *     5 before 4 would write into a live block
 *   free, large (book.c)         6 the descriptor := 0                                       the pages are free
 *     and only then the pages can be taken: a span that begins in them does not meet the old one
 *   a span is released           7 the descriptor := 0                                       its pages are free
 *     all of its marks are 0 by then, so pages without descriptor have no marks (engine: every block was freed)
 *   large, in place (book.c)     8 the descriptor, with more or fewer pages                  the block has its new size
 *     fewer: before the others can be taken; more: after they were
 *   malloc_to (transfer.c)       9 intent: old, fresh, slot                                  no intent yet
 *                                10 intent: call                                             undone: 11 := 0
 *                                11 the mark (large: the descriptor)                         undone: 11 := 0
 *                                12 the slot                                                 done
 *                                13 intent: call := 0                                        done
 *     A slot that happens to hold the block's address before, a freed block's, stays as the program left it until 11.
 *   free_from                    14 intent: old, fresh, slot                                 no intent yet
 *                                15 intent: call                                             carried through
 *                                16 the slot := NULL                                         carried through
 *                                17 the mark (the descriptor) := 0                           carried through
 *                                18 intent: call := 0                                        done
 *     and only then the block goes on a free list: whoever gets it next shall not meet the intent
 *   realloc_to                   19 intent: old, fresh, slot                                 no intent yet
 *                                20 intent: call                                             undone: fresh is freed
 *                                21 the mark (the descriptor) of the fresh block             undone
 *                                22 its contents (large; smaller ones before 19)             undone
 *                                23 the slot                                                 carried through: old is freed
 *                                24 the mark (the descriptor) of the old block := 0          carried through
 *                                25 intent: call := 0                                        done
 *   grow (grow.c)                26 disk space, mapping: no stores                           the file is longer than it says
 *                                27 capacity                                                 grown
 *   a root is set (roots.c)      28 the word                                                 old or new root
 *   a named root is added        29 the name, in a free entry                                a free entry
 *                                30 its word                                                 added
 *   create (file.c)              state, header; then the header's magic                      no pool
 *   open (file.c)                31 owner: pid, start, boot id, file, where mapped           closed, the owner means nothing
 *                                32 state := open                                            open: recovery
 *   close                        33 flush of all pages; then state := closed; flush          open: recovery; then closed
 *   recovery (recover.c)         for each intent: 11, 16, 17, 24 as needed, then its call := 0   all of them again: each store
 *                                for each span without live block: its descriptor := 0       writes the same whenever it is made
 *                                the owner, as in 31                                         state stays open throughout
 *
 * (a) At most one block for each thread that was inside a call; the program had not linked it yet.
 *
 * Two threads.  A block is in the hands of one thread from the pop to the return of malloc, and from the call of free to
 * the push; its mark is written only then.  A span's descriptor is written under the heap's lock.  Who gets a block or
 * pages from another thread got them through a free list, or the lock, behind the store that freed them; a kill keeps
 * what came before, so it never finds the later store without the earlier one. */
#ifndef PERSIST_PROTOCOL_H
#define PERSIST_PROTOCOL_H

#include "base/atomic.h"

/* Nothing that the program does before is moved behind, and the other way round. */
#define file_order() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* A store into the file at its place in the program. */
#define file_store(p, v)                                                                                     \
    do {                                                                                                     \
        file_order();                                                                                        \
        store_relaxed((p), (v));                                                                             \
        file_order();                                                                                        \
    } while (0)

#endif
