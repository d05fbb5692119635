/* checksum.h - a 64-bit checksum against damage by accident: torn sectors, stale blocks, flipped bits.  Not against
 * malice.  The value depends on every byte, its place, the size and the seed.  About 10 bytes per ns. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include "base/base.h"

/* `seed` chains pieces: the checksum of one is the seed of the next. */
uint64_t checksum64(uint64_t seed, const void *data, size_t size);

#endif
