/* chance.h - random numbers for sampling, and the probabilities that go with them; without libm, a lock or memory. */
#ifndef BASE_CHANCE_H
#define BASE_CHANCE_H

#include "base/base.h"

/* The next of a sequence that all threads share.  Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
 * number generators" (2014). */
uint64_t chance_next(void);

/* Makes this process's sequence another. */
void chance_seed(uint64_t seed);

/* Bytes until the next event when there is one in `mean` on the average, each byte as likely as any other:
 * exponentially distributed, at least 1, at most PTRDIFF_MAX. */
size_t chance_distance(size_t mean);

/* 1 - exp(-size / mean): the probability that at least one of `size` bytes is hit. */
double chance_of_hit(size_t size, size_t mean);

/* Natural logarithm, x > 0. */
double chance_log(double x);

#endif
