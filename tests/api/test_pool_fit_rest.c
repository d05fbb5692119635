/* test_pool_fit_rest.c - what is freed in a fit pool rests, and blocks are taken behind one another, before the pool's
 * records say so.  Nobody may see it: each block goes to the first place, whatever came before, and everything asked
 * meanwhile has the right answer. */
#include "fit_model.h"

static cairn_pool *pool;

static void allocate(size_t i, size_t size)
{
    size_t place = expected_place(round_up(size), unit, 0);
    char *got = cairn_pool_malloc(pool, size);
    if (place == SIZE_MAX) {
        CHECK(got == NULL && errno == ENOMEM);
        return;
    }
    CHECKF(got == base + place * unit, "%p instead of %p", (void *)got, (void *)(base + place * unit));
    blocks[i].at = got;
    blocks[i].size = size;
    mark(got, round_up(size), TAKEN);
}

static void let_go(size_t i)
{
    char *at = blocks[i].at;
    if (at == NULL)
        return;
    if (check_below(&state, 4) == 0)
        cairn_pool_free_sized(pool, at, blocks[i].size);
    else
        cairn_pool_free(pool, at);
    mark(at, round_up(blocks[i].size), FREE);
    blocks[i].at = NULL;
}

/* The slots by address: empty ones last. */
static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)blocks[*(const size_t *)a].at - 1,
              y = (uintptr_t)blocks[*(const size_t *)b].at - 1;
    return (x > y) - (x < y);
}

static size_t some_size(size_t same)
{
    return check_below(&state, 3) != 0 ? same
                                       : check_random_size(&state, check_below(&state, 9) == 0 ? 4000 : 300);
}

/* Neighbours go, upwards, downwards or with gaps, as a program does that drops what it built. */
static void free_in_order(size_t same)
{
    size_t order[SLOTS], first = check_below(&state, SLOTS), step = check_below(&state, 4) == 0 ? 2 : 1;
    for (size_t i = 0; i < SLOTS; i++)
        order[i] = i;
    qsort(order, SLOTS, sizeof *order, by_address);
    size_t count = check_below(&state, SLOTS - first);
    int down = check_below(&state, 2) == 0;
    for (size_t k = 0; k < count; k += step) {
        let_go(order[down ? first + count - 1 - k : first + k]);
        if (check_below(&state, 20) == 0)
            allocate(order[down ? first + count - 1 - k : first + k], some_size(same));
    }
}

/* Each block that goes is followed by one of its size, or nearly. */
static void replace(size_t same)
{
    for (size_t count = check_below(&state, 200); count > 0; count--) {
        size_t i = check_below(&state, SLOTS), size = blocks[i].size;
        if (blocks[i].at == NULL)
            continue;
        let_go(i);
        if (check_below(&state, 5) == 0) /* two go, two come */
            let_go((i + 1) % SLOTS);
        allocate(i, check_below(&state, 8) == 0 ? some_size(same) : size);
    }
}

static void fill(size_t same)
{
    for (size_t i = check_below(&state, SLOTS), end = i + check_below(&state, SLOTS - i); i < end; i++)
        if (blocks[i].at == NULL)
            allocate(i, some_size(same));
}

/* Whatever settles what rests, at any moment. */
static void ask(void)
{
    size_t i = check_below(&state, SLOTS), size = 0;
    char *at = blocks[i].at;
    switch (check_below(&state, 5)) {
    case 0: check_whole(pool); break;
    case 1:
        if (at != NULL)
            CHECK_EQ(cairn_pool_usable_size(pool, at), round_up(blocks[i].size));
        break;
    case 2:
        if (at != NULL && round_up(blocks[i].size) > unit) {
            size_t rest = round_up(blocks[i].size) - unit;
            CHECK(cairn_pool_free_range(pool, at + unit, rest) == 0);
            mark(at + unit, rest, FREE);
            blocks[i].size = unit;
        }
        break;
    case 3:
        at = cairn_pool_malloc_most(pool, 1, &size);
        if (at != NULL) {
            CHECK(cairn_pool_malloc_most(pool, size + 1, &size) == NULL);
            cairn_pool_free(pool, at);
        }
        break;
    default:
        at = cairn_pool_aligned_alloc(pool, 256, 100);
        CHECK((at != NULL) == (expected_place(round_up(100), 256, 0) != SIZE_MAX));
        cairn_pool_free(pool, at);
    }
}

static void run(size_t size, size_t alignment)
{
    char *memory = check_table(size);
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .alignment = alignment,
                                .spare = 1,
                                .buffer = memory,
                                .buffer_size = size};
    pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    unit = alignment;
    learn_buffer(pool);
    for (size_t round = 0; round < 400; round++) {
        size_t same = check_random_size(&state, 200);
        switch (check_below(&state, 4)) {
        case 0: free_in_order(same); break;
        case 1: replace(same); break;
        case 2: fill(same); break;
        default: ask();
        }
    }
    for (size_t i = 0; i < SLOTS; i++)
        let_go(i);
    check_whole(pool);
    cairn_pool_destroy(pool);
    munmap(model, units);
    munmap(memory, size);
}

static void test_first_place(void **unused)
{
    (void)unused;
    state = check_seed();
    for (size_t i = 0; i < 3; i++) {
        run(40 * KIB, 16); /* too small for all */
        run(200 * KIB, 16);
        run(60 * KIB, 8);
        run(4 * MIB, 512); /* blocks across tracts */
    }
}

/* The block freed right after it was allocated, and what may be asked then: everything must find it free. */
static void test_newest(void **unused)
{
    (void)unused;
    cairn_pool_config config = {.struct_size = sizeof config, .pool_class = CAIRN_FIT, .spare = 1};
    pool = cairn_pool_create(&config);
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
        cmocka_unit_test(test_first_place),
        cmocka_unit_test(test_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
