// compat: mps
/* The Memory Pool System's interface: arguments, arenas and MVFF: figures to the byte, placement, limits. */
#include "compat_mps.h"

enum { COUNT = 300 };

/* ---- Arguments ------------------------------------------------------------------------------------- */

static void arguments(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool;
    mps_arg_s args[MPS_ARGS_MAX];
    args[0].key = MPS_KEY_MFS_UNIT_SIZE; /* not one of MVFF: it stays */
    args[0].val.size = 7;
    args[1].key = MPS_KEY_ALIGN;
    args[1].val.align = 32;
    args[2].key = MPS_KEY_EXTEND_BY;
    args[2].val.size = 4096;
    args[3].key = MPS_KEY_ARGS_END;
    CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mvff(), args), MPS_RES_OK);
    CHECK(args[0].key == MPS_KEY_MFS_UNIT_SIZE && args[0].val.size == 7 && args[1].key == MPS_KEY_ARGS_END);
    mps_addr_t p;
    CHECK_EQ(mps_alloc(&p, pool, 1), MPS_RES_OK);
    check_sizes(pool, 4096, 4096 - 32);
    mps_pool_destroy(pool);
    CHECK(mps_args_none[0].key == MPS_KEY_ARGS_END);

    /* The old way. */
    CHECK_EQ(mps_pool_create(&pool, arena, mps_class_mvff(), (size_t)8192, (size_t)32, (size_t)16, 1, 0, 1),
             MPS_RES_OK);
    CHECK_EQ(mps_alloc(&p, pool, 10), MPS_RES_OK);
    check_sizes(pool, 8192, 8192 - 16);
    mps_addr_t high = p;
    CHECK_EQ(mps_alloc(&p, pool, 16), MPS_RES_OK);
    CHECK((char *)p == (char *)high - 16);
    mps_pool_destroy(pool);
    CHECK_EQ(mps_pool_create(&pool, arena, mps_class_mfs(), (size_t)4096, (size_t)100), MPS_RES_OK);
    CHECK_EQ(mps_alloc(&p, pool, 100), MPS_RES_OK);
    check_sizes(pool, 4080, 4080 - 104);
    mps_pool_destroy(pool);
    CHECK_EQ(mps_pool_create(&pool, arena, mps_class_mvt(), (size_t)8, (size_t)32, (size_t)64,
                             (mps_word_t)100, (mps_word_t)30),
             MPS_RES_OK);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
    CHECK_EQ(mps_arena_create(&arena, mps_arena_class_vm(), (size_t)1 << 20), MPS_RES_OK);
    CHECK(mps_arena_reserved(arena) >= 1 << 20);
    mps_arena_destroy(arena);
}

static void result_codes(void **unused)
{
    (void)unused;
    static const char *const names[] = {"OK",     "FAIL", "RESOURCE",     "MEMORY", "LIMIT",
                                        "UNIMPL", "IO",   "COMMIT_LIMIT", "PARAM"};
#define ROW(X, ident, doc) {#ident, doc, MPS_RES_##ident},
    static const struct {
        const char *name, *doc;
        int value;
    } rows[] = {_mps_RES_ENUM(ROW, RES)};
    for (int i = 0; i < 9; i++)
        CHECK(strcmp(rows[i].name, names[i]) == 0 && rows[i].value == i && strlen(rows[i].doc) > 4);
}

/* ---- Arenas ---------------------------------------------------------------------------------------- */

static void vm_arena(void **unused)
{
    (void)unused;
    mps_arena_t arena;
    CHECK_EQ(mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none), MPS_RES_OK);
    CHECK(mps_arena_reserved(arena) >= 256 * MIB);
    CHECKF(mps_arena_committed(arena) <= 128 * KIB, "%zu", mps_arena_committed(arena));
    CHECK_EQ(mps_arena_commit_limit(arena), SIZE_MAX);
    CHECK(mps_arena_spare(arena) == 0.75);
    CHECK(mps_arena_pause_time(arena) == 0.1);
    mps_arena_pause_time_set(arena, 0.5);
    CHECK(mps_arena_pause_time(arena) == 0.5);
    CHECK_EQ(mps_arena_collect(arena), MPS_RES_FAIL);
    CHECK_EQ(mps_arena_start_collect(arena), MPS_RES_FAIL);
    CHECK(!mps_arena_step(arena, 0.1, 1) && mps_collections(arena) == 0 && !mps_arena_busy(arena));
    mps_arena_clamp(arena), mps_arena_park(arena), mps_arena_release(arena);
    CHECK_EQ(mps_arena_extend(arena, arena, 1 << 20), MPS_RES_UNIMPL);
    CHECK_EQ(mps_arena_vm_growth(arena, 1 << 24, 1 << 20), MPS_RES_OK);

    /* More than the arena began with. */
    mps_pool_t pool = mvff(arena, 65536, 0);
    mps_addr_t big;
    size_t reserved = mps_arena_reserved(arena), committed = mps_arena_committed(arena);
    CHECK_EQ(mps_alloc(&big, pool, 300 * MIB), MPS_RES_OK);
    CHECK(mps_arena_reserved(arena) > reserved + 300 * MIB);
    CHECK(mps_arena_committed(arena) >= committed + 300 * MIB);
    CHECK(mps_arena_has_addr(arena, (char *)big + 299 * MIB) && !mps_arena_has_addr(arena, &big));
    mps_addr_t object;
    CHECK_EQ(mps_addr_object(&object, arena, big), MPS_RES_UNIMPL);
    CHECK_EQ(mps_addr_object(&object, arena, &big), MPS_RES_FAIL);
    mps_free(pool, big, 300 * MIB);
    CHECK(!mps_arena_has_addr(arena, big));
    check_sizes(pool, 0, 0);

    /* Absurd sizes; nothing is touched. */
    mps_addr_t p = &big;
    for (size_t size = SIZE_MAX; size > (size_t)1 << 50; size = size / 2)
        CHECK(mps_alloc(&p, pool, size) == MPS_RES_RESOURCE && p == &big);
    CHECK(mps_alloc(&p, pool, 0) != MPS_RES_OK && p == &big);
    mps_pool_destroy(pool);
    mps_thr_t thread;
    CHECK_EQ(mps_thread_reg(&thread, arena), MPS_RES_OK);
    mps_thread_dereg(thread);
    mps_arena_destroy(arena);
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_ARENA_SIZE, SIZE_MAX / 4);
        CHECK_EQ(mps_arena_create_k(&arena, mps_arena_class_vm(), args), MPS_RES_RESOURCE);
    }
    MPS_ARGS_END(args);
}

static void client_arena(void **unused)
{
    (void)unused;
    enum { SIZE = 64 * 1024 };
    char *memory = check_table(2 * SIZE);
    mps_arena_t arena = NULL;
    for (size_t size = 1; size <= SIZE; size += size < 300 ? 1 : 997) {
        MPS_ARGS_BEGIN(args)
        {
            MPS_ARGS_ADD(args, MPS_KEY_ARENA_CL_BASE, memory + 8);
            MPS_ARGS_ADD(args, MPS_KEY_ARENA_SIZE, size);
            mps_res_t res = mps_arena_create_k(&arena, mps_arena_class_cl(), args);
            if (res == MPS_RES_OK)
                mps_arena_destroy(arena);
            else
                CHECK(res == MPS_RES_MEMORY && size < 40000);
        }
        MPS_ARGS_END(args);
    }
    CHECK_EQ(mps_arena_create(&arena, mps_arena_class_cl(), (size_t)SIZE, memory), MPS_RES_OK);
    mps_pool_t pool = mvff(arena, 1, 0.75);
    mps_addr_t p[20], q;
    int count = 0;
    while (mps_alloc(&p[count], pool, 8000) == MPS_RES_OK) {
        CHECK((char *)p[count] >= memory && (char *)p[count] + 8000 <= memory + SIZE);
        count++;
    }
    CHECK(count >= 4);
    CHECK_EQ(mps_alloc(&q, pool, 8000), MPS_RES_RESOURCE);
    CHECK_EQ(mps_arena_extend(arena, memory + SIZE, SIZE), MPS_RES_OK);
    CHECK_EQ(mps_arena_reserved(arena), 2 * SIZE);
    CHECK_EQ(mps_alloc(&q, pool, 8000), MPS_RES_OK);
    CHECK((char *)q >= memory + SIZE);
    mps_free(pool, q, 8000);
    CHECK_EQ(mps_arena_spare_committed(arena), 0);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
    munmap(memory, 2 * SIZE);
}

/* The commit limit at every size: reached, kept, left again; spare memory goes before a refusal. */
static void commit_limit(void **unused)
{
    (void)unused;
    for (size_t size = 8; size < 200000; size = size * 3 + 8) {
        mps_arena_t arena = vm();
        mps_pool_t pool = mvff(arena, 1, 0);
        size_t limit = mps_arena_committed(arena) + 64 * GRAIN + 2 * size;
        CHECK_EQ(mps_arena_commit_limit_set(arena, limit), MPS_RES_OK);
        mps_addr_t last = NULL, p = NULL;
        mps_res_t res;
        while ((res = mps_alloc(&p, pool, size)) == MPS_RES_OK) {
            *(mps_addr_t *)p = last;
            last = p;
            CHECK(mps_arena_committed(arena) <= limit);
        }
        CHECK_EQ(res, MPS_RES_COMMIT_LIMIT);
        CHECK(p == last); /* untouched by the refusal */
        CHECK_EQ(mps_arena_commit_limit_set(arena, mps_arena_committed(arena) -
                                                       mps_arena_spare_committed(arena) - 1),
                 MPS_RES_FAIL);
        CHECK_EQ(mps_arena_commit_limit(arena), limit);
        p = *(mps_addr_t *)last;
        mps_free(pool, last, size);
        CHECK_EQ(mps_alloc(&last, pool, size), MPS_RES_OK);
        CHECK_EQ(mps_arena_commit_limit_set(arena, SIZE_MAX), MPS_RES_OK);
        CHECK_EQ(mps_alloc(&last, pool, size), MPS_RES_OK);
        mps_pool_destroy(pool);
        mps_arena_destroy(arena);
    }
}

static void spare(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 1, 0);
    size_t begin = mps_arena_committed(arena), size = 256 * GRAIN;
    mps_addr_t p;
    mps_arena_spare_set(arena, 1);
    CHECK_EQ(mps_alloc(&p, pool, size), MPS_RES_OK);
    size_t full = mps_arena_committed(arena);
    CHECK(full >= begin + size);
    CHECK_EQ(mps_arena_spare_committed(arena), 0);
    mps_free(pool, p, size);
    CHECK_EQ(mps_arena_spare_committed(arena), size);
    CHECK_EQ(mps_arena_committed(arena), full);
    mps_arena_spare_set(arena, 0.5);
    CHECK(mps_arena_spare_committed(arena) <= mps_arena_committed(arena) / 2);
    CHECK(mps_arena_spare_committed(arena) + 2 * GRAIN > mps_arena_committed(arena) / 2);
    /* A limit that spare memory stands against is met by giving it back. */
    CHECK_EQ(mps_arena_commit_limit_set(arena, mps_arena_committed(arena) - mps_arena_spare_committed(arena)),
             MPS_RES_OK);
    CHECK_EQ(mps_arena_spare_committed(arena), 0);
    mps_arena_commit_limit_set(arena, SIZE_MAX);
    mps_arena_spare_set(arena, 0);
    CHECK_EQ(mps_alloc(&p, pool, size), MPS_RES_OK);
    mps_free(pool, p, size);
    CHECK_EQ(mps_arena_spare_committed(arena), 0);
    CHECK(mps_arena_spare(arena) == 0 && mps_arena_spare_commit_limit(arena) == 0);
    mps_pool_destroy(pool);
    CHECK(mps_arena_committed(arena) <= begin);
    mps_arena_destroy(arena);
}

/* ---- MVFF ------------------------------------------------------------------------------------------- */

static void ranges(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 65536, 1);
    mps_addr_t a, b, c;
    check_sizes(pool, 0, 0);
    CHECK_EQ(mps_alloc(&a, pool, 1000), MPS_RES_OK);
    CHECK_EQ(mps_alloc(&b, pool, 999), MPS_RES_OK);
    CHECK((char *)b == (char *)a + 1000);
    check_sizes(pool, 65536, 65536 - 2000);
    mps_free(pool, (char *)a + 104, 8);    /* any part */
    mps_free(pool, (char *)a + 512, 1000); /* of two blocks */
    mps_free(pool, (char *)a + 112, 400);
    check_sizes(pool, 65536, 65536 - 2000 + 1408);
    CHECK_EQ(mps_alloc(&c, pool, 1408), MPS_RES_OK);
    CHECK((char *)c == (char *)a + 104); /* they merged */
    CHECK_EQ(mps_alloc(&c, pool, 60000), MPS_RES_OK);
    CHECK_EQ(mps_alloc(&b, pool, 60000),
             MPS_RES_OK); /* a second extent, merged with the end of the first if it follows */
    check_sizes(pool, 131072, 131072 - 2000 - 120000);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static void placement(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t low, high, ends;
    low = mvff(arena, 4096, 1);
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_MVFF_ARENA_HIGH, 1);
        MPS_ARGS_ADD(args, MPS_KEY_MVFF_SLOT_HIGH, 1);
        MPS_ARGS_ADD(args, MPS_KEY_EXTEND_BY, 4096);
        CHECK_EQ(mps_pool_create_k(&high, arena, mps_class_mvff(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_MVFF_FIRST_FIT, 0);
        MPS_ARGS_ADD(args, MPS_KEY_SPARE, 1.0);
        CHECK_EQ(mps_pool_create_k(&ends, arena, mps_class_mvff(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    mps_addr_t l, h, highest_low = NULL, lowest_high = (void *)UINTPTR_MAX, before = NULL;
    for (int i = 0; i < 200; i++) {
        CHECK(mps_alloc(&l, low, 1024) == MPS_RES_OK && mps_alloc(&h, high, 1024) == MPS_RES_OK);
        highest_low = l > highest_low ? l : highest_low;
        lowest_high = h < lowest_high ? h : lowest_high;
        CHECK(before == NULL || (char *)h == (char *)before - 1024);
        before = h;
    }
    CHECK(highest_low < lowest_high);
    mps_addr_t block[16];
    for (int i = 0; i < 16; i++)
        CHECK_EQ(mps_alloc(&block[i], ends, 4096), MPS_RES_OK);
    mps_free(ends, block[3], 4096);
    mps_free(ends, block[9], 4096);
    mps_addr_t p;
    CHECK(mps_alloc(&p, ends, 8) == MPS_RES_OK && p == block[9]); /* the last range that fits, its low end */
    mps_pool_destroy(low), mps_pool_destroy(high), mps_pool_destroy(ends);
    mps_arena_destroy(arena);
}

/* free >= spare * total: grains go until free <= spare * total / 2. */
static void pool_spare(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 16 * GRAIN, 0.5);
    mps_addr_t block[16];
    for (int i = 0; i < 16; i++)
        CHECK_EQ(mps_alloc(&block[i], pool, GRAIN), MPS_RES_OK);
    for (int i = 0; i < 7; i++)
        mps_free(pool, block[i], GRAIN);
    check_sizes(pool, 16 * GRAIN, 7 * GRAIN);
    mps_free(pool, block[7], GRAIN);
    check_sizes(pool, 10 * GRAIN, 2 * GRAIN);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static uint64_t state;

/* Random blocks in a pool of each alignment: contents, overlap, totals. */
static void random_blocks(void **unused)
{
    (void)unused;
    state = check_seed();
    for (size_t align = 8; align <= GRAIN; align *= 4) {
        mps_arena_t arena = vm();
        mps_pool_t pool;
        MPS_ARGS_BEGIN(args)
        {
            MPS_ARGS_ADD(args, MPS_KEY_ALIGN, align);
            MPS_ARGS_ADD(args, MPS_KEY_MVFF_SLOT_HIGH, (int)check_below(&state, 2));
            MPS_ARGS_ADD(args, MPS_KEY_MVFF_ARENA_HIGH, (int)check_below(&state, 2));
            MPS_ARGS_ADD(args, MPS_KEY_MVFF_FIRST_FIT, (int)check_below(&state, 2));
            CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mvff(), args), MPS_RES_OK);
        }
        MPS_ARGS_END(args);
        static struct {
            mps_addr_t p;
            size_t size;
        } block[COUNT];
        size_t used = 0;
        for (int step = 0; step < 4000; step++) {
            size_t i = check_below(&state, COUNT);
            size_t whole = (block[i].size + align - 1) / align * align;
            if (block[i].p == NULL) {
                block[i].size = check_random_size(&state, 20000);
                CHECK_EQ(mps_alloc(&block[i].p, pool, block[i].size), MPS_RES_OK);
                CHECK((uintptr_t)block[i].p % align == 0);
                used += (block[i].size + align - 1) / align * align;
                check_fill(block[i].p, block[i].size, i);
            } else {
                CHECK_FILLED(block[i].p, block[i].size, i);
                mps_free(pool, block[i].p, block[i].size);
                block[i].p = NULL;
                used -= whole;
            }
            CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), used);
        }
        for (size_t i = 0; i < COUNT; i++)
            if (block[i].p != NULL) {
                CHECK_FILLED(block[i].p, block[i].size, i);
                mps_free(pool, block[i].p, block[i].size);
                block[i].p = NULL;
            }
        check_sizes(pool, 0, 0);
        mps_pool_destroy(pool);
        mps_arena_destroy(arena);
    }
}

/* A free range costs nothing: the arena's committed memory stays. */
static void metadata(void **unused)
{
    (void)unused;
    enum { MANY = 100000 };
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 65536, 1);
    mps_addr_t *block = check_table(MANY * sizeof *block);
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(mps_alloc(&block[i], pool, 64), MPS_RES_OK);
    size_t before = mps_arena_committed(arena);
    CHECK(before < MANY * 64 + MANY * 64 / 16 + 256 * KIB);
    CHECK(before > MANY * 64 + MANY * 64 / 64); /* Cairn's own memory is counted */
    for (size_t i = 0; i < MANY; i += 2)
        mps_free(pool, block[i], 64);
    CHECK_EQ(mps_arena_committed(arena), before);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
    munmap(block, MANY * sizeof *block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),     cmocka_unit_test(result_codes), cmocka_unit_test(vm_arena),
        cmocka_unit_test(client_arena),  cmocka_unit_test(commit_limit), cmocka_unit_test(spare),
        cmocka_unit_test(ranges),        cmocka_unit_test(placement),    cmocka_unit_test(pool_spare),
        cmocka_unit_test(random_blocks), cmocka_unit_test(metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
