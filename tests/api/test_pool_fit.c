/* test_pool_fit.c - pools of class CAIRN_FIT through the public header, against a model that knows every byte: placement
 * is exactly first fit (or last, or from the high end), totals are exact, contents survive, memory goes back. */
#include "api.h"

#include <cairn/pool.h>

enum { KIB_4 = 4096, SLOTS = 400 };

static uint64_t state;

/* ---- The model: a range of addresses, one byte of state for each unit ------------------------------ */

enum { NONE = 0, FREE = 1, TAKEN = 2 };

static char *base; /* of the model */
static size_t unit, units;
static unsigned char *model;

static struct {
    char *at;
    size_t size; /* asked for */
    uint64_t key;
} blocks[SLOTS];

static cairn_stats stats_of(cairn_pool *pool)
{
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0);
    CHECK_EQ(stats.live + stats.cached + stats.free + stats.metadata, stats.committed);
    return stats;
}

static size_t round_up(size_t size)
{
    return size == 0 ? unit : (size + unit - 1) / unit * unit;
}

static size_t in_run(size_t from, size_t to, size_t need, size_t align, int high)
{
    uintptr_t low = (uintptr_t)base + from * unit, end = (uintptr_t)base + to * unit;
    uintptr_t at = high ? (end - need) & ~(align - 1) : (low + align - 1) & ~(align - 1);
    return end - low >= need && at >= low && at <= end - need ? (at - (uintptr_t)base) / unit : SIZE_MAX;
}

/* First or last fit.  For an alignment above the pool's: of the first 64 runs that are long enough those that lie right,
 * then of those that are long enough wherever they begin, then of all. */
static size_t expected_place(size_t need, size_t align, unsigned flags)
{
    enum { TRIES = 64 };
    int down = (flags & CAIRN_POOL_LAST_FIT) != 0, high = (flags & CAIRN_POOL_HIGH_END) != 0, tries = 0;
    size_t first = SIZE_MAX;
    for (size_t k = 0; k < units; k++) {
        size_t from = down ? units - 1 - k : k, to = from;
        if (model[from] != FREE)
            continue;
        if (down) {
            to++;
            while (from > 0 && model[from - 1] == FREE)
                from--;
            k = units - 1 - from;
        } else {
            while (to < units && model[to] == FREE)
                to++;
            k = to;
        }
        size_t found = in_run(from, to, need, align, high);
        if (found != SIZE_MAX && (tries < TRIES || (to - from) * unit >= need + align - unit))
            return found;
        first = first == SIZE_MAX ? found : first;
        tries += (to - from) * unit >= need;
    }
    return first;
}

static void mark(char *at, size_t bytes, int value)
{
    memset(model + (size_t)(at - base) / unit, value, bytes / unit);
}

static int seen(void *block, size_t size, void *context)
{
    size_t *count = context;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at == block) {
            CHECK_EQ(size, round_up(blocks[i].size));
            (*count)++;
            return 0;
        }
    CHECKF(0, "%p is no block", block);
    return 1;
}

static void check_whole(cairn_pool *pool)
{
    size_t live = 0, count = 0, found = 0, free_units = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at != NULL) {
            live += round_up(blocks[i].size);
            count++;
        }
    for (size_t i = 0; i < units; i++)
        free_units += model[i] == FREE;
    cairn_stats stats = stats_of(pool);
    CHECK_EQ(stats.live, live);
    CHECK_EQ(stats.free, free_units * unit);
    CHECK_EQ(stats.live_blocks, count);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    CHECK(cairn_pool_walk(pool, seen, &found) == 0);
    CHECK_EQ(found, count);
}

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

/* The model learns the pool's extent from its one allocation of everything. */
static void learn_buffer(cairn_pool *pool)
{
    size_t free_bytes = stats_of(pool).free;
    char *all = cairn_pool_malloc(pool, free_bytes);
    CHECK(all != NULL);
    CHECK(cairn_pool_malloc(pool, 1) == NULL && errno == ENOMEM);
    cairn_pool_free(pool, all);
    base = all;
    units = free_bytes / unit;
    model = check_table(units);
    memset(model, FREE, units);
    memset(blocks, 0, sizeof blocks);
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

/* ---- Over a source -------------------------------------------------------------------------------- */

/* A source of pages in a row, which records what it has handed out. */
static struct {
    cairn_source source;
    char *region;
    size_t size, out, limit, calls;
    unsigned char *pages; /* 1: handed out */
} row;

static void *row_reserve(void *context, size_t size, size_t alignment)
{
    (void)context;
    row.calls++;
    for (size_t at = 0; at + size <= row.size; at += KIB_4) {
        if (((uintptr_t)row.region + at) % alignment != 0 || row.out + size > row.limit)
            continue;
        size_t end = at;
        while (end < at + size && row.pages[end / KIB_4] == 0)
            end += KIB_4;
        if (end < at + size)
            continue;
        memset(row.pages + at / KIB_4, 1, size / KIB_4);
        row.out += size;
        return row.region + at;
    }
    return NULL;
}

static int row_release(void *context, void *address, size_t size)
{
    size_t at = (size_t)((char *)address - row.region);
    (void)context;
    for (size_t i = at; i < at + size; i += KIB_4)
        CHECK(row.pages[i / KIB_4] == 1);
    memset(row.pages + at / KIB_4, 0, size / KIB_4);
    memset(address, 0xDD, size);
    row.out -= size;
    return 0;
}

static void row_init(size_t size, unsigned flags)
{
    memset(&row, 0, sizeof row);
    row.region = check_table(size);
    row.pages = check_table(size / KIB_4);
    row.size = row.limit = size;
    row.source = (cairn_source){.struct_size = sizeof row.source,
                                .name = "row",
                                .reserve = row_reserve,
                                .release = row_release,
                                .granule = KIB_4,
                                .flags = flags};
}

static void row_done(void)
{
    CHECK_EQ(row.out, 0);
    munmap(row.pages, row.size / KIB_4);
    munmap(row.region, row.size);
}

static cairn_pool *row_pool(size_t extend_by, double spare, unsigned flags)
{
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .flags = flags,
                                .source = &row.source,
                                .extend_by = extend_by,
                                .spare = spare};
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    return pool;
}

static void check_row(cairn_pool *pool, size_t total, size_t free_bytes)
{
    cairn_stats stats = stats_of(pool);
    CHECK_EQ(row.out, total);
    CHECK_EQ(stats.live + stats.free, total);
    CHECK_EQ(stats.free, free_bytes);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

/* What a miss asks for: the larger of extend_by and the size, in granules; when refused, just the size. */
static void test_extents(void **unused)
{
    (void)unused;
    row_init(1 * MIB, CAIRN_SOURCE_SPLIT);
    cairn_pool *pool = row_pool(10000, 0, 0);
    check_row(pool, 0, 0);
    char *one = cairn_pool_malloc(pool, 100);
    CHECK(one == row.region);
    check_row(pool, 12288, 12288 - 112);
    char *two =
        cairn_pool_malloc(pool, 13000); /* the new extent continues the old one: first fit sees one range */
    CHECK(two == one + 112);
    check_row(pool, 12288 + 16384, 28672 - 112 - 13008);
    row.limit = row.out + 8192;
    char *three = cairn_pool_malloc(pool, 16384 + 100); /* too much */
    CHECK(three == NULL && errno == ENOMEM);
    cairn_pool_free(pool, two);
    three = cairn_pool_malloc(pool, 28672 - 112);
    CHECK(three == two);
    char *four = cairn_pool_malloc(pool, 5); /* 12 KiB refused, a page granted */
    CHECK(four == row.region + 28672);
    check_row(pool, 28672 + 4096, 4080);
    cairn_pool_destroy(pool);
    row_done();
}

/* free >= spare * total: granules go until free <= spare * total / 2. */
static void test_spare(void **unused)
{
    (void)unused;
    row_init(1 * MIB, CAIRN_SOURCE_SPLIT);
    cairn_pool *pool = row_pool(64 * KIB, 0.5, 0);
    char *block[16];
    for (int i = 0; i < 16; i++)
        block[i] = cairn_pool_malloc(pool, 4096);
    check_row(pool, 65536, 0);
    for (int i = 0; i < 7; i++)
        cairn_pool_free(pool, block[2 * i + 1]);
    check_row(pool, 65536, 7 * 4096);
    cairn_pool_free(
        pool, block[0]); /* 8 of 16: down to free <= 0.25 * total: 9 = 16 - x, 8 - x <= (16 - x) / 4: x = 6 */
    check_row(pool, 10 * 4096, 2 * 4096);
    for (int i = 1; i < 8; i++)
        cairn_pool_free(pool, block[2 * i]);
    cairn_pool_free(pool, block[15]);
    check_row(pool, 0, 0); /* nothing left but free memory: all of it goes */
    cairn_pool_destroy(pool);
    row_done();
}

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

/* Random steps over a source: contents, totals, what the source has out; whole extents only, too. */
static void random_over_row(unsigned source_flags, double spare, unsigned flags)
{
    row_init(4 * MIB, source_flags);
    cairn_pool *pool = row_pool(1 + check_below(&state, 60000), spare, flags);
    memset(blocks, 0, sizeof blocks);
    unit = 16;
    size_t live = 0;
    for (size_t step = 0; step < 6000; step++) {
        size_t i = check_below(&state, SLOTS);
        if (step % 100 == 0)
            row.limit = check_below(&state, 3) == 0 ? row.out : row.size;
        if (blocks[i].at == NULL) {
            size_t size = check_random_size(&state, check_below(&state, 10) == 0 ? 100000 : 3000);
            char *at = cairn_pool_malloc(pool, size);
            if (at == NULL)
                continue;
            blocks[i].at = at;
            blocks[i].size = size;
            blocks[i].key = check_random(&state);
            check_fill(at, size, blocks[i].key);
            live += round_up(size);
        } else {
            CHECK_FILLED(blocks[i].at, blocks[i].size, blocks[i].key);
            if (check_below(&state, 2) == 0)
                cairn_pool_free(pool, blocks[i].at);
            else
                cairn_pool_free_sized(pool, blocks[i].at, blocks[i].size);
            live -= round_up(blocks[i].size);
            blocks[i].at = NULL;
            cairn_stats stats = stats_of(pool);
            CHECK_EQ(stats.live, live);
            CHECK_EQ(stats.live + stats.free, row.out);
        }
        if (step % 1000 == 0)
            CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
    }
    size_t count = 0;
    CHECK(cairn_pool_walk(pool, seen, &count) == 0);
    CHECK_EQ(count, stats_of(pool).live_blocks);
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at != NULL)
            cairn_pool_free(pool, blocks[i].at);
    (void)cairn_pool_trim(pool, 0);
    check_row(pool, 0, 0);
    cairn_pool_destroy(pool);
    row_done();
}

static void test_random_over_source(void **unused)
{
    (void)unused;
    state = check_seed();
    random_over_row(CAIRN_SOURCE_SPLIT, 0, 0);
    random_over_row(CAIRN_SOURCE_SPLIT, 0.3, CAIRN_POOL_LAST_FIT);
    random_over_row(CAIRN_SOURCE_SPLIT, -1, CAIRN_POOL_HIGH_END);
    random_over_row(0, 0.1, 0);
}

/* Without a record of blocks: sizes come from the caller, and are held against what is allocated. */
static void test_sized(void **unused)
{
    (void)unused;
    row_init(1 * MIB, CAIRN_SOURCE_SPLIT);
    cairn_pool *pool = row_pool(8192, 0, CAIRN_POOL_SIZED);
    char *a = cairn_pool_malloc(pool, 1000), *b = cairn_pool_malloc(pool, 6000);
    CHECK(b == a + 1008);
    cairn_pool_free_sized(pool, a, 1000);
    CHECK(cairn_pool_free_range(pool, a, 1) == -1 && errno == EINVAL);
    CHECK(cairn_pool_free_range(pool, b + 16, 16) == 0);
    CHECK(cairn_pool_free_range(pool, b + 1, 16) == -1 && errno == EINVAL);
    CHECK(cairn_pool_free_range(pool, row.region + 8192, 16) == -1 && errno == EINVAL);
    CHECK(cairn_pool_free_range(pool, b, SIZE_MAX) == -1 && errno == EINVAL);
    check_row(pool, 8192, 8192 - 6000 + 16);
    CHECK(cairn_pool_free_range(pool, b, 16) == 0 && cairn_pool_free_range(pool, b + 32, 5968) == 0);
    check_row(pool, 0, 0);
    cairn_pool_destroy(pool);
    row_done();
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

/* The longest free range as a whole, and free ranges in order. */
static int note_free(void *range, size_t size, void *context)
{
    char **at = context;
    CHECK((char *)range > *at);
    *at = range;
    CHECK(size % 4096 == 0);
    return size == 3 * 4096 ? 3 : 0;
}

static void test_most(void **unused)
{
    (void)unused;
    row_init(1 * MIB, CAIRN_SOURCE_SPLIT);
    cairn_pool *pool = row_pool(64 * KIB, 1, 0);
    size_t size;
    char *all = cairn_pool_malloc_most(pool, 100, &size);
    CHECK(all == row.region && size == 64 * KIB);
    CHECK(cairn_pool_free_range(pool, all + 4096, 8192) == 0);
    CHECK(cairn_pool_free_range(pool, all + 5 * 4096, 3 * 4096) == 0);
    char *last = NULL;
    CHECK(cairn_pool_walk_free(pool, note_free, &last) == 3 && last == all + 5 * 4096);
    CHECK(cairn_pool_malloc_most(pool, 1, &size) == all + 5 * 4096 && size == 3 * 4096);
    CHECK(cairn_pool_malloc_most(pool, 3 * 4096, &size) == all + 64 * KIB && size == 64 * KIB);
    CHECK(cairn_pool_malloc_most(pool, 2 * MIB, &size) == NULL && errno == ENOMEM);
    check_row(pool, 128 * KIB, 8192);
    cairn_pool_destroy(pool);
    row_done();
}

/* The block freed right after it was allocated, and what may be asked then: everything must find it free. */
static void test_newest(void **unused)
{
    (void)unused;
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .spare = 1};
    cairn_pool *pool = cairn_pool_create(&config);
    char *low = cairn_pool_malloc(pool, 64), *keep = cairn_pool_malloc(pool, 64);
    char *newest = cairn_pool_malloc(pool, 64);
    CHECK(newest == keep + 64);
    for (size_t size = 64; size > 0; size -= 16) { /* the same place, and no more of it than asked for */
        cairn_pool_free(pool, newest);
        CHECK_EQ(stats_of(pool).live, 128);
        CHECK(cairn_pool_malloc(pool, 64) == newest);
        cairn_pool_free(pool, newest);
        CHECK(cairn_pool_malloc(pool, size) == newest);
        CHECK_EQ(cairn_pool_usable_size(pool, newest), size);
        CHECK_EQ(stats_of(pool).live, 128 + size);
        CHECK_EQ(stats_of(pool).live_blocks, 3);
        cairn_pool_free(pool, newest);
        CHECK(cairn_pool_malloc(pool, 128) == newest);
        CHECK_EQ(cairn_pool_usable_size(pool, newest), 128);
    }
    cairn_pool_free(pool, newest);
    CHECK(cairn_pool_realloc(pool, keep, 256) == keep); /* into it */
    CHECK(cairn_pool_realloc(pool, keep, 64) == keep);
    CHECK(cairn_pool_malloc(pool, 64) == newest);
    cairn_pool_free(pool, low); /* a lower place: the newest's is not the first any more */
    cairn_pool_free(pool, newest);
    CHECK(cairn_pool_malloc(pool, 64) == low);
    cairn_pool_free(pool, keep);
    cairn_pool_free(pool, low);
    CHECK(cairn_pool_check(pool) == 0);
    CHECK_EQ(stats_of(pool).live, 0);
    cairn_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_buffer_sizes),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_spare),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_random_over_source),
        cmocka_unit_test(test_sized),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_most),
        cmocka_unit_test(test_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
