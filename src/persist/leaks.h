/* leaks.h - blocks of a pool file that no root leads to. */
#ifndef PERSIST_LEAKS_H
#define PERSIST_LEAKS_H

#include "persist/file.h"

/* As cairn_pool_leaks; `config` and `out` are whole.  Nobody else uses the pool.  False with *trouble: no memory. */
bool leaks_find(struct pool_file *file, const cairn_leaks_config *config, cairn_leaks *out,
                struct trouble *trouble);

#endif
