/* snapshot.h - what a heap and all pools hold, at one moment, and the difference of two. */
#ifndef OBSERVE_SNAPSHOT_H
#define OBSERVE_SNAPSHOT_H

#include "base/print.h"
#include "cairn/observe.h"
#include "engine/types.h"

/* NULL: no memory. */
cairn_snapshot *snapshot_take(struct heap *heap);
void snapshot_free(cairn_snapshot *snapshot);

void snapshot_live(const cairn_snapshot *snapshot, size_t size, uint64_t *bytes, uint64_t *blocks);
void snapshot_pool(const cairn_snapshot *snapshot, const cairn_pool *pool, uint64_t *bytes, uint64_t *blocks);

/* False: no memory. */
bool snapshot_print(struct printer *p, const cairn_snapshot *before, const cairn_snapshot *after, bool json);

#endif
