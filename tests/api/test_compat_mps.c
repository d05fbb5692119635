// compat: mps
/* The Memory Pool System's interface: arenas, pools of every manual class, figures to the byte, placement, limits. */
#include <mps.h>
#include <mpsacl.h>
#include <mpsavm.h>
#include <mpscmfs.h>
#include <mpscmv2.h>
#include <mpscmvff.h>

#include "api.h"

enum { GRAIN = 4096, COUNT = 300 };

static mps_arena_t vm(void)
{
    mps_arena_t arena;
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_ARENA_GRAIN_SIZE, GRAIN);
        CHECK_EQ(mps_arena_create_k(&arena, mps_arena_class_vm(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    return arena;
}

static mps_pool_t mvff(mps_arena_t arena, size_t extend_by, double spare)
{
    mps_pool_t pool;
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_EXTEND_BY, extend_by);
        MPS_ARGS_ADD(args, MPS_KEY_SPARE, spare);
        CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mvff(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    return pool;
}

static void check_sizes(mps_pool_t pool, size_t total, size_t free_size)
{
    CHECK_EQ(mps_pool_total_size(pool), total);
    CHECK_EQ(mps_pool_free_size(pool), free_size);
}

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

/* ---- MFS, MVT, allocation points, caches --------------------------------------------------------------- */

static void fixed(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool;
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_MFS_UNIT_SIZE, 48);
        MPS_ARGS_ADD(args, MPS_KEY_EXTEND_BY, 4096);
        CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mfs(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    check_sizes(pool, 0, 0);
    mps_addr_t p[200], before = NULL;
    for (int i = 0; i < 85; i++) {
        CHECK_EQ(mps_alloc(&p[i], pool, 48), MPS_RES_OK);
        CHECK(p[i] > before);
        before = p[i];
        memset(p[i], i, 48);
    }
    check_sizes(pool, 4080, 0);
    CHECK_EQ(mps_alloc(&p[85], pool, 48), MPS_RES_OK);
    check_sizes(pool, 8160, 4080 - 48);
    for (int i = 0; i < 85; i++)
        CHECK(*(char *)p[i] == i && ((char *)p[i])[47] == i);
    mps_free(pool, p[3], 48);
    CHECK(mps_alloc(&p[90], pool, 48) == MPS_RES_OK && p[90] == p[3]);
    mps_pool_t owner;
    CHECK(mps_addr_pool(&owner, arena, (char *)p[7] + 5) && owner == pool);
    mps_ap_t ap;
    CHECK_EQ(mps_ap_create_k(&ap, pool, mps_args_none), MPS_RES_UNIMPL);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static void points(mps_pool_class_t pool_class)
{
    mps_arena_t arena = vm();
    mps_pool_t pool;
    mps_ap_t ap;
    mps_addr_t p;
    CHECK_EQ(mps_pool_create_k(&pool, arena, pool_class, mps_args_none), MPS_RES_OK);
    CHECK_EQ(mps_ap_create_k(&ap, pool, mps_args_none), MPS_RES_OK);
    CHECK(ap->init == NULL && ap->alloc == NULL && ap->limit == NULL);
    size_t used = 0;
    for (size_t i = 0; i < 3000; i++) {
        size_t size = 8 * (1 + i % 100);
        do {
            if (i % 2 == 0) {
                mps_res_t res;
                MPS_RESERVE_BLOCK(res, p, ap, size);
                CHECK_EQ(res, MPS_RES_OK);
            } else {
                CHECK_EQ((mps_reserve)(&p, ap, size), MPS_RES_OK);
            }
            memset(p, 1, size);
        } while (!(i % 3 == 0 ? (mps_commit)(ap, p, size) : mps_commit(ap, p, size)));
        used += size;
    }
    /* What is left of the buffer counts as used, until it is given back. */
    size_t rest = (size_t)((char *)ap->limit - (char *)ap->init);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), used + rest);
    mps_ap_destroy(ap);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), used);
    mps_free(pool, p, 8);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), used - 8);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static void allocation_points(void **unused)
{
    (void)unused;
    points(mps_class_mvff());
    points(mps_class_mvt());
    mps_arena_t arena = vm();
    mps_pool_t pool;
    mps_addr_t p = NULL;
    CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mvt(), mps_args_none), MPS_RES_OK);
    CHECK_EQ(mps_alloc(&p, pool, 8), MPS_RES_UNIMPL);
    mps_pool_destroy(pool);
    /* A fill takes the whole of the largest free range. */
    pool = mvff(arena, 65536, 1);
    mps_addr_t block[16];
    mps_ap_t ap;
    for (int i = 0; i < 16; i++)
        CHECK_EQ(mps_alloc(&block[i], pool, 4096), MPS_RES_OK);
    mps_free(pool, block[2], 4096);
    mps_free(pool, block[8], 3 * 4096);
    CHECK_EQ(mps_ap_create(&ap, pool), MPS_RES_OK);
    CHECK_EQ(mps_reserve(&p, ap, 64), MPS_RES_OK);
    CHECK(p == block[8] && (char *)ap->limit == (char *)block[8] + 3 * 4096 &&
          (char *)ap->alloc == (char *)p + 64);
    CHECK(mps_commit(ap, p, 64));
    check_sizes(pool, 65536, 4096);
    mps_ap_destroy(ap);
    check_sizes(pool, 65536, 4 * 4096 - 64);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static void frames(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 4096, 1);
    mps_ap_t ap;
    mps_frame_t outer, inner;
    mps_addr_t p, first;
    CHECK_EQ(mps_ap_create(&ap, pool), MPS_RES_OK);
    CHECK(mps_reserve(&first, ap, 48) == MPS_RES_OK && mps_commit(ap, first, 48));
    CHECK_EQ(mps_ap_frame_push(&outer, ap), MPS_RES_OK);
    for (int round = 0; round < 3; round++) {
        CHECK(mps_reserve(&p, ap, 64) == MPS_RES_OK && mps_commit(ap, p, 64));
        CHECK((char *)p == (char *)first + 48);
        CHECK_EQ(mps_ap_frame_push(&inner, ap), MPS_RES_OK);
        for (int i = 0; i < 500; i++)
            CHECK(mps_reserve(&p, ap, 64) == MPS_RES_OK && mps_commit(ap, p, 64));
        if (round == 1)
            CHECK_EQ(mps_ap_frame_pop(ap, inner), MPS_RES_OK);
        CHECK_EQ(mps_ap_frame_pop(ap, outer), MPS_RES_OK);
        CHECK((char *)ap->init == (char *)first + 48);
        CHECK_EQ(mps_ap_frame_push(&outer, ap), MPS_RES_OK);
    }
    CHECK_EQ(mps_ap_frame_pop(ap, outer), MPS_RES_OK);
    mps_ap_destroy(ap);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 48);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

static void caches(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 65536, 1);
    mps_sac_class_s classes[] = {{8, 38, 1}, {136, 19, 3}, {512, 4, 1}, {4096, 1, 0}};
    mps_sac_t sac;
    mps_addr_t p = NULL, q[40];
    mps_res_t res;
    CHECK_EQ(mps_sac_create(&sac, pool, 4, classes), MPS_RES_OK);
    CHECK_EQ(mps_sac_alloc(&p, sac, 100, 0), MPS_RES_OK);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 136 * (1 + 19 / 3));
    mps_sac_free(sac, p, 100);
    for (int i = 0; i < 7; i++)
        MPS_SAC_ALLOC_FAST(res, q[i], sac, 9 + (size_t)i, 0);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 136 * 7);
    for (int i = 0; i < 7; i++)
        MPS_SAC_FREE_FAST(sac, q[i], 136);
    mps_sac_flush(sac);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 0);
    /* A list that is full gives count - count/3 away. */
    for (int i = 0; i < 5; i++)
        CHECK_EQ(mps_alloc(&q[i], pool, 512), MPS_RES_OK);
    for (int i = 0; i < 5; i++)
        MPS_SAC_FREE(sac, q[i], 512);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 512 * 2);
    /* Every size comes and goes; above the largest, the pool serves. */
    for (size_t size = 1; size < 10000; size += 1 + size / 50) {
        MPS_SAC_ALLOC(res, p, sac, size, 0);
        CHECK_EQ(res, MPS_RES_OK);
        memset(p, 1, size);
        MPS_SAC_FREE(sac, p, size);
    }
    mps_sac_destroy(sac);
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 0);
    mps_sac_class_s many[9];
    for (size_t i = 0; i < 9; i++)
        many[i] = (mps_sac_class_s){16 * (i + 1), 3, 1};
    CHECK_EQ(mps_sac_create(&sac, pool, 9, many), MPS_RES_LIMIT);
    for (unsigned heavy = 0; heavy < 8; heavy++) {
        many[heavy].mps_frequency = 100;
        CHECK_EQ(mps_sac_create(&sac, pool, 8, many), MPS_RES_OK);
        for (size_t size = 1; size < 200; size++) {
            CHECK_EQ(mps_sac_alloc(&p, sac, size, 0), MPS_RES_OK);
            memset(p, 1, size);
            mps_sac_free(sac, p, size);
        }
        mps_sac_destroy(sac);
        many[heavy].mps_frequency = 1;
    }
    check_sizes(pool, mps_pool_total_size(pool), mps_pool_total_size(pool));
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

/* ---- Debug pools --------------------------------------------------------------------------------------- */

static void debug_layout(void **unused)
{
    (void)unused;
    mps_arena_t arena = vm();
    mps_pool_t pool;
    mps_pool_debug_option_s options = {"abcdefghijk", 11, "xyz", 3};
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_POOL_DEBUG_OPTIONS, &options);
        MPS_ARGS_ADD(args, MPS_KEY_ALIGN, 16);
        CHECK_EQ(mps_pool_create_k(&pool, arena, mps_class_mvff_debug(), args), MPS_RES_OK);
    }
    MPS_ARGS_END(args);
    unsigned char *p;
    mps_addr_t addr;
    CHECK_EQ(mps_alloc(&addr, pool, 21), MPS_RES_OK);
    p = addr;
    CHECK_EQ(mps_pool_total_size(pool) - mps_pool_free_size(pool), 32 + 2 * 16);
    for (uintptr_t i = 0; i < 16; i++)
        CHECK((p - 16)[i] == "abcdefghijk"[((uintptr_t)p - 16 + i) % 11]);
    for (uintptr_t i = 0; i < 11 + 16; i++)
        CHECK(p[21 + i] == "abcdefghijk"[((uintptr_t)p + 21 + i) % 11]);
    memset(p, 0, 21);
    mps_pool_check_fenceposts(pool);
    mps_pool_check_free_space(pool);
    mps_free(pool, p, 21);
    CHECK_EQ(mps_alloc(&addr, pool, 21), MPS_RES_OK);
    for (uintptr_t i = 0; i < 21; i++)
        CHECK(((unsigned char *)addr)[i] == "xyz"[((uintptr_t)addr + i) % 3]);
    mps_free(pool, addr, 21);
    /* With an allocation point: each block has its fences. */
    mps_ap_t ap;
    CHECK_EQ(mps_ap_create_k(&ap, pool, mps_args_none), MPS_RES_OK);
    for (int i = 1; i < 200; i++) {
        CHECK(mps_reserve(&addr, ap, 16 * (size_t)i) == MPS_RES_OK);
        memset(addr, 7, 16 * (size_t)i);
        CHECK(mps_commit(ap, addr, 16 * (size_t)i));
        mps_pool_check_fenceposts(pool);
        if (i % 2 == 0)
            mps_free(pool, addr, 16 * (size_t)i);
    }
    mps_ap_destroy(ap);
    mps_pool_check_free_space(pool);
    mps_pool_destroy(pool);
    mps_arena_destroy(arena);
}

/* ---- Misuse: each in a process of its own, by the default handler --------------------------------------- */

static mps_pool_t misused(mps_pool_class_t pool_class)
{
    mps_pool_t pool;
    CHECK_EQ(mps_pool_create_k(&pool, vm(), pool_class, mps_args_none), MPS_RES_OK);
    return pool;
}

static char *block_of(mps_pool_t pool, size_t size)
{
    mps_addr_t p;
    CHECK_EQ(mps_alloc(&p, pool, size), MPS_RES_OK);
    return p;
}

static void null_pool(void)
{
    mps_addr_t p;
    (void)mps_alloc(&p, NULL, 8);
}

static void dead_pool(void)
{
    mps_pool_t pool = misused(mps_class_mvff());
    mps_addr_t p;
    mps_pool_destroy(pool);
    (void)mps_alloc(&p, pool, 8);
}

static void misaligned(void)
{
    mps_pool_t pool = misused(mps_class_mvff());
    mps_free(pool, block_of(pool, 64) + 4, 8);
}

static void outside(void)
{
    static _Alignas(16) char mine[64];
    mps_free(misused(mps_class_mvff()), mine, 8);
}

static void too_long(void)
{
    mps_pool_t pool = misused(mps_class_mvff());
    mps_free(pool, block_of(pool, 64), 72);
}

static void twice(void)
{
    mps_pool_t pool = misused(mps_class_mvff());
    char *p = block_of(pool, 64);
    (void)block_of(pool, 65000);
    mps_free(pool, p, 64);
    mps_free(pool, p, 64);
}

static void size_zero(void)
{
    mps_pool_t pool = misused(mps_class_mvff());
    mps_free(pool, block_of(pool, 64), 0);
}

static void pool_left(void)
{
    mps_arena_t arena = vm();
    (void)mvff(arena, 4096, 1);
    mps_arena_destroy(arena);
}

static void thread_left(void)
{
    mps_arena_t arena = vm();
    mps_thr_t thread;
    CHECK_EQ(mps_thread_reg(&thread, arena), MPS_RES_OK);
    mps_arena_destroy(arena);
}

static void no_unit_size(void)
{
    (void)misused(mps_class_mfs());
}

static void no_base(void)
{
    mps_arena_t arena;
    (void)mps_arena_create_k(&arena, mps_arena_class_cl(), mps_args_none);
}

static mps_pool_t fixed_pool(void)
{
    mps_pool_t pool;
    CHECK_EQ(mps_pool_create(&pool, vm(), mps_class_mfs(), (size_t)4096, (size_t)32), MPS_RES_OK);
    return pool;
}

static void fixed_size(void)
{
    mps_addr_t p;
    (void)mps_alloc(&p, fixed_pool(), 40);
}

static void fixed_twice(void)
{
    mps_pool_t pool = fixed_pool();
    char *p = block_of(pool, 32);
    mps_free(pool, p, 32);
    mps_free(pool, p, 32);
}

static void fixed_inside(void)
{
    mps_pool_t pool = fixed_pool();
    mps_free(pool, block_of(pool, 32) + 8, 32);
}

static void overrun(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    char *p = block_of(pool, 61);
    p[61] ^= 1; /* into the slop */
    mps_pool_check_fenceposts(pool);
}

static void underrun(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    char *p = block_of(pool, 64);
    p[-1] ^= 1;
    mps_free(pool, p, 64);
}

static void use_after_free(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    char *p = block_of(pool, 64), *volatile stale = p;
    (void)block_of(pool, 60000);
    mps_free(pool, p, 64);
    stale[5] ^= 1;
    mps_pool_check_free_space(pool);
}

static void use_after_free_alloc(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    char *p = block_of(pool, 64), *volatile stale = p;
    (void)block_of(pool, 60000);
    mps_free(pool, p, 64);
    stale[63] ^= 1;
    (void)block_of(pool, 64);
}

static void overrun_destroy(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    block_of(pool, 64)[64] ^= 1;
    mps_pool_destroy(pool);
}

static void debug_size(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    mps_free(pool, block_of(pool, 64), 63);
}

static void debug_twice(void)
{
    mps_pool_t pool = misused(mps_class_mvff_debug());
    char *p = block_of(pool, 64);
    mps_free(pool, p, 64);
    mps_free(pool, p, 64);
}

static void bad_align(void)
{
    mps_pool_t pool;
    MPS_ARGS_BEGIN(args)
    {
        MPS_ARGS_ADD(args, MPS_KEY_ALIGN, 4);
        (void)mps_pool_create_k(&pool, vm(), mps_class_mvff(), args);
    }
    MPS_ARGS_END(args);
}

static const check_task tasks[] = {
    {"null_pool", null_pool},
    {"dead_pool", dead_pool},
    {"misaligned", misaligned},
    {"outside", outside},
    {"too_long", too_long},
    {"twice", twice},
    {"size_zero", size_zero},
    {"pool_left", pool_left},
    {"thread_left", thread_left},
    {"no_unit_size", no_unit_size},
    {"no_base", no_base},
    {"fixed_size", fixed_size},
    {"fixed_twice", fixed_twice},
    {"fixed_inside", fixed_inside},
    {"overrun", overrun},
    {"underrun", underrun},
    {"use_after_free", use_after_free},
    {"use_after_free_alloc", use_after_free_alloc},
    {"overrun_destroy", overrun_destroy},
    {"debug_size", debug_size},
    {"debug_twice", debug_twice},
    {"bad_align", bad_align},
    {NULL, NULL},
};

static void misuse(void **unused)
{
    (void)unused;
    static const struct {
        const char *task, *text;
    } expected[] = {
        {"null_pool", "pool is valid"},
        {"dead_pool", "pool is valid"},
        {"misaligned", "address is aligned"},
        {"outside", "address is in the pool"},
        {"too_long", "block to be freed is allocated, all of it"},
        {"twice", "block to be freed is allocated, all of it"},
        {"size_zero", "size > 0"},
        {"pool_left", "arena has no pools"},
        {"thread_left", "arena has no threads"},
        {"no_unit_size", "required keyword argument: MFS_UNIT_SIZE"},
        {"no_base", "required keyword argument: ARENA_CL_BASE"},
        {"fixed_size", "size is the pool's unit size"},
        {"fixed_twice", "block to be freed is allocated"},
        {"fixed_inside", "address is that of a unit"},
        {"overrun", "fencepost check requested by client"},
        {"underrun", "fencepost check on free"},
        {"use_after_free", "free space corrupted on client check"},
        {"use_after_free_alloc", "free space corrupted on alloc"},
        {"overrun_destroy", "fencepost check on pool destroy"},
        {"debug_size", "size of the block to be freed is the size that it was allocated with"},
        {"debug_twice", "block to be freed is allocated"},
        {"bad_align", "ALIGN >= sizeof\\(void \\*\\)"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        static check_run run;
        char expression[200];
        memset(&run, 0, sizeof run);
        check_task_run(&run, expected[i].task);
        snprintf(expression, sizeof expression, "^[a-z]+\\.c:[0-9]+: MPS ASSERTION FAILED: %s$",
                 expected[i].text);
        check_run_aborted(&run, expression);
    }
}

/* A handler that returns: the call fails or does nothing, and nothing breaks. */
static char last_text[100];

static void note(const char *file, unsigned line, const char *condition)
{
    CHECK(strlen(file) > 0 && line > 0);
    snprintf(last_text, sizeof last_text, "%s", condition);
}

static void handler(void **unused)
{
    (void)unused;
    mps_lib_assert_fail_t before = mps_lib_assert_fail_install(note);
    mps_arena_t arena = vm();
    mps_pool_t pool = mvff(arena, 4096, 1);
    char *p = block_of(pool, 64);
    mps_free(pool, p, 128);
    CHECK(strcmp(last_text, "block to be freed is allocated, all of it") == 0);
    check_sizes(pool, 4096, 4096 - 64);
    mps_arena_destroy(arena);
    CHECK(strcmp(last_text, "arena has no pools") == 0);
    check_sizes(pool, 4096, 4096 - 64);
    mps_addr_t q = p;
    CHECK(mps_alloc(&q, NULL, 8) != MPS_RES_OK && q == p);
    mps_free(pool, p, 64);
    mps_pool_destroy(pool);
    CHECK(mps_lib_assert_fail_install(before) == note);
    mps_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),
        cmocka_unit_test(result_codes),
        cmocka_unit_test(vm_arena),
        cmocka_unit_test(client_arena),
        cmocka_unit_test(commit_limit),
        cmocka_unit_test(spare),
        cmocka_unit_test(ranges),
        cmocka_unit_test(placement),
        cmocka_unit_test(pool_spare),
        cmocka_unit_test(random_blocks),
        cmocka_unit_test(metadata),
        cmocka_unit_test(fixed),
        cmocka_unit_test(allocation_points),
        cmocka_unit_test(frames),
        cmocka_unit_test(caches),
        cmocka_unit_test(debug_layout),
        cmocka_unit_test(misuse),
        cmocka_unit_test(handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
