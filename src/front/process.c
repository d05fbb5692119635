/* process.c - see process.h. */
#include "front/process.h"

#include "front/options.h"
#include "observe/report_stats.h"
#include "os/os.h"
#include "os/report.h"

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
    cache_drop(value);
}

static void before_fork(void)
{
    lock_take_for_fork(&start_lock);
    heap_before_fork(&process_heap);
}

static void after_fork_parent(void)
{
    heap_after_fork_parent(&process_heap);
    lock_release_after_fork(&start_lock);
}

static void after_fork_child(void)
{
    heap_after_fork_child(&process_heap, load_relaxed(&thread_cache));
    lock_release_after_fork(&start_lock);
}

/* Under start_lock; the environment may not be there yet when the dynamic loader allocates. */
static void read_options(void)
{
    if (options_read || !os_environment_ready())
        return;
    options_read = true;
    options_load(&process_heap.config, &observe_settings);
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
}

static void (*const start_first)(int, char **, char **)
    __attribute__((section(".init_array.00000"), used)) = on_load;

__attribute__((destructor(101))) static void on_unload(void)
{
    observe_exit();
}

/* ---- Threads ------------------------------------------------------------------------------------- */

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

struct cache *process_cache(void)
{
    struct cache *cache = in_slot();
    return cache != &cache_none && cache != &cache_gone ? cache : NULL;
}

/* The thread's cache, made now if need be; NULL when it has given its own back or there is no memory. */
static struct cache *my_cache(void)
{
    struct cache *cache = in_slot();
    if (LIKELY(cache != &cache_none))
        return cache != &cache_gone ? cache : NULL;
    process_start();
    cache = cache_make(&process_heap);
    if (cache == NULL)
        return NULL;
    store_relaxed(&thread_cache, cache);
    cache_attach(cache, &thread_cache);
    os_thread_value_set(cache); /* may allocate */
    return cache;
}

/* For threads that are almost gone: one cache for all of them, one at a time. */
static struct cache *late_cache_take(void)
{
    lock_take(&process_heap.late_lock);
    if (process_heap.late == NULL)
        process_heap.late = cache_make(&process_heap);
    return process_heap.late;
}

static void late_cache_release(void)
{
    lock_release(&process_heap.late_lock);
}

/* ---- Failures ------------------------------------------------------------------------------------ */

void *process_fail(int code, const char *message)
{
    thread_message = message;
    os_errno_set(code);
    return NULL;
}

static void *fail(enum error error)
{
    return process_fail(ENOMEM, error == ERROR_LIMIT ? "the limit set for the heap is reached"
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

static void *allocate(const struct request *request)
{
    enum error error = ERROR_MEMORY;
    void *block = NULL;
    if (request->size > PTRDIFF_MAX)
        return process_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    struct cache *cache = my_cache();
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

void *process_alloc_slow(size_t size, bool zero)
{
    return allocate(&(struct request){0, size, zero});
}

void *process_aligned_alloc(size_t align, size_t size)
{
    return allocate(&(struct request){size_max(align, BLOCK_ALIGN), size, false});
}

int process_posix_memalign(void **out, size_t align, size_t size)
{
    if (!is_power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    int saved = os_errno_get();
    void *block = process_aligned_alloc(align, size);
    os_errno_set(saved);
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

void *process_calloc(size_t count, size_t size)
{
    size_t total;
    if (UNLIKELY(multiply_overflows(count, size, &total)))
        return process_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    void *block = cache_alloc(load_relaxed(&thread_cache), total);
    return LIKELY(block != NULL) ? memset(block, 0, total) : process_alloc_slow(total, true);
}

void process_free_slow(const char *call, void *block)
{
    heap_free(process_cache(), call, block);
}

void *process_realloc(const char *call, void *block, size_t size)
{
    enum error error = ERROR_MEMORY;
    if (block == NULL)
        return process_malloc(size);
    if (size > PTRDIFF_MAX)
        return process_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    if (size == 0) {
        void *least = process_malloc(0);
        if (least != NULL)
            process_free(call, block);
        return least;
    }
    struct cache *cache = my_cache();
    void *moved;
    if (cache != NULL) {
        moved = heap_realloc(cache, call, block, size, &error);
    } else {
        cache = late_cache_take();
        moved = cache != NULL ? heap_realloc(cache, call, block, size, &error) : NULL;
        late_cache_release();
    }
    return moved != NULL ? moved : fail(error);
}

size_t process_usable_size(const char *call, const void *block)
{
    return block != NULL ? span_usable_size(heap_span_of(process_cache(), call, block)) : 0;
}

/* The class or page count that a request of this size gets must be the one that the block has, but realloc may leave
 * up to half of a block unused. */
void process_check_size(const char *call, const void *block, size_t align, size_t size)
{
    if (block == NULL)
        return;
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
