/* impl.h - inside libcairn-mps: arenas, pools and what their files share.
 *
 *     mps_arena   chunks of address space, cut into grains: free, spare (committed, nobody's) or used     grains.c, arena.c
 *       │ a cairn_source for each pool's blocks, one for all that describes them
 *     mps_pool ─> cairn_pool of class CAIRN_FIT: MVFF, MVT (mvff.c), MVFF debug (debug.c);  MFS has grains alone (mfs.c)
 *       │
 *     mps_ap (ap.c), mps_sac (sac.c)
 *
 * All structures lie in the arena itself and count as committed: its own (in the head of the first chunk), those of
 * pools, allocation points and caches in its control pool, and what Cairn keeps for each pool.  In a VM arena they
 * have chunks of their own, so that blocks of pools lie side by side.  Outside is only Cairn's handle of each pool.
 * Locks, in the order in which they may be taken: pool (debug, MFS), Cairn's own of a pool, arena. */
#ifndef MPS_IMPL_H
#define MPS_IMPL_H

#include <mps.h>
#include <mpsacl.h>
#include <mpsavm.h>
#include <mpscmfs.h>
#include <mpscmvff.h>
#include <mpscmvt.h>

#include <cairn/pool.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* True, or the assertion handler is told; every source names itself in MPS_FILE. */
#define MUST(condition, text)                                                                                \
    (__builtin_expect(!!(condition), 1) || mps_impl_failed(MPS_FILE, __LINE__, text))
HIDDEN bool mps_impl_failed(const char *file, unsigned line, const char *text); /* false */

static inline size_t round_up(size_t size, size_t to)
{
    return (size + to - 1) & ~(to - 1);
}

static inline bool is_power(size_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* ---- Arguments (args.c) --------------------------------------------------------------------------- */

struct mps_key_s {
    const char *name;
};

/* Takes the argument of that key out of `args`; false: there is none. */
HIDDEN bool arg_pick(mps_arg_s *arg, mps_arg_s args[], mps_key_t key);

/* ---- Arenas --------------------------------------------------------------------------------------- */

#define ARENA_MAGIC UINT32_C(0x51A7E0A1)
#define POOL_MAGIC UINT32_C(0x51A7E0B2)
#define AP_MAGIC UINT32_C(0x51A7E0C3)
#define SAC_MAGIC UINT32_C(0x51A7E0D4)
#define THREAD_MAGIC UINT32_C(0x51A7E0E5)

struct mps_arena_class_s {
    const char *name;
    bool client; /* inside the program's memory */
};

/* One stretch of address space; the head holds this and the two bit maps.  Constant but for the bits and the count. */
struct chunk {
    struct chunk *next; /* at a higher address */
    char *base;         /* of grain 0 */
    char *mapping;      /* as the system, or the program, gave it */
    size_t size;        /* of the mapping, bytes */
    size_t grains;
    bool store;             /* not for blocks */
    uint64_t *used, *spare; /* a bit for each grain */
    size_t used_count;
};

/* Where a pool gets its grains.  The first field is what Cairn knows of it. */
struct grains {
    cairn_source source;
    mps_arena_t arena;
    bool high;                /* from the high end */
    bool store;               /* for structures */
    const char *free_pattern; /* debug pools: of free memory; NULL: none */
    size_t free_size;
    bool corrupt; /* memory was given back that does not have it; the pool's lock */
    size_t bytes; /* handed out; the arena's lock */
};

struct mps_thr_s {
    uint32_t magic;
    mps_arena_t arena;
};

struct mps_arena_s {
    uint32_t magic;
    mps_arena_class_t arena_class;
    struct mps_arena_s *next; /* fork.c */
    pthread_mutex_t calls;    /* taken before `lock` by who does not come from a pool; fork.c says why */
    pthread_mutex_t lock;     /* everything below */
    size_t grain;
    struct chunk *chunks; /* by address */
    size_t reserved;      /* bytes of all chunks */
    size_t heads;         /* bytes in their heads, committed */
    size_t used;          /* bytes in used grains */
    size_t spare_bytes;
    size_t commit_limit;
    double spare, pause_time;
    size_t growth_desired, growth_minimum;
    void (*extended)(mps_arena_t, void *, size_t);
    void (*contracted)(mps_arena_t, void *, size_t);
    struct mps_pool_s *pools;
    size_t threads;
    bool clamped;
    struct grains store; /* for every structure */
    cairn_pool *control;
};

/* The lock has to be held. */
static inline size_t arena_committed(const struct mps_arena_s *arena)
{
    return arena->heads + arena->used + arena->spare_bytes;
}

/* Takes both locks of an arena, and gives them back. */
HIDDEN void arena_enter(mps_arena_t arena);
HIDDEN void arena_leave(mps_arena_t arena);
HIDDEN void arena_init_locks(mps_arena_t arena);

/* A new arena is to be whole in a child of fork, from here on; and no longer. */
HIDDEN void fork_add(mps_arena_t arena);
HIDDEN void fork_remove(mps_arena_t arena);

/* Why the calling thread's last request for memory was refused. */
extern __thread mps_res_t mps_impl_refusal HIDDEN;

HIDDEN void grains_init(struct grains *grains, mps_arena_t arena, bool high, bool store);
HIDDEN void *grains_get(struct grains *grains, size_t size, size_t align);
HIDDEN void grains_give(struct grains *grains, void *base, size_t size);

/* Under the lock: lets spare memory go, until `bytes` have or none is left.  Keeps what the system does not take. */
HIDDEN void grains_purge(mps_arena_t arena, size_t bytes);
/* The same, as `spare` says. */
HIDDEN void grains_trim(mps_arena_t arena);
/* Makes a chunk of memory that is there (client) or of `size` bytes of new address space. */
HIDDEN mps_res_t chunk_make(struct chunk **chunk_o, mps_arena_t arena, size_t front, char *base, size_t size);
HIDDEN mps_res_t chunk_add(mps_arena_t arena, char *base, size_t size, bool store);
HIDDEN void chunk_drop(struct chunk *chunk, bool client);
/* Under the lock: the chunk and grain of an address in used memory. */
HIDDEN bool grain_is_used(mps_arena_t arena, const void *address);

/* A structure in the control pool; NULL with the reason in mps_impl_refusal. */
HIDDEN void *control_alloc(mps_arena_t arena, size_t size);
HIDDEN void control_free(mps_arena_t arena, void *structure);
HIDDEN bool arena_is_valid(mps_arena_t arena);

/* ---- Pools ---------------------------------------------------------------------------------------- */

#define CLASS_ARGS_MAX 8

struct mps_pool_class_s {
    const char *name;
    /* Legacy arguments as keywords; ends with MPS_KEY_ARGS_END. */
    void (*varargs)(mps_arg_s args[], va_list list);
    mps_res_t (*init)(mps_pool_t pool, mps_arg_s args[]);
    void (*finish)(mps_pool_t pool);
    mps_res_t (*alloc)(mps_addr_t *p_o, mps_pool_t pool, size_t size);
    void (*free)(mps_pool_t pool, mps_addr_t p, size_t size);
    /* The least that a buffer of an allocation point needs, and how much it got; NULL: no allocation points. */
    mps_res_t (*fill)(mps_addr_t *p_o, size_t *size_io, mps_pool_t pool);
    void (*empty)(mps_pool_t pool, void *base, size_t size); /* takes a buffer's rest back */
    void (*sizes)(mps_pool_t pool, size_t *total, size_t *free_size);
    bool (*has)(mps_pool_t pool, const void *address);
};

struct debug; /* debug.c */
struct mfs;   /* mfs.c */

struct mps_pool_s {
    uint32_t magic;
    mps_pool_class_t pool_class;
    mps_arena_t arena;
    struct mps_pool_s *next; /* the arena's lock */
    size_t align;
    size_t users; /* allocation points and caches; atomic */
    struct grains grains;
    cairn_pool *cairn;    /* NULL: MFS */
    pthread_mutex_t lock; /* MFS and debug pools: everything of theirs */
    struct debug *debug;
    struct mfs *mfs;
};

HIDDEN bool pool_is_valid(mps_pool_t pool);

/* What a failed request for memory comes to. */
HIDDEN mps_res_t pool_refusal(void);

/* Options that MVFF and its debug form share; the cairn_pool is made. */
HIDDEN mps_res_t mvff_init(mps_pool_t pool, mps_arg_s args[]);
HIDDEN void fit_finish(mps_pool_t pool);
HIDDEN void fit_sizes(mps_pool_t pool, size_t *total, size_t *free_size);
HIDDEN bool fit_has(mps_pool_t pool, const void *address);
HIDDEN void mvff_varargs(mps_arg_s args[], va_list list);

HIDDEN void debug_check_fences(mps_pool_t pool, const char *text);
HIDDEN void debug_check_free(mps_pool_t pool, const char *text);

#endif
