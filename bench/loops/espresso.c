/* espresso - a logic minimiser: lists of small cubes, made and dropped by recursive descents.
 *
 * Origin: espresso, the two-level logic minimiser of R. Brayton, G. Hachtel, C. McMullen and A.
 * Sangiovanni-Vincentelli ("Logic Minimization Algorithms for VLSI Synthesis", Kluwer 1984); an allocation
 * load since B. Zorn and D. Grunwald's studies (1992), in most suites since.
 * Ours: written anew after the book's outline, for functions of one output given as seeded random covers
 * with don't-cares.  Cubes are blocks of their own, covers are growing arrays of them; cofactors,
 * complements and counts are made and dropped at each level.  The minimised cover is checked against the
 * given one at every point of small functions and at random points of big ones.
 *
 * How it works: OFF is the complement of ON and DC, found by Shannon expansion.  Expand raises each cube of
 * ON as far as it stays disjoint from OFF and drops the cubes it swallows; irredundant drops cubes that the
 * others and DC cover; reduce shrinks each to what only it covers, so that the next expansion can go
 * elsewhere.  Repeated while the number of cubes or literals falls.
 *
 * Arguments: functions to minimise (300).
 */
#include "load.h"

enum { INPUTS_MIN = 8, INPUTS_MAX = 16, SAMPLES = 1 << 12 };

/* ---- Cubes: a product of literals ------------------------------------------------------------------- */

/* Two bits per input: 01 it must be 0, 10 it must be 1, 11 either, 00 never (then the cube is empty). */
typedef uint64_t literals;

#define LOW_BITS UINT64_C(0x5555555555555555)

typedef struct cube {
    literals bits;
    literals seal; /* ~bits, checked when the cube goes */
} cube;

static uint64_t ops; /* cubes made */

static cube *cube_new(literals bits)
{
    ops++;
    cube *c = load_malloc(sizeof *c);
    c->bits = bits;
    c->seal = ~bits;
    return c;
}

static void cube_free(cube *c)
{
    if (c->seal != ~c->bits) {
        load_fail("a cube lost its contents");
    }
    free(c);
}

static void cube_set(cube *c, literals bits)
{
    c->bits = bits;
    c->seal = ~bits;
}

/* The cube of everything, for functions of `inputs` inputs. */
static literals universe(unsigned inputs)
{
    return (UINT64_C(1) << (2 * inputs)) - 1;
}

/* One bit for each input that `bits` leaves no value for. */
static literals conflicts(literals bits, literals all)
{
    return ~(bits | bits >> 1) & all & LOW_BITS;
}

static bool intersects(literals a, literals b, literals all)
{
    return conflicts(a & b, all) == 0;
}

static bool covers(literals big, literals small)
{
    return (big & small) == small;
}

/* One bit for each input that has a literal. */
static literals bound_inputs(literals bits, literals all)
{
    return ~(bits & bits >> 1) & all & LOW_BITS;
}

static unsigned literal_count(literals bits, literals all)
{
    return (unsigned)__builtin_popcountll(bound_inputs(bits, all));
}

/* ---- Covers: a sum of cubes ------------------------------------------------------------------------- */

typedef struct cover {
    cube **cubes;
    unsigned count;
    unsigned capacity;
    literals all; /* the universe of its inputs */
} cover;

static cover *cover_new(literals all)
{
    cover *f = load_malloc(sizeof *f);
    *f = (cover){.all = all};
    return f;
}

static void cover_add(cover *f, literals bits)
{
    if (f->count == f->capacity) {
        f->capacity = f->capacity == 0 ? 4 : f->capacity + f->capacity / 2;
        f->cubes = realloc(f->cubes, f->capacity * sizeof(cube *));
        if (f->cubes == NULL) {
            load_fail("realloc returned NULL");
        }
    }
    f->cubes[f->count++] = cube_new(bits);
}

/* Drops cube i; the order of the others stays. */
static void cover_remove(cover *f, unsigned i)
{
    cube_free(f->cubes[i]);
    f->count--;
    memmove(&f->cubes[i], &f->cubes[i + 1], (f->count - i) * sizeof(cube *));
}

static void cover_free(cover *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        cube_free(f->cubes[i]);
    }
    free(f->cubes);
    free(f);
}

static bool cover_contains(const cover *f, literals point)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (covers(f->cubes[i]->bits, point)) {
            return true;
        }
    }
    return false;
}

static unsigned cover_literals(const cover *f)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < f->count; i++) {
        sum += literal_count(f->cubes[i]->bits, f->all);
    }
    return sum;
}

/* Adds to `to` what f looks like inside the cube `c`, leaving out cube `skip` of f. */
static void cofactor_into(cover *to, const cover *f, literals c, unsigned skip)
{
    for (unsigned i = 0; i < f->count; i++) {
        literals bits = f->cubes[i]->bits;
        if (i != skip && intersects(bits, c, f->all)) {
            cover_add(to, (bits | ~c) & f->all);
        }
    }
}

static cover *cofactor(const cover *f, literals c)
{
    cover *inside = cover_new(f->all);
    cofactor_into(inside, f, c, f->count);
    return inside;
}

/* The input that most cubes depend on; among the binate ones if there are any, which *binate says. */
static unsigned splitting_input(const cover *f, bool *binate)
{
    unsigned inputs = (unsigned)__builtin_popcountll(f->all) / 2;
    unsigned *counts = load_array(2 * (size_t)inputs, sizeof *counts);
    for (unsigned i = 0; i < f->count; i++) {
        literals bits = f->cubes[i]->bits;
        for (literals bound = bound_inputs(bits, f->all); bound != 0; bound &= bound - 1) {
            unsigned low = (unsigned)__builtin_ctzll(bound);
            counts[low + (bits >> (low + 1) & 1)]++;
        }
    }
    unsigned best = 0;
    unsigned best_weight = 0;
    for (unsigned v = 0; v < inputs; v++) {
        unsigned zeros = counts[2 * v];
        unsigned ones = counts[2 * v + 1];
        unsigned weight = zeros + ones + (zeros > 0 && ones > 0 ? 1u << 20 : 0);
        if (weight > best_weight) {
            best = v;
            best_weight = weight;
        }
    }
    free(counts);
    *binate = best_weight >= 1u << 20;
    return best;
}

/* The half of the universe where the input has the value. */
static literals half(literals all, unsigned input, unsigned value)
{
    return all & ~(UINT64_C(1) << (2 * input + 1 - value));
}

/* Does the cover contain every point?  Frees it. */
static bool tautology(cover *f)
{
    unsigned inputs = (unsigned)__builtin_popcountll(f->all) / 2;
    uint64_t points = 0;
    bool full = false;
    for (unsigned i = 0; i < f->count; i++) {
        full = full || f->cubes[i]->bits == f->all;
        points += UINT64_C(1) << (inputs - literal_count(f->cubes[i]->bits, f->all));
    }
    bool binate = false;
    unsigned input = 0;
    if (!full && points >= UINT64_C(1) << inputs) {
        input = splitting_input(f, &binate);
    }
    bool result = full;
    if (binate) { /* a unate cover without the full cube misses a point */
        result =
            tautology(cofactor(f, half(f->all, input, 0))) && tautology(cofactor(f, half(f->all, input, 1)));
    }
    cover_free(f);
    return result;
}

/* Adds the complement of one cube: for each literal the cube of its opposite. */
static void complement_cube(cover *out, literals bits)
{
    for (literals bound = bound_inputs(bits, out->all); bound != 0; bound &= bound - 1) {
        literals pair = bound & -bound;
        pair |= pair << 1;
        cover_add(out, (out->all & ~pair) | (pair & ~bits));
    }
}

/* low and high are complements in the two halves of an input: cubes in both lose the input's literal.
 * Frees both. */
static cover *merge_halves(cover *low, cover *high, unsigned input)
{
    cover *out = cover_new(low->all);
    for (unsigned i = 0; i < low->count; i++) {
        literals bits = low->cubes[i]->bits;
        bool both = false;
        for (unsigned k = 0; k < high->count && !both; k++) {
            both = high->cubes[k]->bits == bits;
            if (both) {
                cover_remove(high, k);
            }
        }
        cover_add(out, both ? bits : bits & half(out->all, input, 0));
    }
    for (unsigned k = 0; k < high->count; k++) {
        cover_add(out, high->cubes[k]->bits & half(out->all, input, 1));
    }
    cover_free(low);
    cover_free(high);
    return out;
}

/* The complement; frees f. */
static cover *complement(cover *f)
{
    cover *out = NULL;
    bool full = false;
    for (unsigned i = 0; i < f->count; i++) {
        full = full || f->cubes[i]->bits == f->all;
    }
    if (full || f->count <= 1) {
        out = cover_new(f->all);
        if (f->count == 0) {
            cover_add(out, f->all);
        } else if (!full) {
            complement_cube(out, f->cubes[0]->bits);
        }
    } else {
        bool binate = false;
        unsigned input = splitting_input(f, &binate);
        out = merge_halves(complement(cofactor(f, half(f->all, input, 0))),
                           complement(cofactor(f, half(f->all, input, 1))), input);
    }
    cover_free(f);
    return out;
}

/* ---- The three steps -------------------------------------------------------------------------------- */

static bool disjoint(const cover *f, literals c)
{
    for (unsigned i = 0; i < f->count; i++) {
        if (intersects(f->cubes[i]->bits, c, f->all)) {
            return false;
        }
    }
    return true;
}

/* Raises every cube of f to a prime of the complement of `off`, dropping the cubes that it swallows. */
static void expand(cover *f, const cover *off, load_random *random)
{
    unsigned inputs = (unsigned)__builtin_popcountll(f->all) / 2;
    for (unsigned i = 0; i < f->count; i++) {
        unsigned first = load_random_below(random, inputs);
        for (unsigned step = 0; step < inputs; step++) {
            literals pair = UINT64_C(3) << (2 * ((first + step) % inputs));
            cube *raised = cube_new(f->cubes[i]->bits | pair);
            if (disjoint(off, raised->bits)) {
                cube *old = f->cubes[i];
                f->cubes[i] = raised;
                raised = old;
            }
            cube_free(raised);
        }
        for (unsigned k = f->count; k-- > 0;) {
            if (k != i && covers(f->cubes[i]->bits, f->cubes[k]->bits)) {
                cover_remove(f, k);
                i -= k < i;
            }
        }
    }
}

/* What the other cubes of f and the don't-cares make inside cube i. */
static cover *others_inside(const cover *f, const cover *dc, unsigned i)
{
    literals c = f->cubes[i]->bits;
    cover *others = cover_new(f->all);
    cofactor_into(others, f, c, i);
    cofactor_into(others, dc, c, dc->count);
    return others;
}

/* Drops cubes that the others cover. */
static void irredundant(cover *f, const cover *dc)
{
    for (unsigned i = f->count; i-- > 0;) {
        if (tautology(others_inside(f, dc, i))) {
            cover_remove(f, i);
        }
    }
}

/* Shrinks each cube to the smallest that holds what only it covers. */
static void reduce(cover *f, const cover *dc)
{
    for (unsigned i = f->count; i-- > 0;) {
        cover *alone = complement(others_inside(f, dc, i));
        literals smallest = 0;
        for (unsigned k = 0; k < alone->count; k++) {
            smallest |= alone->cubes[k]->bits;
        }
        if (alone->count == 0) {
            cover_remove(f, i);
        } else {
            cube_set(f->cubes[i], f->cubes[i]->bits & smallest);
        }
        cover_free(alone);
    }
}

/* A small cover that holds ON and stays within ON and DC. */
static cover *minimise(const cover *on, const cover *dc, load_random *random)
{
    cover *both = cofactor(on, on->all);
    cofactor_into(both, dc, on->all, dc->count);
    cover *off = complement(both);

    cover *best = cofactor(on, on->all);
    expand(best, off, random);
    irredundant(best, dc);
    for (;;) {
        cover *next = cofactor(best, best->all);
        reduce(next, dc);
        expand(next, off, random);
        irredundant(next, dc);
        bool better = next->count < best->count ||
                      (next->count == best->count && cover_literals(next) < cover_literals(best));
        if (!better) {
            cover_free(next);
            break;
        }
        cover_free(best);
        best = next;
    }
    cover_free(off);
    return best;
}

/* ---- Functions to minimise -------------------------------------------------------------------------- */

static cover *random_cover(unsigned inputs, unsigned count, load_random *random)
{
    cover *f = cover_new(universe(inputs));
    for (unsigned i = 0; i < count; i++) {
        literals bits = f->all;
        for (unsigned v = 0; v < inputs; v++) {
            unsigned dice = load_random_below(random, 5);
            if (dice < 3) {
                bits &= half(f->all, v, dice % 2);
            }
        }
        cover_add(f, bits);
    }
    return f;
}

/* The cube of a single point: bit v of `values` is the value of input v. */
static literals point_cube(unsigned inputs, uint64_t values)
{
    literals bits = 0;
    for (unsigned v = 0; v < inputs; v++) {
        bits |= UINT64_C(1) << (2 * v + (values >> v & 1));
    }
    return bits;
}

static void verify(const cover *result, const cover *on, const cover *dc, unsigned inputs,
                   load_random *random)
{
    bool small = (1u << inputs) <= SAMPLES;
    unsigned points = small ? 1u << inputs : SAMPLES;
    for (unsigned i = 0; i < points; i++) {
        literals point = point_cube(inputs, small ? i : load_random_next(random));
        bool must = cover_contains(on, point) && !cover_contains(dc, point);
        bool may = cover_contains(on, point) || cover_contains(dc, point);
        bool is = cover_contains(result, point);
        if ((must && !is) || (is && !may)) {
            load_fail("the minimised function is another one");
        }
    }
}

int main(int argc, char **argv)
{
    unsigned functions = load_argument(argc, argv, 1, 300, 1000000);

    load_random random = {.state = 1984};
    for (unsigned i = 0; i < functions; i++) {
        unsigned inputs = INPUTS_MIN + i % (INPUTS_MAX - INPUTS_MIN + 1);
        cover *on = random_cover(inputs, 6 * inputs, &random);
        cover *dc = random_cover(inputs, inputs, &random);
        cover *result = minimise(on, dc, &random);
        verify(result, on, dc, inputs, &random);
        cover_free(result);
        cover_free(dc);
        cover_free(on);
    }
    load_done(ops);
    return 0;
}
