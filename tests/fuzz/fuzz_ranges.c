/* fuzz_ranges.c - pool/ranges under any sequence of holding, taking, putting back and letting go, against a model
 * with one byte for each unit.  The first byte chooses the direction of the search and whether starts are kept. */
#include "check.h"
#include "pool/ranges.h"

enum { UNITS = 8192, GRANULE = 256, MEMORY = 1 << 20 };
enum { NONE = 0, FREE = 1, INSIDE = 2, START = 3 };

static struct ranges r;
static unsigned char model[UNITS];
static _Alignas(16) char memory[MEMORY]; /* of the store */
static size_t used;
static const size_t base = ((size_t)1 << 30) - UNITS / 2; /* across a border of the tree */

static void *store(void *context, size_t size)
{
    (void)context;
    size_t at = used;
    used += (size + 15) & ~(size_t)15;
    CHECK(used <= MEMORY);
    return memory + at;
}

static void put_model(size_t at, size_t units)
{
    memset(model + at, FREE, units);
    if (at + units < UNITS && model[at + units] == INSIDE)
        model[at + units] = START;
}

static size_t run_end(size_t at)
{
    while (at < UNITS && model[at] == FREE)
        at++;
    return at;
}

static size_t model_find(size_t units)
{
    size_t best = NOWHERE;
    for (size_t at = 0; at < UNITS; at++) {
        size_t to = run_end(at);
        if (to - at >= units) {
            best = r.high ? to - units : at;
            if (!r.last)
                return best;
        }
        at = to;
    }
    return best;
}

static void take(size_t units)
{
    size_t expected = model_find(units), got = ranges_grab(&r, units);
    CHECK(got == (expected == NOWHERE ? NOWHERE : base + expected));
    if (got != NOWHERE) {
        memset(model + expected, INSIDE, units);
        model[expected] = START;
    }
}

static void put(size_t at, size_t units, int whole)
{
    for (; whole && at > 0 && model[at] == INSIDE; at--)
        continue;
    size_t end = at;
    while (end < UNITS && end < at + units && model[end] >= INSIDE &&
           (!whole || end == at || model[end] == INSIDE))
        end++;
    if (end == at) {
        CHECK(!ranges_allocated(&r, base + at, 1));
        return;
    }
    CHECK(ranges_allocated(&r, base + at, end - at));
    ranges_put_part(&r, base + at, end - at);
    put_model(at, end - at);
}

static void hold(size_t at, size_t units)
{
    for (size_t i = at; i < at + units; i++)
        if (i >= UNITS || model[i] != NONE)
            return;
    CHECK(ranges_hold(&r, base + at, units, true));
    put_model(at, units);
}

static void drop(size_t at)
{
    if (model[at] != FREE || run_end(at) < at + GRANULE)
        return;
    ranges_drop(&r, base + at, GRANULE);
    memset(model + at, NONE, GRANULE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned kind = size > 0 ? data[0] : 0;
    memset(&r, 0, sizeof r);
    memset(memory, 0, used);
    memset(model, NONE, sizeof model);
    used = 0;
    r.store = store;
    ranges_init(&r, 4, ranges_tract_shift(4, GRANULE * 16, 0), kind & 1, kind & 2, kind & 4);
    hold(0, GRANULE * (1 + kind / 8 % 8));
    for (size_t i = 1; i + 3 <= size; i += 3) {
        size_t place = (size_t)(data[i + 1] * 32) % UNITS, amount = data[i + 2];
        switch (data[i] % 8) {
        case 0:
        case 1:
        case 2: take(1 + amount % 80); break;
        case 3: take(1 + amount * 8); break;
        case 4: put(place + amount % 32, 1 + amount / 8, 0); break;
        case 5: put(place + amount % 32, UNITS, 1); break;
        case 6: hold(place / GRANULE * GRANULE, GRANULE * (1 + amount % 8)); break;
        default: drop(place / GRANULE * GRANULE);
        }
    }
    const char *wrong = ranges_check(&r);
    CHECKF(wrong == NULL, "%s", wrong);
    return 0;
}
