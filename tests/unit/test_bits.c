/* test_bits.c - base/bits against one bool per bit. */
#include "unit.h"

#include "base/bits.h"

enum { SIZE = 700 };

static uint64_t bits[BITS_WORDS(SIZE)];
static bool model[SIZE];
static uint64_t random_state;

static void compare(void)
{
    for (size_t i = 0; i < SIZE; i++)
        CHECKF(bits_test(bits, i) == model[i], "bit %zu", i);
}

static size_t model_next(size_t from, size_t to, bool wanted)
{
    for (size_t i = from; i < to; i++)
        if (model[i] == wanted)
            return i;
    return to;
}

static size_t model_run_start(size_t from, size_t to)
{
    while (from > to && model[from - 1])
        from--;
    return from;
}

static size_t model_count(size_t from, size_t to)
{
    size_t count = 0;
    for (size_t i = from; i < to; i++)
        count += model[i];
    return count;
}

static void ask(size_t from, size_t to)
{
    CHECK_EQ(bits_next_set(bits, from, to), model_next(from, to, true));
    CHECK_EQ(bits_next_clear(bits, from, to), model_next(from, to, false));
    CHECK_EQ(bits_count(bits, from, to), model_count(from, to));
    CHECK_EQ(bits_run_start(bits, to, from), model_run_start(to, from));
}

/* A range whose ends are often at or beside the borders of words. */
static void random_range(size_t *from, size_t *to)
{
    size_t ends[2];
    for (int i = 0; i < 2; i++) {
        size_t end = check_below(&random_state, SIZE + 1);
        if (check_below(&random_state, 2) == 0)
            end = end / 64 * 64 + check_below(&random_state, 3);
        ends[i] = end > SIZE ? SIZE : end;
    }
    if (ends[0] == ends[1] && ends[0] < SIZE) /* empty ranges are below */
        ends[1]++;
    else if (ends[0] == ends[1])
        ends[0]--;
    *from = ends[0] < ends[1] ? ends[0] : ends[1];
    *to = ends[0] < ends[1] ? ends[1] : ends[0];
}

static void ranges_follow_the_model(void **state)
{
    (void)state;
    for (int step = 0; step < 20000; step++) {
        size_t from, to;
        random_range(&from, &to);
        bool set = check_below(&random_state, 2) == 0;
        (set ? bits_set : bits_clear)(bits, from, to);
        for (size_t i = from; i < to; i++)
            model[i] = set;
        random_range(&from, &to);
        ask(from, to);
        if (step % 64 == 0)
            compare();
    }
    compare();
}

static void all_ranges_of_three_words(void **state)
{
    (void)state;
    for (size_t from = 0; from <= 192; from++)
        for (size_t to = from + 1; to <= 192; to++) {
            uint64_t three[4] = {0, 0, 0, 0x5555555555555555};
            bits_set(three, from, to);
            CHECK_EQ(bits_count(three, 0, 192), to - from);
            CHECK_EQ(bits_next_set(three, 0, 192), from);
            CHECK_EQ(bits_next_clear(three, from, 192), to);
            CHECK_EQ(bits_run_start(three, to, 0), from);
            CHECK(three[3] == 0x5555555555555555);
            bits_clear(three, from, to);
            CHECK((three[0] | three[1] | three[2]) == 0 && three[3] == 0x5555555555555555);
        }
}

static void empty_ranges_change_nothing(void **state)
{
    (void)state;
    for (size_t at = 0; at <= 192; at++) {
        uint64_t three[4] = {0, ~UINT64_C(0), 0, ~UINT64_C(0)};
        CHECK_EQ(bits_count(three, at, at), 0);
        bits_set(three, at, at);
        bits_clear(three, at, at);
        CHECK(three[0] == 0 && three[1] == ~UINT64_C(0) && three[2] == 0 && three[3] == ~UINT64_C(0));
        CHECK_EQ(bits_next_set(three, at, at), at);
        CHECK_EQ(bits_next_clear(three, at, at), at);
        CHECK_EQ(bits_run_start(three, at, at), at);
    }
}

static void masks_and_single_bits(void **state)
{
    (void)state;
    for (size_t from = 0; from < 64; from++) {
        CHECK_EQ(low_bit(UINT64_C(1) << from), from);
        CHECK_EQ(high_bit(UINT64_C(1) << from), from);
        CHECK_EQ(low_bit(~UINT64_C(0) << from), from);
        CHECK_EQ(high_bit(~UINT64_C(0) >> (63 - from)), from);
        for (size_t to = from + 1; to <= 64; to++) {
            uint64_t mask = word_mask(from, to);
            CHECK_EQ(__builtin_popcountll(mask), to - from);
            CHECK(low_bit(mask) == from && high_bit(mask) == to - 1);
        }
    }
    CHECK(BITS_WORDS(0) == 0 && BITS_WORDS(1) == 1 && BITS_WORDS(64) == 1 && BITS_WORDS(65) == 2);
}

static void rounding(void **state)
{
    (void)state;
    CHECK(!is_power_of_two(0) && is_power_of_two(1) && !is_power_of_two(3) &&
          is_power_of_two((size_t)1 << 63));
    for (size_t to = 1; to <= 4096; to *= 2)
        for (size_t x = 0; x < 10000; x += 7) {
            CHECK_EQ(align_up(x, to), (x + to - 1) / to * to);
            CHECK_EQ(align_down(x, to), x / to * to);
        }
    CHECK(size_min(3, 5) == 3 && size_min(5, 3) == 3 && size_max(3, 5) == 5 && size_max(5, 3) == 5);
}

int main(void)
{
    random_state = check_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_follow_the_model),
        cmocka_unit_test(all_ranges_of_three_words),
        cmocka_unit_test(empty_ranges_change_nothing),
        cmocka_unit_test(masks_and_single_bits),
        cmocka_unit_test(rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
