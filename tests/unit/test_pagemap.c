// link: -Wl,--wrap=os_map
/* test_pagemap.c - the page map over addresses that nobody has: nothing of them is touched. */
#include "unit.h"

#include "engine/pagemap.h"

/* Far from where the system maps anything. */
#define LEAF ((uintptr_t)1 << PAGEMAP_LEAF_SHIFT)
#define PLACE (LEAF * 0x20)

void *__real_os_map(void *hint, size_t size);
void *__wrap_os_map(void *hint, size_t size);

static bool refuse;
static unsigned maps;

void *__wrap_os_map(void *hint, size_t size)
{
    __atomic_fetch_add(&maps, 1, __ATOMIC_RELAXED);
    return refuse ? NULL : __real_os_map(hint, size);
}

static struct span spans[4];

static struct span *find(uintptr_t at)
{
    return pagemap_find((void *)at);
}

static void foreign_addresses_find_nothing(void **state)
{
    (void)state;
    static const uintptr_t foreign[] = {
        0,
        1,
        PAGE_SIZE,
        PLACE * 2,
        ((uintptr_t)1 << ADDRESS_BITS) - 1,
        (uintptr_t)1 << ADDRESS_BITS,
        0xffff800000000000,
        UINTPTR_MAX,
        UINTPTR_MAX - PAGE_SIZE,
    };
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        CHECKF(find(foreign[i]) == NULL, "%#zx", (size_t)foreign[i]);
    CHECK(pagemap_find(&spans) == NULL && pagemap_find(state) == NULL);
}

/* An address whose low bits are those of a span of ours, but with bits above the 48th, is foreign. */
static void non_canonical_addresses_are_foreign(void **state)
{
    (void)state;
    uintptr_t base = PLACE + 16 * LEAF;
    CHECK(pagemap_cover(base, PAGE_SIZE) == OK);
    pagemap_set(base, 1, &spans[0]);
    CHECK(find(base) == &spans[0]);
    for (unsigned bit = ADDRESS_BITS; bit < 64; bit++)
        CHECKF(find(base | (uintptr_t)1 << bit) == NULL, "bit %u", bit);
    pagemap_set(base, 1, NULL);
}

static void set_find_clear(void **state)
{
    (void)state;
    CHECK(pagemap_cover(PLACE, 100 * PAGE_SIZE) == OK);
    CHECK(find(PLACE) == NULL);
    pagemap_set(PLACE + 10 * PAGE_SIZE, 5, &spans[0]);
    pagemap_set(PLACE + 15 * PAGE_SIZE, 1, &spans[1]);
    for (size_t page = 0; page < 100; page++) {
        struct span *expected = page >= 10 && page < 15 ? &spans[0] : page == 15 ? &spans[1] : NULL;
        CHECK(find(PLACE + page * PAGE_SIZE) == expected);
        CHECK(find(PLACE + page * PAGE_SIZE + 1) == expected);
        CHECK(find(PLACE + page * PAGE_SIZE + PAGE_SIZE - 1) == expected);
    }
    pagemap_set(PLACE + 10 * PAGE_SIZE, 5, NULL);
    CHECK(find(PLACE + 10 * PAGE_SIZE) == NULL && find(PLACE + 14 * PAGE_SIZE) == NULL);
    CHECK(find(PLACE + 15 * PAGE_SIZE) == &spans[1]);
    pagemap_set(PLACE + 15 * PAGE_SIZE, 1, NULL);
}

/* A span that lies in two leaves is found in both. */
static void borders_of_leaves(void **state)
{
    (void)state;
    uintptr_t border = PLACE + 4 * LEAF, base = border - 3 * PAGE_SIZE;
    CHECK(pagemap_cover(base, 6 * PAGE_SIZE) == OK);
    pagemap_set(base, 6, &spans[2]);
    for (size_t page = 0; page < 6; page++)
        CHECKF(find(base + page * PAGE_SIZE) == &spans[2], "page %zu", page);
    CHECK(find(base - 1) == NULL && find(base + 6 * PAGE_SIZE) == NULL);
    CHECK(find(border - LEAF) == NULL && find(border + LEAF - 1) == NULL);
    pagemap_set(base, 6, NULL);
    for (size_t page = 0; page < 6; page++)
        CHECK(find(base + page * PAGE_SIZE) == NULL);
}

static void covering_maps_each_leaf_once(void **state)
{
    (void)state;
    uintptr_t base = PLACE + 8 * LEAF;
    maps = 0;
    CHECK(pagemap_cover(base, LEAF) == OK);
    CHECK_EQ(maps, 1);
    CHECK(pagemap_cover(base, LEAF) == OK && pagemap_cover(base + LEAF - PAGE_SIZE, PAGE_SIZE) == OK);
    CHECK_EQ(maps, 1);
    CHECK(pagemap_cover(base + LEAF - PAGE_SIZE, 2 * PAGE_SIZE) == OK);
    CHECK_EQ(maps, 2);
    CHECK(pagemap_cover(base, 4 * LEAF) == OK);
    CHECK_EQ(maps, 4);
}

static void what_cannot_be_covered_is_refused(void **state)
{
    (void)state;
    uintptr_t end = (uintptr_t)1 << ADDRESS_BITS, base = PLACE + 32 * LEAF;
    CHECK(pagemap_cover(end - PAGE_SIZE, PAGE_SIZE) == OK);
    CHECK(pagemap_cover(end - PAGE_SIZE, 2 * PAGE_SIZE) == ERROR_MEMORY);
    CHECK(pagemap_cover(end, PAGE_SIZE) == ERROR_MEMORY);
    refuse = true;
    CHECK(pagemap_cover(base, 2 * LEAF) == ERROR_MEMORY);
    CHECK(find(base) == NULL);
    refuse = false;
    CHECK(pagemap_cover(base, LEAF) == OK);
    refuse = true; /* the first leaf is there, the second is not to be had */
    CHECK(pagemap_cover(base, LEAF) == OK && pagemap_cover(base, 2 * LEAF) == ERROR_MEMORY);
    refuse = false;
}

/* Threads that cover the same leaf at once agree on one. */
static void *cover_many(void *unused)
{
    for (uintptr_t i = 0; i < 64; i++)
        CHECK(pagemap_cover(PLACE + (64 + i) * LEAF, PAGE_SIZE) == OK);
    return unused;
}

static void threads_agree_on_a_leaf(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, cover_many, NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (uintptr_t i = 0; i < 64; i++) {
        uintptr_t base = PLACE + (64 + i) * LEAF;
        pagemap_set(base, 1, &spans[3]);
        CHECK(find(base) == &spans[3]);
        pagemap_set(base, 1, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_addresses_find_nothing),
        cmocka_unit_test(non_canonical_addresses_are_foreign),
        cmocka_unit_test(set_find_clear),
        cmocka_unit_test(borders_of_leaves),
        cmocka_unit_test(covering_maps_each_leaf_once),
        cmocka_unit_test(what_cannot_be_covered_is_refused),
        cmocka_unit_test(threads_agree_on_a_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
