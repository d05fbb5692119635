/* test_slots.c - the tree of bits that says which slots are free, against an array of bytes. */
#include "unit.h"

#include "pool/slots.h"

enum { MOST = 70000 };

static uint64_t words[MOST / 64 * 2 + 16];
static uint8_t taken[MOST];

static size_t lowest_free(size_t count)
{
    const uint8_t *found = memchr(taken, 0, count);
    return found != NULL ? (size_t)(found - taken) : SIZE_MAX;
}

static void against_an_array(void **state)
{
    (void)state;
    static const size_t counts[] = {1, 2, 63, 64, 65, 4095, 4096, 4097, 5000, MOST};
    uint64_t seed = check_seed();
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        size_t count = counts[i];
        struct slots slots;
        memset(words, 0xaa, sizeof words);
        memset(taken, 0, sizeof taken);
        slots_init(&slots, words, count);
        CHECK(slots_check(&slots) && words[slots_words(count)] == 0xaaaaaaaaaaaaaaaa);
        for (size_t k = 0; k < count; k++) /* all of them, from the lowest on */
            CHECK(slots_take(&slots) == k);
        CHECK(slots_take(&slots) == SIZE_MAX && slots_check(&slots));
        memset(taken, 1, count);
        for (int step = 0; step < 3000; step++) {
            size_t at = check_below(&seed, count);
            CHECK(slots_is_free(&slots, at) == (taken[at] == 0));
            if (check_below(&seed, 3) != 0 && taken[at]) {
                slots_put(&slots, at);
                taken[at] = 0;
            } else {
                size_t expected = lowest_free(count), got = slots_take(&slots);
                CHECKF(got == expected, "%zu, not %zu of %zu", got, expected, count);
                if (got != SIZE_MAX)
                    taken[got] = 1;
            }
        }
        CHECK(slots_check(&slots) && words[slots_words(count)] == 0xaaaaaaaaaaaaaaaa);
    }
}

static void damage_is_found(void **state)
{
    (void)state;
    struct slots slots;
    slots_init(&slots, words, 5000);
    size_t total = slots_words(5000);
    for (size_t i = 0; i < total; i++) {
        uint64_t old = words[i];
        words[i] = 0; /* free slots that the level above still promises, or a level that hides them */
        CHECKF(!slots_check(&slots) || old == 0, "word %zu", i);
        words[i] = old;
    }
    words[5000 / 64] |= UINT64_C(1) << 63; /* behind the last slot */
    CHECK(!slots_check(&slots));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_an_array),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
