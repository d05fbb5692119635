/* cfrac - factoring a number with tiny blocks that live for a moment.
 *
 * Origin: cfrac by D. Barrett, a load of B. Zorn and D. Grunwald's studies of allocation ("Empirical
 * Measurements of Six Allocation-intensive C Programs", 1992), in most suites since.  It factors by the
 * continued fraction method of M. Morrison and J. Brillhart, "A Method of Factoring and the Factorization of
 * F7", Math. Comp. 29 (1975).
 * Ours: written anew after that paper.  Numbers are immutable and live on the heap, one block of 8 bytes
 * plus 4 per digit of 32 bits each; every step of the arithmetic makes a new one and drops the old.  The
 * result is checked by multiplying.
 *
 * How it works: the expansion of sqrt(N) gives A[i] and Q[i] with A[i-1]^2 = (-1)^i Q[i] (mod N), where
 * Q[i] < 2 sqrt(N).  The Q that fall apart over a base of small primes are kept with their exponents mod 2.
 * A set of them whose exponents sum to zero (Gaussian elimination) gives X^2 = Y^2 (mod N), and
 * gcd(X - Y, N) is a factor with a chance of a half.
 *
 * Arguments: index of the number in NUMBERS, from 1 (3).
 */
#include "load.h"

/* Products of two primes. */
static const char *const NUMBERS[] = {
    "188643701166941698757897",
    "731840473056163628638432360987",
    "707268177248659689670124386656596137",
};

enum { NUMBER_COUNT = sizeof NUMBERS / sizeof NUMBERS[0] };

static uint64_t ops; /* numbers made */

/* ---- Numbers: natural, immutable, no leading zero digits; zero has no digits ------------------------ */

typedef struct number {
    uint32_t length;
    uint32_t digits[]; /* least significant first */
} number;

static number *number_new(uint32_t length)
{
    ops++;
    number *n = load_malloc(sizeof *n + (length + 1) * sizeof n->digits[0]);
    n->length = length;
    return n;
}

static void number_trim(number *n)
{
    while (n->length > 0 && n->digits[n->length - 1] == 0) {
        n->length--;
    }
}

static number *number_from(uint32_t value)
{
    number *n = number_new(1);
    n->digits[0] = value;
    number_trim(n);
    return n;
}

static number *number_copy(const number *a)
{
    number *n = number_new(a->length);
    memcpy(n->digits, a->digits, a->length * sizeof a->digits[0]);
    return n;
}

/* Puts `fresh` in the place of *old. */
static void number_replace(number **old, number *fresh)
{
    free(*old);
    *old = fresh;
}

static int number_compare(const number *a, const number *b)
{
    if (a->length != b->length) {
        return a->length < b->length ? -1 : 1;
    }
    for (uint32_t i = a->length; i-- > 0;) {
        if (a->digits[i] != b->digits[i]) {
            return a->digits[i] < b->digits[i] ? -1 : 1;
        }
    }
    return 0;
}

static bool number_is(const number *a, uint32_t value)
{
    return value == 0 ? a->length == 0 : a->length == 1 && a->digits[0] == value;
}

static number *number_add(const number *a, const number *b)
{
    if (a->length < b->length) {
        const number *swap = a;
        a = b;
        b = swap;
    }
    number *sum = number_new(a->length + 1);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < a->length; i++) {
        carry += (uint64_t)a->digits[i] + (i < b->length ? b->digits[i] : 0);
        sum->digits[i] = (uint32_t)carry;
        carry >>= 32;
    }
    sum->digits[a->length] = (uint32_t)carry;
    number_trim(sum);
    return sum;
}

/* a - b, where a >= b. */
static number *number_subtract(const number *a, const number *b)
{
    number *difference = number_new(a->length);
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < a->length; i++) {
        uint64_t d = (uint64_t)a->digits[i] - (i < b->length ? b->digits[i] : 0) - borrow;
        difference->digits[i] = (uint32_t)d;
        borrow = d >> 63;
    }
    number_trim(difference);
    return difference;
}

static number *number_multiply(const number *a, const number *b)
{
    number *product = number_new(a->length + b->length);
    memset(product->digits, 0, product->length * sizeof product->digits[0]);
    for (uint32_t i = 0; i < a->length; i++) {
        uint64_t carry = 0;
        for (uint32_t k = 0; k < b->length; k++) {
            carry += (uint64_t)a->digits[i] * b->digits[k] + product->digits[i + k];
            product->digits[i + k] = (uint32_t)carry;
            carry >>= 32;
        }
        product->digits[i + b->length] = (uint32_t)carry;
    }
    number_trim(product);
    return product;
}

/* The quotient by one digit; *rest gets the remainder. */
static number *number_divide_digit(const number *a, uint32_t divisor, uint32_t *rest)
{
    number *quotient = number_new(a->length);
    uint64_t left = 0;
    for (uint32_t i = a->length; i-- > 0;) {
        left = (left << 32) | a->digits[i];
        quotient->digits[i] = (uint32_t)(left / divisor);
        left %= divisor;
    }
    number_trim(quotient);
    *rest = (uint32_t)left;
    return quotient;
}

/* a shifted left by `bits` < 32, with one more digit than a, leading zeros kept. */
static number *number_shift(const number *a, unsigned bits)
{
    number *shifted = number_new(a->length + 1);
    uint64_t carry = 0;
    for (uint32_t i = 0; i < a->length; i++) {
        carry |= (uint64_t)a->digits[i] << bits;
        shifted->digits[i] = (uint32_t)carry;
        carry >>= 32;
    }
    shifted->digits[a->length] = (uint32_t)carry;
    return shifted;
}

/* One step of long division: subtracts digit * b from the digits of `rest` at `at`, where the digit is
 * guessed from the leading ones and is at most 2 too big (Knuth, TAOCP 4.3.1, algorithm D). */
static uint32_t divide_step(number *rest, const number *b, uint32_t at)
{
    uint32_t top = b->length - 1;
    uint64_t leading = ((uint64_t)rest->digits[at + top + 1] << 32) | rest->digits[at + top];
    uint64_t digit = leading / b->digits[top];
    if (digit > UINT32_MAX) {
        digit = UINT32_MAX;
    }
    uint64_t carry = 0;
    uint64_t borrow = 0;
    for (uint32_t i = 0; i <= b->length; i++) {
        carry += digit * (i < b->length ? b->digits[i] : 0);
        uint64_t d = (uint64_t)rest->digits[at + i] - (uint32_t)carry - borrow;
        rest->digits[at + i] = (uint32_t)d;
        borrow = d >> 63;
        carry >>= 32;
    }
    while (borrow != 0) {
        digit--;
        carry = 0;
        for (uint32_t i = 0; i <= b->length; i++) {
            carry += (uint64_t)rest->digits[at + i] + (i < b->length ? b->digits[i] : 0);
            rest->digits[at + i] = (uint32_t)carry;
            carry >>= 32;
        }
        borrow -= carry;
    }
    return (uint32_t)digit;
}

/* The quotient; *rest_out gets the remainder unless it is NULL.  b is not zero. */
static number *number_divide(const number *a, const number *b, number **rest_out)
{
    if (b->length == 1) {
        uint32_t rest = 0;
        number *quotient = number_divide_digit(a, b->digits[0], &rest);
        if (rest_out != NULL) {
            *rest_out = number_from(rest);
        }
        return quotient;
    }
    if (number_compare(a, b) < 0) {
        if (rest_out != NULL) {
            *rest_out = number_copy(a);
        }
        return number_from(0);
    }
    unsigned bits = (unsigned)__builtin_clz(b->digits[b->length - 1]);
    number *rest = number_shift(a, bits);
    number *divisor = number_shift(b, bits);
    divisor->length = b->length;
    number *quotient = number_new(a->length - b->length + 1);
    for (uint32_t at = quotient->length; at-- > 0;) {
        quotient->digits[at] = divide_step(rest, divisor, at);
    }
    number_trim(quotient);
    free(divisor);
    if (rest_out != NULL) {
        for (uint32_t i = 0; i + 1 < rest->length; i++) {
            uint64_t pair = ((uint64_t)rest->digits[i + 1] << 32) | rest->digits[i];
            rest->digits[i] = (uint32_t)(pair >> bits);
        }
        rest->digits[rest->length - 1] >>= bits;
        number_trim(rest);
        *rest_out = rest;
    } else {
        free(rest);
    }
    return quotient;
}

static number *number_modulo(const number *a, const number *modulus)
{
    number *rest = NULL;
    free(number_divide(a, modulus, &rest));
    return rest;
}

/* a * b mod modulus */
static number *number_multiply_modulo(const number *a, const number *b, const number *modulus)
{
    number *product = number_multiply(a, b);
    number *rest = number_modulo(product, modulus);
    free(product);
    return rest;
}

static uint32_t number_modulo_digit(const number *a, uint32_t divisor)
{
    uint64_t left = 0;
    for (uint32_t i = a->length; i-- > 0;) {
        left = ((left << 32) | a->digits[i]) % divisor;
    }
    return (uint32_t)left;
}

/* The largest r with r * r <= a, by Newton's iteration from above. */
static number *number_square_root(const number *a)
{
    number *root = number_new(a->length / 2 + 1);
    memset(root->digits, 0xff, root->length * sizeof root->digits[0]);
    for (;;) {
        number *quotient = number_divide(a, root, NULL);
        number *sum = number_add(root, quotient);
        uint32_t rest = 0;
        number *next = number_divide_digit(sum, 2, &rest);
        free(quotient);
        free(sum);
        if (number_compare(next, root) >= 0) {
            free(next);
            return root;
        }
        number_replace(&root, next);
    }
}

static number *number_gcd(const number *a, const number *b)
{
    number *x = number_copy(a);
    number *y = number_copy(b);
    while (y->length > 0) {
        number *rest = number_modulo(x, y);
        free(x);
        x = y;
        y = rest;
    }
    free(y);
    return x;
}

static number *number_parse(const char *text)
{
    number *n = number_from(0);
    for (; *text != '\0'; text++) {
        number *ten = number_from(10);
        number *digit = number_from((uint32_t)(*text - '0'));
        number *product = number_multiply(n, ten);
        number_replace(&n, number_add(product, digit));
        free(product);
        free(digit);
        free(ten);
    }
    return n;
}

/* ---- The factor base -------------------------------------------------------------------------------- */

typedef struct factor_base {
    uint32_t *primes;
    unsigned count;
} factor_base;

static uint32_t power_modulo(uint64_t base, uint32_t exponent, uint32_t modulus)
{
    uint64_t result = 1;
    for (base %= modulus; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) {
            result = result * base % modulus;
        }
        base = base * base % modulus;
    }
    return (uint32_t)result;
}

static bool is_prime(uint32_t n)
{
    for (uint32_t d = 2; d * d <= n; d++) {
        if (n % d == 0) {
            return false;
        }
    }
    return n >= 2;
}

/* The first `count` primes that can divide a Q: those modulo which n is a square. */
static factor_base factor_base_make(const number *n, unsigned count)
{
    factor_base base = {.primes = load_array(count, sizeof *base.primes)};
    for (uint32_t p = 2; base.count < count; p++) {
        if (is_prime(p) && (p == 2 || power_modulo(number_modulo_digit(n, p), (p - 1) / 2, p) <= 1)) {
            base.primes[base.count++] = p;
        }
    }
    return base;
}

/* ---- Relations: A^2 = (-1)^sign * product of primes (mod N) ----------------------------------------- */

typedef struct relation {
    number *a;
    uint16_t *exponents; /* one per prime; in front the sign's */
    uint64_t *parity;    /* exponents mod 2 as bits, changed by the elimination */
    uint64_t *members;   /* which relations were added up into this one */
} relation;

static void relation_free(relation *r)
{
    free(r->a);
    free(r->exponents);
    free(r->parity);
    free(r->members);
    free(r);
}

/* Divides q by the primes of the base as often as they go; true if nothing is left of it. */
static bool divide_out(const number *q, const factor_base *base, uint16_t *exponents)
{
    number *left = number_copy(q);
    for (unsigned i = 0; i < base->count && !number_is(left, 1); i++) {
        uint32_t rest = 0;
        number *quotient = number_divide_digit(left, base->primes[i], &rest);
        while (rest == 0) {
            exponents[i + 1]++;
            number_replace(&left, quotient);
            quotient = number_divide_digit(left, base->primes[i], &rest);
        }
        free(quotient);
        /* A Q that is still long after the small primes will hardly fall apart: give up early. */
        if (i == base->count / 8 && left->length == q->length && q->length > 1) {
            break;
        }
    }
    bool smooth = number_is(left, 1);
    free(left);
    return smooth;
}

/* ---- The continued fraction ------------------------------------------------------------------------- */

typedef struct expansion {
    const number *n;
    number *root;   /* floor(sqrt(n)) */
    number *p;      /* P[i] */
    number *q;      /* Q[i] */
    number *a;      /* A[i-1] mod n */
    number *a_last; /* A[i-2] mod n */
    unsigned i;
} expansion;

static expansion expansion_start(const number *n)
{
    expansion e = {.n = n, .root = number_square_root(n), .p = number_from(0), .q = number_from(1)};
    e.a = number_from(1);
    e.a_last = number_from(0);
    return e;
}

static void expansion_free(expansion *e)
{
    free(e->root);
    free(e->p);
    free(e->q);
    free(e->a);
    free(e->a_last);
}

/* From i to i + 1:  c = (root + P) / Q,  P' = c Q - P,  Q' = (n - P'^2) / Q,  A' = c A + A_last mod n. */
static void expansion_step(expansion *e)
{
    number *sum = number_add(e->root, e->p);
    number *c = number_divide(sum, e->q, NULL);
    number *product = number_multiply(c, e->q);
    number_replace(&e->p, number_subtract(product, e->p));
    free(product);
    free(sum);

    number *square = number_multiply(e->p, e->p);
    number *difference = number_subtract(e->n, square);
    number_replace(&e->q, number_divide(difference, e->q, NULL));
    free(difference);
    free(square);

    number *scaled = number_multiply(c, e->a);
    number *next = number_add(scaled, e->a_last);
    free(e->a_last);
    e->a_last = e->a;
    e->a = number_modulo(next, e->n);
    free(next);
    free(scaled);
    free(c);
    e->i++;
}

/* The next relation of the expansion. */
static relation *relation_find(expansion *e, const factor_base *base)
{
    uint16_t *exponents = load_array(base->count + 1, sizeof *exponents);
    for (;;) {
        expansion_step(e);
        if (divide_out(e->q, base, exponents)) {
            break;
        }
        memset(exponents, 0, (base->count + 1) * sizeof *exponents);
    }
    exponents[0] = (uint16_t)(e->i % 2);
    relation *r = load_malloc(sizeof *r);
    r->a = number_copy(e->a);
    r->exponents = exponents;
    r->parity = load_array(base->count / 64 + 1, sizeof *r->parity);
    for (unsigned i = 0; i <= base->count; i++) {
        r->parity[i / 64] |= (uint64_t)(exponents[i] & 1) << (i % 64);
    }
    return r;
}

/* ---- Putting the relations together ----------------------------------------------------------------- */

static bool bit(const uint64_t *bits, unsigned i)
{
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static void add_bits(uint64_t *to, const uint64_t *from, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        to[i] ^= from[i];
    }
}

/* Elimination modulo 2 by columns; rows that become zero are the dependencies. */
static void eliminate(relation **rows, unsigned count, unsigned columns)
{
    for (unsigned r = 0; r < count; r++) {
        rows[r]->members = load_array(count / 64 + 1, sizeof(uint64_t));
        rows[r]->members[r / 64] |= UINT64_C(1) << (r % 64);
    }
    unsigned done = 0;
    for (unsigned column = 0; column < columns && done < count; column++) {
        unsigned pivot = done;
        while (pivot < count && !bit(rows[pivot]->parity, column)) {
            pivot++;
        }
        if (pivot == count) {
            continue;
        }
        /* Only the bit rows change places: the relations themselves stay where `members` says they are. */
        uint64_t *parity = rows[pivot]->parity;
        uint64_t *members = rows[pivot]->members;
        rows[pivot]->parity = rows[done]->parity;
        rows[pivot]->members = rows[done]->members;
        rows[done]->parity = parity;
        rows[done]->members = members;
        for (unsigned r = done + 1; r < count; r++) {
            if (bit(rows[r]->parity, column)) {
                add_bits(rows[r]->parity, parity, (columns + 63) / 64);
                add_bits(rows[r]->members, members, count / 64 + 1);
            }
        }
        done++;
    }
}

/* gcd(X - Y, n) of the dependency in `members`: 1 or n if it is of no use. */
static number *try_dependency(relation **rows, unsigned count, const uint64_t *members,
                              const factor_base *base, const number *n)
{
    unsigned *sums = load_array(base->count + 1, sizeof *sums);
    number *x = number_from(1);
    for (unsigned r = 0; r < count; r++) {
        if (bit(members, r)) {
            number_replace(&x, number_multiply_modulo(x, rows[r]->a, n));
            for (unsigned i = 0; i <= base->count; i++) {
                sums[i] += rows[r]->exponents[i];
            }
        }
    }
    number *y = number_from(1);
    for (unsigned i = 1; i <= base->count; i++) {
        if (sums[i] % 2 != 0) {
            load_fail("a dependency with an odd exponent");
        }
        number *prime = number_from(base->primes[i - 1]);
        for (unsigned k = 0; k < sums[i] / 2; k++) {
            number_replace(&y, number_multiply_modulo(y, prime, n));
        }
        free(prime);
    }
    number *difference = number_compare(x, y) >= 0 ? number_subtract(x, y) : number_subtract(y, x);
    number *factor = number_gcd(n, difference);
    free(difference);
    free(y);
    free(x);
    free(sums);
    return factor;
}

/* A factor of n other than 1 and n. */
static number *factorise(const number *n, unsigned base_size)
{
    factor_base base = factor_base_make(n, base_size);
    unsigned count = base.count + 24;
    relation **rows = load_array(count, sizeof(relation *));
    expansion e = expansion_start(n);
    for (unsigned r = 0; r < count; r++) {
        rows[r] = relation_find(&e, &base);
    }
    expansion_free(&e);
    eliminate(rows, count, base.count + 1);

    number *factor = number_from(1);
    for (unsigned r = base.count + 1; r < count && (number_is(factor, 1) || number_compare(factor, n) == 0);
         r++) {
        number_replace(&factor, try_dependency(rows, count, rows[r]->members, &base, n));
    }
    for (unsigned r = 0; r < count; r++) {
        relation_free(rows[r]);
    }
    free(rows);
    free(base.primes);
    return factor;
}

int main(int argc, char **argv)
{
    unsigned index = load_argument(argc, argv, 1, 3, NUMBER_COUNT);

    number *n = number_parse(NUMBERS[index - 1]);
    number *factor = factorise(n, 100 * (index + 1));
    number *rest = NULL;
    number *other = number_divide(n, factor, &rest);
    if (!number_is(rest, 0) || number_is(factor, 1) || number_is(other, 1)) {
        load_fail("no factor found");
    }
    number *product = number_multiply(factor, other);
    if (number_compare(product, n) != 0) {
        load_fail("the factors do not give the number");
    }
    free(product);
    free(rest);
    free(other);
    free(factor);
    free(n);
    load_done(ops);
    return 0;
}
