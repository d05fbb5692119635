/* test_pool_fit.c - pools of class CAIRN_FIT in buffers and over the system, against a model that knows every byte:
 * placement is exactly first fit (or last, or from the high end), totals are exact, contents survive. */
#include "fit_model.h"

/* ---- In a buffer ---------------------------------------------------------------------------------- */

static void step_allocate(cairn_pool *pool, size_t i, unsigned flags)
{
    size_t size = check_random_size(&state, check_below(&state, 20) == 0 ? 40000 : 700), align = unit;
    if (check_below(&state, 8) == 0)
        align = unit << check_below(&state, 7);
    size_t place = expected_place(round_up(size), align, flags);
    char *got = align > unit ? cairn_pool_aligned_alloc(pool, align, size) : cairn_pool_malloc(pool, size);
    if (place == SIZE_MAX) {
        CHECK(got == NULL && errno == ENOMEM);
        return;
    }
    CHECKF(got == base + place * unit, "%p instead of %p", (void *)got, (void *)(base + place * unit));
    blocks[i].at = got;
    blocks[i].size = size;
    blocks[i].key = check_random(&state);
    mark(got, round_up(size), TAKEN);
    check_fill(got, size, blocks[i].key);
}

static void step_free(cairn_pool *pool, size_t i)
{
    char *at = blocks[i].at;
    size_t size = blocks[i].size, whole = round_up(size);
    CHECK_FILLED(at, size, blocks[i].key);
    CHECK_EQ(cairn_pool_usable_size(pool, at), whole);
    switch (check_below(&state, 4)) {
    case 0: cairn_pool_free_sized(pool, at, size); break;
    case 1: CHECK(cairn_pool_free_range(pool, at, size) == 0); break;
    default: cairn_pool_free(pool, at);
    }
    mark(at, whole, FREE);
    blocks[i].at = NULL;
}

/* Frees an end or the middle; what is left in front stays block i, what is left behind goes to a free slot. */
static void step_part(cairn_pool *pool, size_t i)
{
    size_t whole = round_up(blocks[i].size) / unit, from, to;
    if (whole < 3)
        return;
    from = 1 + check_below(&state, whole - 1);
    to = from + 1 + check_below(&state, whole - from);
    char *at = blocks[i].at + from * unit, *rest = blocks[i].at + to * unit;
    CHECK(cairn_pool_free_range(pool, at, (to - from) * unit) == 0);
    CHECK(cairn_pool_free_range(pool, at, unit) == -1 && errno == EINVAL);
    mark(at, (to - from) * unit, FREE);
    if (to < whole) { /* the rest is a block now */
        CHECK_EQ(cairn_pool_usable_size(pool, rest), (whole - to) * unit);
        cairn_pool_free(pool, rest);
        mark(rest, (whole - to) * unit, FREE);
    }
    blocks[i].size = from * unit;
    CHECK_EQ(cairn_pool_usable_size(pool, blocks[i].at), from * unit);
    check_fill(blocks[i].at, blocks[i].size, blocks[i].key);
}

static void step_realloc(cairn_pool *pool, size_t i, unsigned flags)
{
    size_t old = blocks[i].size, size = check_random_size(&state, 2000), keep = old < size ? old : size;
    char *at = blocks[i].at, *behind = at + round_up(old);
    size_t more = round_up(size) > round_up(old) ? (round_up(size) - round_up(old)) / unit : 0, room = 0;
    while (room < more && (size_t)(behind - base) / unit + room < units &&
           model[(size_t)(behind - base) / unit + room] == FREE)
        room++;
    size_t place = room < more ? expected_place(round_up(size), unit, flags) : (size_t)(at - base) / unit;
    char *got = cairn_pool_realloc(pool, at, size);
    if (place == SIZE_MAX) {
        CHECK(got == NULL && errno == ENOMEM);
        return;
    }
    CHECK(got == base + place * unit);
    CHECK(check_differs(got, keep, blocks[i].key) >= keep / 8 * 8);
    mark(at, round_up(old), FREE);
    mark(got, round_up(size), TAKEN);
    blocks[i].at = got;
    blocks[i].size = size;
    check_fill(got, size, blocks[i].key);
}

static void steps(cairn_pool *pool, unsigned flags, size_t count)
{
    for (size_t step = 0; step < count; step++) {
        size_t i = check_below(&state, SLOTS), kind = check_below(&state, 10);
        if (blocks[i].at == NULL)
            step_allocate(pool, i, flags);
        else if (kind == 0)
            step_part(pool, i);
        else if (kind < 3)
            step_realloc(pool, i, flags);
        else
            step_free(pool, i);
        if (step % 512 == 0)
            check_whole(pool);
    }
    check_whole(pool);
}

static void free_all(cairn_pool *pool)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at != NULL)
            step_free(pool, i);
}

static void buffer_with(size_t size, size_t alignment, unsigned flags)
{
    char *memory = check_table(size + 64);
    char *buffer = memory + check_below(&state, 64);
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .flags = flags,
                                .alignment = alignment,
                                .buffer = buffer,
                                .buffer_size = size};
    cairn_pool *pool = cairn_pool_create(&config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    unit = alignment;
    learn_buffer(pool);
    CHECK(base >= buffer && base + units * unit <= buffer + size);
    CHECK_EQ(stats_of(pool).committed, size);
    steps(pool, flags, 2500);
    CHECK(cairn_pool_of(base) == pool);
    if (check_below(&state, 2) == 0) {
        cairn_pool_reset(pool);
        mark(base, units * unit, FREE);
        memset(blocks, 0, sizeof blocks);
        check_whole(pool);
        steps(pool, flags, 300);
    }
    free_all(pool);
    check_whole(pool);
    cairn_pool_destroy(pool);
    munmap(model, units);
    munmap(memory, size + 64);
}

static void test_buffers(void **unused)
{
    (void)unused;
    static const unsigned ways[] = {0, CAIRN_POOL_LAST_FIT, CAIRN_POOL_HIGH_END,
                                    CAIRN_POOL_LAST_FIT | CAIRN_POOL_HIGH_END};
    state = check_seed();
    for (size_t i = 0; i < 4; i++) {
        buffer_with(64 * KIB, 16, ways[i]);
        buffer_with(100000, 8, ways[i]);
        buffer_with(300000, 64, ways[i] | CAIRN_POOL_MARKS);
    }
    buffer_with(2 * MIB, 4096, 0);
}

/* Every size from 1 byte up: an error in words, or a pool that uses nothing outside. */
static void test_buffer_sizes(void **unused)
{
    (void)unused;
    enum { MOST = 5000, GUARD = 64 };
    size_t smallest = 0;
    unsigned char *memory = check_table(MOST + 2 * GUARD);
    for (size_t size = 0; size <= MOST; size++) {
        memset(memory, 0xA5, MOST + 2 * GUARD);
        cairn_pool_config config = {.struct_size = sizeof config,
                                    .pool_class = CAIRN_FIT,
                                    .buffer = memory + GUARD - size % 16,
                                    .buffer_size = size};
        unsigned char *begin = config.buffer, *end = begin + size;
        cairn_pool *pool = cairn_pool_create(&config);
        if (pool == NULL) {
            CHECK(errno == ENOMEM && strlen(cairn_errormsg()) > 0);
        } else {
            char *block = cairn_pool_malloc(pool, 1);
            CHECK(block != NULL);
            if (smallest == 0)
                smallest = size;
            CHECK((unsigned char *)block >= begin && (unsigned char *)block + 16 <= end);
            while ((block = cairn_pool_malloc(pool, 16)) != NULL)
                memset(block, 0x5A, 16);
            CHECK(cairn_pool_check(pool) == 0);
            cairn_pool_destroy(pool);
        }
        for (size_t i = 0; i < GUARD / 2; i++)
            CHECK(begin[-1 - (long)i] == 0xA5 && end[i] == 0xA5);
    }
    CHECKF(smallest > 0 && smallest <= KIB_4, "the smallest buffer has %zu bytes", smallest);
    munmap(memory, MOST + 2 * GUARD);
}

/* Memory that must not be touched really is not: it cannot be. */
static void test_outside(void **unused)
{
    (void)unused;
    enum { SIZE = 1 << 20 };
    char *memory = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .flags = CAIRN_POOL_OUTSIDE,
                                .buffer = memory,
                                .buffer_size = SIZE};
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    char *all = cairn_pool_malloc(pool, SIZE);
    CHECK(all == memory);
    size_t committed = stats_of(pool).committed;
    for (size_t at = 0; at < SIZE; at += 32)
        CHECK(cairn_pool_free_range(pool, all + at, 16) == 0);
    CHECK_EQ(stats_of(pool).committed, committed);
    CHECK(cairn_pool_malloc(pool, 17) == NULL);
    CHECK(cairn_pool_malloc(pool, 16) == all);
    CHECK(cairn_pool_calloc(pool, 1, 16) == NULL && errno == EINVAL);
    CHECK(cairn_pool_realloc(pool, all, 64) == NULL && errno == ENOMEM);
    CHECK(cairn_pool_check(pool) == 0);
    cairn_pool_destroy(pool);
    munmap(memory, SIZE);
}

/* The longest free range, again and again, when the first part of the buffer has promised more. */
static void test_most_of_buffer(void **unused)
{
    (void)unused;
    enum { SIZE = 1 << 16, COUNT = SIZE / 64 };
    static char memory[SIZE], *block[COUNT];
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIT, .buffer = memory, .buffer_size = SIZE};
    cairn_pool *pool = cairn_pool_create(&config);
    size_t count = 0, got = 0, size;
    while ((block[count] = cairn_pool_malloc(pool, 64)) != NULL)
        count++;
    for (size_t i = 0; i < count; i += 2)
        cairn_pool_free(pool, block[i]);
    while (cairn_pool_malloc_most(pool, 17, &size) != NULL) {
        CHECK_EQ(size, 64);
        got++;
    }
    CHECK_EQ(got, (count + 1) / 2);
    cairn_pool_destroy(pool);
}

/* ---- Over the system ------------------------------------------------------------------------------ */

/* Freeing from every other of 100,000 blocks costs nothing. */
static void test_metadata(void **unused)
{
    (void)unused;
    enum { COUNT = 100000 };
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT};
    cairn_pool *pool = cairn_pool_create(&config);
    char **block = check_table(COUNT * sizeof *block);
    for (size_t i = 0; i < COUNT; i++)
        CHECK((block[i] = cairn_pool_malloc(pool, 64)) != NULL);
    cairn_stats before = stats_of(pool);
    CHECKF(before.metadata < before.live / 20, "%ju bytes of metadata", (uintmax_t)before.metadata);
    for (size_t i = 0; i < COUNT; i += 2)
        cairn_pool_free(pool, block[i]);
    CHECK_EQ(stats_of(pool).committed, before.committed);
    CHECK_EQ(stats_of(pool).live, (uint64_t)COUNT * 32);
    CHECK(cairn_pool_check(pool) == 0);
    cairn_pool_destroy(pool);
    munmap(block, COUNT * sizeof *block);
}

/* A hard limit is reached and left again at every size. */
static void test_limit(void **unused)
{
    (void)unused;
    for (size_t size = 16; size <= 128 * KIB; size = size * 3 / 2) {
        cairn_pool_config config = {
            .struct_size = sizeof config, .pool_class = CAIRN_FIT, .limit = 512 * KIB, .extend_by = 4096};
        cairn_pool *pool = cairn_pool_create(&config);
        char *last = NULL, *block;
        size_t count = 0;
        while ((block = cairn_pool_malloc(pool, size)) != NULL) {
            memcpy(block, &last, sizeof last);
            last = block;
            count++;
        }
        CHECK(errno == ENOMEM && count > 0);
        CHECK(stats_of(pool).committed <= 512 * KIB);
        CHECK(count * size > 300 * KIB);
        memcpy(&block, last, sizeof block);
        cairn_pool_free(pool, last);
        CHECK(cairn_pool_malloc(pool, size) != NULL);
        CHECK(cairn_pool_malloc(pool, size) == NULL);
        CHECK(cairn_pool_limit_set(pool, 1 * MIB, SIZE_MAX) == 0);
        CHECK(cairn_pool_malloc(pool, size) != NULL);
        CHECK(cairn_pool_check(pool) == 0);
        cairn_pool_destroy(pool);
    }
}

/* Huge and hopeless sizes. */
static void test_sizes(void **unused)
{
    (void)unused;
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .alignment = 8};
    cairn_pool *pool = cairn_pool_create(&config);
    volatile size_t hopeless[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX, (size_t)PTRDIFF_MAX / 2};
    for (size_t i = 0; i < 4; i++)
        CHECK(cairn_pool_malloc(pool, hopeless[i]) == NULL && errno == ENOMEM);
    char *none = cairn_pool_malloc(pool, 0), *other = cairn_pool_malloc(pool, 0);
    CHECK(none != NULL && other != NULL && none != other);
    cairn_pool_free(pool, none);
    cairn_pool_free(pool, other);
    char *huge = cairn_pool_malloc(pool, 256 * MIB);
    CHECK(huge != NULL);
    huge[0] = huge[256 * MIB - 1] = 1;
    char *aligned = cairn_pool_aligned_alloc(pool, 2 * MIB, 100);
    CHECK(aligned != NULL && (uintptr_t)aligned % (2 * MIB) == 0);
    cairn_pool_free(pool, huge);
    cairn_pool_free(pool, aligned);
    CHECK_EQ(stats_of(pool).live, 0);
    cairn_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers),  cmocka_unit_test(test_buffer_sizes),
        cmocka_unit_test(test_outside),  cmocka_unit_test(test_most_of_buffer),
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
