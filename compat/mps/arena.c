/* arena.c - arenas: making them, their figures and limits, threads, and the calls that speak of collection. */
#include "impl.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MPS_FILE "arena.c"
#define SIZE_DEFAULT ((size_t)256 << 20)
#define SPARE_DEFAULT 0.75
#define PAUSE_DEFAULT 0.1
#define CLIENT_GRAIN 8192
#define HEAD_FRONT round_up(sizeof(struct mps_arena_s), 16)

static struct mps_arena_class_s class_vm = {"ArenaVM", false}, class_client = {"ArenaClient", true};

mps_arena_class_t mps_arena_class_vm(void)
{
    return &class_vm;
}

mps_arena_class_t mps_arena_class_cl(void)
{
    return &class_client;
}

bool arena_is_valid(mps_arena_t arena)
{
    return arena != NULL && arena->magic == ARENA_MAGIC;
}

/* ---- The control pool -------------------------------------------------------------------------------- */

void *control_alloc(mps_arena_t arena, size_t size)
{
    mps_impl_refusal = MPS_RES_OK;
    void *structure = cairn_pool_calloc(arena->control, 1, size);
    if (structure == NULL && mps_impl_refusal == MPS_RES_OK)
        mps_impl_refusal = MPS_RES_MEMORY; /* Cairn's own */
    return structure;
}

void control_free(mps_arena_t arena, void *structure)
{
    cairn_pool_free(arena->control, structure);
}

/* ---- Making ------------------------------------------------------------------------------------------- */

struct options {
    size_t size, grain, commit_limit, spare_limit;
    double spare, pause_time;
    char *base;
    mps_fun_t extended, contracted;
    bool has_base, has_size, has_spare_limit;
};

static struct options pick_options(mps_arena_class_t arena_class, mps_arg_s args[])
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct options o = {.size = SIZE_DEFAULT,
                        .grain = arena_class->client && page < CLIENT_GRAIN ? CLIENT_GRAIN : page,
                        .commit_limit = SIZE_MAX,
                        .spare = SPARE_DEFAULT,
                        .pause_time = PAUSE_DEFAULT};
    mps_arg_s arg;
    if ((o.has_size = arg_pick(&arg, args, MPS_KEY_ARENA_SIZE)))
        o.size = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_ARENA_GRAIN_SIZE))
        o.grain = arg.val.size > o.grain || !is_power(arg.val.size) ? arg.val.size : o.grain;
    if (arg_pick(&arg, args, MPS_KEY_COMMIT_LIMIT))
        o.commit_limit = arg.val.size;
    if ((o.has_spare_limit = arg_pick(&arg, args, MPS_KEY_SPARE_COMMIT_LIMIT)))
        o.spare_limit = arg.val.size;
    if (arg_pick(&arg, args, MPS_KEY_SPARE))
        o.spare = arg.val.d, o.has_spare_limit = false;
    if (arg_pick(&arg, args, MPS_KEY_PAUSE_TIME))
        o.pause_time = arg.val.d;
    if (arena_class->client && (o.has_base = arg_pick(&arg, args, MPS_KEY_ARENA_CL_BASE)))
        o.base = arg.val.addr;
    if (arg_pick(&arg, args, MPS_KEY_ARENA_EXTENDED))
        o.extended = arg.val.fun;
    if (arg_pick(&arg, args, MPS_KEY_ARENA_CONTRACTED))
        o.contracted = arg.val.fun;
    (void)arg_pick(&arg, args, MPS_KEY_ARENA_ZONED);
    (void)arg_pick(&arg, args, MPS_KEY_VMW3_TOP_DOWN);
    return o;
}

static bool options_are_valid(mps_arena_class_t arena_class, const struct options *o)
{
    if (arena_class->client && (!MUST(o->has_base, "required keyword argument: ARENA_CL_BASE") ||
                                !MUST(o->has_size, "required keyword argument: ARENA_SIZE") ||
                                !MUST(o->base != NULL, "ARENA_CL_BASE != NULL")))
        return false;
    return MUST(is_power(o->grain), "ARENA_GRAIN_SIZE is a power of two") &&
           MUST(o->spare >= 0 && o->spare <= 1, "0 <= SPARE <= 1") &&
           MUST(o->pause_time >= 0, "0 <= PAUSE_TIME");
}

static mps_res_t make_control(mps_arena_t arena)
{
    grains_init(&arena->store, arena, false, true);
    cairn_pool_config config = {.struct_size = sizeof config,
                                .pool_class = CAIRN_FIT,
                                .name = "mps control",
                                .source = &arena->store.source,
                                .store = &arena->store.source,
                                .extend_by = arena->grain,
                                .spare = 1};
    mps_impl_refusal = MPS_RES_OK;
    arena->control = cairn_pool_create(&config);
    if (arena->control == NULL)
        return arena->arena_class->client || mps_impl_refusal == MPS_RES_OK ? MPS_RES_MEMORY
                                                                            : mps_impl_refusal;
    void *first = control_alloc(arena, 1); /* it shall hold its grain, and refuse here rather than later */
    if (first == NULL) {
        cairn_pool_destroy(arena->control);
        return arena->arena_class->client && mps_impl_refusal == MPS_RES_RESOURCE ? MPS_RES_MEMORY
                                                                                  : mps_impl_refusal;
    }
    return MPS_RES_OK;
}

static void set_spare_limit(mps_arena_t arena, size_t limit)
{
    double part = (double)limit / (double)arena_committed(arena);
    arena->spare = part < 1 ? part : 1;
}

/* The arena lies in the head of its first chunk. */
static mps_res_t make(mps_arena_t *arena_o, mps_arena_class_t arena_class, const struct options *o)
{
    struct mps_arena_s plan = {.arena_class = arena_class, .grain = o->grain};
    size_t size = o->size;
    if (!arena_class->client) {
        if (size > PTRDIFF_MAX / 2 || o->grain > PTRDIFF_MAX / 256)
            return MPS_RES_RESOURCE;
        size = round_up(size > 0 ? size : 1, 64 * o->grain);
    }
    struct chunk *chunk;
    mps_res_t res = chunk_make(&chunk, &plan, HEAD_FRONT, o->base, size);
    if (res != MPS_RES_OK)
        return res;
    mps_arena_t arena = (mps_arena_t)(void *)((char *)chunk - HEAD_FRONT);
    *arena = plan;
    arena_init_locks(arena);
    arena->chunks = chunk;
    arena->reserved = chunk->size;
    arena->heads = (size_t)(chunk->base - chunk->mapping);
    arena->commit_limit = o->commit_limit;
    arena->spare = o->spare;
    arena->pause_time = o->pause_time;
    arena->growth_desired = size;
    arena->extended = (void (*)(mps_arena_t, void *, size_t))o->extended;
    arena->contracted = (void (*)(mps_arena_t, void *, size_t))o->contracted;
    arena->magic = ARENA_MAGIC;
    res = arena->heads > arena->commit_limit ? MPS_RES_COMMIT_LIMIT : make_control(arena);
    if (res != MPS_RES_OK) {
        arena->magic = 0;
        pthread_mutex_destroy(&arena->lock);
        pthread_mutex_destroy(&arena->calls);
        chunk_drop(chunk, arena_class->client);
        return res;
    }
    if (o->has_spare_limit)
        set_spare_limit(arena, o->spare_limit);
    fork_add(arena);
    *arena_o = arena;
    return MPS_RES_OK;
}

mps_res_t mps_arena_create_k(mps_arena_t *arena_o, mps_arena_class_t arena_class, mps_arg_s args[])
{
    if (!MUST(arena_o != NULL, "mps_arena_o != NULL") ||
        !MUST(arena_class == &class_vm || arena_class == &class_client, "arena class is valid") ||
        !MUST(args != NULL, "args != NULL"))
        return MPS_RES_PARAM;
    struct options o = pick_options(arena_class, args);
    return options_are_valid(arena_class, &o) ? make(arena_o, arena_class, &o) : MPS_RES_PARAM;
}

mps_res_t mps_arena_create_v(mps_arena_t *arena_o, mps_arena_class_t arena_class, va_list list)
{
    mps_arg_s args[3];
    unsigned i = 0;
    args[i].key = MPS_KEY_ARENA_SIZE;
    args[i++].val.size = va_arg(list, size_t);
    if (arena_class == &class_client) {
        args[i].key = MPS_KEY_ARENA_CL_BASE;
        args[i++].val.addr = va_arg(list, mps_addr_t);
    }
    args[i].key = MPS_KEY_ARGS_END;
    return mps_arena_create_k(arena_o, arena_class, args);
}

mps_res_t mps_arena_create(mps_arena_t *arena_o, mps_arena_class_t arena_class, ...)
{
    va_list list;
    va_start(list, arena_class);
    mps_res_t res = mps_arena_create_v(arena_o, arena_class, list);
    va_end(list);
    return res;
}

void mps_arena_destroy(mps_arena_t arena)
{
    if (!MUST(arena_is_valid(arena), "arena is valid") || !MUST(arena->pools == NULL, "arena has no pools") ||
        !MUST(arena->threads == 0, "arena has no threads"))
        return;
    fork_remove(arena);
    cairn_pool_destroy(arena->control);
    bool client = arena->arena_class->client;
    arena->magic = 0;
    pthread_mutex_destroy(&arena->lock);
    pthread_mutex_destroy(&arena->calls);
    struct chunk *own = NULL, *next;
    for (struct chunk *c = arena->chunks; c != NULL; c = next) {
        next = c->next;
        if (arena->contracted != NULL)
            arena->contracted(arena, c->mapping, c->size);
        if ((char *)c == (char *)arena + HEAD_FRONT)
            own = c; /* last: the arena is in it */
        else
            chunk_drop(c, client);
    }
    chunk_drop(own, client);
}

mps_res_t mps_arena_extend(mps_arena_t arena, mps_addr_t base, size_t size)
{
    if (!MUST(arena_is_valid(arena), "arena is valid") || !MUST(base != NULL, "base != NULL") ||
        !MUST(size > 0, "size > 0"))
        return MPS_RES_PARAM;
    if (!arena->arena_class->client)
        return MPS_RES_UNIMPL;
    arena_enter(arena);
    mps_res_t res = chunk_add(arena, base, size, false);
    arena_leave(arena);
    return res;
}

mps_res_t mps_arena_vm_growth(mps_arena_t arena, size_t desired, size_t minimum)
{
    if (!MUST(arena_is_valid(arena), "arena is valid") ||
        !MUST(!arena->arena_class->client, "arena is a virtual memory arena"))
        return MPS_RES_PARAM;
    if (desired < minimum)
        return MPS_RES_PARAM;
    arena_enter(arena);
    arena->growth_desired = desired;
    arena->growth_minimum = minimum;
    arena_leave(arena);
    return MPS_RES_OK;
}

/* ---- Figures and limits --------------------------------------------------------------------------------- */

/* One size under the lock; 0 for an arena that is none. */
#define ARENA_SIZE_CALL(name, expression)                                                                    \
    size_t name(mps_arena_t arena)                                                                           \
    {                                                                                                        \
        if (!MUST(arena_is_valid(arena), "arena is valid"))                                                  \
            return 0;                                                                                        \
        arena_enter(arena);                                                                                  \
        size_t size = (expression);                                                                          \
        arena_leave(arena);                                                                                  \
        return size;                                                                                         \
    }

ARENA_SIZE_CALL(mps_arena_reserved, arena->reserved)
ARENA_SIZE_CALL(mps_arena_committed, arena_committed(arena))
ARENA_SIZE_CALL(mps_arena_spare_committed, arena->spare_bytes)
ARENA_SIZE_CALL(mps_arena_commit_limit, arena->commit_limit)
ARENA_SIZE_CALL(mps_arena_spare_commit_limit, (size_t)(arena->spare *(double)arena_committed(arena)))

mps_res_t mps_arena_commit_limit_set(mps_arena_t arena, size_t limit)
{
    if (!MUST(arena_is_valid(arena), "arena is valid"))
        return MPS_RES_PARAM;
    mps_res_t res = MPS_RES_OK;
    arena_enter(arena);
    size_t committed = arena_committed(arena);
    if (limit < committed && limit < committed - arena->spare_bytes)
        res = MPS_RES_FAIL;
    else if (limit < committed)
        grains_purge(arena, committed - limit);
    if (res == MPS_RES_OK && limit < arena_committed(arena))
        res = MPS_RES_FAIL; /* the system did not take it back */
    if (res == MPS_RES_OK)
        arena->commit_limit = limit;
    arena_leave(arena);
    return res;
}

double mps_arena_spare(mps_arena_t arena)
{
    if (!MUST(arena_is_valid(arena), "arena is valid"))
        return 0;
    arena_enter(arena);
    double spare = arena->spare;
    arena_leave(arena);
    return spare;
}

void mps_arena_spare_set(mps_arena_t arena, double spare)
{
    if (!MUST(arena_is_valid(arena), "arena is valid") || !MUST(spare >= 0 && spare <= 1, "0 <= spare <= 1"))
        return;
    arena_enter(arena);
    arena->spare = spare;
    grains_trim(arena);
    arena_leave(arena);
}

void mps_arena_spare_commit_limit_set(mps_arena_t arena, size_t limit)
{
    if (!MUST(arena_is_valid(arena), "arena is valid"))
        return;
    arena_enter(arena);
    set_spare_limit(arena, limit);
    grains_trim(arena);
    arena_leave(arena);
}

double mps_arena_pause_time(mps_arena_t arena)
{
    return MUST(arena_is_valid(arena), "arena is valid") ? arena->pause_time : 0;
}

void mps_arena_pause_time_set(mps_arena_t arena, double seconds)
{
    if (MUST(arena_is_valid(arena), "arena is valid") && MUST(seconds >= 0, "0 <= pause time"))
        arena->pause_time = seconds;
}

/* ---- Addresses -------------------------------------------------------------------------------------------- */

mps_bool_t mps_arena_has_addr(mps_arena_t arena, mps_addr_t address)
{
    if (!MUST(arena_is_valid(arena), "arena is valid"))
        return false;
    arena_enter(arena);
    bool has = grain_is_used(arena, address);
    arena_leave(arena);
    return has;
}

mps_bool_t mps_addr_pool(mps_pool_t *pool_o, mps_arena_t arena, mps_addr_t address)
{
    if (!MUST(pool_o != NULL, "mps_pool_o != NULL") || !MUST(arena_is_valid(arena), "arena is valid"))
        return false;
    bool found = false;
    arena_enter(arena);
    if (grain_is_used(arena, address))
        for (mps_pool_t pool = arena->pools; pool != NULL && !found; pool = pool->next)
            if (pool->pool_class->has(pool, address)) {
                *pool_o = pool;
                found = true;
            }
    arena_leave(arena);
    return found;
}

/* No class of manual pools knows where its objects begin. */
mps_res_t mps_addr_object(mps_addr_t *object_o, mps_arena_t arena, mps_addr_t address)
{
    mps_pool_t pool;
    if (!MUST(object_o != NULL, "p_o != NULL"))
        return MPS_RES_PARAM;
    return mps_addr_pool(&pool, arena, address) ? MPS_RES_UNIMPL : MPS_RES_FAIL;
}

mps_bool_t mps_arena_busy(mps_arena_t arena)
{
    if (!MUST(arena_is_valid(arena), "arena is valid") || pthread_mutex_trylock(&arena->lock) != 0)
        return true;
    pthread_mutex_unlock(&arena->lock);
    return false;
}

/* ---- Threads ---------------------------------------------------------------------------------------------- */

static void count_thread(mps_arena_t arena, size_t by)
{
    arena_enter(arena);
    arena->threads += by;
    arena_leave(arena);
}

mps_res_t mps_thread_reg(mps_thr_t *thread_o, mps_arena_t arena)
{
    if (!MUST(thread_o != NULL, "mps_thr_o != NULL") || !MUST(arena_is_valid(arena), "arena is valid"))
        return MPS_RES_PARAM;
    mps_thr_t thread = control_alloc(arena, sizeof *thread);
    if (thread == NULL)
        return mps_impl_refusal;
    thread->magic = THREAD_MAGIC;
    thread->arena = arena;
    count_thread(arena, 1);
    *thread_o = thread;
    return MPS_RES_OK;
}

void mps_thread_dereg(mps_thr_t thread)
{
    if (!MUST(thread != NULL && thread->magic == THREAD_MAGIC, "thread is valid"))
        return;
    mps_arena_t arena = thread->arena;
    thread->magic = 0;
    control_free(arena, thread);
    count_thread(arena, (size_t)-1);
}

/* ---- Collection: nothing is ever collected ------------------------------------------------------------------ */

static void set_clamped(mps_arena_t arena, bool clamped)
{
    if (!MUST(arena_is_valid(arena), "arena is valid"))
        return;
    arena_enter(arena);
    arena->clamped = clamped;
    arena_leave(arena);
}

void mps_arena_clamp(mps_arena_t arena)
{
    set_clamped(arena, true);
}

void mps_arena_release(mps_arena_t arena)
{
    set_clamped(arena, false);
}

void mps_arena_park(mps_arena_t arena)
{
    set_clamped(arena, true);
}

void mps_arena_postmortem(mps_arena_t arena)
{
    set_clamped(arena, true);
}

mps_res_t mps_arena_collect(mps_arena_t arena)
{
    set_clamped(arena, true);
    return MPS_RES_FAIL;
}

mps_res_t mps_arena_start_collect(mps_arena_t arena)
{
    set_clamped(arena, false);
    return MPS_RES_FAIL;
}

mps_bool_t mps_arena_step(mps_arena_t arena, double interval, double multiplier)
{
    (void)(MUST(arena_is_valid(arena), "arena is valid") && MUST(interval >= 0, "interval >= 0") &&
           MUST(multiplier >= 0, "multiplier >= 0"));
    return false;
}

mps_word_t mps_collections(mps_arena_t arena)
{
    (void)MUST(arena_is_valid(arena), "arena is valid");
    return 0;
}
