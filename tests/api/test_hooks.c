/* The memory interface: the calls with their place, what interfaces see, and their stack. */
#include "api.h"

#include <cairn/hooks.h>

/* ---- An interface that notes everything ---------------------------------------------------------- */

enum { MALLOC, CALLOC, REALLOC, ALIGNED, FREE, USABLE };

/* The latest call that it saw; `label` is the context's. */
struct note {
    int what, line;
    const char *file, *func;
    const void *address;
    void *block;
    size_t old_size, size, count, alignment;
};

struct recorder {
    const char *label;
    int calls;
    struct note last;
    char *order; /* appends its label's first letter at each call, when not NULL */
    int refuse;  /* returns NULL */
};

static struct note *noted(struct recorder *r, const cairn_call *call, int what)
{
    r->calls++;
    r->last = (struct note){.what = what, .line = call->line, .file = call->file, .func = call->func};
    r->last.address = call->address;
    if (r->order != NULL)
        strncat(r->order, r->label, 1);
    return &r->last;
}

static void *refused(void)
{
    return cairn_hook_fail(ENOMEM, "the recorder refuses");
}

static void *rec_malloc(void *context, const cairn_call *call, size_t size)
{
    struct recorder *r = context;
    noted(r, call, MALLOC)->size = size;
    return r->refuse ? refused() : cairn_below_malloc(call, size);
}

static void *rec_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    struct recorder *r = context;
    struct note *n = noted(r, call, CALLOC);
    n->count = count, n->size = size;
    return r->refuse ? refused() : cairn_below_calloc(call, count, size);
}

static void *rec_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    struct recorder *r = context;
    struct note *n = noted(r, call, REALLOC);
    n->block = block, n->old_size = old_size, n->size = size;
    return r->refuse ? refused() : cairn_below_realloc(call, block, old_size, size);
}

static void *rec_aligned(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    struct recorder *r = context;
    struct note *n = noted(r, call, ALIGNED);
    n->alignment = alignment, n->size = size;
    return r->refuse ? refused() : cairn_below_aligned_alloc(call, alignment, size);
}

static void rec_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    struct note *n = noted(context, call, FREE);
    n->block = block, n->old_size = old_size;
    cairn_below_free(call, block, old_size);
}

static cairn_interface recording(struct recorder *r)
{
    return (cairn_interface){
        .struct_size = sizeof(cairn_interface),
        .name = r->label,
        .context = r,
        .on_malloc = rec_malloc,
        .on_calloc = rec_calloc,
        .on_realloc = rec_realloc,
        .on_aligned_alloc = rec_aligned,
        .on_free = rec_free,
    };
}

/* The structure goes away at once: it is copied. */
static cairn_hook *push(struct recorder *r)
{
    cairn_interface interface = recording(r);
    cairn_hook *hook = cairn_hook_push(&interface);
    memset(&interface, 0xa5, sizeof interface);
    CHECK(hook != NULL);
    return hook;
}

static void drop(cairn_hook *hook)
{
    CHECK(cairn_hook_remove(hook) == 0);
    CHECK(cairn_hook_grace() == 0);
}

static int nothing_in_place(void **state)
{
    (void)state;
    return cairn_hook_list(NULL, 0) == 0 ? 0 : -1;
}

/* ---- Without interfaces -------------------------------------------------------------------------- */

static void without_interfaces_it_is_the_heap(void **state)
{
    (void)state;
    cairn_stats before = stats_checked();
    char *p = cairn_malloc_here(100), *z = cairn_calloc_here(10, 10), *a = cairn_aligned_alloc_here(4096, 10);
    char *s = cairn_strdup_here("text"), *n = cairn_strndup_here("text", 2);
    CHECK(p != NULL && z != NULL && a != NULL && s != NULL && n != NULL);
    CHECK(check_nonzero(z, 100) == 100 && (uintptr_t)a % 4096 == 0);
    CHECK(strcmp(s, "text") == 0 && strcmp(n, "te") == 0);
    check_fill(p, 100, 3);
    p = cairn_realloc_here(p, 9000);
    CHECK_FILLED(p, 100, 3);
    p = cairn_reallocarray_here(p, 5, 5000);
    CHECK_FILLED(p, 100, 3);
    CHECK(cairn_hook_usable_size(p) >= 25000 && cairn_hook_usable_size(NULL) == 0);
    cairn_free_here(p);
    cairn_free(z);
    cairn_free_here(a);
    cairn_free_here(s);
    cairn_free_here(n);
    cairn_free_here(NULL);
    CHECK_EQ(stats_checked().live_blocks, before.live_blocks);
}

static void bad_arguments_fail_with_and_without(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"};
    cairn_hook *hook = NULL;
    for (int with = 0; with < 2; with++) {
        if (with)
            hook = push(&r);
        errno = 0;
        CHECK(cairn_calloc_here(check_opaque_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(cairn_reallocarray_here(NULL, check_opaque_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(cairn_aligned_alloc_here(48, 100) == NULL && errno == EINVAL);
    }
    CHECK_EQ(r.calls, 0);
    errno = 0;
    CHECK(cairn_malloc_here(check_opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    CHECK_EQ(r.calls, 1);
    drop(hook);
}

/* ---- What an interface sees ---------------------------------------------------------------------- */

#define CHECK_NOTE(r, kind)                                                                                  \
    do {                                                                                                     \
        CHECK_EQ((r).last.what, kind);                                                                       \
        CHECK_EQ((r).last.line, __LINE__ - 1);                                                               \
        CHECK(strcmp((r).last.file, __FILE__) == 0 && strcmp((r).last.func, __func__) == 0);                 \
        CHECK((r).last.address != NULL);                                                                     \
    } while (0)

static void it_sees_every_call_with_its_place(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"};
    cairn_hook *hook = push(&r);
    void *p = cairn_malloc_here(100);
    CHECK_NOTE(r, MALLOC);
    CHECK_EQ(r.last.size, 100);
    size_t usable = cairn_usable_size(p);

    void *moved = cairn_realloc_here(p, 70000);
    CHECK_NOTE(r, REALLOC);
    CHECK(r.last.block == p && r.last.old_size == usable && r.last.size == 70000);
    usable = cairn_usable_size(moved);

    cairn_free_here(moved);
    CHECK_NOTE(r, FREE);
    CHECK(r.last.block == moved && r.last.old_size == usable);

    p = cairn_calloc_here(3, 50);
    CHECK_NOTE(r, CALLOC);
    CHECK(r.last.count == 3 && r.last.size == 50 && check_nonzero(p, 150) == 150);
    p = cairn_reallocarray_here(p, 3, 70);
    CHECK_NOTE(r, REALLOC);
    CHECK_EQ(r.last.size, 210);
    cairn_free_here(p);
    p = cairn_aligned_alloc_here(1024, 10);
    CHECK_NOTE(r, ALIGNED);
    CHECK(r.last.alignment == 1024 && r.last.size == 10 && (uintptr_t)p % 1024 == 0);
    cairn_free_here(p);
    p = cairn_strdup_here("12345");
    CHECK_NOTE(r, MALLOC);
    CHECK_EQ(r.last.size, 6);
    cairn_free_here(p);
    p = cairn_strndup_here("12345", 3);
    CHECK_NOTE(r, MALLOC);
    CHECK(r.last.size == 4 && strcmp(p, "123") == 0);
    cairn_free_here(p);
    p = cairn_realloc_here(NULL, 8);
    CHECK_NOTE(r, MALLOC);
    p = cairn_realloc_here(p, 0);
    CHECK_NOTE(r, REALLOC);
    CHECK(p != NULL);
    int before = r.calls;
    cairn_free_here(NULL);
    CHECK_EQ(r.calls, before);
    cairn_free_here(p);

    p = cairn_malloc_at(5, 99, NULL, NULL); /* a place that is not known */
    CHECK(r.last.line == 99 && r.last.file == NULL && r.last.func == NULL);
    cairn_free_here(p);

    before = r.calls;
    cairn_free(cairn_malloc(10)); /* not by this way */
    CHECK_EQ(r.calls, before);
    drop(hook);
    cairn_free_here(cairn_malloc_here(10));
    CHECK_EQ(r.calls, before);
}

static void a_failure_has_errno_and_words(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"};
    cairn_hook *hook = push(&r);
    char *p = cairn_malloc_here(10);
    check_fill(p, 10, 1);
    r.refuse = 1;
    errno = 0;
    CHECK(cairn_malloc_here(10) == NULL && errno == ENOMEM);
    CHECK(strcmp(cairn_errormsg(), "the recorder refuses") == 0);
    CHECK(cairn_strdup_here("x") == NULL && cairn_strndup_here("x", 1) == NULL);
    CHECK(cairn_calloc_here(1, 1) == NULL && cairn_aligned_alloc_here(64, 1) == NULL);
    CHECK(cairn_realloc_here(p, 100000) == NULL);
    CHECK_FILLED(p, 10, 1); /* still there */
    errno = 5;
    cairn_free_here(p);
    CHECK_EQ(errno, 5);
    drop(hook);
}

/* ---- The stack ----------------------------------------------------------------------------------- */

static void calls_go_from_the_top_down(void **state)
{
    (void)state;
    char order[64] = "";
    struct recorder a = {.label = "a", .order = order}, b = {.label = "b", .order = order},
                    c = {.label = "c", .order = order};
    cairn_hook *ha = push(&a), *hb = push(&b), *hc = push(&c), *list[3];
    CHECK_EQ(cairn_hook_list(list, 3), 3);
    CHECK(list[0] == hc && list[1] == hb && list[2] == ha);
    CHECK(strcmp(cairn_hook_name(hb), "b") == 0);
    list[1] = NULL;
    CHECK(cairn_hook_list(list, 1) == 3 && list[0] == hc && list[1] == NULL);

    void *p = cairn_malloc_here(1);
    CHECK(strcmp(order, "cba") == 0);
    CHECK(a.last.line == c.last.line && a.last.file == c.last.file); /* the place goes down with it */
    order[0] = 0;
    drop(hb); /* from the middle */
    CHECK(strcmp(cairn_hook_name(hb), "") == 0);
    cairn_free_here(p);
    CHECK(strcmp(order, "ca") == 0);
    order[0] = 0;
    hb = push(&b);
    p = cairn_malloc_here(1);
    CHECK(strcmp(order, "bca") == 0);
    drop(ha);
    drop(hb);
    drop(hc);
    cairn_free_here(p);
    CHECK(strcmp(order, "bca") == 0);
}

static void set_replaces_and_removing_restores(void **state)
{
    (void)state;
    char order[64] = "";
    struct recorder a = {.label = "a", .order = order}, b = {.label = "b", .order = order},
                    c = {.label = "c", .order = order};
    cairn_hook *ha = push(&a);
    cairn_interface alone = recording(&b);
    cairn_hook *hb = cairn_hook_set(&alone);
    CHECK(hb != NULL && cairn_hook_list(NULL, 0) == 2);
    cairn_free_here(cairn_malloc_here(1));
    CHECK(strcmp(order, "bb") == 0);
    cairn_hook *hc = push(&c);
    order[0] = 0;
    cairn_free_here(cairn_malloc_here(1));
    CHECK(strcmp(order, "cbcb") == 0);

    cairn_hook *plain = cairn_hook_set(NULL);
    order[0] = 0;
    cairn_free_here(cairn_malloc_here(1));
    CHECK(strcmp(order, "") == 0);
    drop(plain);

    drop(hb);
    order[0] = 0;
    cairn_free_here(cairn_malloc_here(1));
    CHECK(strcmp(order, "caca") == 0);
    drop(hc);
    drop(ha);
}

static void functions_that_are_null_are_passed(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"};
    cairn_interface frees_only = {
        .struct_size = offsetof(cairn_interface, on_usable_size), /* as of an older header */
        .context = &r,
        .on_free = rec_free,
        .on_usable_size =
            (size_t(*)(void *, const cairn_call *, const void *))(uintptr_t)1, /* not to be read */
    };
    struct recorder below = {.label = "below"};
    cairn_hook *under = push(&below), *hook = cairn_hook_push(&frees_only);
    CHECK(hook != NULL && strcmp(cairn_hook_name(hook), "") == 0);
    void *p = cairn_calloc_here(2, 2);
    CHECK(r.calls == 0 && below.calls == 1 && below.last.what == CALLOC);
    cairn_free_here(p);
    CHECK(r.calls == 1 && below.calls == 2 && below.last.what == FREE);
    drop(hook);
    drop(under);
}

static void misuse_of_the_stack_is_refused(void **state)
{
    (void)state;
    cairn_interface empty = {.struct_size = 0};
    CHECK(cairn_hook_push(&empty) == NULL && errno == EINVAL);
    cairn_hook *hooks[CAIRN_HOOKS_MAX];
    struct recorder r = {.label = "r"};
    for (int i = 0; i < CAIRN_HOOKS_MAX; i++)
        hooks[i] = push(&r);
    cairn_interface more = recording(&r);
    CHECK(cairn_hook_push(&more) == NULL && errno == ENOSPC && cairn_errormsg()[0] != 0);
    cairn_free_here(cairn_malloc_here(3));
    CHECK_EQ(r.calls, 2 * CAIRN_HOOKS_MAX);
    for (int i = 0; i < CAIRN_HOOKS_MAX; i++)
        drop(hooks[(i + 5) % CAIRN_HOOKS_MAX]);
    CHECK(cairn_hook_remove(hooks[0]) == -1 && errno == EINVAL);
    CHECK(cairn_hook_remove(NULL) == -1 && errno == EINVAL);
    cairn_hook_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_hook_stats_get(hooks[0], &stats) == -1 && errno == EINVAL);
}

/* Ten thousand changes need no more memory than ten. */
static void changes_do_not_pile_up(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"};
    for (int round = 0; round < 2; round++) {
        size_t before = check_status("VmSize:");
        for (int i = 0; i < 10000; i++) {
            cairn_hook *hook = push(&r);
            cairn_free_here(cairn_malloc_here(3));
            CHECK(cairn_hook_remove(hook) == 0);
        }
        CHECK(round == 0 || check_status("VmSize:") == before);
    }
}

/* ---- Statistics ---------------------------------------------------------------------------------- */

static void statistics_count_each_interface(void **state)
{
    (void)state;
    struct recorder r = {.label = "r"}, below = {.label = "b"};
    cairn_hook *under = push(&below), *hook = push(&r);
    void *p = cairn_malloc_here(100), *q = cairn_calloc_here(4, 25), *a = cairn_aligned_alloc_here(64, 50);
    size_t freed = cairn_usable_size(p);
    p = cairn_realloc_here(p, 5000);
    freed += cairn_usable_size(p) + cairn_usable_size(q) + cairn_usable_size(a);
    r.refuse = 1;
    CHECK(cairn_malloc_here(1000) == NULL && cairn_realloc_here(p, 60000) == NULL);
    cairn_free_here(p);
    cairn_free_here(q);
    cairn_free_here(a);
    cairn_hook_stats s = {.struct_size = sizeof s};
    CHECK(cairn_hook_stats_get(hook, &s) == 0);
    CHECK(s.mallocs == 2 && s.callocs == 1 && s.reallocs == 2 && s.aligned_allocs == 1 && s.frees == 3);
    CHECK_EQ(s.failures, 2);
    CHECK_EQ(s.bytes_allocated, 100 + 100 + 50 + 5000);
    CHECK_EQ(s.bytes_freed, freed);
    CHECK(cairn_hook_stats_get(under, &s) == 0);
    CHECK(s.mallocs == 1 && s.reallocs == 1 && s.failures == 0 && s.frees == 3);
    s.frees = 77;
    s.struct_size = offsetof(cairn_hook_stats, frees);
    CHECK(cairn_hook_stats_get(hook, &s) == 0 && s.frees == 77 && s.mallocs == 2);
    s.struct_size = 0;
    CHECK(cairn_hook_stats_get(hook, &s) == -1 && errno == EINVAL);
    drop(hook);
    drop(under);
}

/* ---- Blocks of an interface's own ---------------------------------------------------------------- */

/* Puts 64 bytes in front of each block, with its size. */
enum { FRONT = 64 };

static void *front_malloc(void *context, const cairn_call *call, size_t size)
{
    (void)context;
    char *block = cairn_below_malloc(call, size + FRONT);
    if (block == NULL)
        return NULL;
    memcpy(block, &size, sizeof size);
    return block + FRONT;
}

static size_t front_usable_size(void *context, const cairn_call *call, const void *block)
{
    size_t size;
    (void)context, (void)call;
    memcpy(&size, (const char *)block - FRONT, sizeof size);
    return size;
}

static void *front_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    (void)context;
    char *moved = cairn_below_realloc(call, (char *)block - FRONT, old_size + FRONT, size + FRONT);
    if (moved == NULL)
        return NULL;
    memcpy(moved, &size, sizeof size);
    return moved + FRONT;
}

static void front_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    (void)context;
    cairn_below_free(call, (char *)block - FRONT, old_size + FRONT);
}

static void an_interface_may_have_blocks_of_its_own(void **state)
{
    (void)state;
    struct recorder above = {.label = "above"}, below = {.label = "below"};
    cairn_interface front = {
        .struct_size = sizeof front,
        .on_malloc = front_malloc,
        .on_realloc = front_realloc,
        .on_free = front_free,
        .on_usable_size = front_usable_size,
    };
    cairn_hook *hb = push(&below), *hook = cairn_hook_push(&front), *ha = push(&above);
    CHECK(hook != NULL);
    char *p = cairn_malloc_here(100);
    CHECK(above.last.size == 100 && below.last.size == 100 + FRONT);
    CHECK_EQ(cairn_hook_usable_size(p), 100);
    check_fill(p, 100, 9);
    p = cairn_realloc_here(p, 300);
    CHECK(above.last.old_size == 100 && below.last.old_size == 100 + FRONT && below.last.size == 300 + FRONT);
    CHECK_FILLED(p, 100, 9);
    cairn_free_here(p);
    CHECK(above.last.old_size == 300 && below.last.old_size == 300 + FRONT && below.last.block == p - FRONT);
    drop(ha);
    drop(hook);
    drop(hb);
}

/* ---- From inside --------------------------------------------------------------------------------- */

struct once {
    cairn_hook *hook;
    int calls, grace, error;
};

/* Takes itself away at the first call, and asks for what it may not. */
static void *once_malloc(void *context, const cairn_call *call, size_t size)
{
    struct once *once = context;
    once->calls++;
    CHECK(cairn_hook_remove(once->hook) == 0);
    errno = 0;
    once->grace = cairn_hook_grace();
    once->error = errno;
    void *inner = cairn_malloc_here(10); /* goes past it already */
    cairn_free_here(inner);
    return cairn_below_malloc(call, size);
}

static void an_interface_may_remove_itself_but_not_wait(void **state)
{
    (void)state;
    struct once once = {0};
    cairn_interface interface = {.struct_size = sizeof interface, .context = &once, .on_malloc = once_malloc};
    once.hook = cairn_hook_push(&interface);
    void *p = cairn_malloc_here(1), *q = cairn_malloc_here(2);
    CHECK(p != NULL && q != NULL && once.calls == 1);
    CHECK(once.grace == -1 && once.error == EDEADLK);
    CHECK(cairn_hook_grace() == 0);
    cairn_free_here(p);
    cairn_free_here(q);
}

/* The child has the interfaces of its parent, and none of the parent's threads to wait for. */
static int gate[2];

static void *blocking_malloc(void *context, const cairn_call *call, size_t size)
{
    char byte;
    (void)context;
    if (size == 4321) {
        CHECK(write(gate[1], "i", 1) == 1);
        check_sleep(1.0);
    }
    (void)byte;
    return cairn_below_malloc(call, size);
}

static void *go_inside(void *unused)
{
    cairn_free_here(cairn_malloc_here(4321));
    return unused;
}

static void a_child_does_not_wait_for_lost_threads(void **state)
{
    (void)state;
    char byte;
    pthread_t thread;
    cairn_interface interface = {.struct_size = sizeof interface, .on_malloc = blocking_malloc};
    cairn_hook *hook = cairn_hook_push(&interface);
    CHECK(hook != NULL && pipe(gate) == 0 && pthread_create(&thread, NULL, go_inside, NULL) == 0);
    CHECK(read(gate[0], &byte, 1) == 1); /* it is inside */
    pid_t child = fork();
    if (child == 0) {
        double from = check_now();
        cairn_free_here(cairn_malloc_here(3));
        int good = cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0 && check_now() - from < 0.5;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    double from = check_now();
    drop(hook); /* here it is waited for */
    CHECK(check_now() - from > 0.2);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, nothing_in_place, nothing_in_place)
    const struct CMUnitTest tests[] = {
        TEST(without_interfaces_it_is_the_heap),
        TEST(bad_arguments_fail_with_and_without),
        TEST(it_sees_every_call_with_its_place),
        TEST(a_failure_has_errno_and_words),
        TEST(calls_go_from_the_top_down),
        TEST(set_replaces_and_removing_restores),
        TEST(functions_that_are_null_are_passed),
        TEST(misuse_of_the_stack_is_refused),
        TEST(changes_do_not_pile_up),
        TEST(statistics_count_each_interface),
        TEST(an_interface_may_have_blocks_of_its_own),
        TEST(an_interface_may_remove_itself_but_not_wait),
        TEST(a_child_does_not_wait_for_lost_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
