// compat: mps
/* The Memory Pool System's interface: MFS and MVT, allocation points, caches, debug pools. */
#include "compat_mps.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed),  cmocka_unit_test(allocation_points), cmocka_unit_test(frames),
        cmocka_unit_test(caches), cmocka_unit_test(debug_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
