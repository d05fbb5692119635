/* intent.h - calls that move a pointer and a block's life together: what they write down before, so that recovery can
 * carry them through or take them back.  The order of stores: protocol.h, steps 9 to 25.
 *
 * A call takes one of the file's intents (intent_take), makes it known when the block is known and before the block is
 * live (intent_write), and clears it when slot and block agree (intent_clear).  For a large block the block is live by its
 * descriptor, which the heap writes: then the call says that it expects that (intent_expect), and book.c has it written and cleared there. */
#ifndef PERSIST_INTENT_H
#define PERSIST_INTENT_H

#include "persist/file.h"

/* One call under way; on its stack. */
struct intent {
    struct pool_file *file;
    unsigned index; /* in the file's intents */
    enum intent_call call;
    enum intent_slot kind;
    void *slot;       /* address of the pointer; NULL for SLOT_ROOT */
    void *old;        /* block that goes, NULL: none */
    void *fresh;      /* block that comes, NULL: none or not known yet */
    bool is_open;     /* it is written in the file */
    uintptr_t thread; /* whose call it is, and the next of those that expect a large block; heap lock */
    struct intent *next;
};

/* Finds a free intent; waits if there is none. */
void intent_take(struct pool_file *file, struct intent *intent);

/* The intent is in the file.  fresh: known by now. */
void intent_write(struct intent *intent);

/* The intent is no longer in the file. */
void intent_clear(struct intent *intent);

/* The intent is free for other calls; cleared if it was not. */
void intent_leave(struct intent *intent);

/* The calling thread waits for the heap to make or release a large block for this call; or does so no more. */
void intent_expect(struct intent *intent);
void intent_expect_no_more(struct intent *intent);

/* From book.c, under the heap's lock. */
void intent_before_large(struct pool_file *file, void *block);
void intent_behind_large(struct pool_file *file, void *block);

/* The pointer in a slot of the open file, and a store to it. */
void *intent_load_slot(const struct pool_file *file, enum intent_slot kind, const void *slot);
void intent_store_slot(struct pool_file *file, enum intent_slot kind, void *slot, void *block);

/* What `call` of an intent in the file says.  False: damaged. */
bool intent_read(const struct file_intent *written, enum intent_call *call, enum intent_slot *kind);

#endif
