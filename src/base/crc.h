/* crc.h - cyclic redundancy checks, as file formats ask for them.  Against damage by accident, not against malice. */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include "base/base.h"

/* CRC-32C (Castagnoli): reflected, begins with all ones, inverted at the end. */
uint32_t crc32c(const void *bytes, size_t size);

/* h * x^bits modulo a multiple of x^16 + x^12 + x^5 + 1: that polynomial with every exponent times bits / 16, which over
 * two elements is its (bits / 16)th power.  h has `bits` bits: 16, 32 or 64.
 *
 * What overflows, q, solves q = h + q * (x^(3/4 bits) + x^(5/16 bits)) / x^bits; that series has five terms, as the two
 * that are the same cancel. */
ALWAYS_INLINE uint64_t crc16_fold(uint64_t h, unsigned bits)
{
    uint64_t fourth = h ^ h >> bits / 4;
    uint64_t q = fourth ^ fourth >> bits / 2 ^ h >> bits / 16 * 11;
    return (q ^ q << bits / 4 * 3 ^ q << bits / 16 * 5) &
           (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits % 64) - 1);
}

/* CRC-16/CCITT, which begins with all ones, of the sixteen bytes of two numbers, each from its highest byte. */
ALWAYS_INLINE uint64_t crc16_of(uint64_t first, uint64_t second)
{
    uint64_t left = crc16_fold(first ^ UINT64_C(0xffff) << 48, 64) ^ second;
    left = crc16_fold(left >> 32, 32) ^ (left & UINT32_MAX);
    left = crc16_fold(left >> 16, 16) ^ (left & UINT16_MAX);
    return crc16_fold(left, 16);
}

#endif
