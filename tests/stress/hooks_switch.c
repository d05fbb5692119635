// timeout: 60
/* hooks_switch.c - interfaces come and go while 16 threads are in the middle of calls.
 *
 * Each interface has a context that is poisoned and given back as soon as cairn_hook_grace says so; a call that is inside
 * later than that finds the poison (or, in the sanitizer builds, is a race).  The statistics of a hook have to agree
 * with what its context counted.  At the end no block is left, whatever mix of interfaces its life went through. */
#include "stress.h"

#include <cairn/hooks.h>

enum { THREADS = 16, SWITCHERS = 2, LIVE = 64, ALIVE = 0x600d, DEAD = 0xdead };

/* Released by whoever removed the interface. */
struct context {
    int state; /* ALIVE or DEAD; plain on purpose: only the grace period keeps it from being a race */
    atomic_ullong calls;
};

static atomic_ullong rounds;

static void seen(struct context *c)
{
    CHECKF(c->state == ALIVE, "an interface was called after its grace period: %x", (unsigned)c->state);
    atomic_fetch_add_explicit(&c->calls, 1, memory_order_relaxed);
}

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    seen(context);
    void *block = cairn_below_malloc(call, size);
    seen(context);
    return block;
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    seen(context);
    void *block = cairn_below_calloc(call, count, size);
    seen(context);
    return block;
}

static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    seen(context);
    CHECK(old_size >= sizeof(struct stress_block));
    void *moved = cairn_below_realloc(call, block, old_size, size);
    seen(context);
    return moved;
}

static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    seen(context);
    CHECK(call->line > 0 && strstr(call->file, "hooks_switch") != NULL);
    cairn_below_free(call, block, old_size);
    seen(context);
}

static cairn_hook *put(struct context *context, int alone)
{
    cairn_interface interface = {
        .struct_size = sizeof interface,
        .name = "switched",
        .context = context,
        .on_malloc = on_malloc,
        .on_calloc = on_calloc,
        .on_realloc = on_realloc,
        .on_free = on_free,
    };
    context->state = ALIVE;
    cairn_hook *hook = alone ? cairn_hook_set(&interface) : cairn_hook_push(&interface);
    memset(&interface, 0xff, sizeof interface);
    return hook;
}

static void release(struct context *context, cairn_hook *hook)
{
    CHECK(cairn_hook_remove(hook) == 0);
    CHECK(cairn_hook_grace() == 0);
    context->state = DEAD;
    context->calls = 0;
    cairn_free(context);
}

/* Keeps up to five interfaces in place, and removes them in any order. */
static void switching(uint64_t *seed)
{
    struct context *contexts[5] = {NULL};
    cairn_hook *hooks[5] = {NULL};
    while (stress_goes_on()) {
        size_t i = check_below(seed, 5);
        if (hooks[i] != NULL) {
            release(contexts[i], hooks[i]);
            hooks[i] = NULL;
        } else {
            contexts[i] = cairn_calloc(1, sizeof *contexts[i]);
            CHECK(contexts[i] != NULL);
            hooks[i] = put(contexts[i], check_below(seed, 8) == 0);
            CHECK(hooks[i] != NULL);
        }
        rounds++;
        cairn_free_here(cairn_malloc_here(100)); /* through slots that others have next */
        if (check_below(seed, 4) == 0)
            sched_yield();
    }
    for (int i = 0; i < 5; i++)
        if (hooks[i] != NULL)
            release(contexts[i], hooks[i]);
}

static struct stress_block *make(uint64_t *seed)
{
    size_t size = sizeof(struct stress_block) + check_random_size(seed, 2000);
    struct stress_block *block = check_below(seed, 2) ? cairn_malloc_here(size) : cairn_calloc_here(1, size);
    CHECK(block != NULL);
    stress_fill(block, size, check_random(seed));
    return block;
}

static struct stress_block *change(struct stress_block *block, uint64_t *seed)
{
    stress_verify(block);
    size_t size = sizeof *block + check_random_size(seed, 2000);
    uint64_t key = block->key;
    size_t kept = (size < block->size ? size : block->size) - sizeof *block;
    block = cairn_realloc_here(block, size);
    CHECK(block != NULL);
    CHECK_FILLED((block + 1), kept, key);
    stress_fill(block, size, key);
    return block;
}

static void allocating(uint64_t *seed)
{
    struct stress_block *live[LIVE] = {NULL};
    while (stress_goes_on())
        for (int turn = 0; turn < 100; turn++) {
            size_t i = check_below(seed, LIVE);
            if (live[i] == NULL) {
                live[i] = make(seed);
            } else if (check_below(seed, 3) == 0) {
                live[i] = change(live[i], seed);
            } else {
                stress_verify(live[i]);
                cairn_free_here(live[i]);
                live[i] = NULL;
            }
        }
    for (int i = 0; i < LIVE; i++)
        cairn_free_here(live[i]);
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    if ((intptr_t)number < SWITCHERS)
        switching(&seed);
    else
        allocating(&seed);
    return NULL;
}

static void *only_allocating(void *number)
{
    uint64_t seed = stress_seed(number);
    allocating(&seed);
    return NULL;
}

/* Counts add up when nobody is under way: every call was seen twice. */
static void counts_agree(void)
{
    static struct context context;
    cairn_hook *hook = put(&context, 0);
    CHECK(hook != NULL);
    stress_end = check_now() + check_scale(0.5);
    stress_threads(100, only_allocating); /* more threads than slots in the first block */
    cairn_hook_stats s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK(cairn_hook_stats_get(hook, &s) == 0);
    uint64_t calls = s.mallocs + s.callocs + s.reallocs + s.frees;
    CHECKF(2 * calls == context.calls, "%llu calls in the statistics, seen %llu times",
           (unsigned long long)calls, (unsigned long long)context.calls);
    CHECK(s.mallocs + s.callocs == s.frees && s.failures == 0);
    CHECK(cairn_hook_remove(hook) == 0 && cairn_hook_grace() == 0);
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(2.5);
    stress_threads(THREADS + SWITCHERS, body);
    CHECKF(rounds >= 5, "only %llu changes", (unsigned long long)rounds);
    counts_agree();
    CHECK(cairn_hook_list(NULL, 0) == 0);
    stress_at_rest(before + 100 * 4);
    return 0;
}
