// timeout: 60
/* test_watch.c - watchers of the process heap are told of every call while they are on and of none while they are off,
 * the sampler of its share, and threads that allocate meanwhile notice the switch. */
#include "unit.h"

#include "cairn/observe.h"
#include "front/process.h"
#include "observe/watch.h"
#include "pool/pool.h"
#include "unit/heap_check.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 4, KEPT = 64, INTERVAL = 1000, SWITCHES = 300 };

/* ---- A watcher that keeps a book of live blocks -------------------------------------------------- */

/* One word for each 8 bytes of 256 MiB of addresses: the process heap of this test has less. */
#define BOOK_WORDS ((size_t)1 << 25)

struct book {
    struct watcher watcher;
    uintptr_t *live; /* the block's address while it is known to be live */
    uint64_t allocated, freed, moved, failed, wrong;
    size_t last_size, last_align;
};

static uintptr_t *word_of(struct book *book, const void *block)
{
    return &book->live[(uintptr_t)block / 8 % BOOK_WORDS];
}

static void add(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void enter(struct book *book, void *block)
{
    if (__atomic_exchange_n(word_of(book, block), (uintptr_t)block, __ATOMIC_RELAXED) != 0)
        add(&book->wrong);
}

static bool leave(struct book *book, void *block)
{
    return __atomic_exchange_n(word_of(book, block), 0, __ATOMIC_RELAXED) == (uintptr_t)block;
}

static void on_allocated(struct watcher *self, void *block, size_t size, size_t align)
{
    struct book *book = (struct book *)self;
    add(&book->allocated);
    store_relaxed(&book->last_size, size);
    store_relaxed(&book->last_align, align);
    enter(book, block);
}

static void on_freed(struct watcher *self, void *block)
{
    struct book *book = (struct book *)self;
    add(&book->freed);
    if (!leave(book, block))
        add(&book->wrong);
}

static void *on_moving(struct watcher *self, void *block)
{
    struct book *book = (struct book *)self;
    return leave(book, block) ? book : NULL;
}

static void on_moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    struct book *book = (struct book *)self;
    add(block != NULL ? &book->moved : &book->failed);
    store_relaxed(&book->last_size, size);
    if (known == NULL)
        add(&book->wrong);
    else
        enter(book, block != NULL ? block : old);
}

/* Of a sampler: the new block is announced by itself. */
static void on_sample_moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    (void)size;
    struct book *book = (struct book *)self;
    if (known == NULL)
        add(&book->wrong);
    else if (block == NULL)
        enter(book, old);
    else
        add(&book->freed);
}

static struct book book;

/* A new book each time: what was freed while nobody looked would be wrong in an old one. */
static void open_book(struct book *b, struct watcher callbacks)
{
    static size_t size = BOOK_WORDS * sizeof(uintptr_t);
    if (b->live == NULL)
        b->live = check_table(size);
    CHECK(madvise(b->live, size, MADV_DONTNEED) == 0);
    b->watcher = callbacks;
    b->allocated = b->freed = b->moved = b->failed = b->wrong = 0;
}

static int begin(void **state)
{
    (void)state;
    cairn_free(cairn_malloc(1));
    open_book(&book, (struct watcher){on_allocated, on_freed, on_moving, on_moved, NULL});
    return 0;
}

/* ---- Every call ---------------------------------------------------------------------------------- */

static void check_last(uint64_t allocated, size_t size, size_t align)
{
    CHECK_EQ(book.allocated, allocated);
    CHECK_EQ(book.last_size, size);
    CHECK_EQ(book.last_align, align);
}

static void each_call_is_told(void **state)
{
    (void)state;
    void *before = cairn_malloc(24), *more[6], *out;
    CHECK(watch_start(&process_heap, &book.watcher));
    check_last(0, 0, 0);
    CHECK((more[0] = cairn_malloc(24)) != NULL);
    check_last(1, 24, 0);
    CHECK((more[1] = cairn_calloc(3, 5000)) != NULL && check_nonzero(more[1], 15000) == 15000);
    check_last(2, 15000, WATCH_ZEROED);
    CHECK((more[2] = cairn_malloc(100000)) != NULL);
    check_last(3, 100000, 0);
    CHECK((more[3] = cairn_aligned_alloc(256, 3)) != NULL);
    check_last(4, 3, 256);
    CHECK(cairn_posix_memalign(&more[4], 65536, 9) == 0);
    check_last(5, 9, 65536);
    CHECK((more[5] = cairn_realloc(NULL, 0)) != NULL);
    check_last(6, 0, 0);
    CHECK((out = cairn_realloc(more[0], 4000)) != NULL && book.moved == 1 && book.last_size == 4000);
    CHECK(cairn_realloc(out, SIZE_MAX / 4) == NULL && book.failed == 1);
    CHECK((more[0] = cairn_realloc(out, 3999)) == out && book.moved == 2);
    CHECK_EQ(book.freed, 0);
    for (size_t i = 0; i < COUNT_OF(more); i++)
        cairn_free(more[i]);
    CHECK_EQ(book.freed, COUNT_OF(more));
    CHECK_EQ(book.wrong, 0);
    cairn_free(NULL);
    CHECK_EQ(book.freed, COUNT_OF(more));
    cairn_free(before); /* told, but not known */
    CHECK(book.freed == COUNT_OF(more) + 1 && book.wrong == 1);
    watch_stop(&process_heap, &book.watcher);
    cairn_free(cairn_malloc(24));
    CHECK(book.allocated == 6 && book.freed == COUNT_OF(more) + 1);
}

/* Off again, the fast paths find their blocks: as if there had never been a watcher. */
static void the_veil_is_lifted(void **state)
{
    (void)state;
    void *block = cairn_malloc(40);
    struct cache *cache = thread_cache;
    struct span *span = pagemap_find(block);
    CHECK(cache_real(cache) == cache && cache_alloc(cache, 40) != NULL);
    CHECK(watch_start(&process_heap, &book.watcher));
    CHECK(cache_alloc(cache, 40) == NULL && cache_alloc(cache, 2000) == NULL);
    cairn_free(cairn_malloc(2000));
    CHECK(thread_cache == cache_watched(cache) && cache_real(thread_cache) == cache);
    for (size_t size = 0; size <= CLASS_SIZE_MAX; size++)
        CHECK(cache_alloc(cache, size) == NULL && cache_alloc(thread_cache, size) == NULL);
    CHECK(load_relaxed(&span->owner) == cache && !cache_free(thread_cache, block));
    watch_stop(&process_heap, &book.watcher);
    cairn_free(cairn_malloc(40));
    CHECK(thread_cache == cache && cache_alloc(cache, 40) != NULL && cache_alloc(cache, 2000) != NULL);
    (void)heap_check_cache(cache);
}

/* Calls to pools are not watched, and as quick as ever while those to the heap are. */
static void pools_keep_the_short_way(void **state)
{
    (void)state;
    cairn_pool *pool = cairn_pool_create(NULL);
    CHECK(pool != NULL);
    struct cache *in_pool = thread_pool_cache(pool, true), *cache = cache_real(thread_cache);
    const struct cache_slot *slot = pool_slot(cache, pool->id);
    CHECK(in_pool != NULL && slot->id == pool->id && slot->cache == in_pool);
    CHECK(watch_start(&process_heap, &book.watcher));
    cairn_free(cairn_malloc(40));
    CHECK(thread_cache == cache_watched(cache));
    slot = pool_slot(thread_cache, pool->id);
    CHECK(slot->id == pool->id && slot->cache == in_pool);
    CHECK(cairn_pool_of(cairn_pool_malloc(pool, 40)) == pool && book.allocated == 1);
    watch_stop(&process_heap, &book.watcher);
    cairn_free(cairn_malloc(40));
    cairn_pool_destroy(pool);
}

static void the_table_has_an_end(void **state)
{
    (void)state;
    static struct watcher others[WATCHERS_MAX];
    size_t started = 0;
    while (started < WATCHERS_MAX && watch_start(&process_heap, &others[started]))
        started++;
    CHECK_EQ(started, WATCHERS_MAX - 2); /* the book and the noise have theirs */
    CHECK(watch_start(&process_heap, &others[0]));
    for (size_t i = 0; i < started; i++)
        watch_stop(&process_heap, &others[i]);
    CHECK_EQ(load_relaxed(&process_heap.watch) & WATCH_ALL, 0);
}

/* ---- Samples ------------------------------------------------------------------------------------- */

static struct book samples;
static struct sampler chooser;

static void sample_allocated(struct watcher *self, void *block, size_t size, size_t align)
{
    (void)self;
    on_allocated(&samples.watcher, block, size, align);
}

static void sample_freed(struct watcher *self, void *block)
{
    (void)self;
    on_freed(&samples.watcher, block);
}

static void *sample_moving(struct watcher *self, void *block)
{
    (void)self;
    return on_moving(&samples.watcher, block);
}

static void sample_moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    (void)self;
    on_sample_moved(&samples.watcher, known, old, block, size);
}

static size_t each_interval(struct sampler *self)
{
    (void)self;
    return INTERVAL;
}

static void start_sampling(void)
{
    open_book(&samples, (struct watcher){NULL, NULL, NULL, NULL, NULL});
    chooser =
        (struct sampler){{sample_allocated, sample_freed, sample_moving, sample_moved, NULL}, each_interval};
    watch_sample(&process_heap, &chooser);
}

/* A block of 10 bytes, 100 to an interval: every hundredth is a sample, has a span of its own, and is seen to go,
 * also after sampling has been stopped. */
static void samples_come_and_go(void **state)
{
    (void)state;
    static void *blocks[1000];
    start_sampling();
    struct cache *cache = thread_cache;
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        CHECK((blocks[i] = cairn_calloc(10, 1)) != NULL && check_nonzero(blocks[i], 10) == 10);
        check_fill(blocks[i], 10, i);
        const struct span *span = pagemap_find(blocks[i]);
        CHECK_EQ(span->is_marked, i % 100 == 99);
        CHECK_EQ(span->size_class == CLASS_LARGE, span->is_marked);
    }
    CHECK_EQ(samples.allocated, 10);
    for (size_t i = 0; i < COUNT_OF(blocks) / 2; i++) {
        CHECK_FILLED(blocks[i], 10, i);
        cairn_free_sized(blocks[i], 10);
    }
    CHECK_EQ(samples.freed, 5);
    CHECK(thread_cache == cache); /* frees are as fast as ever */
    watch_sample_stop(&process_heap);
    for (size_t i = COUNT_OF(blocks) / 2; i < COUNT_OF(blocks); i++)
        cairn_free(blocks[i]);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        CHECK((blocks[i] = cairn_malloc(10)) != NULL);
    CHECK(samples.allocated == 10 && samples.freed == 10 && samples.wrong == 0);
    (void)heap_check_cache(cache);
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        cairn_free(blocks[i]);
}

static size_t far_away(struct sampler *self)
{
    (void)self;
    return 100 * MIB;
}

/* What the short way behind the veil has for each size, then for one that is to be a sample. */
static void check_behind_the_veil(struct cache *cache, bool open)
{
    for (size_t size = 1; size <= QUICK_SIZE_MAX; size++) {
        void *block = cairn_malloc(size); /* now the class has another one, or no span */
        cairn_free(cairn_malloc(size));
        CHECK(cache_alloc(cache, size) == NULL && cache_alloc(thread_cache, size) == NULL);
        size_t left = cache->sample_left;
        void *behind = cache_alloc_sampled(thread_cache, size);
        CHECK_EQ(behind != NULL, open);
        CHECK_EQ(cache->sample_left, open ? left - size : left);
        CHECK(behind == NULL ||
              span_usable_size(pagemap_find(behind)) == span_usable_size(pagemap_find(block)));
        cairn_free(block);
        cairn_free(behind);
    }
    if (open) {
        cache->sample_left = 16;
        CHECK(cache_alloc_sampled(cache, 16) == NULL && cache->sample_left == 16);
        CHECK(cache_alloc_sampled(cache, 15) != NULL && cache->sample_left == 1);
    }
}

/* Threads whose allocations are sampled find blocks without a slow path, but not once more is to be seen of them, or they
 * have not followed, or they are in the scope of a tag. */
static void samples_have_a_short_way(void **state)
{
    (void)state;
    struct cache *cache = cache_real(thread_cache);
    start_sampling();
    chooser.next = far_away;
    CHECK(cache_alloc_sampled(cache, 16) == NULL); /* not yet followed */
    check_behind_the_veil(cache, true);
    watch_sample(&process_heap, &chooser);
    CHECK(cache->sample_left > 0 && cache_alloc_sampled(cache, 16) == NULL); /* a new one: not yet followed */
    CHECK(watch_start(&process_heap, &book.watcher));
    CHECK(cache_alloc_sampled(cache, 16) == NULL);
    check_behind_the_veil(cache, false);
    watch_stop(&process_heap, &book.watcher);
    cairn_pool *pool = cairn_pool_create(NULL);
    check_behind_the_veil(cache, true);
    cairn_free(cairn_malloc(100));
    CHECK(pool != NULL && cairn_tag_push(pool) == 0);
    CHECK(cairn_pool_of(cairn_malloc(100)) == pool && cairn_pool_of(cairn_malloc(5000)) == pool);
    CHECK(cairn_tag_pop() == 0);
    check_behind_the_veil(cache, true);
    watch_sample_stop(&process_heap);
    cairn_free(cairn_malloc(CLASS_SIZE_MAX + 1)); /* a slow path: follows */
    CHECK(cache->sample_left == 0 && cache_alloc_sampled(cache, 16) == NULL && samples.wrong == 0);
    (void)heap_check_cache(cache);
    cairn_pool_destroy(pool);
}

/* realloc ends a sample, and may begin one: in place, moved, small, large. */
static void resized_samples(void **state)
{
    (void)state;
    start_sampling();
    char *block = cairn_malloc(INTERVAL);
    CHECK_EQ(samples.allocated, 1);
    check_fill(block, INTERVAL, 7);
    CHECK((block = cairn_realloc(block, INTERVAL - 1)) != NULL);
    CHECK_FILLED(block, INTERVAL - 1, 7);
    CHECK(samples.allocated == 1 && samples.freed == 1);
    CHECK((block = cairn_realloc(block, INTERVAL)) != NULL);
    CHECK_FILLED(block, INTERVAL - 1, 7);
    CHECK(samples.allocated == 2 && samples.freed == 1);
    CHECK(cairn_realloc(block, SIZE_MAX / 4) == NULL);
    CHECK(samples.allocated == 2 && samples.freed == 1 && pagemap_find(block)->is_marked);
    CHECK((block = cairn_realloc(block, 200000)) != NULL);
    CHECK_FILLED(block, INTERVAL - 1, 7);
    CHECK(samples.allocated == 3 && samples.freed == 2 && pagemap_find(block)->is_marked);
    CHECK((block = cairn_realloc(block, 5 * MIB)) != NULL);
    CHECK_FILLED(block, INTERVAL - 1, 7);
    CHECK(samples.allocated == 4 && samples.freed == 3 && pagemap_find(block)->is_marked);
    watch_sample_stop(&process_heap);
    CHECK((block = cairn_realloc(block, 100)) != NULL);
    CHECK_FILLED(block, 100, 7);
    CHECK(samples.allocated == 4 && samples.freed == 4 && samples.wrong == 0);
    cairn_free(block);
    CHECK_EQ(samples.freed, 4);
}

/* ---- Switching under load ------------------------------------------------------------------------ */

static uint32_t stopping;
static pthread_barrier_t gate;

/* Blocks of all sizes; some are left for the next thread to free. */
static void *load(void *seed)
{
    static void *handed[THREADS * KEPT];
    uint64_t random = (uint64_t)(uintptr_t)seed;
    void *kept[KEPT] = {NULL};
    while (!load_relaxed(&stopping)) {
        size_t i = check_below(&random, KEPT);
        size_t size = check_random_size(&random, 40000);
        if (kept[i] != NULL && check_below(&random, 4) == 0) {
            CHECK((kept[i] = cairn_realloc(kept[i], size)) != NULL);
            continue;
        }
        void **slot = &handed[check_below(&random, COUNT_OF(handed))];
        cairn_free(__atomic_exchange_n(slot, kept[i], __ATOMIC_ACQ_REL));
        CHECK((kept[i] = check_below(&random, 2) ? cairn_malloc(size) : cairn_calloc(1, size)) != NULL);
    }
    for (size_t i = 0; i < KEPT; i++)
        cairn_free(kept[i]);
    return NULL;
}

/* One block of each class, and one above, allocated and freed: all of it is seen, on whatever path it went before. */
static void *then_each_class(void *seed)
{
    (void)load(seed);
    pthread_barrier_wait(&gate); /* all have come to rest */
    pthread_barrier_wait(&gate); /* a new watcher is on */
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++)
        cairn_free(cairn_malloc(class_size(size_class)));
    cairn_free(cairn_malloc(CLASS_SIZE_MAX + 1));
    pthread_barrier_wait(&gate); /* seen */
    pthread_barrier_wait(&gate); /* and off */
    for (unsigned size_class = 0; size_class < CLASS_COUNT; size_class++)
        cairn_free(cairn_malloc(class_size(size_class)));
    (void)heap_check_cache(cache_real(thread_cache));
    return NULL;
}

/* Frees that come between a stop and a start make old books wrong, so here only calls are counted. */
static void ignore_allocated(struct watcher *self, void *block, size_t size, size_t align)
{
    (void)block;
    (void)size;
    (void)align;
    add(&((struct book *)self)->allocated);
}

static void switching_under_load(void **state)
{
    (void)state;
    static struct book noise;
    pthread_t threads[THREADS];
    noise.watcher = (struct watcher){.allocated = ignore_allocated};
    store_relaxed(&stopping, 0);
    CHECK(pthread_barrier_init(&gate, NULL, THREADS + 1) == 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, then_each_class, (void *)(check_seed() + i)) == 0);
    start_sampling();
    for (unsigned i = 0; i < SWITCHES; i++) {
        if (i % 2 == 0)
            CHECK(watch_start(&process_heap, &noise.watcher));
        else
            watch_stop(&process_heap, &noise.watcher);
        if (i % 3 == 0)
            watch_sample(&process_heap, &chooser);
        else if (i % 3 == 1)
            watch_sample_stop(&process_heap);
        check_sleep(0.001);
    }
    watch_stop(&process_heap, &noise.watcher);
    watch_sample_stop(&process_heap);
    store_relaxed(&stopping, 1);
    pthread_barrier_wait(&gate);
    CHECK(noise.allocated > 0 && samples.allocated > 0 && samples.wrong == 0);
    CHECK(watch_start(&process_heap, &book.watcher));
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    CHECK_EQ(book.allocated, THREADS * (CLASS_COUNT + 1));
    CHECK_EQ(book.freed, THREADS * (CLASS_COUNT + 1));
    CHECK_EQ(book.wrong, 0);
    watch_stop(&process_heap, &book.watcher);
    pthread_barrier_wait(&gate);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(book.allocated, THREADS * (CLASS_COUNT + 1));
}

/* ---- Threads and processes that come and go ------------------------------------------------------ */

static pthread_key_t late_key;

static void late(void *block)
{
    cairn_free(block);
    cairn_free(cairn_malloc(30)); /* by now the thread's cache may be gone */
    static __thread int rounds;
    if (++rounds < 3)
        CHECK(pthread_setspecific(late_key, cairn_malloc(50)) == 0);
}

static void *short_life(void *unused)
{
    (void)unused;
    CHECK(pthread_setspecific(late_key, cairn_malloc(50)) == 0);
    for (size_t i = 0; i < 20; i++)
        cairn_free(cairn_malloc(i * 100));
    return NULL;
}

static void threads_that_end(void **state)
{
    (void)state;
    enum { COUNT = 50, PER_THREAD = 20 + 3 + 3 };
    CHECK(pthread_key_create(&late_key, late) == 0);
    CHECK(watch_start(&process_heap, &book.watcher));
    for (size_t i = 0; i < COUNT; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, short_life, NULL) == 0 && pthread_join(thread, NULL) == 0);
    }
    watch_stop(&process_heap, &book.watcher);
    CHECK_EQ(book.allocated, COUNT * PER_THREAD);
    CHECK_EQ(book.freed, COUNT * PER_THREAD);
    CHECK_EQ(book.wrong, 0);
    CHECK(pthread_key_delete(late_key) == 0);
}

static unsigned forks[3];

static void on_fork(struct watcher *self, enum watch_fork when)
{
    (void)self;
    forks[when]++;
}

static void fork_is_told(void **state)
{
    (void)state;
    book.watcher.fork = on_fork;
    CHECK(watch_start(&process_heap, &book.watcher));
    pid_t child = fork();
    if (child == 0) {
        uint64_t before = book.allocated;
        cairn_free(cairn_malloc(10));
        _exit(book.allocated == before + 1 && forks[FORK_BEFORE] == 1 && forks[FORK_CHILD] == 1 ? 0 : 1);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(forks[FORK_BEFORE] == 1 && forks[FORK_PARENT] == 1 && forks[FORK_CHILD] == 0);
    watch_stop(&process_heap, &book.watcher);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_call_is_told, begin),
        cmocka_unit_test_setup(the_veil_is_lifted, begin),
        cmocka_unit_test_setup(samples_come_and_go, begin),
        cmocka_unit_test_setup(samples_have_a_short_way, begin),
        cmocka_unit_test_setup(resized_samples, begin),
        cmocka_unit_test_setup(switching_under_load, begin),
        cmocka_unit_test_setup(threads_that_end, begin),
        cmocka_unit_test_setup(fork_is_told, begin),
        cmocka_unit_test_setup(pools_keep_the_short_way, begin),
        cmocka_unit_test_setup(the_table_has_an_end, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
