/* chance.c - see chance.h. */
#include "base/chance.h"

#include "base/atomic.h"
#include "base/bits.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

static uint64_t state = GOLDEN;

void chance_seed(uint64_t seed)
{
    (void)fetch_add_relaxed(&state, seed * GOLDEN);
}

uint64_t chance_next(void)
{
    uint64_t z = fetch_add_relaxed(&state, GOLDEN);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* x = m * 2^e with 1 <= m < 2; ln m = 2 atanh((m - 1) / (m + 1)), whose series ends below 1e-10 here. */
double chance_log(double x)
{
    const double ln2 = 0.693147180559945309417;
    uint64_t bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & ((UINT64_C(1) << 52) - 1)) | (UINT64_C(1023) << 52);
    double m;
    __builtin_memcpy(&m, &bits, sizeof m);
    double z = (m - 1) / (m + 1), square = z * z, power = z, sum = 0;
    for (int k = 1; k < 20; k += 2) {
        sum += power / k;
        power *= square;
    }
    return exponent * ln2 + 2 * sum;
}

size_t chance_distance(size_t mean)
{
    const double denominator = 9007199254740992.0;                /* 2^53 */
    double u = ((double)(chance_next() >> 11) + 1) / denominator; /* above 0, at most 1 */
    double distance = -chance_log(u) * (double)mean;
    return distance >= (double)(PTRDIFF_MAX / 2) ? PTRDIFF_MAX : (size_t)distance + 1;
}

/* expm1(2 y) = expm1(y) * (expm1(y) + 2), from a y so small that four terms of the series do. */
double chance_of_hit(size_t size, size_t mean)
{
    double x = -(double)size / (double)mean;
    if (x < -50)
        return 1;
    int halvings = 0;
    while (x < -1e-3) {
        x /= 2;
        halvings++;
    }
    double e = x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4)));
    for (; halvings > 0; halvings--)
        e *= e + 2;
    return -e;
}
