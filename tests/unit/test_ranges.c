/* test_ranges.c - pool/ranges against a model with one byte for each unit: every search must find exactly the
 * place that the rule names, in every direction, and the invariants of ranges.h hold. */
#include "unit.h"

#include "pool/ranges.h"

enum { UNITS = 1 << 17, STEPS = 12000 };
enum { NONE = 0, FREE = 1, INSIDE = 2, START = 3 };

static struct ranges r;
static unsigned char model[UNITS], extent[UNITS]; /* extent: 1 where one begins */
static size_t base;                               /* unit of model[0] */
static size_t granule;                            /* units */
static uint64_t state;
static size_t refuse_after; /* of the store; SIZE_MAX: never */

static void *store(void *context, size_t size)
{
    (void)context;
    if (refuse_after != SIZE_MAX && refuse_after-- == 0) {
        refuse_after = 0;
        return NULL;
    }
    return calloc(1, size);
}

static void put_model(size_t at, size_t units)
{
    memset(model + at, FREE, units);
    if (at + units < UNITS && model[at + units] == INSIDE)
        model[at + units] = START;
}

/* ---- The rule, in the plainest way --------------------------------------------------------------- */

static size_t run_end(size_t at)
{
    while (at < UNITS && model[at] == FREE)
        at++;
    return at;
}

static size_t aligned_in(size_t from, size_t to, size_t units, size_t align)
{
    size_t at = r.high ? (base + to - units) / align * align - base
                       : (base + from + align - 1) / align * align - base;
    return to - from >= units && (r.high ? at >= from && at < UNITS : at + units <= to) ? at : NOWHERE;
}

static size_t model_find(size_t units, size_t align)
{
    size_t best = NOWHERE;
    for (size_t at = 0; at < UNITS; at++) {
        if (model[at] != FREE)
            continue;
        size_t to = run_end(at), found = aligned_in(at, to, units, align);
        if (found != NOWHERE) {
            best = found;
            if (!r.last)
                return best;
        }
        at = to;
    }
    return best;
}

static size_t model_longest(void)
{
    size_t longest = 0;
    for (size_t at = 0; at < UNITS; at++)
        if (model[at] == FREE) {
            size_t to = run_end(at);
            longest = to - at > longest ? to - at : longest;
            at = to;
        }
    return longest;
}

static void check_all(void)
{
    const char *wrong = ranges_check(&r);
    CHECKF(wrong == NULL, "%s", wrong);
    size_t held = 0, free_units = 0, at = base, units, blocks = 0, found = 0;
    for (size_t i = 0; i < UNITS; i++) {
        held += model[i] != NONE;
        free_units += model[i] == FREE;
        blocks += r.blocks ? model[i] == START : model[i] >= INSIDE && (i == 0 || model[i - 1] < INSIDE);
    }
    CHECK_EQ(r.units, held);
    CHECK_EQ(r.free_units, free_units);
    for (; (at = ranges_next_block(&r, at, &units)) != NOWHERE; at += units, found++) {
        size_t i = at - base, end = i + 1;
        CHECK(i < UNITS && (r.blocks ? model[i] == START : model[i] >= INSIDE));
        while (end < UNITS && (model[end] == INSIDE || (!r.blocks && model[end] == START)))
            end++;
        CHECK_EQ(units, end - i);
    }
    CHECK_EQ(found, blocks);
}

/* ---- Steps --------------------------------------------------------------------------------------- */

static size_t some_units(void)
{
    return check_below(&state, 40) == 0 ? check_random_size(&state, UNITS / 8)
                                        : check_random_size(&state, 120);
}

static void step_take(void)
{
    size_t units = some_units(), align = 1;
    if (check_below(&state, 6) == 0)
        align = (size_t)1 << check_below(&state, 12);
    size_t expected = model_find(units, align);
    bool grab = align == 1 && check_below(&state, 2) == 0;
    size_t got = grab ? ranges_grab(&r, units) : ranges_find(&r, units, align, true);
    CHECKF(got == (expected == NOWHERE ? NOWHERE : base + expected),
           "%zu units aligned to %zu: %zd, expected %zd", units, align, (ssize_t)(got - base),
           (ssize_t)expected);
    if (got == NOWHERE)
        return;
    if (!grab)
        ranges_take(&r, got, units);
    memset(model + expected, INSIDE, units);
    model[expected] = START;
    if (r.blocks)
        CHECK_EQ(ranges_block(&r, got), units);
}

/* A block, or a part of what is allocated. */
static void step_put(void)
{
    size_t at = check_below(&state, UNITS), end;
    while (at < UNITS && model[at] < INSIDE)
        at++;
    if (at == UNITS)
        return;
    bool part = check_below(&state, 4) == 0;
    while (!part && model[at] != START)
        at--;
    for (end = at + 1; end < UNITS && (model[end] == INSIDE || (part && model[end] == START)); end++)
        continue;
    size_t units = part ? 1 + check_below(&state, end - at) : end - at;
    CHECK(ranges_allocated(&r, base + at, units));
    if (end < UNITS && model[end] < INSIDE)
        CHECK(!ranges_allocated(&r, base + at, end - at + 1));
    if (end == at + units && !part)
        ranges_put(&r, base + at, units);
    else
        ranges_put_part(&r, base + at, units);
    put_model(at, units);
    size_t from, to, low = at;
    ranges_run(&r, base + at, &from, &to);
    while (low > 0 && model[low - 1] == FREE)
        low--;
    CHECK_EQ(from, base + low);
    CHECK_EQ(to, base + run_end(at));
    CHECK_EQ(ranges_free_behind(&r, base + at), run_end(at) - at);
}

static void step_hold(void)
{
    size_t units = granule * (1 + check_below(&state, 12)),
           at = check_below(&state, UNITS / granule) * granule;
    for (size_t i = at; i < at + units; i++)
        if (i >= UNITS || model[i] != NONE)
            return;
    refuse_after = check_below(&state, 5) == 0 ? check_below(&state, 3) : SIZE_MAX;
    if (!ranges_hold(&r, base + at, units, true)) {
        CHECK(refuse_after == 0);
        refuse_after = SIZE_MAX;
        check_all();
        return;
    }
    refuse_after = SIZE_MAX;
    memset(extent + at, 0, units);
    extent[at] = 1;
    put_model(at, units);
}

static void step_drop(void)
{
    size_t at = check_below(&state, UNITS / granule) * granule, units = 0;
    while (at + units < UNITS && run_end(at + units) >= at + units + granule && units < 8 * granule)
        units += granule;
    if (units == 0)
        return;
    size_t end = at + granule;
    while (end < at + units && !extent[end])
        end += granule;
    CHECK_EQ(ranges_extent_end(&r, base + at, base + at + units), base + end);
    units = end - at;
    ranges_drop(&r, base + at, units);
    memset(model + at, NONE, units);
    memset(extent + at, 0, units);
    if (end < UNITS && model[end] != NONE)
        extent[end] = 1;
    CHECK(!ranges_held(&r, base + at) && !ranges_allocated(&r, base + at, 1));
}

static void run(unsigned unit_shift, size_t granule_bytes, bool blocks, bool last, bool high)
{
    memset(&r, 0, sizeof r);
    memset(model, NONE, sizeof model);
    memset(extent, 0, sizeof extent);
    r.store = store;
    refuse_after = SIZE_MAX;
    granule = granule_bytes >> unit_shift;
    /* Across a border of high nodes, or not. */
    base = ((size_t)1 << 40) - (check_below(&state, 2) == 0 ? UNITS / 2 : 0);
    ranges_init(&r, unit_shift, ranges_tract_shift(unit_shift, granule_bytes, 0), blocks, last, high);
    CHECK(ranges_find(&r, 1, 1, true) == NOWHERE);
    size_t at;
    CHECK_EQ(ranges_longest(&r, &at), 0);
    for (size_t i = 0; i < STEPS / 4; i++) {
        unsigned kind = (unsigned)check_below(&state, 100);
        /* Fill up and empty out in turns. */
        unsigned takes = i / 500 % 2 == 0 ? 65 : 35;
        if (kind < takes)
            step_take();
        else if (kind < 90)
            step_put();
        else if (kind < 97)
            step_hold();
        else
            step_drop();
        if (i % 256 == 0) {
            check_all();
            CHECK_EQ(ranges_longest(&r, &at), model_longest());
        }
    }
    check_all();
    /* Everything goes: nothing may stay behind. */
    for (size_t i = 0; i < UNITS; i++)
        if (model[i] >= INSIDE) {
            ranges_put_part(&r, base + i, 1);
            put_model(i, 1);
        }
    for (size_t i = 0; i < UNITS; i += granule)
        if (model[i] == FREE)
            ranges_drop(&r, base + i, granule);
    CHECK(r.root == NULL && r.tracts == 0 && r.units == 0 && r.free_units == 0);
}

static void test_model(void **unused)
{
    (void)unused;
    state = check_seed();
    for (unsigned kind = 0; kind < 8; kind++) {
        run(4, 4096, kind & 1, kind & 2, kind & 4);
        run(3, 65536, kind & 1, kind & 2, kind & 4);
    }
    run(12, 4096, true, false, false);
    run(9, 8192, false, true, true);
}

/* Tract sizes: a granule is never smaller than a part, a small buffer gets a small tract. */
static void test_tract_shift(void **unused)
{
    (void)unused;
    CHECK_EQ(ranges_tract_shift(4, 4096, 0), 10);
    CHECK_EQ(ranges_tract_shift(12, 4096, 0), 6);
    CHECK_EQ(ranges_tract_shift(9, 4096, 0), 9);
    CHECK_EQ(ranges_tract_shift(4, 1, 4096), 8);
    CHECK_EQ(ranges_tract_shift(4, 1, 100), 6);
    CHECK_EQ(ranges_tract_shift(3, 1, 1 * GiB), 10);
}

/* A search that few runs satisfy looks at few nodes: 2^20 units of holes that are too short, and one that fits. */
static void test_logarithmic(void **unused)
{
    (void)unused;
    enum { MANY = 1 << 20 };
    memset(&r, 0, sizeof r);
    r.store = store;
    refuse_after = SIZE_MAX;
    ranges_init(&r, 4, ranges_tract_shift(4, 4096, 0), true, false, false);
    CHECK(ranges_hold(&r, 0, MANY, true));
    for (size_t at = 0; at < MANY; at += 4)
        ranges_take(&r, at, 4);
    for (size_t at = 0; at < MANY; at += 8)
        ranges_put(&r, at, 4);
    ranges_put(&r, MANY - 4, 4); /* beside nothing: the last block of 8 is allocated, free */
    double begin = check_now();
    for (int i = 0; i < 100000; i++) {
        size_t at = ranges_find(&r, 8, 1, true);
        CHECK_EQ(at, MANY - 8);
        ranges_take(&r, at, 8);
        size_t small = ranges_find(&r, 4, 1, true);
        CHECK_EQ(small, 0);
        ranges_put(&r, at, 8);
        ranges_put(&r, (size_t)(i % 1000) * 8 + 4, 4); /* the hint is lost */
        ranges_take(&r, (size_t)(i % 1000) * 8 + 4, 4);
    }
    double seconds = check_now() - begin;
    CHECKF(seconds < check_scale(5), "%f s for 100,000 searches", seconds); /* linear ones take minutes */
    CHECK(ranges_check(&r) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tract_shift),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_logarithmic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
