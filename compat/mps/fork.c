/* fork.c - arenas around fork: the child finds every arena and pool whole, whatever other threads were doing.
 *
 * A thread takes locks in this order: an arena's `calls`, a pool's, that of a pool of Cairn's, the arena's `lock`.  The last is
 * taken under `calls`, under the lock of a pool, or in a callback of a pool of Cairn's; so it is free once the others are
 * taken.  Before a fork we take our two, then Cairn, which was there first and whose handler therefore comes later,
 * takes its own. */
#include "impl.h"

static pthread_mutex_t arenas_lock = PTHREAD_MUTEX_INITIALIZER;
static mps_arena_t arenas; /* chained through `next` */

static void init_calls(mps_arena_t arena)
{
    pthread_mutexattr_t recursive; /* an assertion handler may ask the arena for something */
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&arena->calls, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

static void before_fork(void)
{
    pthread_mutex_lock(&arenas_lock);
    for (mps_arena_t arena = arenas; arena != NULL; arena = arena->next) {
        pthread_mutex_lock(&arena->calls);
        for (mps_pool_t pool = arena->pools; pool != NULL; pool = pool->next)
            pthread_mutex_lock(&pool->lock);
    }
}

static void after_fork_parent(void)
{
    for (mps_arena_t arena = arenas; arena != NULL; arena = arena->next) {
        for (mps_pool_t pool = arena->pools; pool != NULL; pool = pool->next)
            pthread_mutex_unlock(&pool->lock);
        pthread_mutex_unlock(&arena->calls);
    }
    pthread_mutex_unlock(&arenas_lock);
}

/* A recursive mutex knows its owner, who is another thread here: all of them are made anew. */
static void after_fork_child(void)
{
    for (mps_arena_t arena = arenas; arena != NULL; arena = arena->next) {
        for (mps_pool_t pool = arena->pools; pool != NULL; pool = pool->next)
            pthread_mutex_init(&pool->lock, NULL);
        init_calls(arena);
    }
    pthread_mutex_init(&arenas_lock, NULL);
}

static void register_handlers(void)
{
    (void)pthread_atfork(before_fork, after_fork_parent, after_fork_child); /* without memory: as before */
}

void fork_add(mps_arena_t arena)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_handlers);
    pthread_mutex_lock(&arenas_lock);
    arena->next = arenas;
    arenas = arena;
    pthread_mutex_unlock(&arenas_lock);
}

void fork_remove(mps_arena_t arena)
{
    pthread_mutex_lock(&arenas_lock);
    mps_arena_t *at = &arenas;
    while (*at != arena)
        at = &(*at)->next;
    *at = arena->next;
    pthread_mutex_unlock(&arenas_lock);
}

void arena_init_locks(mps_arena_t arena)
{
    pthread_mutex_init(&arena->lock, NULL);
    init_calls(arena);
}

void arena_enter(mps_arena_t arena)
{
    pthread_mutex_lock(&arena->calls);
    pthread_mutex_lock(&arena->lock);
}

void arena_leave(mps_arena_t arena)
{
    pthread_mutex_unlock(&arena->lock);
    pthread_mutex_unlock(&arena->calls);
}
