// link: -Wl,--wrap=os_sbrk
/* test_brk.c - the source over the program break, when others move the break between two of its steps: a break of
 * the test's own, moved by somebody else before the n-th call. */
#include "unit.h"

#include "os/os.h"
#include "source/source.h"

void *__wrap_os_sbrk(intptr_t by);

#define FAILED ((void *)-1)

static char room[4 * MiB] __attribute__((aligned(4096)));
static char *top;           /* the break */
static unsigned calls;      /* of sbrk by the source */
static unsigned foreign_at; /* before this one somebody else moves the break; 0: never */
static intptr_t foreign_by;
static unsigned refuse_from; /* from this call on sbrk fails; 0: never */

void *__wrap_os_sbrk(intptr_t by)
{
    calls++;
    if (calls == foreign_at)
        top += foreign_by;
    if (refuse_from != 0 && calls >= refuse_from)
        return FAILED;
    char *was = top;
    top += by;
    CHECK(top >= room && top <= room + sizeof room);
    return was;
}

static void begin(unsigned at, intptr_t by)
{
    calls = 0;
    foreign_at = at;
    foreign_by = by;
    refuse_from = 0;
}

static char *fresh_range(size_t size)
{
    top = room + 100;
    begin(0, 0);
    char *base = source_brk.reserve(&source_brk, size, 4096);
    CHECK(base == room + 4096 && top == base + size);
    return base;
}

static void ranges_follow_the_break(void **state)
{
    (void)state;
    char *base = fresh_range(64 * KiB);
    CHECK(source_brk.extend(&source_brk, base + 64 * KiB, 32 * KiB) && top == base + 96 * KiB);
    CHECK(source_brk.shrink(&source_brk, base + 96 * KiB, 64 * KiB) && top == base + 32 * KiB);
    CHECK(source_brk.release(&source_brk, base, 32 * KiB) && top == base);
}

static void a_break_that_others_raised_stays(void **state)
{
    (void)state;
    char *base = fresh_range(64 * KiB), *end = base + 64 * KiB;
    top += 1000;
    CHECK(!source_brk.extend(&source_brk, end, 4096) && !source_brk.shrink(&source_brk, end, 4096));
    CHECK(!source_brk.release(&source_brk, base, 64 * KiB));
    CHECK(top == end + 1000);
}

/* Between the look at the break and the move. */
static void others_are_quicker(void **state)
{
    (void)state;
    char *base = fresh_range(64 * KiB), *end = base + 64 * KiB;
    begin(2, 5000);
    CHECK(!source_brk.extend(&source_brk, end, 8192) && top == end + 5000);
    top = end;
    begin(2, 5000);
    CHECK(!source_brk.shrink(&source_brk, end, 8192) && top == end + 5000);
    top = end;
    begin(2, 5000);
    CHECK(!source_brk.release(&source_brk, base, 64 * KiB) && top == end + 5000);
    top = end;
    begin(2, 5000);
    CHECK(source_brk.reserve(&source_brk, 8192, 4096) == NULL && top == end + 5000);
}

/* The break cannot go up again, or somebody has moved it a second time: what it passed over is no longer ours. */
static void what_cannot_be_taken_back_is_lost(void **state)
{
    (void)state;
    char *base = fresh_range(64 * KiB), *end = base + 64 * KiB;
    begin(2, 5000);
    refuse_from = 3;
    CHECK(source_brk.shrink(&source_brk, end, 8192) && top == end + 5000 - 8192);
}

static void a_break_that_cannot_move(void **state)
{
    (void)state;
    char *base = fresh_range(64 * KiB), *end = base + 64 * KiB;
    for (unsigned from = 1; from <= 2; from++) {
        begin(0, 0);
        refuse_from = from;
        CHECK(!source_brk.extend(&source_brk, end, 8192));
        calls = 0;
        CHECK(!source_brk.shrink(&source_brk, end, 8192));
        calls = 0;
        CHECK(source_brk.reserve(&source_brk, 8192, 4096) == NULL);
        CHECK(top == end);
    }
    CHECK(!source_brk.extend(&source_brk, end, SIZE_MAX - 4095) && top == end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_follow_the_break),  cmocka_unit_test(a_break_that_others_raised_stays),
        cmocka_unit_test(others_are_quicker),       cmocka_unit_test(what_cannot_be_taken_back_is_lost),
        cmocka_unit_test(a_break_that_cannot_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
