/* Tools that see all calls: those of malloc and its like, and not only of <cairn/hooks.h>. */
#include "tools.h"

#include <stdbool.h>

/* `flags` of most configs here. */
#define ALL (CAIRN_TOOL_ALL_CALLS | CAIRN_TOOL_QUIET)

/* The functions that calls come from, as the symbol table knows them. */
__attribute__((noinline)) static void *one_place(const face *f, size_t size)
{
    void *block = f->malloc(size);
    __asm__ volatile("" : : "r"(block) : "memory"); /* no tail call */
    return block;
}

__attribute__((noinline)) static void *other_place(const face *f, size_t size)
{
    void *block = f->calloc(1, size);
    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}

static cairn_tool *faults_start(cairn_faults_config config)
{
    config.struct_size = sizeof config;
    config.flags = ALL;
    cairn_tool *tool = cairn_faults_start(&config);
    CHECK(tool != NULL);
    return tool;
}

/* ---- Faults -------------------------------------------------------------------------------------- */

static void every_call_fails_when_asked(void **state)
{
    (void)state;
    void *out = &out;
    FOR_FACES(f)
    {
        char *old = f->malloc(100);
        check_fill(old, 100, 3);
        cairn_tool *tool = faults_start((cairn_faults_config){.every = 1});
#define FAILS(call) (errno = 0, (call) == NULL && errno == ENOMEM)
        CHECK(FAILS(f->malloc(10)) && FAILS(f->malloc(1 << 20)) && FAILS(f->calloc(3, 3)));
        CHECK(strstr(cairn_errormsg(), "fault injector") != NULL);
        CHECK(FAILS(f->realloc(NULL, 10)) && FAILS(f->realloc(old, 1000)) && FAILS(f->realloc(old, 10)));
        CHECK(FAILS(f->reallocarray(old, 10, 100)) && FAILS(f->aligned_alloc(256, 256)));
        errno = EDOM;
        CHECK(f->posix_memalign(&out, 64, 10) == ENOMEM && out == &out && errno == EDOM);
        CHECK(FAILS(cairn_strdup("text")) && FAILS(cairn_strndup("text", 2)));
        CHECK(FAILS(cairn_malloc_here(10)) && FAILS(cairn_malloc_at(10, 0, NULL, NULL)));
        uint64_t failed;
        CHECK_EQ(cairn_faults_count(tool, &failed), 13); /* each once, however it goes down */
        CHECK_EQ(failed, 13);
        stop(tool);
        CHECK_FILLED(old, 100, 3);
        char *more = f->realloc(old, 1000);
        CHECK(more != NULL);
        f->free(more);
    }
}

static void only_the_code_asked_for_fails(void **state)
{
    (void)state;
    static const struct {
        cairn_where where;
        bool one, other;
    } cases[] = {
        {{.func = "one_place"}, true, false},
        {{.func = "*_place"}, true, true},
        {{.func = "place"}, false, false},
        {{.file = "test_tool_all_calls"}, true, true},
        {{.file = "*/test_tool*"}, true, true},
        {{.file = "libc.so*"}, false, false},
        {{.file = "test_tool_all_calls", .func = "other*"}, false, true},
        {{.min_size = 100}, false, true},
        {{.max_size = 99}, true, false},
    };
    FOR_FACES(f)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cairn_tool *tool = faults_start((cairn_faults_config){.every = 1, .where = cases[i].where});
        void *one = one_place(f, 10), *other = other_place(f, 1000);
        CHECKF((one == NULL) == cases[i].one && (other == NULL) == cases[i].other, "%s, case %zu", f->name,
               i);
        stop(tool);
        f->free(one);
        f->free(other);
    }
}

/* What goes well leaves errno alone, though tools open files and write. */
static void errno_stays(void **state)
{
    (void)state;
    cairn_leaks_config config = {.struct_size = sizeof config, .flags = ALL};
    cairn_tool *leaks = cairn_leaks_start(&config),
               *faults = faults_start((cairn_faults_config){.nth = 1000});
    FOR_FACES(f)
    {
        errno = EDOM;
        void *p = one_place(f, 10), *q = other_place(f, 50000);
        p = f->realloc(p, 100);
        CHECK(p != NULL && q != NULL && f->usable_size(p) >= 100);
        f->free(p);
        f->free_sized(q, 50000);
        f->free(NULL);
        CHECK_EQ(errno, EDOM);
    }
    stop(faults);
    stop(leaks);
}

/* ---- Leaks, limits, guard ------------------------------------------------------------------------- */

static pthread_key_t key;

static void free_late(void *block)
{
    free(block);
    free(malloc(33));
}

/* Blocks are allocated here and freed there, also by threads that have almost ended. */
static void *exchange(void *unused)
{
    static void *slots[64];
    uint64_t seed = check_seed() + (uintptr_t)&seed;
    CHECK(pthread_setspecific(key, malloc(77)) == 0);
    for (int i = 0; i < 20000; i++) {
        void *block = check_below(&seed, 3) == 0 ? NULL : malloc(check_random_size(&seed, 3000));
        block = __atomic_exchange_n(&slots[check_below(&seed, 64)], block, __ATOMIC_ACQ_REL);
        if (block != NULL && check_below(&seed, 2) == 0)
            block = realloc(block, check_random_size(&seed, 30000) + 1);
        free(block);
    }
    if (unused != NULL)
        for (int i = 0; i < 64; i++)
            free(__atomic_exchange_n(&slots[i], NULL, __ATOMIC_ACQ_REL));
    return NULL;
}

static uint64_t live_blocks(cairn_tool *tool)
{
    struct seen seen = leaks_of(tool);
    uint64_t blocks = 0;
    for (int i = 0; i < seen.count && i < 10; i++)
        blocks += seen.leaks[i].blocks;
    return blocks;
}

static void no_block_is_forgotten_or_kept(void **state)
{
    (void)state;
    cairn_leaks_config config = {
        .struct_size = sizeof config, .flags = ALL, .where.file = "test_tool_all_calls"};
    CHECK(pthread_key_create(&key, free_late) == 0);
    cairn_tool *tool = cairn_leaks_start(&config);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, exchange, NULL) == 0);
        for (int i = 0; i < 3; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK(live_blocks(tool) > 0);
    pthread_t last;
    CHECK(pthread_create(&last, NULL, exchange, tool) == 0 && pthread_join(last, NULL) == 0);
    CHECK_EQ(live_blocks(tool), 0);
    stop(tool);
    CHECK(pthread_key_delete(key) == 0);
}

static void each_place_has_its_limit(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        cairn_limits_config config = {
            .struct_size = sizeof config, .flags = ALL, .bytes = 1000, .where.func = "*_place"};
        cairn_tool *tool = cairn_limits_start(&config);
        void *a = one_place(f, 600), *b = one_place(f, 400), *c = other_place(f, 1000);
        CHECK(a != NULL && b != NULL && c != NULL);
        CHECK(one_place(f, 1) == NULL && other_place(f, 1) == NULL && errno == ENOMEM);
        f->free(b);
        b = one_place(f, 400);
        CHECK(b != NULL && one_place(f, 1) == NULL);
        const char *text = printed(tool, CAIRN_STATS_TEXT);
        CHECKF(check_match(text, "^ +1000 +2 +1000 +2  one_place\\+[0-9]+ \\(test_tool_all_calls\\)$"), "%s",
               text);
        f->free(a);
        f->free(b);
        f->free_sized(c, 1000);
        CHECK((c = other_place(f, 1000)) != NULL);
        f->free(c);
        stop(tool);
    }
}

static void guarded_blocks_are_blocks(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        cairn_guard_config config = {.struct_size = sizeof config, .flags = ALL, .where.func = "*_place"};
        cairn_tool *tool = cairn_guard_start(&config);
        CHECK(tool != NULL);
        for (size_t size = 0; size < 9000; size += 333) {
            char *p = one_place(f, size), *q = other_place(f, size);
            CHECK_EQ(f->usable_size(p), size); /* behind it is the fill */
            CHECK(cairn_pool_of(p) != NULL && cairn_pool_of(q) != NULL && (uintptr_t)p % 16 == 0);
            for (size_t i = 0; i < size; i++)
                CHECK(q[i] == 0);
            check_fill(p, size, 1);
            p = f->realloc(p, size + 100); /* not chosen: an ordinary block from here on */
            CHECK(p != NULL && cairn_pool_of(p) == NULL);
            CHECK_FILLED(p, size, 1);
            f->free(p);
            f->free_sized(q, size);
        }
        const char *text = printed(tool, CAIRN_STATS_TEXT);
        CHECKF(check_match(text, "56 allocations chosen, 56 guarded, 0 of these live"), "%s", text);
        stop(tool);
    }
}

/* ---- Processes ----------------------------------------------------------------------------------- */

static void *allocate_on(void *stop_word)
{
    while (!__atomic_load_n((int *)stop_word, __ATOMIC_ACQUIRE))
        free(realloc(malloc(100), 5000));
    return NULL;
}

/* The child of a process that is full of calls can allocate, and is watched as its parent is. */
static void children_go_on(void **state)
{
    (void)state;
    int over = 0;
    pthread_t threads[2];
    cairn_leaks_config leaks = {.struct_size = sizeof leaks, .flags = ALL};
    cairn_limits_config limits = {.struct_size = sizeof limits, .flags = ALL, .bytes = 1 << 20};
    cairn_tool *tracker = cairn_leaks_start(&leaks), *limiter = cairn_limits_start(&limits);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_on, &over) == 0);
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(30);
            void *p = malloc(100), *q = malloc(2 << 20);
            if (p == NULL || q != NULL)
                _exit(1);
            free(p);
            _exit(cairn_tool_stop(tracker) == 0 && cairn_tool_stop(limiter) == 0 ? 0 : 2);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_EQ(status, 0);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stop(limiter);
    stop(tracker);
}

/* An interface of the program's own that allocates for itself, above a tool that sees all calls. */
static void *own[100];
static int own_count;

static void *takes_some_itself(void *context, const cairn_call *call, size_t size)
{
    (void)context;
    if (own_count < 100)
        own[own_count++] = malloc(10);
    return cairn_below_malloc(call, size);
}

static void what_an_interface_allocates_is_its_own(void **state)
{
    (void)state;
    cairn_interface interface = {.struct_size = sizeof interface, .on_malloc = takes_some_itself};
    cairn_tool *tool = faults_start((cairn_faults_config){.nth = 1000000});
    cairn_hook *hook = cairn_hook_push(&interface);
    cairn_free_here(cairn_malloc_here(10));
    CHECK_EQ(own_count, 1);
    CHECK_EQ(cairn_faults_count(tool, NULL), 1); /* not the interface's */
    free(malloc(10));                            /* is no call of <cairn/hooks.h> */
    CHECK_EQ(own_count, 1);
    CHECK_EQ(cairn_faults_count(tool, NULL), 2);
    CHECK(cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0);
    free(malloc(10));
    CHECK_EQ(cairn_faults_count(tool, NULL), 3);
    stop(tool);
    free(own[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOOL_TEST(every_call_fails_when_asked),
        TOOL_TEST(only_the_code_asked_for_fails),
        TOOL_TEST(errno_stays),
        TOOL_TEST(no_block_is_forgotten_or_kept),
        TOOL_TEST(each_place_has_its_limit),
        TOOL_TEST(guarded_blocks_are_blocks),
        TOOL_TEST(children_go_on),
        TOOL_TEST(what_an_interface_allocates_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
