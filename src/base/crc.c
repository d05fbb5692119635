/* crc.c - see crc.h. */
#include "base/crc.h"

#include "base/bits.h"

/* What a hexadecimal digit becomes whose four bits become a, b, c and d. */
#define PAIR(x, a) (x), (x) ^ (a)
#define FOUR(x, a, b) PAIR(x, a), PAIR((x) ^ (b), a)
#define EIGHT(x, a, b, c) FOUR(x, a, b), FOUR((x) ^ (c), a, b)
#define ROW(a, b, c, d)                                                                                      \
    {                                                                                                        \
        EIGHT(0u, a, b, c), EIGHT(d, a, b, c)                                                                \
    }

/* The remainder of each digit of eight bytes, the lowest first. */
static const uint32_t digits[16][16] = {
    ROW(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da), ROW(0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
    ROW(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53), ROW(0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    ROW(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f), ROW(0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    ROW(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91), ROW(0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    ROW(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6), ROW(0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    ROW(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5), ROW(0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    ROW(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8), ROW(0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    ROW(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf), ROW(0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
};

static uint32_t of_word(uint64_t word)
{
    uint32_t crc = 0;
    for (unsigned i = 0; i < 16; i++)
        crc ^= digits[i][word >> 4 * i & 15];
    return crc;
}

uint32_t crc32c(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint32_t crc = ~UINT32_C(0);
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t))
        crc = of_word(crc ^ low_first(at));
    for (; size > 0; size--, at++) /* a byte is the last of eight; what is left of the sum moves up */
        crc = crc >> 8 ^ of_word((uint64_t)((crc ^ *at) & 0xff) << 56);
    return ~crc;
}
