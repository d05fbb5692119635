/* thread.c - see thread.h. */
#include "pool/thread.h"

#include "base/print.h"
#include "engine/cache.h"
#include "os/os.h"
#include "pool/pool.h"

#include <stdarg.h>

static struct cache *find(struct cairn_pool *pool, const struct cache *own)
{
    struct cache *cache = load_acquire(&pool_heap(pool)->all_caches); /* pairs with cache_make */
    while (cache != NULL && load_relaxed(&cache->own) != own)
        cache = cache->next_all;
    return cache;
}

struct cache *thread_pool_cache_if_any(struct cairn_pool *pool)
{
    struct cache *own = process_cache();
    return own != NULL ? find(pool, own) : NULL;
}

/* Both under pools_lock.  In constant time: a thread may have caches in ten thousand pools. */
static void link_to_thread(struct cache *cache, struct cache *own)
{
    cache->next_of_thread = own->pool_caches;
    cache->to_of_thread = &own->pool_caches;
    if (cache->next_of_thread != NULL)
        cache->next_of_thread->to_of_thread = &cache->next_of_thread;
    own->pool_caches = cache;
    store_relaxed(&cache->own, own);
}

static void unlink_from_thread(struct cache *cache)
{
    *cache->to_of_thread = cache->next_of_thread;
    if (cache->next_of_thread != NULL)
        cache->next_of_thread->to_of_thread = cache->to_of_thread;
}

struct cache *thread_pool_cache(struct cairn_pool *pool, bool quick)
{
    struct cache *own = thread_own_cache();
    if (own == NULL)
        return NULL;
    struct cache *cache = find(pool, own);
    if (cache == NULL) {
        cache =
            cache_make(pool_heap(pool)); /* without the lock: callbacks of the user's may hold the heap's */
        if (cache == NULL)
            return NULL;
        lock_take(&pools_lock);
        link_to_thread(cache, own);
        lock_release(&pools_lock);
    }
    if (quick) {
        uint64_t id = load_relaxed(&pool->id);
        *pool_slot(own, id) = (struct cache_slot){id, id, cache, cache};
    }
    return cache;
}

void thread_leave_pools(struct cache *own)
{
    for (;;) {
        lock_take(&pools_lock);
        struct cache *cache = own->pool_caches;
        struct cairn_pool *pool = cache != NULL ? cache->heap->config.owner : NULL;
        if (cache != NULL) {
            unlink_from_thread(cache);
            store_relaxed(&cache->own, NULL);
            pool->leaving++;
        }
        lock_release(&pools_lock);
        if (cache == NULL)
            return;
        cache_drop(cache); /* without the lock: a source of the user's may be called */
        lock_take(&pools_lock);
        pool->leaving--;
        lock_release(&pools_lock);
    }
}

void thread_unlink_pool(struct cairn_pool *pool)
{
    for (struct cache *cache = pool_heap(pool)->all_caches; cache != NULL; cache = cache->next_all) {
        struct cache *own = load_relaxed(&cache->own);
        if (own != NULL)
            unlink_from_thread(cache);
        store_relaxed(&cache->own, NULL);
    }
}

void thread_forget_pool(struct cairn_pool *pool)
{
    lock_take(&pools_lock);
    while (pool->leaving > 0) {
        lock_release(&pools_lock);
        os_yield();
        lock_take(&pools_lock);
    }
    thread_unlink_pool(pool);
    lock_release(&pools_lock);
}

/* ---- Failures ------------------------------------------------------------------------------------ */

void *thread_fail(int code, const char *message)
{
    thread_message = message;
    os_errno_set(code);
    return NULL;
}

void *thread_fail_text(int code, const char *format, ...)
{
    struct cache *own = thread_own_cache();
    if (own == NULL)
        return thread_fail(code, format); /* no room to compose: better the bare form than nothing */
    va_list args;
    va_start(args, format);
    print_to_buffer_arguments(own->message, sizeof own->message, format, &args);
    va_end(args);
    return thread_fail(code, own->message);
}
