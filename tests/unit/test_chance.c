/* test_chance.c - the distances of samples have the distribution that they should, and the probabilities fit. */
#include "unit.h"

#include "base/chance.h"

static void logarithms(void **state)
{
    (void)state;
    static const struct {
        double x, log;
    } known[] = {{1, 0},
                 {2, 0.69314718056},
                 {0.5, -0.69314718056},
                 {10, 2.30258509299},
                 {1e-9, -20.7232658369},
                 {1.999999, 0.69314668056},
                 {3.14159265, 1.14472988471}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        double error = chance_log(known[i].x) - known[i].log;
        CHECKF(error < 1e-9 && error > -1e-9, "ln %g: %g", known[i].x, error);
    }
}

static void hits(void **state)
{
    (void)state;
    static const struct {
        size_t size, mean;
        double chance;
    } known[] = {{0, 100, 0},
                 {1, 1000000, 9.999995e-7},
                 {100, 100, 0.63212055883},
                 {1, 2, 0.39346934029},
                 {300, 100, 0.95021293163},
                 {10000, 1, 1},
                 {524288, 524288, 0.63212055883},
                 {SIZE_MAX, 7, 1}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        double error = chance_of_hit(known[i].size, known[i].mean) - known[i].chance;
        CHECKF(error < 1e-10 && error > -1e-10, "%zu of %zu: %g", known[i].size, known[i].mean, error);
    }
}

/* The share of distances up to n must be the chance that n bytes are hit, for small n and large. */
static void distances(void **state)
{
    (void)state;
    enum { DRAWS = 1000000, MEAN = 1000 };
    static const size_t bounds[] = {1, 10, 100, 693, 1000, 3000, 8000};
    size_t below[COUNT_OF(bounds)] = {0};
    double sum = 0;
    chance_seed(check_seed());
    for (size_t i = 0; i < DRAWS; i++) {
        size_t distance = chance_distance(MEAN);
        CHECK(distance >= 1);
        sum += (double)distance;
        for (size_t k = 0; k < COUNT_OF(bounds); k++)
            below[k] += distance <= bounds[k];
    }
    CHECKF(sum / DRAWS > MEAN * 0.99 && sum / DRAWS < MEAN * 1.01, "mean %g", sum / DRAWS);
    for (size_t k = 0; k < COUNT_OF(bounds); k++) {
        double share = (double)below[k] / DRAWS, wanted = chance_of_hit(bounds[k], MEAN);
        CHECKF(share > wanted - 0.0025 && share < wanted + 0.0025 && share > 0.8 * wanted, "%zu: %g, not %g",
               bounds[k], share, wanted);
    }
    CHECK(chance_distance(PTRDIFF_MAX) <= PTRDIFF_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logarithms), cmocka_unit_test(hits),
                                       cmocka_unit_test(distances)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
