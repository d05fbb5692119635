/* file_pool.h - a pool file as a pool: the operations of pool/pool.h over the engine's heap and the file. */
#ifndef PERSIST_FILE_POOL_H
#define PERSIST_FILE_POOL_H

#include "persist/file.h"
#include "pool/pool.h"

/* A pool over an open file, which belongs to it from then on; NULL: no memory, the file is still the caller's. */
struct cairn_pool *file_pool_make(struct pool_file *file, const cairn_pool_config *config);

/* The file of a pool that has one and that this process may use; NULL otherwise, with errno and message set. */
struct pool_file *file_pool_file(const struct cairn_pool *pool);

/* The same for a call that changes the pool: NULL also for one that is open for reading. */
struct pool_file *file_pool_writable(const struct cairn_pool *pool);

#endif
