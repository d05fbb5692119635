/* compat_mps.h - for tests of the Memory Pool System's interface: an arena, a pool, and its figures. */
#ifndef CAIRN_TESTS_API_COMPAT_MPS_H
#define CAIRN_TESTS_API_COMPAT_MPS_H

#include <mps.h>
#include <mpsacl.h>
#include <mpsavm.h>
#include <mpscmfs.h>
#include <mpscmv2.h>
#include <mpscmvff.h>

#include "api.h"

enum { GRAIN = 4096 };

static inline mps_arena_t vm(void)
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

static inline mps_pool_t mvff(mps_arena_t arena, size_t extend_by, double spare)
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

static inline void check_sizes(mps_pool_t pool, size_t total, size_t free_size)
{
    CHECK_EQ(mps_pool_total_size(pool), total);
    CHECK_EQ(mps_pool_free_size(pool), free_size);
}

#endif
