// timeout: 60
/* test_pool_stack.c - the class CAIRN_STACK: marks and releases, the last block, over every kind of memory. */
#include "pool_tools.h"

static cairn_pool_config stack_config(size_t alignment, unsigned flags)
{
    return (cairn_pool_config){.struct_size = sizeof(cairn_pool_config),
                               .pool_class = CAIRN_STACK,
                               .flags = flags,
                               .alignment = alignment};
}

static cairn_pool *stack_pool(size_t alignment)
{
    cairn_pool_config config = stack_config(alignment, 0);
    cairn_pool *pool = cairn_pool_create(&config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    return pool;
}

/* ---- The model ---------------------------------------------------------------------------------------------- */

#define MARKS_MAX 40

struct stack_model {
    struct model model;
    size_t marks;
    cairn_mark mark[MARKS_MAX];
    size_t next_serial, serial[MODEL_MAX]; /* of each block, in the order of the table */
    size_t mark_serial[MARKS_MAX];         /* of the first block after it */
};

static void add(struct stack_model *m, void *block, size_t size, size_t alignment, uint64_t key)
{
    m->serial[m->model.count] = m->next_serial++;
    model_add(&m->model, block, size, alignment, key);
}

static struct model_block take(struct stack_model *m, size_t i)
{
    m->serial[i] = m->serial[m->model.count - 1];
    return model_take(&m->model, i);
}

static size_t youngest(const struct stack_model *m)
{
    size_t best = 0;
    for (size_t i = 1; i < m->model.count; i++)
        best = m->serial[i] > m->serial[best] ? i : best;
    return best;
}

static void release(struct stack_model *m, size_t mark)
{
    for (size_t i = m->model.count; i-- > 0;)
        if (m->serial[i] >= m->mark_serial[mark])
            (void)take(m, i);
    cairn_pool_release(m->model.pool, m->mark[mark]);
    m->marks = mark;
}

static void grow_or_shrink(struct stack_model *m, size_t i, size_t size, size_t alignment, uint64_t key)
{
    size_t serial = m->serial[i], old_allocs = m->model.allocs;
    struct model_block block = take(m, i);
    char *got = cairn_pool_realloc(m->model.pool, block.at, size);
    if (got == NULL) {
        m->serial[m->model.count] = serial;
        model_add(&m->model, block.at, block.size, 1, block.key);
        m->model.allocs = old_allocs;
        return;
    }
    CHECK_FILLED(got, block.size < size ? block.size : size, block.key);
    add(m, got, size, alignment, key);
    m->serial[m->model.count - 1] = got == block.at ? serial : m->next_serial - 1;
    m->model.allocs = old_allocs + (got != block.at);
}

static void one_step(struct stack_model *m, uint64_t *seed, size_t alignment)
{
    size_t action = check_below(seed, 100), size = check_random_size(seed, 3000);
    uint64_t key = check_random(seed);
    cairn_pool *pool = m->model.pool;
    if (action < 50 && m->model.count < MODEL_MAX) {
        size_t align = check_below(seed, 4) == 0 ? (size_t)1 << check_below(seed, 9) : 1;
        bool zero = align == 1 && check_below(seed, 3) == 0;
        char *got = zero         ? cairn_pool_calloc(pool, 1, size)
                    : align == 1 ? cairn_pool_malloc(pool, size)
                                 : cairn_pool_aligned_alloc(pool, align, size);
        CHECK(!zero || got == NULL || check_nonzero(got, size) == size);
        if (got != NULL)
            add(m, got, size, align > alignment ? align : alignment, key);
    } else if (action < 65 && m->marks < MARKS_MAX) {
        m->mark_serial[m->marks] = m->next_serial;
        m->mark[m->marks++] = cairn_pool_mark(pool);
    } else if (action < 72 && m->marks > 0) {
        release(m, check_below(seed, 4) == 0 ? check_below(seed, m->marks) : m->marks - 1);
    } else if (action < 86 && m->model.count > 0) {
        size_t i = check_below(seed, 2) == 0 ? youngest(m) : check_below(seed, m->model.count);
        cairn_pool_free(pool, take(m, i).at);
    } else if (m->model.count > 0) {
        grow_or_shrink(m, check_below(seed, 2) == 0 ? youngest(m) : check_below(seed, m->model.count), size,
                       alignment, key);
    }
}

static void against_a_model(void **state)
{
    (void)state;
    static const size_t alignments[] = {0, 1, 2, 8, 64, 4096};
    static struct stack_model m;
    uint64_t seed = check_seed();
    for (enum memory memory = 0; memory < MEMORY_OUTSIDE; memory++)
        for (size_t i = 0; i < COUNT_OF(alignments); i++)
            for (int small = 0; small < 2; small++) {
                struct place place = place_make(stack_config(alignments[i], 0), memory,
                                                (small ? 40000 : 900000) + check_below(&seed, 99));
                CHECKF(place.pool != NULL, "%s: %s", memory_names[memory], cairn_errormsg());
                memset(&m, 0, sizeof m);
                m.model.pool = place.pool;
                for (int step = 0; step < 1500; step++) {
                    one_step(&m, &seed, alignments[i] != 0 ? alignments[i] : 16);
                    if (step % 150 == 149)
                        model_totals(&m.model);
                }
                while (m.marks > 0)
                    release(&m, m.marks - 1);
                while (m.model.count > 0)
                    cairn_pool_free(place.pool, take(&m, youngest(&m)).at);
                model_totals(&m.model);
                cairn_stats s = pool_stats_checked(place.pool);
                CHECK(s.live == 0 && s.spans == 0);
                place_drop(&place);
            }
    CHECK_EQ(calls.held, 0);
}

/* ---- One thing at a time --------------------------------------------------------------------------------------- */

static void a_release_frees_what_came_since(void **state)
{
    (void)state;
    cairn_pool *pool = stack_pool(0);
    char *a = cairn_pool_strdup(pool, "kept");
    cairn_mark outer = cairn_pool_mark(pool);
    char *b = cairn_pool_malloc(pool, 1000);
    cairn_mark inner = cairn_pool_mark(pool);
    char *c = cairn_pool_malloc(pool, 5000000);
    CHECK(a != NULL && b != NULL && c != NULL && outer.depth == 0 && inner.depth == 1);
    memset(c, 1, 5000000);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 3);
    cairn_pool_release(pool, inner);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 2);
    CHECK(pool_stats_checked(pool).committed < 1000000);
    cairn_pool_release(pool, outer);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 1);
    CHECK(strcmp(a, "kept") == 0);
    cairn_mark again = cairn_pool_mark(pool);
    CHECK(again.at == outer.at && again.serial != outer.serial);
    CHECK(cairn_pool_malloc(pool, 1000) == b); /* the same place again */
    cairn_pool_release(pool, again);
    pool_check(pool);
    cairn_pool_destroy(pool);
}

/* An outer mark takes the inner ones with it. */
static void an_outer_mark_takes_the_inner(void **state)
{
    (void)state;
    cairn_pool *pool = stack_pool(8);
    for (int round = 0; round < 100; round++) {
        cairn_mark outer = cairn_pool_mark(pool);
        for (int i = 0; i < 200; i++) {
            (void)cairn_pool_mark(pool);
            CHECK(cairn_pool_malloc(pool, 100 + (size_t)i) != NULL);
        }
        pool_check(pool);
        cairn_pool_release(pool, outer);
        CHECK_EQ(pool_stats_checked(pool).live_blocks, 0);
        CHECK(cairn_pool_mark(pool).depth == (size_t)round); /* left there: the next round is inside of it */
    }
    cairn_pool_destroy(pool);
}

static void the_last_block(void **state)
{
    (void)state;
    cairn_pool *pool = stack_pool(0);
    char *a = cairn_pool_malloc(pool, 100), *b = cairn_pool_malloc(pool, 100);
    strcpy(b, "grows");
    CHECK(cairn_pool_realloc(pool, b, 5000) == b && strcmp(b, "grows") == 0);
    CHECK(cairn_pool_usable_size(pool, b) >= 5000);
    CHECK(cairn_pool_realloc(pool, b, 10) == b && cairn_pool_usable_size(pool, b) == 16);
    char *c = cairn_pool_malloc(pool, 16);
    CHECK(c == b + 16);
    CHECK(cairn_pool_realloc(pool, b, 20) != b &&
          strcmp(b, "grows") == 0);               /* not the last one any more: it moves */
    CHECK(cairn_pool_realloc(pool, a, 112) == a); /* rounding is room */
    char *d = cairn_pool_malloc(pool, 10);
    cairn_pool_free(pool, d);
    CHECK(cairn_pool_malloc(pool, 10) == d); /* taken back at once */
    char *e = cairn_pool_malloc(pool, 10), *f = cairn_pool_malloc(pool, 10);
    cairn_pool_free(pool, e); /* later, when the one after it goes */
    CHECK(cairn_pool_malloc(pool, 10) != e);
    pool_check(pool);
    cairn_pool_destroy(pool);
    pool = stack_pool(0);
    e = cairn_pool_malloc(pool, 10), f = cairn_pool_malloc(pool, 10);
    cairn_pool_free(pool, e);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 1);
    cairn_pool_free(pool, f);
    CHECK(cairn_pool_malloc(pool, 10) == e);
    cairn_pool_destroy(pool);
}

/* Blocks freed in reverse cross the borders of chunks, and the memory goes back. */
static void freed_in_reverse(void **state)
{
    (void)state;
    static char *all[20000];
    cairn_pool *pool = stack_pool(0);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(all); i++) {
            CHECK((all[i] = cairn_pool_malloc(pool, 500)) != NULL);
            memset(all[i], (int)i, 500);
        }
        for (size_t i = COUNT_OF(all); i-- > 0;) {
            CHECK(all[i][499] == (char)i);
            cairn_pool_free(pool, all[i]);
        }
        cairn_stats s = pool_stats_checked(pool);
        CHECKF(s.live == 0 && s.spans == 0 && s.committed <= 4 << 20, "%llu",
               (unsigned long long)s.committed);
    }
    CHECK(cairn_pool_trim(pool, 0) == 1);
    CHECKF(pool_stats_checked(pool).committed < 20000, "%llu",
           (unsigned long long)pool_stats(pool).committed);
    cairn_pool_destroy(pool);
}

static void sizes_and_alignments(void **state)
{
    (void)state;
    cairn_pool *pool = stack_pool(1);
    char *a = cairn_pool_malloc(pool, 3), *b = cairn_pool_malloc(pool, 1), *c = cairn_pool_malloc(pool, 0);
    CHECK(b == a + 3 && c == b + 1 && cairn_pool_usable_size(pool, a) == 3); /* nothing between them */
    char *d = cairn_pool_malloc(pool, 0);
    CHECK(d != c);
    char *e = cairn_pool_aligned_alloc(pool, 65536, 10);
    CHECK(e != NULL && (uintptr_t)e % 65536 == 0);
    CHECK(cairn_pool_usable_size(pool, d) == 1);
    CHECK_REFUSED(cairn_pool_malloc(pool, check_opaque_size(SIZE_MAX)));
    CHECK_REFUSED(cairn_pool_malloc(pool, check_opaque_size(PTRDIFF_MAX)));
    CHECK_REFUSED(cairn_pool_malloc(pool, check_opaque_size((size_t)1 << 60)));
    CHECK_REFUSED(cairn_pool_aligned_alloc(pool, (size_t)1 << 62, 1));
    CHECK_REFUSED(cairn_pool_aligned_alloc(pool, (size_t)1 << 62, check_opaque_size(PTRDIFF_MAX)));
    errno = 0;
    CHECK(cairn_pool_aligned_alloc(pool, 24, 1) == NULL && errno == EINVAL);
    pool_check(pool);
    cairn_pool_destroy(pool);
}

static void zeroed_blocks(void **state)
{
    (void)state;
    cairn_pool_config config = stack_config(0, CAIRN_POOL_ZERO);
    cairn_pool *pool = cairn_pool_create(&config);
    for (int i = 0; i < 300; i++) {
        cairn_mark mark = cairn_pool_mark(pool);
        char *p = cairn_pool_malloc(pool, 1000);
        CHECK(check_nonzero(p, 1000) == 1000);
        memset(p, 0xff, 1000);
        p = cairn_pool_realloc(pool, p, 8000);
        CHECK(p != NULL && check_nonzero(p + 1008, 8000 - 1008) == 8000 - 1008);
        memset(p, 0xff, 8000);
        if (i % 3 != 0)
            cairn_pool_release(pool, mark);
    }
    cairn_pool_destroy(pool);
}

/* ---- Buffers ------------------------------------------------------------------------------------------------------- */

static void buffers_of_every_size(void **state)
{
    (void)state;
    size_t first = 0;
    for (size_t size = 1; size < 5000; size += size < 2000 ? 1 : 61) {
        struct place place = place_make(stack_config(0, 0), MEMORY_BUFFER, size);
        size_t bytes = 0;
        if (place.pool == NULL)
            CHECKF(errno == ENOMEM && strstr(cairn_errormsg(), "too small") != NULL && first == 0, "size %zu",
                   size);
        else {
            first = first == 0 ? size : first;
            cairn_mark mark = cairn_pool_mark(place.pool);
            for (char *p; (p = cairn_pool_malloc(place.pool, 48)) != NULL; bytes += 48) {
                CHECK(p >= place.buffer + FENCE && p + 48 <= place.buffer + FENCE + size);
                memset(p, 0, 48);
            }
            pool_check(place.pool);
            CHECK(errno == ENOMEM);
            cairn_pool_release(place.pool, mark);
            CHECK_EQ(pool_stats_checked(place.pool).live_blocks, 0);
            CHECK(pool_stats(place.pool).committed <= size);
            char *all = cairn_pool_malloc(place.pool, bytes);
            CHECK(all != NULL);
            memset(all, 0, bytes);
            CHECKF(bytes + 200 > (size - first) * 63 / 64, "%zu bytes in %zu", bytes, size);
        }
        place_drop(&place);
    }
    CHECKF(first > 0 && first <= 2048, "from %zu bytes on", first);
}

/* In a full buffer a mark has no room and works all the same. */
static void marks_in_a_full_buffer(void **state)
{
    (void)state;
    struct place place = place_make(stack_config(0, 0), MEMORY_BUFFER, 4096);
    char *last = NULL;
    for (char *p; (p = cairn_pool_malloc(place.pool, 16)) != NULL;)
        last = p;
    cairn_mark full = cairn_pool_mark(place.pool);
    cairn_pool_free(place.pool, last); /* older than the mark: not used again before its release */
    CHECK(cairn_pool_malloc(place.pool, 1) == NULL);
    for (int i = 0; i < 3; i++) {
        cairn_mark again = cairn_pool_mark(place.pool), third = cairn_pool_mark(place.pool);
        CHECK(again.depth == 1 && third.depth == 2 && cairn_pool_malloc(place.pool, 1) == NULL);
        pool_check(place.pool);
        if (i != 1)
            cairn_pool_release(place.pool, third);
        cairn_pool_release(place.pool, again);
        pool_check(place.pool);
    }
    cairn_pool_release(place.pool, full);
    pool_check(place.pool);
    CHECK(cairn_pool_malloc(place.pool, 1) == last && cairn_pool_malloc(place.pool, 1) == NULL);
    place_drop(&place);
}

/* ---- The whole pool --------------------------------------------------------------------------------------------------- */

static int pressed;

static int note_pressure(cairn_pool *pool, size_t wanted, void *context)
{
    (void)pool, (void)wanted, (void)context;
    return ++pressed, 0;
}

static void limits_reached_and_left(void **state)
{
    (void)state;
    for (size_t limit = 20000; limit < 3000000; limit = limit * 3 / 2 + 1001) {
        cairn_pool_config config = stack_config(0, 0);
        config.limit = limit;
        config.limit_soft = limit / 2;
        config.pressure = note_pressure;
        pressed = 0;
        cairn_pool *pool = cairn_pool_create(&config);
        for (int round = 0; round < 3; round++) {
            cairn_mark mark = cairn_pool_mark(pool);
            size_t count = 0;
            while (cairn_pool_malloc(pool, 1000) != NULL)
                count++;
            CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "limit") != NULL && pressed > 0);
            CHECK(pool_stats_checked(pool).committed <= limit);
            CHECKF(count * 1008 > limit * 6 / 10, "%zu blocks under a limit of %zu", count, limit);
            cairn_pool_release(pool, mark);
        }
        CHECK(cairn_pool_limit_set(pool, SIZE_MAX, SIZE_MAX) == 0 && cairn_pool_malloc(pool, limit) != NULL);
        cairn_pool_destroy(pool);
    }
}

static void reset_and_destroy(void **state)
{
    (void)state;
    for (enum memory memory = 0; memory < MEMORY_OUTSIDE; memory++) {
        struct place place = place_make(stack_config(0, 0), memory, 100000);
        size_t before = 0;
        for (int round = 0; round < 5; round++) {
            size_t count = 0;
            (void)cairn_pool_mark(place.pool);
            while (count < 900 && cairn_pool_malloc(place.pool, 100) != NULL)
                count++;
            CHECK(count > 700 && (round == 0 || count == before));
            before = count;
            cairn_pool_reset(place.pool);
            CHECK_EQ(pool_stats_checked(place.pool).live_blocks, 0);
            pool_check(place.pool);
        }
        place_drop(&place);
    }
    CHECK_EQ(calls.held, 0);
}

/* A mark made when the last block fills everything has no room of its own: the block below it must not shrink, or what
 * came next would lie below the mark, and be forgotten by the release only in part. */
static void a_block_below_a_mark_without_room_stays(void **state)
{
    (void)state;
    static char buffer[20000];
    cairn_pool_config config = stack_config(0, 0);
    config.buffer = buffer;
    config.buffer_size = sizeof buffer;
    cairn_pool *pool = cairn_pool_create(&config);
    CHECK(pool != NULL);
    char *below = cairn_pool_malloc(pool, 1000), *last = cairn_pool_malloc(pool, 16);
    size_t size = 16;
    while (cairn_pool_realloc(pool, last, size + 16) == last)
        size += 16;
    CHECK(size > 10000 && cairn_pool_malloc(pool, 1) == NULL);
    check_fill(last, size, 7);
    cairn_mark mark = cairn_pool_mark(pool);
    CHECK(cairn_pool_realloc(pool, last, 100) == last);
    CHECK(cairn_pool_malloc(pool, 1) == NULL);
    cairn_pool_release(pool, mark);
    pool_check(pool);
    CHECK_EQ(pool_stats_checked(pool).live_blocks, 2);
    CHECK_FILLED(last, 100, 7);
    CHECK(cairn_pool_realloc(pool, last, 50) == last); /* without the mark it is the last one again */
    CHECK(cairn_pool_malloc(pool, 5000) != NULL);
    pool_check(pool);
    CHECK(below != NULL);
    cairn_pool_destroy(pool);
}

static int stop_at_three(void *block, size_t size, void *context)
{
    CHECK(block != NULL && size >= 100);
    return ++*(int *)context == 3 ? 7 : 0;
}

static int free_and_allocate(void *block, size_t size, void *context)
{
    (void)size;
    cairn_pool_free(context, block);
    CHECK(cairn_pool_malloc(context, 200) != NULL);
    return 0;
}

static void walks(void **state)
{
    (void)state;
    cairn_pool *pool = stack_pool(0);
    for (int i = 0; i < 5000; i++) {
        if (i % 10 == 0)
            (void)cairn_pool_mark(pool);
        CHECK(cairn_pool_malloc(pool, 100) != NULL);
    }
    int seen = 0;
    CHECK(cairn_pool_walk(pool, stop_at_three, &seen) == 7 && seen == 3);
    CHECK(cairn_pool_walk(pool, free_and_allocate, pool) == 0); /* ends, though the top rises */
    CHECK(pool_stats_checked(pool).live_blocks >= 5000);
    pool_check(pool);
    cairn_pool_destroy(pool);
}

static void the_calls_for_any_block(void **state)
{
    (void)state;
    for (enum memory memory = 0; memory < MEMORY_OUTSIDE; memory++) {
        struct place place = place_make(stack_config(0, 0), memory, 10000);
        char *p = cairn_pool_malloc(place.pool, 64), *q = cairn_pool_malloc(place.pool, 10);
        CHECK(cairn_usable_size(p) == 64 && malloc_usable_size(q) == 16);
        CHECK(cairn_realloc(q, 500) == q);
        cairn_free(p);
        free(q);
        CHECK_EQ(pool_stats_checked(place.pool).live_blocks, 0);
        place_drop(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_model),
        cmocka_unit_test(a_block_below_a_mark_without_room_stays),
        cmocka_unit_test(a_release_frees_what_came_since),
        cmocka_unit_test(an_outer_mark_takes_the_inner),
        cmocka_unit_test(the_last_block),
        cmocka_unit_test(freed_in_reverse),
        cmocka_unit_test(sizes_and_alignments),
        cmocka_unit_test(zeroed_blocks),
        cmocka_unit_test(buffers_of_every_size),
        cmocka_unit_test(marks_in_a_full_buffer),
        cmocka_unit_test(limits_reached_and_left),
        cmocka_unit_test(reset_and_destroy),
        cmocka_unit_test(walks),
        cmocka_unit_test(the_calls_for_any_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
