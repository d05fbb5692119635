// timeout: 60
/* tools_load.c - all ready interfaces at once, for the calls of hooks.h or for all calls, started and stopped in any order,
 * while threads allocate by both kinds, hand blocks to one another, fork and end. */
#include "stress.h"

#include <cairn/tools.h>

enum { THREADS = 10, BOXES = 128 };

static _Atomic(struct stress_block *) boxes[BOXES];
static atomic_ullong starts;

static void *get(uint64_t *seed, size_t size)
{
    switch (check_below(seed, 8)) {
    case 0: return cairn_calloc_here(1, size);
    case 1: return cairn_calloc(1, size);
    case 2: return cairn_aligned_alloc_here(256, size);
    case 3: return cairn_aligned_alloc(64, size);
    case 4:
    case 5: return cairn_malloc_here(size);
    default: return cairn_malloc(size);
    }
}

static void give(uint64_t *seed, void *block)
{
    if (check_below(seed, 2) == 0)
        cairn_free(block);
    else
        cairn_free_here(block);
}

static struct stress_block *make(uint64_t *seed)
{
    size_t size = sizeof(struct stress_block) + check_random_size(seed, 1500);
    struct stress_block *block = get(seed, size);
    if (block != NULL) /* the injector and the limits are at work */
        stress_fill(block, size, check_random(seed));
    return block;
}

static struct stress_block *change(struct stress_block *block, uint64_t *seed)
{
    stress_verify(block);
    size_t size = sizeof *block + check_random_size(seed, 1500);
    uint64_t key = block->key;
    size_t kept = (size < block->size ? size : block->size) - sizeof *block;
    struct stress_block *moved =
        check_below(seed, 2) == 0 ? cairn_realloc(block, size) : cairn_realloc_here(block, size);
    if (moved == NULL) {
        stress_verify(block); /* as it was */
        return block;
    }
    CHECK_FILLED((moved + 1), kept, key);
    stress_fill(moved, size, key);
    return moved;
}

static void *allocating(void *number)
{
    uint64_t seed = stress_seed(number);
    for (int turn = 0; stress_goes_on(); turn++) {
        struct stress_block *block = atomic_exchange(&boxes[check_below(&seed, BOXES)], NULL);
        if (block != NULL && check_below(&seed, 2) == 0)
            block = change(block, &seed);
        if (block != NULL)
            stress_verify(block);
        give(&seed, block);
        block = atomic_exchange(&boxes[check_below(&seed, BOXES)], make(&seed));
        if (block != NULL)
            stress_verify(block);
        give(&seed, block);
    }
    return NULL;
}

static cairn_tool *start(uint64_t *seed)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/cairn-tools-load-%d", (int)getpid());
    unsigned flags = CAIRN_TOOL_QUIET | (check_below(seed, 2) == 0 ? CAIRN_TOOL_ALL_CALLS : 0);
    cairn_leaks_config leaks = {.struct_size = sizeof leaks, .flags = flags};
    cairn_faults_config faults = {
        .struct_size = sizeof faults, .flags = flags, .probability = 0.1, .seed = *seed};
    cairn_limits_config limits = {.struct_size = sizeof limits, .flags = flags, .bytes = 30000};
    cairn_guard_config guard = {.struct_size = sizeof guard, .flags = flags, .every = 50, .limit = 4 << 20};
    cairn_tracing_config tracing = {.struct_size = sizeof tracing, .flags = flags, .output = path};
    cairn_tool *tool;
    switch (check_below(seed, 5)) {
    case 0: tool = cairn_leaks_start(&leaks); break;
    case 1: tool = cairn_faults_start(&faults); break;
    case 2: tool = cairn_limits_start(&limits); break;
    case 3: tool = cairn_guard_start(&guard); break;
    default: tool = cairn_tracing_start(&tracing); unlink(path);
    }
    CHECK(tool != NULL);
    starts++;
    return tool;
}

/* In the child everything still works, but for the other threads. */
static void fork_once(uint64_t *seed)
{
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++)
            give(seed, make(seed));
        cairn_tool *tool = cairn_leaks_start(NULL);
        _exit(tool != NULL && cairn_tool_stop(tool) == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECKF(status == 0, "status of the child: %x", (unsigned)status);
}

static void *changing(void *number)
{
    uint64_t seed = stress_seed(number);
    cairn_tool *tools[5] = {NULL};
    int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(out >= 0);
    while (stress_goes_on()) {
        size_t i = check_below(&seed, 5);
        if (tools[i] == NULL) {
            tools[i] = start(&seed);
        } else if (check_below(&seed, 2) == 0) {
            CHECK(cairn_tool_print(tools[i], out,
                                   check_below(&seed, 2) ? CAIRN_STATS_JSON : CAIRN_STATS_TEXT) == 0);
        } else {
            CHECK(cairn_tool_stop(tools[i]) == 0);
            tools[i] = NULL;
        }
        if (!CHECK_SANITIZED && check_below(&seed, 3) == 0)
            fork_once(&seed);
    }
    for (int i = 0; i < 5; i++)
        CHECK(tools[i] == NULL || cairn_tool_stop(tools[i]) == 0);
    close(out);
    return NULL;
}

static void *body(void *number)
{
    return (intptr_t)number < 2 ? changing(number) : allocating(number);
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(3);
    stress_threads(THREADS, body);
    CHECKF(starts >= 5, "only %llu tools were started", (unsigned long long)starts);
    for (int i = 0; i < BOXES; i++)
        stress_free(boxes[i]);
    CHECK(cairn_hook_list(NULL, 0) == 0);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
