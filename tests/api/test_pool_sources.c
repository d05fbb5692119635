// timeout: 60
/* test_pool_sources.c - the memory that pools sit in: the program break, callbacks that commit and decommit, buffers of
 * every size, mappings with names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check.h"
#include <cairn/pool.h>

#define CONFIG(...) (&(cairn_pool_config){.struct_size = sizeof(cairn_pool_config), __VA_ARGS__})

static cairn_stats stats_of(cairn_pool *pool)
{
    cairn_stats s = {.struct_size = sizeof s};
    CHECK(cairn_pool_stats(pool, &s) == 0);
    CHECK_EQ(s.live + s.cached + s.free + s.metadata, s.committed);
    return s;
}

/* Allocates and frees at random, with contents checked, until the pool is full or `steps` are over. */
static void churn(cairn_pool *pool, size_t steps, size_t largest)
{
    enum { COUNT = 200 };
    static char *blocks[COUNT];
    static size_t sizes[COUNT];
    uint64_t seed = check_seed();
    memset(blocks, 0, sizeof blocks);
    for (size_t step = 0; step < steps; step++) {
        size_t i = check_below(&seed, COUNT);
        CHECK_FILLED(blocks[i], blocks[i] != NULL ? sizes[i] : 0, i);
        cairn_pool_free(pool, blocks[i]);
        sizes[i] = check_random_size(&seed, largest);
        blocks[i] = step % 2 == 0 ? cairn_pool_malloc(pool, sizes[i]) : cairn_pool_calloc(pool, 1, sizes[i]);
        if (blocks[i] == NULL)
            continue;
        for (size_t k = 0; step % 2 == 1 && k < sizes[i]; k++)
            CHECK(blocks[i][k] == 0);
        check_fill(blocks[i], sizes[i], i);
    }
    for (size_t i = 0; i < COUNT; i++)
        cairn_pool_free(pool, blocks[i]);
    CHECK_EQ(stats_of(pool).live_blocks, 0);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

static void the_program_break_serves(void **state)
{
    (void)state;
    char *before = sbrk(0);
    cairn_pool *pool = cairn_pool_create(CONFIG(.source = cairn_source_brk()));
    CHECK(pool != NULL);
    char *p = cairn_pool_malloc(pool, 100);
    CHECK(p >= before && p < (char *)sbrk(0));
    cairn_pool_free(pool, p);
    churn(pool, 20000, 100000);
    cairn_pool_destroy(pool);
}

/* ---- Callbacks ----------------------------------------------------------------------------------- */

enum { REGION = 64 << 20, GRANULE = 4 << 10 };

static struct region {
    char *base;
    size_t used;
    unsigned char committed[REGION / 4096];
    size_t committed_bytes, commits, decommits, releases, refuse_after;
} region;

static void *reserve(void *context, size_t size, size_t align)
{
    struct region *r = context;
    size_t at = (r->used + align - 1) & ~(align - 1);
    CHECK(size % GRANULE == 0);
    if (at + size > REGION)
        return NULL;
    r->used = at + size;
    return r->base + at;
}

static int commit(void *context, void *address, size_t size)
{
    struct region *r = context;
    size_t at = (size_t)((char *)address - r->base);
    CHECK(at + size <= r->used && at % 4096 == 0 && size % 4096 == 0);
    if (r->commits++ >= r->refuse_after)
        return -1;
    for (size_t page = at / 4096; page < (at + size) / 4096; page++) {
        CHECKF(!r->committed[page], "page %zu is asked for twice", page);
        r->committed_bytes += 4096;
        r->committed[page] = 1;
    }
    CHECK(mprotect(address, size, PROT_READ | PROT_WRITE) == 0);
    return 0;
}

static int decommit(void *context, void *address, size_t size)
{
    struct region *r = context;
    size_t at = (size_t)((char *)address - r->base);
    r->decommits++;
    for (size_t page = at / 4096; page < (at + size) / 4096; page++) {
        CHECKF(r->committed[page], "page %zu is given back but was not committed", page);
        r->committed[page] = 0;
        r->committed_bytes -= 4096;
    }
    CHECK(mprotect(address, size, PROT_NONE) == 0); /* any touch faults */
    return 0;
}

static int release(void *context, void *base, size_t size)
{
    struct region *r = context;
    CHECK((char *)base >= r->base && (char *)base + size <= r->base + r->used);
    r->releases++;
    return 0;
}

static cairn_source make_source(void)
{
    memset(&region, 0, sizeof region);
    region.base = mmap(NULL, REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    region.refuse_after = SIZE_MAX;
    CHECK(region.base != MAP_FAILED);
    return (cairn_source){.struct_size = sizeof(cairn_source),
                          .name = "region",
                          .context = &region,
                          .reserve = reserve,
                          .release = release,
                          .commit = commit,
                          .decommit = decommit,
                          .granule = GRANULE};
}

static void callbacks_see_every_page_before_it_is_used(void **state)
{
    (void)state;
    for (int marks = 0; marks < 2; marks++) {
        cairn_source source = make_source();
        cairn_pool *pool =
            cairn_pool_create(CONFIG(.source = &source, .flags = marks ? CAIRN_POOL_MARKS : 0));
        CHECK(pool != NULL);
        churn(pool, 20000, 200000);
        CHECK(region.commits > 0 && region.decommits > 0);
        (void)cairn_pool_trim(pool, 0);
        CHECKF(region.committed_bytes <= stats_of(pool).committed, "%zu", region.committed_bytes);
        char *big = cairn_pool_malloc(pool, 5 << 20);
        CHECK(big >= region.base && big + (5 << 20) <= region.base + REGION);
        check_touch(big, 5 << 20);
        cairn_pool_destroy(pool);
        CHECK(region.releases > 0);
        munmap(region.base, REGION);
    }
}

static void a_source_that_refuses_is_no_memory(void **state)
{
    (void)state;
    cairn_source source = make_source();
    cairn_pool *pool = cairn_pool_create(CONFIG(.source = &source));
    char *kept = cairn_pool_malloc(pool, 100);
    check_fill(kept, 100, 3);
    for (size_t n = 0; n < 10; n++) {
        region.refuse_after = region.commits + n;
        size_t got = 0;
        errno = 0;
        while (cairn_pool_malloc(pool, 30000) != NULL)
            got++;
        CHECK(errno == ENOMEM);
        CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
        CHECK_FILLED(kept, 100, 3);
    }
    region.refuse_after = SIZE_MAX;
    CHECK(cairn_pool_malloc(pool, 30000) != NULL);
    while (cairn_pool_malloc(pool, 1 << 20) != NULL) /* the region ends */
        ;
    CHECK_FILLED(kept, 100, 3);
    cairn_pool_destroy(pool);
    munmap(region.base, REGION);
}

/* ---- Buffers ------------------------------------------------------------------------------------- */

static void buffers_of_every_size_serve_or_are_refused(void **state)
{
    (void)state;
    enum { MOST = 200 << 10, FENCE = 64 };
    static char memory[MOST + 2 * FENCE + 4096];
    size_t least = 0;
    for (size_t size = 1; size <= MOST; size += size < 9000 ? 97 : 1511) {
        for (unsigned marks = 0; marks < 2; marks++) {
            char *buffer = memory + FENCE + size % 16;
            memset(memory, 0x5a, sizeof memory);
            errno = 0;
            cairn_pool *pool = cairn_pool_create(
                CONFIG(.buffer = buffer, .buffer_size = size, .flags = marks ? CAIRN_POOL_MARKS : 0));
            if (pool == NULL) {
                CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "buffer") != NULL);
                CHECKF(size < 64 << 10, "%zu bytes were refused", size);
                continue;
            }
            least = least == 0 ? size : least;
            size_t bytes = 0, again = 0;
            for (int round = 0; round < 2; round++) {
                char *p;
                while ((p = cairn_pool_malloc(pool, 100)) != NULL) {
                    CHECK(p >= buffer && p + 100 <= buffer + size && cairn_pool_of(p + 50) == pool);
                    memset(p, (int)size, 100);
                    *(round == 0 ? &bytes : &again) += 112;
                }
                CHECK(errno == ENOMEM);
                cairn_pool_reset(pool);
            }
            CHECK_EQ(bytes, again);
            if (size >= 64 << 10)
                CHECKF(bytes >= size / 2, "%zu of %zu, marks %u", bytes, size, marks);
            churn(pool, 500, 2000);
            cairn_pool_destroy(pool);
            for (size_t i = 0; i < sizeof memory; i++)
                if (memory + i < buffer || memory + i >= buffer + size)
                    CHECKF(memory[i] == 0x5a, "byte %zu outside of the buffer was written", i);
        }
    }
    CHECKF(least > 0 && least <= 64 << 10, "%zu", least);
}

static void addresses_find_their_buffer_among_many(void **state)
{
    (void)state;
    enum { COUNT = 200, SIZE = 32 << 10 };
    static char memory[COUNT][SIZE];
    static cairn_pool *pools[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        size_t at = i * 77 % COUNT;
        pools[at] = cairn_pool_create(CONFIG(.buffer = memory[at], .buffer_size = SIZE));
        CHECK(pools[at] != NULL);
    }
    for (size_t i = 0; i < COUNT; i++) {
        char *p = cairn_pool_malloc(pools[i], 64);
        CHECK(p != NULL && cairn_pool_of(p) == pools[i] && cairn_pool_of(memory[i]) == pools[i]);
        cairn_free(p);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        cairn_pool_destroy(pools[i]);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(cairn_pool_of(memory[i]) == (i % 2 == 0 ? NULL : pools[i]));
    for (size_t i = 1; i < COUNT; i += 2)
        cairn_pool_destroy(pools[i]);
}

/* A buffer may be a block of the process heap, or of a pool, in a buffer or not: the innermost pool has the address. */
static void buffers_may_be_blocks(void **state)
{
    (void)state;
    enum { SIZE = 8192 };
    static char memory[1 << 20];
    cairn_pool *outers[] = {
        NULL, cairn_pool_create(CONFIG(.pool_class = CAIRN_FIT)), cairn_pool_create(NULL),
        cairn_pool_create(CONFIG(.pool_class = CAIRN_FIT, .buffer = memory, .buffer_size = sizeof memory))};
    for (size_t i = 0; i < sizeof outers / sizeof outers[0]; i++)
        for (cairn_pool_class c = CAIRN_FIT; c <= CAIRN_STACK; c++) {
            cairn_pool *outer = outers[i];
            char *buffer = outer != NULL ? cairn_pool_malloc(outer, SIZE) : cairn_malloc(SIZE);
            char *behind = outer != NULL ? cairn_pool_malloc(outer, 100) : cairn_malloc(100);
            cairn_pool *pool = cairn_pool_create(
                CONFIG(.pool_class = c, .buffer = buffer, .buffer_size = SIZE, .block_size = 64));
            CHECK(pool != NULL);
            char *p = cairn_pool_malloc(pool, 64);
            CHECK(p > buffer && p < buffer + SIZE && cairn_pool_of(p) == pool);
            CHECK(cairn_usable_size(p) >= 64 && cairn_pool_of(behind) == outer);
            cairn_free(p);
            CHECK_EQ(stats_of(pool).live_blocks, 0);
            cairn_pool_destroy(pool);
            CHECK(cairn_pool_of(buffer) == outer);
            cairn_free(behind);
            cairn_free(buffer);
        }
    for (size_t i = 1; i < sizeof outers / sizeof outers[0]; i++)
        cairn_pool_destroy(outers[i]);
}

/* Pages that have been free for a while would go to the system: those of a buffer have nowhere to go. */
static void free_pages_grow_old_in_a_buffer(void **state)
{
    (void)state;
    static char memory[12 << 20];
    cairn_pool *pool = cairn_pool_create(CONFIG(.buffer = memory, .buffer_size = sizeof memory));
    char *first = cairn_pool_malloc(pool, 100000), *between = cairn_pool_malloc(pool, 8 << 20);
    char *last = cairn_pool_malloc(pool, 100000);
    CHECK(first != NULL && between != NULL && last != NULL);
    cairn_pool_free(pool, first);
    usleep(700 * 1000);
    cairn_pool_free(pool, last);
    cairn_pool_free(pool, between);
    CHECK(cairn_pool_trim(pool, 0) == 0);
    churn(pool, 500, 20000);
    cairn_pool_destroy(pool);
}

static void *use_buffer(void *context)
{
    for (int i = 0; i < 20000; i++) {
        char *p = cairn_pool_malloc(context, 1 + (size_t)i % 500);
        if (p != NULL)
            p[0] = 1;
        cairn_pool_free(context, p);
    }
    return NULL;
}

static void threads_share_a_buffer(void **state)
{
    (void)state;
    static char memory[256 << 10];
    cairn_pool *pool = cairn_pool_create(CONFIG(.buffer = memory, .buffer_size = sizeof memory));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, use_buffer, pool) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(stats_of(pool).live_blocks, 0);
    cairn_pool_destroy(pool);
}

static void a_slab_pool_may_lie_in_a_block(void **state)
{
    (void)state;
    static const cairn_pool_class outers[] = {CAIRN_SLAB, CAIRN_FIT};
    for (size_t i = 0; i < 2; i++) {
        cairn_pool *outer = cairn_pool_create(CONFIG(.pool_class = outers[i]));
        char *buffer = cairn_pool_malloc(outer, 200 * KIB);
        cairn_pool *inner = cairn_pool_create(CONFIG(.buffer = buffer, .buffer_size = 200 * KIB));
        CHECK(inner != NULL);
        for (size_t size = 10; size < 50000; size *= 2) {
            char *p = cairn_pool_malloc(inner, size);
            CHECK(p != NULL && cairn_pool_of(p) == inner);
            if (size % 3 == 0)
                cairn_pool_free(inner, p);
        }
        cairn_pool_destroy(inner);
        CHECKF(cairn_pool_check(outer) == 0, "%s", cairn_errormsg());
        for (size_t at = 0; at < 200 * KIB; at += 1000)
            CHECK(cairn_pool_of(buffer + at) == outer);
        cairn_free(buffer);
        CHECK_EQ(stats_of(outer).live_blocks, 0);
        cairn_pool_destroy(outer);
    }
}

static void large_granules_are_kept(void **state)
{
    (void)state;
    cairn_source source = make_source();
    source.granule = 1 << 20; /* the callbacks check for GRANULE, a part of it */
    cairn_pool *pool = cairn_pool_create(CONFIG(.source = &source));
    churn(pool, 5000, 100000);
    CHECK(region.commits > 0 && region.decommits == 0 && region.committed_bytes % (1 << 20) == 0);
    cairn_pool_destroy(pool);
    munmap(region.base, REGION);
}

static bool maps_have(const char *name)
{
    static char text[1 << 20];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    for (ssize_t n; used < sizeof text - 1 && (n = read(fd, text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)n;
    close(fd);
    text[used] = 0;
    return strstr(text, name) != NULL;
}

static void mappings_have_the_pools_name(void **state)
{
    (void)state;
    bool kernel_names = maps_have("[anon:cairn");
    for (unsigned i = 0; i < 5; i++) {
        cairn_pool_class c = i < 4 ? (cairn_pool_class)i : CAIRN_SLAB;
        cairn_pool *pool = cairn_pool_create(CONFIG(.pool_class = c, .flags = i < 4 ? 0 : CAIRN_POOL_GUARD,
                                                    .name = "named pool", .block_size = 100));
        CHECK(pool != NULL && cairn_pool_malloc(pool, 100) != NULL);
        CHECK(maps_have("[anon:named pool]") == kernel_names);
        cairn_pool_destroy(pool);
        CHECK(!maps_have("[anon:named pool]"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_break_serves),
        cmocka_unit_test(callbacks_see_every_page_before_it_is_used),
        cmocka_unit_test(a_source_that_refuses_is_no_memory),
        cmocka_unit_test(buffers_of_every_size_serve_or_are_refused),
        cmocka_unit_test(addresses_find_their_buffer_among_many),
        cmocka_unit_test(buffers_may_be_blocks),
        cmocka_unit_test(free_pages_grow_old_in_a_buffer),
        cmocka_unit_test(threads_share_a_buffer),
        cmocka_unit_test(a_slab_pool_may_lie_in_a_block),
        cmocka_unit_test(large_granules_are_kept),
        cmocka_unit_test(mappings_have_the_pools_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
