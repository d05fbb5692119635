/* test_pool_fit_source.c - pools of class CAIRN_FIT over a source that hands out pages in a row: what is taken and given
 * back, and when. */
#include "fit_model.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extents),
        cmocka_unit_test(test_spare),
        cmocka_unit_test(test_random_over_source),
        cmocka_unit_test(test_sized),
        cmocka_unit_test(test_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
