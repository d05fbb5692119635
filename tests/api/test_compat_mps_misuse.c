// compat: mps
/* The Memory Pool System's interface: what each misuse is reported as. */
#include "compat_mps.h"

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
        cmocka_unit_test(misuse),
        cmocka_unit_test(handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
