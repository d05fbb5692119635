/* announce.h - pools under valgrind or the address sanitizer. */
#ifndef POOL_ANNOUNCE_H
#define POOL_ANNOUNCE_H

#include "pool/pool.h"

/* The operations for a pool of the class `real`: they themselves, or, when a tool watches and the class can be
 * announced, such as tell it of every block.  Without locks. */
const struct pool_ops *announce_choose(const struct pool_ops *real, const cairn_pool_config *config);

#endif
