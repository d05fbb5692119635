/* process.c - see process.h. */
#include "front/process.h"

#include "engine/large.h"
#include "front/options.h"
#include "front/plain.h"
#include "observe/profile.h"
#include "observe/recorder.h"
#include "observe/report_stats.h"
#include "observe/watch.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/pool.h"

#include <errno.h>
#include <string.h>

__thread struct cache *thread_cache = &cache_none;
__thread const char *thread_message;
struct heap process_heap;

/* ---- Start --------------------------------------------------------------------------------------- */

enum { NOT_STARTED, STARTED };
static uint32_t start_state;
static struct lock start_lock = {.rank = LOCK_RANK_START};
static bool options_read; /* under start_lock */

static void at_thread_exit(void *value)
{
    cache_attach(value, NULL);
    store_relaxed(&thread_cache, &cache_gone);
    thread_leave_pools(value);
    cache_drop(value);
}

static void before_fork(void)
{
    lock_take_for_fork(&start_lock);
    pools_before_fork();
    heap_before_fork(&process_heap);
    watch_fork(FORK_BEFORE);
}

static void after_fork_parent(void)
{
    watch_fork(FORK_PARENT);
    heap_after_fork_parent(&process_heap);
    pools_after_fork(false);
    lock_release_after_fork(&start_lock);
}

static void after_fork_child(void)
{
    watch_fork(FORK_CHILD);
    heap_after_fork_child(&process_heap, cache_real(load_relaxed(&thread_cache)));
    pools_after_fork(true);
    lock_release_after_fork(&start_lock);
}

/* Under start_lock; the environment may not be there yet when the dynamic loader allocates. */
static void read_options(void)
{
    if (options_read || !os_environment_ready())
        return;
    options_read = true;
    options_load(&process_heap.config, &observe_settings, &profile_settings);
}

void process_start(void)
{
    if (LIKELY(load_acquire(&start_state) == STARTED)) /* pairs with the release below */
        return;
    lock_take(&start_lock);
    bool mine = load_relaxed(&start_state) == NOT_STARTED;
    if (mine) {
        struct heap_config config = heap_config_default(&source_os);
        heap_init(&process_heap, &config);
        read_options();
        (void)os_thread_hook(at_thread_exit); /* without it the caches of threads that end are lost */
        store_release(&start_state, STARTED);
    }
    lock_release(&start_lock);
    if (mine) /* may allocate, so the heap is open for business before */
        os_fork_hooks(before_fork, after_fork_parent, after_fork_child);
}

/* The first constructor of all: in its program or library by its section, among libraries by -z initfirst, which
 * libcairn.so is linked with.  So its fork handlers are as a rule the outermost, and no other handler, which may take
 * locks under which threads allocate, runs while the heap is locked.  What somebody registers still earlier may
 * allocate (lock.h).  glibc calls constructors with main's arguments. */
static void on_load(int argc, char **argv, char **environment)
{
    (void)argc;
    (void)argv;
    os_environment_set(environment);
    process_start();
    lock_take(&start_lock);
    read_options();
    lock_release(&start_lock);
    observe_start(&process_heap);
    if (observe_settings.trace_file[0] != 0 &&
        !recorder_start(&process_heap, observe_settings.trace_file, process_thread_key))
        report_warning("the trace cannot be written to", observe_settings.trace_file);
    profile_begin(&process_heap);
}

static void (*const start_first)(int, char **, char **)
    __attribute__((section(".init_array.00000"), used)) = on_load;

__attribute__((destructor(101))) static void on_unload(void)
{
    profile_exit();
    observe_exit();
    if (!recorder_stop(&process_heap) && os_errno_get() != EINVAL)
        report_warning("a part of the trace is missing in", observe_settings.trace_file);
}

/* ---- Threads ------------------------------------------------------------------------------------- */

/* A cache that has another thread has another life; who has none only frees, or is almost gone. */
uint64_t process_thread_key(void)
{
    enum { LIFE_BITS = 22 };
    const struct cache *cache = process_cache();
    if (cache == NULL)
        return (uint64_t)os_thread_id() | (uint64_t)1 << 63;
    uint64_t life = load_relaxed(&cache->life) & (((uint64_t)1 << LIFE_BITS) - 1);
    return (uint64_t)((uintptr_t)cache / CACHE_LINE) << LIFE_BITS | life;
}

static uint32_t watch_now(void)
{
    return load_relaxed(&process_heap.watch);
}

/* What stands in the thread's slot, once nobody holds it: who does has the heap's lock. */
static struct cache *in_slot(void)
{
    struct cache *cache;
    while (UNLIKELY((cache = load_relaxed(&thread_cache)) == &cache_held)) {
        lock_take(&process_heap.lock);
        lock_release(&process_heap.lock);
    }
    return cache;
}

/* What watchers want to see has changed since the cache's thread looked. */
COLD static void follow_watch(struct cache *cache, uint32_t watch)
{
    cache_follow(cache, watch);
    cache->sample_left = (watch & WATCH_SAMPLE) != 0 ? watch_next_sample() : 0;
}

/* The thread's slot says whether its frees are to be seen; false: who held it meanwhile has changed it. */
COLD static bool follow_in_slot(struct cache *slot)
{
    struct cache *cache = cache_real(slot);
    uint32_t watch = watch_now();
    struct cache *wanted = (watch & WATCH_EVERY) != 0 ? cache_watched(cache) : cache;
    if (slot != wanted &&
        !cas_acquire(&thread_cache, &slot, wanted)) /* relaxed would do: it is a hint to oneself */
        return false;
    follow_watch(cache, watch);
    return true;
}

struct cache *process_cache(void)
{
    for (;;) {
        struct cache *slot = in_slot();
        if (slot == &cache_none || slot == &cache_gone)
            return NULL;
        if (LIKELY(cache_real(slot)->seen == watch_now()) || follow_in_slot(slot))
            return cache_real(slot);
    }
}

/* The thread's cache, made now if need be; NULL when it has given its own back or there is no memory. */
struct cache *thread_own_cache(void)
{
    if (LIKELY(load_relaxed(&thread_cache) != &cache_none))
        return process_cache();
    process_start();
    struct cache *cache = cache_make(&process_heap);
    if (cache == NULL)
        return NULL;
    store_relaxed(&thread_cache, cache);
    cache_attach(cache, &thread_cache);
    os_thread_value_set(cache); /* may allocate */
    return process_cache();
}

/* For threads that are almost gone: one cache for all of them, one at a time. */
static struct cache *late_cache_take(void)
{
    lock_take(&process_heap.late_lock);
    cache_make_late(&process_heap);
    if (process_heap.late != NULL && process_heap.late->seen != watch_now())
        follow_watch(process_heap.late, watch_now());
    return process_heap.late;
}

static void late_cache_release(void)
{
    lock_release(&process_heap.late_lock);
}

/* ---- Failures ------------------------------------------------------------------------------------ */

static void *fail(enum error error)
{
    return thread_fail(ENOMEM, error == ERROR_LIMIT ? "the limit set for the heap is reached"
                                                    : "the system has no more memory for the heap");
}

/* ---- Slow paths ---------------------------------------------------------------------------------- */

/* What an allocation asks for: align 0 is malloc's. */
struct request {
    size_t align, size;
    bool zero;
};

static void *serve(struct cache *cache, const struct request *request, enum error *error)
{
    if (request->align != 0)
        return heap_aligned_alloc(cache, request->align, request->size, error);
    return heap_alloc(cache, request->size, request->zero, error);
}

static void *allocate_watched(const struct request *request);

/* The pool of the scope that the thread is in, or NULL. */
static struct cairn_pool *tag_now(void)
{
    const struct cache *cache = process_cache();
    return cache != NULL && cache->tag_count > 0 ? cache->tags[cache->tag_count - 1] : NULL;
}

/* Whether interfaces want to see plain calls; then those of plain.h are asked first. */
static bool is_plain_wanted(void)
{
    return UNLIKELY((watch_now() & WATCH_HOOKS) != 0);
}

static void *allocate(const struct request *request, const void *caller)
{
    enum error error = ERROR_MEMORY;
    void *block = NULL;
    if (request->size > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (is_plain_wanted() && plain_alloc(&block, request->align, request->size, request->zero, caller))
        return block;
    struct cairn_pool *tag = tag_now();
    if (UNLIKELY(tag != NULL))
        return pool_alloc(tag, request->align, request->size, request->zero);
    if (UNLIKELY((watch_now() & WATCH_VEIL) != 0))
        return allocate_watched(request);
    struct cache *cache = thread_own_cache();
    if (cache != NULL) {
        block = serve(cache, request, &error);
    } else {
        cache = late_cache_take();
        if (cache != NULL)
            block = serve(cache, request, &error);
        late_cache_release();
    }
    return block != NULL ? block : fail(error);
}

/* As cache_alloc_sampled, for sizes above QUICK_SIZE_MAX; with no tables of their own, for there are fewer of them. */
ALWAYS_INLINE void *alloc_sampled(struct cache *cache, size_t size)
{
    if (size <= QUICK_SIZE_MAX || size > CLASS_SIZE_MAX || size >= cache->sample_left)
        return NULL;
    if (cache->seen != watch_now() || cache->tag_count > 0)
        return NULL;
    void *block = span_pop(cache->bins[class_of(size)].first);
    if (LIKELY(block != NULL))
        cache->sample_left -= size;
    return block;
}

void *process_alloc_slow(size_t size, bool zero, const void *caller)
{
    void *block = alloc_sampled(load_relaxed(&thread_cache), size);
    if (block != NULL)
        return zero ? memset(block, 0, size) : block;
    return allocate(&(struct request){0, size, zero}, caller);
}

void *process_aligned_alloc(size_t align, size_t size, const void *caller)
{
    return allocate(&(struct request){size_max(align, BLOCK_ALIGN), size, false}, caller);
}

int process_posix_memalign(void **out, size_t align, size_t size, const void *caller)
{
    if (!is_power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    int saved = os_errno_get();
    void *block = process_aligned_alloc(align, size, caller);
    os_errno_set(saved);
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

/* The pool of a block, or NULL if it is of the process heap, or of nobody. */
static struct cairn_pool *pool_of_block(const void *block)
{
    const struct span *span = pagemap_find(block);
    if (LIKELY(span != NULL && span->size_class != CLASS_EXTENT && span_heap(span) == &process_heap &&
               (span_is_block(span, block) || !buffers_any())))
        return NULL;
    return block != NULL ? pool_of_address(block) : NULL;
}

void process_free_slow(const char *call, void *block, const void *caller)
{
    if (is_plain_wanted() && plain_free(block, caller))
        return;
    struct cairn_pool *pool = pool_of_block(block);
    if (pool != NULL) {
        pool->ops->free(pool, call, block, SIZE_MAX);
        return;
    }
    uint32_t watch = watch_now();
    if (UNLIKELY((watch & (WATCH_ALL | WATCH_MARKED)) != 0) && block != NULL)
        watch_freed(watch, block);
    heap_free(process_cache(), call, block);
}

/* `block` as `size` bytes, with the thread's cache or the late one. */
static void *resize(const char *call, void *block, size_t size, enum error *error)
{
    struct cache *cache = thread_own_cache();
    if (cache != NULL)
        return heap_realloc(cache, call, block, size, error);
    cache = late_cache_take();
    void *moved = cache != NULL ? heap_realloc(cache, call, block, size, error) : NULL;
    late_cache_release();
    return moved;
}

static void *resize_watched(const char *call, void *block, size_t size, enum error *error);

static void *allocate_for(size_t size, const void *caller)
{
    void *block = process_alloc_fast(size);
    return block != NULL ? block : process_alloc_slow(size, false, caller);
}

void *process_realloc(const char *call, void *block, size_t size, const void *caller)
{
    enum error error = ERROR_MEMORY;
    void *moved = NULL;
    if (block == NULL)
        return allocate_for(size, caller);
    if (is_plain_wanted() && size <= PTRDIFF_MAX && plain_realloc(&moved, block, size, caller))
        return moved;
    struct cairn_pool *pool = pool_of_block(block);
    if (pool != NULL)
        return pool_realloc(pool, call, block, size);
    if (size > PTRDIFF_MAX)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (size == 0) {
        void *least = allocate_for(0, caller);
        if (least != NULL)
            process_free(call, block);
        return least;
    }
    moved = UNLIKELY((watch_now() & WATCH_FLAGS) != 0) ? resize_watched(call, block, size, &error)
                                                       : resize(call, block, size, &error);
    return moved != NULL ? moved : fail(error);
}

size_t process_usable_size(const char *call, const void *block)
{
    size_t usable;
    if (is_plain_wanted() && plain_usable_size(&usable, block))
        return usable;
    struct cairn_pool *pool = pool_of_block(block);
    if (pool != NULL)
        return pool_usable_size(pool, call, block);
    return block != NULL ? span_usable_size(heap_span_of(process_cache(), call, block)) : 0;
}

/* The class or page count that a request of this size gets must be the one that the block has, but realloc may leave
 * up to half of a block unused. */
static void check_size(const char *call, const void *block, size_t align, size_t size)
{
    const struct span *span = heap_span_of(process_cache(), call, block);
    size_t usable = span_usable_size(span);
    size_t asked =
        align > 0 && align <= PAGE_SIZE ? class_aligned_size(size, size_max(align, BLOCK_ALIGN)) : size;
    bool fits = size <= usable && ((uintptr_t)block & (size_max(align, 1) - 1)) == 0;
    if (fits && span->size_class == CLASS_LARGE)
        fits = size > usable - PAGE_SIZE || (align > BLOCK_ALIGN && usable == PAGE_SIZE);
    else if (fits)
        fits = size >= usable / 2 || (asked <= CLASS_SIZE_MAX && class_of(asked) == span->size_class);
    if (!fits && !(size <= usable && load_relaxed(&span_heap(span)->has_oversized)))
        report_fatal(call, block, "wrong size for");
}

/* ---- Watched calls (observe/watch.h) ---------------------------------------------------------------- */

/* Counts `size` bytes; true if the block is to be a sample. */
static bool count_sample(struct cache *cache, size_t size)
{
    if (cache->sample_left == 0)
        return false;
    bool due = size >= cache->sample_left;
    cache->sample_left = due ? watch_next_sample() : cache->sample_left - size;
    return due;
}

/* A sample has a span to itself, so that its free ends in the slow path. */
static void *serve_sample(const struct request *request, enum error *error)
{
    return large_alloc(&process_heap, request->size, size_max(request->align, PAGE_SIZE), request->zero,
                       error);
}

static void *allocate_watched(const struct request *request)
{
    enum error error = ERROR_MEMORY;
    void *sample = NULL, *block = NULL;
    uint32_t watch = watch_now();
    struct cache *cache = thread_own_cache();
    bool late = cache == NULL;
    if (late)
        cache = late_cache_take();
    if (cache != NULL && count_sample(cache, request->size))
        block = sample = serve_sample(request, &error);
    if (cache != NULL && block == NULL)
        block = serve(cache, request, &error);
    if (late)
        late_cache_release();
    if (block == NULL)
        return fail(error);
    if (sample != NULL)
        watch_sampled(block, request->size, request->align);
    watch_allocated(watch, block, request->size, request->zero ? WATCH_ZEROED : request->align);
    return block;
}

/* A sample that stays small moves to a span of its own; a large block has one anyway. */
static void *resize_sample(const char *call, void *block, size_t size, enum error *error)
{
    if (size > CLASS_SIZE_MAX)
        return resize(call, block, size, error);
    void *fresh = serve_sample(&(struct request){0, size, false}, error);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, block, size_min(size, span_usable_size(heap_span_of(process_cache(), call, block))));
    heap_free(process_cache(), call, block);
    return fresh;
}

static bool count_resized(size_t size)
{
    struct cache *cache = thread_own_cache();
    if (cache != NULL)
        return count_sample(cache, size);
    cache = late_cache_take();
    bool due = cache != NULL && count_sample(cache, size);
    late_cache_release();
    return due;
}

/* No sample ends here and none begins: all that is left to do while allocations are sampled is to count.  What stands in
 * the slot may be no cache of the thread's own, or one that has not followed: then it has not seen `watch`. */
ALWAYS_INLINE bool only_counts(uint32_t watch, const void *block, size_t size)
{
    struct cache *cache = load_relaxed(&thread_cache);
    const struct span *span = pagemap_find(block);
    if ((watch & WATCH_EVERY) != 0 || cache->seen != watch)
        return false;
    if (span == NULL || load_relaxed(&span->is_marked) != 0)
        return false;
    if (size >= cache->sample_left)
        return cache->sample_left == 0;
    cache->sample_left -= size;
    return true;
}

/* To the sampler a realloc is the end of the block and a new allocation of the whole size. */
static void *resize_watched(const char *call, void *block, size_t size, enum error *error)
{
    struct watch_known known;
    uint32_t watch = watch_now();
    if (LIKELY(only_counts(watch, block, size)))
        return resize(call, block, size, error);
    watch_moving(watch, block, &known);
    void *sample = count_resized(size) ? resize_sample(call, block, size, error) : NULL;
    void *moved = sample != NULL ? sample : resize(call, block, size, error);
    watch_moved(&known, block, moved, size);
    if (sample != NULL)
        watch_sampled(sample, size, 0);
    return moved;
}

void process_free_sized_slow(const char *call, void *block, size_t align, size_t size, const void *caller)
{
    struct cairn_pool *pool = pool_of_block(block);
    if (pool != NULL && is_plain_wanted() && plain_free(block, caller))
        return;
    if (pool != NULL) {
        pool->ops->free(pool, call, block, size);
        return;
    }
    if (block != NULL)
        check_size(call, block, align, size);
    process_free_slow(call, block, caller);
}
