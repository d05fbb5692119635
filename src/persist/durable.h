/* durable.h - the checkpoints (checkpoint.h) of a pool file: what of the file they cover, and what open and close do. */
#ifndef PERSIST_DURABLE_H
#define PERSIST_DURABLE_H

#include "persist/file.h"

/* Puts the last checkpoint back into the file, which is open for writing, locked and not mapped.  `head`: the file's
 * header if that can be read, else NULL.  False with *trouble: ENOENT when there is no checkpoint. */
bool durable_restore(struct pool_file *file, const struct file_header *head, uint64_t *generation,
                     struct trouble *trouble);

/* On a file mapped for writing, before anything of the program is stored.  `same_as`: as checkpoint_begin. */
bool durable_begin(struct pool_file *file, uint64_t same_as, struct trouble *trouble);

/* A last checkpoint, if the pool has any.  The file's state then names it. */
bool durable_close(struct pool_file *file, struct trouble *trouble);

/* Gives back what checkpoints took: descriptors, memory. */
void durable_end(struct pool_file *file);

#endif
