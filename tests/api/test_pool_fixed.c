// timeout: 60
/* test_pool_fixed.c - the class CAIRN_FIXED: equal blocks over every kind of memory. */
#include "pool_tools.h"

static cairn_pool_config fixed_config(size_t block_size, unsigned flags)
{
    return (cairn_pool_config){.struct_size = sizeof(cairn_pool_config),
                               .pool_class = CAIRN_FIXED,
                               .flags = flags,
                               .block_size = block_size};
}

static cairn_pool *fixed_pool(size_t block_size, unsigned flags)
{
    cairn_pool_config config = fixed_config(block_size, flags);
    cairn_pool *pool = cairn_pool_create(&config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    return pool;
}

/* ---- The model ---------------------------------------------------------------------------------------------- */

static void one_step(struct model *model, uint64_t *seed, size_t block_size, size_t alignment, bool touchable)
{
    size_t action = check_below(seed, 10), size = check_below(seed, block_size + 1);
    uint64_t key = check_random(seed);
    if (action < 5 && model->count < MODEL_MAX) {
        bool zero = touchable && check_below(seed, 2) == 0;
        char *got = zero ? cairn_pool_calloc(model->pool, 1, size) : cairn_pool_malloc(model->pool, size);
        if (got == NULL)
            return;
        CHECK(!zero || check_nonzero(got, size) == size);
        model_add(model, got, size, alignment, key);
    } else if (action < 9 && model->count > 0) {
        struct model_block block = model_take(model, check_below(seed, model->count));
        if (check_below(seed, 2) == 0)
            cairn_pool_free(model->pool, block.at);
        else
            cairn_pool_free_sized(model->pool, block.at, block.size);
    } else if (model->count > 0) {
        struct model_block block = model_take(model, check_below(seed, model->count));
        char *got = cairn_pool_realloc(model->pool, block.at, size != 0 ? size : 1);
        CHECK(got == block.at);
        model_add(model, got, size, alignment, key);
        model->allocs--;
    }
}

static void against_a_model(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 16, 24, 100, 640, 5000, 70000};
    static const unsigned flags[] = {0, CAIRN_POOL_MARKS, CAIRN_POOL_ZERO};
    static const size_t alignments[] = {0, 8, 64, 4096};
    uint64_t seed = check_seed();
    static struct model model;
    for (enum memory memory = 0; memory < MEMORY_KINDS; memory++)
        for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(flags); i++) {
            size_t block_size = sizes[i % COUNT_OF(sizes)];
            cairn_pool_config config = fixed_config(block_size, flags[i / COUNT_OF(sizes)]);
            if (memory == MEMORY_OUTSIDE)
                config.flags &= ~CAIRN_POOL_ZERO;
            config.alignment = alignments[check_below(&seed, COUNT_OF(alignments))];
            size_t alignment = config.alignment != 0 ? config.alignment : 16;
            struct place place = place_make(config, memory, 300000 + check_below(&seed, 100));
            CHECKF(place.pool != NULL, "%s, size %zu: %s", memory_names[memory], block_size,
                   cairn_errormsg());
            model = (struct model){.pool = place.pool};
            for (int step = 0; step < 600; step++) {
                one_step(&model, &seed, block_size, alignment, memory != MEMORY_OUTSIDE);
                if (step % 100 == 99)
                    model_totals(&model);
            }
            while (model.count > 0)
                cairn_pool_free(place.pool, model_take(&model, model.count - 1).at);
            model_totals(&model);
            place_drop(&place);
        }
    CHECK_EQ(calls.held, 0);
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

static void sizes_above_the_block_size(void **state)
{
    (void)state;
    cairn_pool *pool = fixed_pool(100, 0);
    char *p = cairn_pool_malloc(pool, 100);
    CHECK(p != NULL && cairn_pool_usable_size(pool, p) == 112);
    CHECK(cairn_pool_realloc(pool, p, 112) == p);
    CHECK_REFUSED(cairn_pool_malloc(pool, 113));
    CHECK(strstr(cairn_errormsg(), "block size") != NULL);
    CHECK_REFUSED(cairn_pool_calloc(pool, 2, 57));
    CHECK_REFUSED(cairn_pool_calloc(pool, check_opaque_size(SIZE_MAX / 2), 3));
    CHECK_REFUSED(cairn_pool_realloc(pool, p, 113));
    CHECK_REFUSED(cairn_pool_malloc(pool, check_opaque_size(SIZE_MAX)));
    CHECK_REFUSED(cairn_pool_aligned_alloc(pool, 32, 8)); /* blocks are as aligned as the pool */
    CHECK(cairn_pool_usable_size(pool, p) == 112);
    char *q = cairn_pool_malloc(pool, 0), *r = cairn_pool_malloc(pool, 0);
    CHECK(q != NULL && r != NULL && q != r);
    cairn_pool_destroy(pool);
    cairn_pool_config config = fixed_config(0, 0);
    errno = 0;
    CHECK(cairn_pool_create(&config) == NULL && errno == EINVAL &&
          strstr(cairn_errormsg(), "block_size") != NULL);
    config = fixed_config(SIZE_MAX, 0);
    CHECK(cairn_pool_create(&config) == NULL && errno == EINVAL);
    config = fixed_config((size_t)1 << 60,
                          0); /* there is no such memory, and that is known when it is asked for */
    pool = cairn_pool_create(&config);
    CHECK(pool == NULL || cairn_pool_malloc(pool, 1) == NULL);
    cairn_pool_destroy(pool);
}

/* A block costs its size, and large ones waste little at the ends of extents. */
static void blocks_cost_nothing_more(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 64, 208, 4096, 100000};
    for (size_t i = 0; i < 2 * COUNT_OF(sizes); i++) {
        size_t size = sizes[i / 2], count = 20000000 / size / 4;
        cairn_pool *pool = fixed_pool(size, i % 2 == 0 ? 0 : CAIRN_POOL_MARKS);
        for (size_t k = 0; k < count; k++)
            CHECK(cairn_pool_malloc(pool, size) != NULL);
        cairn_stats s = pool_stats_checked(pool);
        CHECK_EQ(s.live, count * size);
        size_t extent = 32 * size > 65536 ? 64 * size : 65536;
        CHECKF(s.committed <= s.live * 107 / 100 + extent, "%llu committed for %llu live in blocks of %zu",
               (unsigned long long)s.committed, (unsigned long long)s.live, size);
        cairn_pool_destroy(pool);
    }
}

static void memory_goes_back(void **state)
{
    (void)state;
    static void *all[50000];
    for (unsigned flags = 0; flags <= CAIRN_POOL_MARKS; flags += CAIRN_POOL_MARKS) {
        cairn_pool *pool = fixed_pool(100, flags);
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < COUNT_OF(all); i++)
                CHECK((all[i] = cairn_pool_malloc(pool, 100)) != NULL);
            uint64_t high = pool_stats_checked(pool).committed;
            for (size_t i = 0; i < COUNT_OF(all); i++)
                cairn_pool_free(pool, all[i * 7 % COUNT_OF(all)]);
            cairn_stats s = pool_stats_checked(pool);
            CHECKF(s.committed < high / 10 && s.live == 0, "%llu of %llu", (unsigned long long)s.committed,
                   (unsigned long long)high);
            pool_check(pool);
        }
        CHECK(cairn_pool_trim(pool, 0) == 1);
        cairn_stats s = pool_stats_checked(pool);
        CHECK(s.free == 0 && s.cached == 0 && s.spans == 0);
        CHECK(cairn_pool_trim(pool, 0) == 0 && cairn_pool_malloc(pool, 1) != NULL);
        cairn_pool_destroy(pool);
    }
}

static void zeroed_blocks(void **state)
{
    (void)state;
    cairn_pool *pool = fixed_pool(200, CAIRN_POOL_ZERO);
    for (int i = 0; i < 3000; i++) {
        char *p = cairn_pool_malloc(pool, 10);
        CHECK(p != NULL && check_nonzero(p, 208) == 208);
        memset(p, 0xff, 208);
        if (i % 3 != 0)
            cairn_pool_free(pool, p);
    }
    cairn_pool_destroy(pool);
}

/* ---- Buffers ------------------------------------------------------------------------------------------------------- */

/* From one byte up: too small is said so, everything else holds blocks, and many of them where there is room. */
static void buffers_of_every_size(void **state)
{
    (void)state;
    for (enum memory memory = MEMORY_BUFFER; memory <= MEMORY_OUTSIDE; memory++)
        for (unsigned flags = 0; flags <= CAIRN_POOL_MARKS; flags += CAIRN_POOL_MARKS) {
            size_t first = 0;
            for (size_t size = 1; size < 6000; size += size < 2200 ? 1 : 61) {
                struct place place = place_make(fixed_config(32, flags), memory, size);
                size_t count = 0;
                if (place.pool == NULL)
                    CHECKF(errno == ENOMEM && strstr(cairn_errormsg(), "too small") != NULL && first == 0,
                           "size %zu", size);
                for (char *p; place.pool != NULL && (p = cairn_pool_malloc(place.pool, 32)) != NULL;
                     count++) {
                    CHECK(p >= place.buffer + FENCE && p + 32 <= place.buffer + FENCE + size);
                    memset(p, 0, 32);
                }
                CHECK((place.pool != NULL) == (count > 0));
                first = first == 0 && count > 0 ? size : first;
                if (count > 0) {
                    CHECKF(count + 3 > (size - first) / 33, "%zu blocks in %zu bytes", count, size);
                    pool_check(place.pool);
                    CHECK(pool_stats_checked(place.pool).committed <=
                          size + 4096 * (memory == MEMORY_OUTSIDE));
                    cairn_pool_reset(place.pool);
                    CHECK(cairn_pool_malloc(place.pool, 32) != NULL);
                }
                place_drop(&place);
            }
            CHECKF(first > 0 && first <= (memory == MEMORY_OUTSIDE ? 32 + 16 : 2048), "%s: from %zu bytes on",
                   memory_names[memory], first);
        }
}

/* With CAIRN_POOL_OUTSIDE the buffer may be memory that nobody can touch. */
static void a_buffer_that_is_never_touched(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20, BLOCK = 512 };
    char *buffer = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(buffer != MAP_FAILED);
    cairn_pool_config config = fixed_config(BLOCK, CAIRN_POOL_OUTSIDE);
    config.buffer = buffer;
    config.buffer_size = SIZE;
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    static char *all[SIZE / BLOCK];
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        all[i] = cairn_pool_malloc(pool, BLOCK);
        CHECK(all[i] == buffer + i * BLOCK); /* the lowest free one first */
    }
    CHECK_REFUSED(cairn_pool_malloc(pool, BLOCK));
    cairn_pool_free(pool, all[100]);
    cairn_pool_free(pool, all[70]);
    CHECK(cairn_pool_malloc(pool, 1) == all[70] && cairn_pool_malloc(pool, 1) == all[100]);
    cairn_pool_free(pool, all[3]);
    errno = 0;
    CHECK(cairn_pool_calloc(pool, 1, 1) == NULL && errno == EINVAL); /* it would have to write */
    CHECK(cairn_pool_usable_size(pool, all[4]) == BLOCK && cairn_pool_realloc(pool, all[4], 2) == all[4]);
    CHECK(cairn_pool_of(all[9] + 100) == pool);
    pool_check(pool);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, COUNT_OF(all) - 1);
    cairn_pool_destroy(pool);
    CHECK(munmap(buffer, SIZE) == 0);
}

/* ---- Limits ---------------------------------------------------------------------------------------------------------- */

static void *held[4000];
static size_t held_count;
static size_t pressure_calls;

static int give_some(cairn_pool *pool, size_t wanted, void *context)
{
    CHECK(wanted <= 1000 && context == &pressure_calls);
    pressure_calls++;
    for (int i = 0; i < 700 && held_count > 0; i++)
        cairn_pool_free(pool, held[--held_count]);
    return held_count > 0;
}

static void limits_reached_and_left(void **state)
{
    (void)state;
    for (size_t limit = 4096; limit < 400000; limit += 12345) {
        cairn_pool_config config = fixed_config(1000, 0);
        config.limit = limit;
        cairn_pool *pool = cairn_pool_create(&config);
        CHECK(pool != NULL);
        held_count = 0;
        while ((held[held_count] = cairn_pool_malloc(pool, 1000)) != NULL)
            held_count++;
        CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "limit") != NULL);
        CHECK(pool_stats_checked(pool).committed <= limit);
        CHECKF(held_count + 5 >= limit / 1008 * 9 / 10, "%zu blocks under a limit of %zu", held_count, limit);
        if (held_count > 0) {
            cairn_pool_free(pool, held[--held_count]);
            CHECK((held[held_count++] = cairn_pool_malloc(pool, 1000)) != NULL);
        }
        CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0);
        CHECK(cairn_pool_malloc(pool, 1000) != NULL);
        cairn_pool_destroy(pool);
    }
}

static void pressure_frees_and_goes_on(void **state)
{
    (void)state;
    cairn_pool_config config = fixed_config(1000, 0);
    config.limit = 2000000;
    config.pressure = give_some;
    config.pressure_context = &pressure_calls;
    cairn_pool *pool = cairn_pool_create(&config);
    pressure_calls = held_count = 0;
    for (int i = 0; i < 10000; i++) {
        void *p = cairn_pool_malloc(pool, 1000);
        CHECK(p != NULL);
        held[held_count++] = p;
    }
    CHECK(pressure_calls >= 5);
    pool_check(pool);
    cairn_pool_destroy(pool);
}

/* ---- Walking ------------------------------------------------------------------------------------------------------------ */

struct walked {
    cairn_pool *pool;
    size_t seen, stop_at;
    bool change;
};

static int count_and_change(void *block, size_t size, void *context)
{
    struct walked *walked = context;
    CHECK(size == 48);
    if (walked->change) {
        cairn_pool_free(walked->pool, block);
        CHECK(cairn_pool_malloc(walked->pool, 40) != NULL);
        if (walked->seen % 3 == 0)
            cairn_pool_free(walked->pool, cairn_pool_malloc(walked->pool, 40));
        if (walked->seen % 1000 == 0)
            (void)cairn_pool_trim(walked->pool, 0);
    }
    return ++walked->seen == walked->stop_at ? 42 : 0;
}

static void walks_while_the_pool_changes(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    for (unsigned flags = 0; flags <= CAIRN_POOL_MARKS; flags += CAIRN_POOL_MARKS) {
        cairn_pool *pool = fixed_pool(48, flags);
        for (size_t i = 0; i < COUNT; i++) {
            void *p = cairn_pool_malloc(pool, 48);
            if (i % 2 == 1)
                cairn_pool_free(pool, p);
        }
        size_t live = (size_t)pool_stats(pool).live_blocks;
        struct walked walked = {pool, 0, 0, false};
        CHECK(cairn_pool_walk(pool, count_and_change, &walked) == 0 && walked.seen == live);
        walked = (struct walked){pool, 0, live / 2, false};
        CHECK(cairn_pool_walk(pool, count_and_change, &walked) == 42 && walked.seen == live / 2);
        walked = (struct walked){pool, 0, 0, true};
        CHECK(cairn_pool_walk(pool, count_and_change, &walked) == 0);
        CHECKF(walked.seen >= live, "%zu of %zu", walked.seen, live);
        CHECK_EQ(pool_stats_checked(pool).live_blocks, live);
        pool_check(pool);
        cairn_pool_destroy(pool);
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------------------ */

static void reset_and_destroy(void **state)
{
    (void)state;
    for (enum memory memory = 0; memory < MEMORY_KINDS; memory++) {
        struct place place = place_make(fixed_config(64, CAIRN_POOL_MARKS), memory, 100000);
        CHECK(place.pool != NULL);
        size_t before = 0;
        for (int round = 0; round < 5; round++) {
            size_t count = 0;
            while (count < 1500 && cairn_pool_malloc(place.pool, 64) != NULL)
                count++;
            CHECK(count > 1000 && (round == 0 || count == before));
            before = count;
            pool_check(place.pool);
            cairn_pool_reset(place.pool);
            CHECK_EQ(pool_stats_checked(place.pool).live_blocks, 0);
        }
        place_drop(&place);
    }
    CHECK_EQ(calls.held, 0);
}

/* Blocks of pools are freed by the calls for any block, too. */
static void the_calls_for_any_block(void **state)
{
    (void)state;
    for (enum memory memory = 0; memory < MEMORY_OUTSIDE; memory++) {
        struct place place = place_make(fixed_config(64, CAIRN_POOL_MARKS), memory, 10000);
        char *p = cairn_pool_malloc(place.pool, 64), *q = cairn_pool_malloc(place.pool, 10);
        CHECK(cairn_usable_size(p) == 64 && malloc_usable_size(q) == 64);
        CHECK(cairn_realloc(p, 50) == p);
        cairn_free(p);
        free(q);
        CHECK_EQ(pool_stats_checked(place.pool).live_blocks, 0);
        place_drop(&place);
    }
}

static void a_fork_in_between(void **state)
{
    (void)state;
    cairn_pool *pool = fixed_pool(64, 0);
    char *p = cairn_pool_malloc(pool, 64);
    strcpy(p, "before");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char *q = cairn_pool_malloc(pool, 64);
        _exit(q != NULL && strcmp(p, "before") == 0 && cairn_pool_check(pool) == 0 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 1);
    cairn_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(sizes_above_the_block_size),
        cmocka_unit_test(blocks_cost_nothing_more),
        cmocka_unit_test(memory_goes_back),
        cmocka_unit_test(zeroed_blocks),
        cmocka_unit_test(buffers_of_every_size),
        cmocka_unit_test(a_buffer_that_is_never_touched),
        cmocka_unit_test(limits_reached_and_left),
        cmocka_unit_test(pressure_frees_and_goes_on),
        cmocka_unit_test(walks_while_the_pool_changes),
        cmocka_unit_test(reset_and_destroy),
        cmocka_unit_test(the_calls_for_any_block),
        cmocka_unit_test(a_fork_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
