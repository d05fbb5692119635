/* mps.h - the Memory Pool System's interface for manually managed pools, on Cairn.
 *
 * A program written for MPS 1.118 that uses arenas and manual pools (no garbage collection) compiles unchanged with
 * this folder on its include path, and links with -lcairn-mps.
 *
 *     mps_arena_t arena;                          mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none)
 *       mps_pool_t pool;                          mps_pool_create_k(&pool, arena, mps_class_mvff(), mps_args_none)
 *         mps_alloc(&p, pool, size), mps_free(pool, p, size)
 *         mps_ap_t ap: mps_reserve, mps_commit    one thread, a few instructions for each block
 *         mps_sac_t sac: MPS_SAC_ALLOC, _FREE     a cache for a few sizes
 *
 * Results are codes (MPS_RES_*); output parameters stay untouched on failure.  Misuse goes to the assertion handler of
 * mpslib.h.  Any thread may call anything at any time, except that an allocation point and a cache belong to one thread
 * at a time.  docs/mps.md says what differs from the original, and why.
 *
 * CAIRN_MPS_GUIDE, defined before the inclusion, gives RES_OK its meaning, which the guide's chapter on implementing
 * malloc and free uses. */
#ifndef mps_h
#define mps_h

#include "mpslib.h"
#include "mpstd.h"

#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MPS_BEGIN do {
#define MPS_END                                                                                              \
    }                                                                                                        \
    while (0)

/* ---- Types -------------------------------------------------------------------------------------- */

typedef struct mps_arena_s *mps_arena_t;
typedef struct mps_arena_class_s *mps_arena_class_t;
typedef struct mps_pool_s *mps_pool_t;
typedef struct mps_pool_class_s *mps_pool_class_t;
typedef struct mps_thr_s *mps_thr_t;
typedef struct mps_chain_s *mps_chain_t;
typedef struct mps_fmt_s *mps_fmt_t;
typedef struct mps_root_s *mps_root_t;
typedef struct mps_ss_s *mps_ss_t;
typedef struct mps_ap_s *mps_ap_t;
typedef struct mps_sac_s *mps_sac_t;
typedef struct mps_message_s *mps_message_t;
typedef struct mps_alloc_pattern_s *mps_alloc_pattern_t;
typedef struct mps_frame_s *mps_frame_t;
typedef const struct mps_key_s *mps_key_t;

typedef void *mps_addr_t;
typedef size_t mps_align_t;
typedef int mps_bool_t;
typedef int mps_res_t;
typedef MPS_T_WORD mps_word_t;
typedef unsigned mps_rank_t;
typedef unsigned mps_rm_t;
typedef void (*mps_fun_t)(void);

typedef mps_res_t (*mps_area_scan_t)(mps_ss_t, void *, void *, void *);
typedef mps_res_t (*mps_fmt_scan_t)(mps_ss_t, mps_addr_t, mps_addr_t);
typedef mps_addr_t (*mps_fmt_skip_t)(mps_addr_t);
typedef void (*mps_fmt_fwd_t)(mps_addr_t, mps_addr_t);
typedef mps_addr_t (*mps_fmt_isfwd_t)(mps_addr_t);
typedef void (*mps_fmt_pad_t)(mps_addr_t, size_t);
typedef mps_addr_t (*mps_fmt_class_t)(mps_addr_t);

/* ---- Results ------------------------------------------------------------------------------------ */

/* R(X, identifier, words): the values are part of the binary interface. */
#define _mps_RES_ENUM(R, X)                                                                                  \
    R(X, OK, "success (always zero)")                                                                        \
    R(X, FAIL, "unspecified failure")                                                                        \
    R(X, RESOURCE, "unable to obtain resources")                                                             \
    R(X, MEMORY, "unable to obtain memory")                                                                  \
    R(X, LIMIT, "limitation reached")                                                                        \
    R(X, UNIMPL, "unimplemented facility")                                                                   \
    R(X, IO, "system I/O error")                                                                             \
    R(X, COMMIT_LIMIT, "arena commit limit exceeded")                                                        \
    R(X, PARAM, "illegal user parameter value")

#define _mps_ENUM_DEF_ROW(X, ident, doc) MPS_##X##_##ident,
enum { _mps_RES_ENUM(_mps_ENUM_DEF_ROW, RES) MPS_RES_LIMIT_OF_CODES };

#if defined(CAIRN_MPS_GUIDE) && !defined(RES_OK)
#include <stdlib.h> /* abort, in the same chapter */
#define RES_OK MPS_RES_OK
#endif

/* ---- Keyword arguments ---------------------------------------------------------------------------- */

typedef struct mps_pool_debug_option_s {
    const void *fence_template;
    size_t fence_size;
    const void *free_template;
    size_t free_size;
} mps_pool_debug_option_s;

typedef struct mps_arg_s {
    mps_key_t key;
    union {
        mps_bool_t b;
        char c;
        const char *string;
        int i;
        unsigned u;
        long l;
        unsigned long ul;
        float f;
        double d;
        size_t size;
        mps_fun_t fun;
        mps_addr_t addr;
        mps_fmt_t format;
        mps_chain_t chain;
        struct mps_pool_debug_option_s *pool_debug_options;
        mps_addr_t (*addr_method)(mps_addr_t);
        mps_align_t align;
        mps_word_t count;
        void *p;
        mps_rank_t rank;
        mps_fmt_scan_t fmt_scan;
        mps_fmt_skip_t fmt_skip;
        mps_fmt_fwd_t fmt_fwd;
        mps_fmt_isfwd_t fmt_isfwd;
        mps_fmt_pad_t fmt_pad;
        mps_fmt_class_t fmt_class;
        mps_pool_t pool;
    } val;
} mps_arg_s;

extern const struct mps_key_s _mps_key_ARGS_END;
#define MPS_KEY_ARGS_END (&_mps_key_ARGS_END)
extern mps_arg_s mps_args_none[];

extern const struct mps_key_s _mps_key_ARENA_SIZE;
#define MPS_KEY_ARENA_SIZE (&_mps_key_ARENA_SIZE)
#define MPS_KEY_ARENA_SIZE_FIELD size
extern const struct mps_key_s _mps_key_ARENA_GRAIN_SIZE;
#define MPS_KEY_ARENA_GRAIN_SIZE (&_mps_key_ARENA_GRAIN_SIZE)
#define MPS_KEY_ARENA_GRAIN_SIZE_FIELD size
extern const struct mps_key_s _mps_key_ARENA_ZONED;
#define MPS_KEY_ARENA_ZONED (&_mps_key_ARENA_ZONED)
#define MPS_KEY_ARENA_ZONED_FIELD b
extern const struct mps_key_s _mps_key_ARENA_CL_BASE;
#define MPS_KEY_ARENA_CL_BASE (&_mps_key_ARENA_CL_BASE)
#define MPS_KEY_ARENA_CL_BASE_FIELD addr
extern const struct mps_key_s _mps_key_ARENA_EXTENDED;
#define MPS_KEY_ARENA_EXTENDED (&_mps_key_ARENA_EXTENDED)
#define MPS_KEY_ARENA_EXTENDED_FIELD fun
extern const struct mps_key_s _mps_key_ARENA_CONTRACTED;
#define MPS_KEY_ARENA_CONTRACTED (&_mps_key_ARENA_CONTRACTED)
#define MPS_KEY_ARENA_CONTRACTED_FIELD fun
extern const struct mps_key_s _mps_key_VMW3_TOP_DOWN;
#define MPS_KEY_VMW3_TOP_DOWN (&_mps_key_VMW3_TOP_DOWN)
#define MPS_KEY_VMW3_TOP_DOWN_FIELD b
extern const struct mps_key_s _mps_key_COMMIT_LIMIT;
#define MPS_KEY_COMMIT_LIMIT (&_mps_key_COMMIT_LIMIT)
#define MPS_KEY_COMMIT_LIMIT_FIELD size
extern const struct mps_key_s _mps_key_SPARE_COMMIT_LIMIT;
#define MPS_KEY_SPARE_COMMIT_LIMIT (&_mps_key_SPARE_COMMIT_LIMIT)
#define MPS_KEY_SPARE_COMMIT_LIMIT_FIELD size
extern const struct mps_key_s _mps_key_PAUSE_TIME;
#define MPS_KEY_PAUSE_TIME (&_mps_key_PAUSE_TIME)
#define MPS_KEY_PAUSE_TIME_FIELD d
extern const struct mps_key_s _mps_key_SPARE;
#define MPS_KEY_SPARE (&_mps_key_SPARE)
#define MPS_KEY_SPARE_FIELD d
extern const struct mps_key_s _mps_key_EXTEND_BY;
#define MPS_KEY_EXTEND_BY (&_mps_key_EXTEND_BY)
#define MPS_KEY_EXTEND_BY_FIELD size
extern const struct mps_key_s _mps_key_MIN_SIZE;
#define MPS_KEY_MIN_SIZE (&_mps_key_MIN_SIZE)
#define MPS_KEY_MIN_SIZE_FIELD size
extern const struct mps_key_s _mps_key_MEAN_SIZE;
#define MPS_KEY_MEAN_SIZE (&_mps_key_MEAN_SIZE)
#define MPS_KEY_MEAN_SIZE_FIELD size
extern const struct mps_key_s _mps_key_MAX_SIZE;
#define MPS_KEY_MAX_SIZE (&_mps_key_MAX_SIZE)
#define MPS_KEY_MAX_SIZE_FIELD size
extern const struct mps_key_s _mps_key_ALIGN;
#define MPS_KEY_ALIGN (&_mps_key_ALIGN)
#define MPS_KEY_ALIGN_FIELD align
extern const struct mps_key_s _mps_key_POOL_DEBUG_OPTIONS;
#define MPS_KEY_POOL_DEBUG_OPTIONS (&_mps_key_POOL_DEBUG_OPTIONS)
#define MPS_KEY_POOL_DEBUG_OPTIONS_FIELD pool_debug_options

#define MPS_ARGS_MAX 32

extern void _mps_args_set_key(mps_arg_s args[MPS_ARGS_MAX], unsigned i, mps_key_t key);

#define MPS_ARGS_BEGIN(_var)                                                                                 \
    MPS_BEGIN                                                                                                \
    mps_arg_s _var[MPS_ARGS_MAX];                                                                            \
    unsigned _var##_i = 0;                                                                                   \
    _mps_args_set_key(_var, _var##_i, MPS_KEY_ARGS_END);                                                     \
    MPS_BEGIN

#define MPS_ARGS_ADD_FIELD(_var, _key, _field, _val)                                                         \
    MPS_BEGIN                                                                                                \
    _mps_args_set_key(_var, _var##_i, _key);                                                                 \
    _var[_var##_i].val._field = (_val);                                                                      \
    ++_var##_i;                                                                                              \
    _mps_args_set_key(_var, _var##_i, MPS_KEY_ARGS_END);                                                     \
    MPS_END

#define MPS_ARGS_ADD(_var, _key, _val) MPS_ARGS_ADD_FIELD(_var, _key, _key##_FIELD, _val)

#define MPS_ARGS_DONE(_var)                                                                                  \
    MPS_BEGIN                                                                                                \
    _mps_args_set_key(_var, _var##_i, MPS_KEY_ARGS_END);                                                     \
    _var##_i = MPS_ARGS_MAX;                                                                                 \
    MPS_END

#define MPS_ARGS_END(_var)                                                                                   \
    MPS_END;                                                                                                 \
    MPS_END

/* ---- Arenas --------------------------------------------------------------------------------------- */

extern mps_res_t mps_arena_create(mps_arena_t *arena_o, mps_arena_class_t arena_class, ...);
extern mps_res_t mps_arena_create_v(mps_arena_t *arena_o, mps_arena_class_t arena_class, va_list list);
extern mps_res_t mps_arena_create_k(mps_arena_t *arena_o, mps_arena_class_t arena_class, mps_arg_s args[]);
extern void mps_arena_destroy(mps_arena_t arena);

/* Adds memory to a client arena. */
extern mps_res_t mps_arena_extend(mps_arena_t arena, mps_addr_t base, size_t size);

extern size_t mps_arena_reserved(mps_arena_t arena);  /* bytes of address space */
extern size_t mps_arena_committed(mps_arena_t arena); /* bytes of memory, spare and Cairn's own included */
extern size_t mps_arena_spare_committed(mps_arena_t arena); /* bytes of memory that no pool has */
extern size_t mps_arena_commit_limit(mps_arena_t arena);
extern mps_res_t mps_arena_commit_limit_set(mps_arena_t arena, size_t limit);
extern double mps_arena_spare(mps_arena_t arena);
extern void mps_arena_spare_set(mps_arena_t arena, double spare);
extern size_t mps_arena_spare_commit_limit(mps_arena_t arena);
extern void mps_arena_spare_commit_limit_set(mps_arena_t arena, size_t limit);
extern double mps_arena_pause_time(mps_arena_t arena);
extern void mps_arena_pause_time_set(mps_arena_t arena, double seconds);

/* Collection: there is nothing to collect.  mps_arena_collect and mps_arena_start_collect fail, the others note. */
extern void mps_arena_clamp(mps_arena_t arena);
extern void mps_arena_release(mps_arena_t arena);
extern void mps_arena_park(mps_arena_t arena);
extern void mps_arena_postmortem(mps_arena_t arena);
extern mps_res_t mps_arena_collect(mps_arena_t arena);
extern mps_res_t mps_arena_start_collect(mps_arena_t arena);
extern mps_bool_t mps_arena_step(mps_arena_t arena, double interval, double multiplier);
extern mps_word_t mps_collections(mps_arena_t arena);

extern mps_bool_t mps_arena_busy(mps_arena_t arena);

/* Whether the address is in memory that a pool has, by grains. */
extern mps_bool_t mps_arena_has_addr(mps_arena_t arena, mps_addr_t address);
extern mps_bool_t mps_addr_pool(mps_pool_t *pool_o, mps_arena_t arena, mps_addr_t address);
extern mps_res_t mps_addr_object(mps_addr_t *object_o, mps_arena_t arena, mps_addr_t address);

/* ---- Pools ---------------------------------------------------------------------------------------- */

extern mps_res_t mps_pool_create(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class, ...);
extern mps_res_t mps_pool_create_v(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class,
                                   va_list list);
extern mps_res_t mps_pool_create_k(mps_pool_t *pool_o, mps_arena_t arena, mps_pool_class_t pool_class,
                                   mps_arg_s args[]);
extern void mps_pool_destroy(mps_pool_t pool);
extern size_t mps_pool_total_size(mps_pool_t pool);
extern size_t mps_pool_free_size(mps_pool_t pool);
extern void mps_pool_check_fenceposts(mps_pool_t pool);
extern void mps_pool_check_free_space(mps_pool_t pool);

extern mps_res_t mps_alloc(mps_addr_t *p_o, mps_pool_t pool, size_t size);
extern mps_res_t mps_alloc_v(mps_addr_t *p_o, mps_pool_t pool, size_t size, va_list args);
extern void mps_free(mps_pool_t pool, mps_addr_t p, size_t size);

/* ---- Allocation points ------------------------------------------------------------------------------ */

typedef struct mps_ap_s {
    mps_addr_t init;  /* up to here, blocks are committed */
    mps_addr_t alloc; /* up to here, reserved */
    mps_addr_t limit; /* end of the buffer */
} mps_ap_s;

extern mps_res_t mps_ap_create(mps_ap_t *ap_o, mps_pool_t pool, ...);
extern mps_res_t mps_ap_create_v(mps_ap_t *ap_o, mps_pool_t pool, va_list list);
extern mps_res_t mps_ap_create_k(mps_ap_t *ap_o, mps_pool_t pool, mps_arg_s args[]);
extern void mps_ap_destroy(mps_ap_t ap);
extern mps_res_t(mps_reserve)(mps_addr_t *p_o, mps_ap_t ap, size_t size);
extern mps_bool_t(mps_commit)(mps_ap_t ap, mps_addr_t p, size_t size);
extern mps_res_t mps_ap_fill(mps_addr_t *p_o, mps_ap_t ap, size_t size);
extern mps_bool_t mps_ap_trip(mps_ap_t ap, mps_addr_t p, size_t size);
extern mps_res_t mps_ap_frame_push(mps_frame_t *frame_o, mps_ap_t ap);
extern mps_res_t mps_ap_frame_pop(mps_ap_t ap, mps_frame_t frame);

#define mps_reserve(_p_o, _ap, _size)                                                                        \
    ((size_t)((char *)(_ap)->limit - (char *)(_ap)->alloc) >= (size_t)(_size) && (_ap)->alloc != NULL        \
         ? ((_ap)->alloc = (mps_addr_t)((char *)(_ap)->alloc + (_size)), *(_p_o) = (_ap)->init, MPS_RES_OK)  \
         : mps_ap_fill(_p_o, _ap, _size))

#define mps_commit(_ap, _p, _size)                                                                           \
    ((_ap)->init = (_ap)->alloc, (_ap)->limit != NULL || mps_ap_trip(_ap, _p, _size))

#define MPS_RESERVE_BLOCK(_res_v, _p_v, _ap, _size)                                                          \
    MPS_BEGIN                                                                                                \
    mps_addr_t _mps_p = NULL;                                                                                \
    (_res_v) = mps_reserve(&_mps_p, (_ap), (_size));                                                         \
    if ((_res_v) == MPS_RES_OK)                                                                              \
        (_p_v) = _mps_p;                                                                                     \
    MPS_END

/* ---- Segregated allocation caches --------------------------------------------------------------------- */

#define MPS_SAC_CLASS_LIMIT ((size_t)8)

typedef struct mps_sac_class_s {
    size_t mps_block_size;
    size_t mps_cached_count;
    unsigned mps_frequency;
} mps_sac_class_s;
#define mps_sac_classes_s mps_sac_class_s

typedef struct _mps_sac_freelist_block_s {
    size_t _size;
    size_t _count;
    size_t _count_max;
    mps_addr_t _blocks;
} _mps_sac_freelist_block_s;

/* Sizes above _middle are served at even indexes, ascending, _size being the most that the class serves; those up to it
 * at odd indexes, descending, _size being what is too small for the class already. */
typedef struct _mps_sac_s {
    size_t _middle;
    mps_bool_t _trapped;
    _mps_sac_freelist_block_s _freelists[2 * 8]; /* MPS_SAC_CLASS_LIMIT */
} _mps_sac_s;

extern mps_res_t mps_sac_create(mps_sac_t *sac_o, mps_pool_t pool, size_t classes_count,
                                mps_sac_class_s *classes);
extern void mps_sac_destroy(mps_sac_t sac);
extern void mps_sac_flush(mps_sac_t sac);
extern mps_res_t mps_sac_alloc(mps_addr_t *p_o, mps_sac_t sac, size_t size, mps_bool_t unused);
extern void mps_sac_free(mps_sac_t sac, mps_addr_t p, size_t size);
extern mps_res_t mps_sac_fill(mps_addr_t *p_o, mps_sac_t sac, size_t size, mps_bool_t unused);
extern void mps_sac_empty(mps_sac_t sac, mps_addr_t p, size_t size);

/* The free list of a size in _mps_i, for the macros below. */
#define _MPS_SAC_FIND(_cache, _bytes)                                                                        \
    if ((_bytes) > (_cache)->_middle)                                                                        \
        for (_mps_i = 0; (_bytes) > (_cache)->_freelists[_mps_i]._size;)                                     \
            _mps_i += 2;                                                                                     \
    else                                                                                                     \
        for (_mps_i = 1; (_bytes) <= (_cache)->_freelists[_mps_i]._size;)                                    \
        _mps_i += 2

#define MPS_SAC_ALLOC_FAST(_res_v, _p_v, _sac, _size, _unused)                                               \
    MPS_BEGIN                                                                                                \
    _mps_sac_s *_mps_sac = (_mps_sac_s *)(void *)(_sac);                                                     \
    size_t _mps_i, _mps_s = (_size);                                                                         \
    _MPS_SAC_FIND(_mps_sac, _mps_s);                                                                         \
    if (_mps_sac->_freelists[_mps_i]._count != 0) {                                                          \
        mps_addr_t _mps_p = _mps_sac->_freelists[_mps_i]._blocks;                                            \
        _mps_sac->_freelists[_mps_i]._blocks = *(mps_addr_t *)_mps_p;                                        \
        --_mps_sac->_freelists[_mps_i]._count;                                                               \
        (_p_v) = _mps_p;                                                                                     \
        (_res_v) = MPS_RES_OK;                                                                               \
    } else {                                                                                                 \
        mps_addr_t _mps_p = NULL;                                                                            \
        (_res_v) = mps_sac_fill(&_mps_p, (_sac), _mps_s, (_unused));                                         \
        if ((_res_v) == MPS_RES_OK)                                                                          \
            (_p_v) = _mps_p;                                                                                 \
    }                                                                                                        \
    MPS_END

#define MPS_SAC_FREE_FAST(_sac, _p, _size)                                                                   \
    MPS_BEGIN                                                                                                \
    _mps_sac_s *_mps_sac = (_mps_sac_s *)(void *)(_sac);                                                     \
    size_t _mps_i, _mps_s = (_size);                                                                         \
    mps_addr_t _mps_q = (_p);                                                                                \
    _MPS_SAC_FIND(_mps_sac, _mps_s);                                                                         \
    if (_mps_sac->_freelists[_mps_i]._count < _mps_sac->_freelists[_mps_i]._count_max) {                     \
        *(mps_addr_t *)_mps_q = _mps_sac->_freelists[_mps_i]._blocks;                                        \
        _mps_sac->_freelists[_mps_i]._blocks = _mps_q;                                                       \
        ++_mps_sac->_freelists[_mps_i]._count;                                                               \
    } else                                                                                                   \
        mps_sac_empty((_sac), _mps_q, _mps_s);                                                               \
    MPS_END

#define MPS_SAC_ALLOC(_res_v, _p_v, _sac, _size, _unused)                                                    \
    MPS_BEGIN                                                                                                \
    mps_addr_t _mps_got = NULL;                                                                              \
    (_res_v) = mps_sac_alloc(&_mps_got, (_sac), (_size), (_unused));                                         \
    if ((_res_v) == MPS_RES_OK)                                                                              \
        (_p_v) = _mps_got;                                                                                   \
    MPS_END

#define MPS_SAC_FREE(_sac, _p, _size) mps_sac_free((_sac), (_p), (_size))

/* ---- The rest ------------------------------------------------------------------------------------- */

extern mps_res_t mps_thread_reg(mps_thr_t *thread_o, mps_arena_t arena);
extern void mps_thread_dereg(mps_thr_t thread);

extern mps_rank_t mps_rank_ambig(void);
extern mps_rank_t mps_rank_exact(void);
extern mps_rank_t mps_rank_weak(void);

/* Telemetry: accepted, none is written. */
extern mps_word_t mps_telemetry_control(mps_word_t reset, mps_word_t flip);
extern void mps_telemetry_set(mps_word_t kinds);
extern void mps_telemetry_reset(mps_word_t kinds);
extern mps_word_t mps_telemetry_get(void);
extern mps_word_t mps_telemetry_intern(const char *label);
extern void mps_telemetry_label(mps_addr_t address, mps_word_t label);
extern void mps_telemetry_flush(void);

#ifdef __cplusplus
}
#endif
#endif
