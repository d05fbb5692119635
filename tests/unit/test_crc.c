/* test_crc.c - base/crc against the same checks a bit at a time, and against their published check values. */
#include "unit.h"

#include "base/crc.h"
#include "persist/format.h"

static uint64_t random_state;

static uint32_t slow_crc32c(const unsigned char *at, size_t size)
{
    uint32_t crc = ~UINT32_C(0);
    for (size_t bit = 0; bit < size * 8; bit++) {
        crc ^= at[bit / 8] >> bit % 8 & 1;
        crc = crc >> 1 ^ ((crc & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static uint64_t slow_crc16(uint64_t first, uint64_t second)
{
    unsigned crc = 0xffff;
    for (int bit = 127; bit >= 0; bit--) {
        unsigned next = (unsigned)((bit >= 64 ? first >> (bit - 64) : second >> bit) & 1);
        crc = (crc << 1 ^ (((crc >> 15) ^ next) != 0 ? 0x1021u : 0)) & 0xffff;
    }
    return crc;
}

static uint64_t slow_hash(const unsigned char *at, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static void published_values(void **state)
{
    (void)state;
    CHECK_EQ(crc32c("123456789", 9), 0xe3069283);
    CHECK_EQ(crc32c("", 0), 0);
    CHECK(format_hash("a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
    CHECK(format_hash("foobar", 6) == UINT64_C(0x85944171f73967e8));
}

/* Any size at any address. */
static void bytes_anywhere(void **state)
{
    static unsigned char bytes[512];
    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t from = check_below(&random_state, 16), size = check_below(&random_state, 400);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = round % 3 == 0 ? 0 : (unsigned char)check_random(&random_state);
        bytes[from + size / 2] ^= 1;
        CHECKF(crc32c(bytes + from, size) == slow_crc32c(bytes + from, size), "%zu bytes at %zu", size, from);
        CHECKF(format_hash(bytes + from, size) == slow_hash(bytes + from, size), "%zu bytes at %zu", size,
               from);
    }
}

/* Numbers of every length: each bit of a sum comes from every place. */
static void words_of_any_length(void **state)
{
    (void)state;
    for (int round = 0; round < 100000; round++) {
        uint64_t words[3];
        for (unsigned i = 0; i < 3; i++)
            words[i] = check_random(&random_state) >> check_below(&random_state, 64) &
                       (check_below(&random_state, 4) == 0 ? 0 : UINT64_MAX);
        CHECKF(crc16_of(words[0], words[1]) == slow_crc16(words[0], words[1]), "of %llx and %llx",
               (unsigned long long)words[0], (unsigned long long)words[1]);
        CHECKF(format_hash(words, sizeof words) == slow_hash((unsigned char *)words, sizeof words),
               "%llx, %llx, %llx", (unsigned long long)words[0], (unsigned long long)words[1],
               (unsigned long long)words[2]);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        CHECKF(crc16_of(UINT64_C(1) << bit, 0) == slow_crc16(UINT64_C(1) << bit, 0), "bit %u", bit);
        CHECKF(crc16_of(0, UINT64_C(1) << bit) == slow_crc16(0, UINT64_C(1) << bit), "bit %u", bit);
    }
}

int main(void)
{
    random_state = check_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values),
        cmocka_unit_test(bytes_anywhere),
        cmocka_unit_test(words_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
