/* guard.c - chosen blocks against inaccessible pages, and who it was when one is touched.  See <cairn/tools.h>.
 *
 * The blocks lie in a pool with CAIRN_POOL_GUARD (pool/guard.c).  What is kept here is where each was allocated and, once it
 * is freed, where that was; it stays until the address is given out again.  A block's end is at the page's end but for the
 * alignment; the bytes in between are filled, and looked at when it is freed.
 *
 * Calls that the tool does not see may free a block, too (the pool tells of it), and by realloc even get one in the pool: of
 * that nothing is known, though its address may have a freed block's entry.
 *
 * The handler of SIGSEGV takes the lock of `known` alone, and no code that holds it touches the program's memory: so the
 * thread that faulted does not have it.  Locks that may be held where the library itself touches a block that is no more
 * (a pool's around a buffer in a guarded block, say) are not taken. */
#include "observe/live.h"
#include "observe/tool.h"

#include "base/atomic.h"
#include "engine/pagemap.h"
#include "os/os.h"
#include "os/report.h"
#include "pool/pool.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define GUARDS_MAX 8
#define LIMIT_DEFAULT (128 * MiB) /* each block takes two mappings, and the kernel gives a process 65,530 */
#define FILL 0xc5
#define IS_FREED 1u /* in a block's tag; above it the number of the place that freed it */

struct guard_tool {
    struct cairn_tool tool;
    cairn_pool *pool;
    struct live *known; /* in memory of its own, which lasts as long as the pool */
    uint64_t every;
    uint64_t chosen; /* calls so far; atomic, several threads write */
    uint64_t placed; /* of them, those with a guard; as above */
};

static struct guard_tool *guards[GUARDS_MAX]; /* atomic */

/* ---- Messages ------------------------------------------------------------------------------------ */

static void print_block(struct printer *p, const struct live_block *block)
{
    print(p, "the block %p of %zu bytes, allocated at ", (const void *)block->address, block->size);
    place_print(p, place_by_id(block->place));
    if ((block->tag & IS_FREED) != 0) {
        print(p, ", freed at ");
        place_print(p, place_by_id(block->tag >> 1));
    }
}

static void say_fault(const struct guard_tool *guard, uintptr_t address, const struct live_block *block)
{
    struct printer p;
    tool_say_begin(&p, &guard->tool);
    if ((block->tag & IS_FREED) != 0)
        print(&p, "use after free at %p: in ", (const void *)address);
    else
        print(&p, "overrun at %p: %zu bytes behind the end of ", (const void *)address,
              (size_t)(address - block->address) - block->size);
    print_block(&p, block);
    tool_say_end(&p);
}

/* Finds what is known of the block whose pages the address lies in. */
static bool block_around(const struct guard_tool *guard, uintptr_t address, struct live_block *block)
{
    const struct span *span = pagemap_find((const void *)address);
    if (span == NULL ||
        pool_of_span(span) != guard->pool) /* cairn_pool_of may take a lock, for pools in buffers */
        return false;
    bool is_live = span->carved != 0; /* as pool/guard.c uses the fields */
    if (!live_take(guard->known, span->free, block))
        return false;
    (void)live_put(guard->known, block);
    return is_live == ((block->tag & IS_FREED) == 0);
}

static void on_fault(uintptr_t address)
{
    for (unsigned i = 0; i < GUARDS_MAX; i++) {
        struct guard_tool *guard = load_acquire(&guards[i]); /* pairs with guard_make */
        struct live_block block;
        if (guard == NULL || !block_around(guard, address, &block))
            continue;
        say_fault(guard, address, &block);
        return;
    }
}

/* ---- Blocks -------------------------------------------------------------------------------------- */

static bool is_to_guard(struct guard_tool *guard, const cairn_call *call, size_t size)
{
    if (!tool_chooses(&guard->tool.where, call, size))
        return false;
    uint64_t n = fetch_add_relaxed(&guard->chosen, 1);
    return guard->every <= 1 || n % guard->every == 0;
}

/* A guarded block of zeros, or NULL: then it has to be placed as usual. */
static void *guarded(struct guard_tool *guard, const cairn_call *call, size_t alignment, size_t size)
{
    if (!is_to_guard(guard, call, size))
        return NULL;
    char *block = alignment != 0 ? cairn_pool_aligned_alloc(guard->pool, alignment, size)
                                 : cairn_pool_calloc(guard->pool, 1, size);
    if (block == NULL)
        return NULL;
    size_t usable = cairn_pool_usable_size(guard->pool, block);
    memset(block + size, FILL, usable - size);
    (void)live_put(guard->known, &(struct live_block){(uintptr_t)block, size, place_of(call)->id, 0});
    add_relaxed(&guard->placed, 1);
    return block;
}

static bool is_mine(const struct guard_tool *guard, const void *block)
{
    return cairn_pool_of(block) == guard->pool;
}

static void check_fill(const struct guard_tool *guard, const struct live_block *block)
{
    const uint8_t *bytes = (const uint8_t *)block->address;
    size_t usable = cairn_pool_usable_size(guard->pool, bytes);
    for (size_t at = block->size; at < usable; at++)
        if (bytes[at] != FILL) {
            struct printer p;
            tool_say_begin(&p, &guard->tool);
            print(&p, "overrun, found at the free: byte %zu behind the end was written, of ",
                  at - block->size);
            print_block(&p, block);
            tool_say_end(&p);
            os_abort();
        }
}

/* By a call that the tool does not see, or that give_back has noted. */
static void on_pool_free(void *context, const void *block)
{
    struct live *known = context;
    struct live_block of;
    if (!live_take(known, block, &of))
        return;
    if ((of.tag & IS_FREED) == 0)
        of.tag = IS_FREED; /* elsewhere */
    (void)live_put(known, &of);
}

/* The pool finds a second free, and says so. */
static void give_back(struct guard_tool *guard, const cairn_call *call, void *block)
{
    struct live_block known;
    if (live_take(guard->known, block, &known)) {
        if ((known.tag & IS_FREED) == 0)
            check_fill(guard, &known);
        known.tag = place_of(call)->id << 1 | IS_FREED;
        (void)live_put(guard->known, &known);
    }
    cairn_pool_free(guard->pool, block);
}

/* ---- The interface ------------------------------------------------------------------------------- */

static void *on_malloc(void *context, const cairn_call *call, size_t size)
{
    void *block = guarded(context, call, 0, size);
    return block != NULL ? block : cairn_below_malloc(call, size);
}

static void *on_calloc(void *context, const cairn_call *call, size_t count, size_t size)
{
    void *block = guarded(context, call, 0, count * size);
    return block != NULL ? block : cairn_below_calloc(call, count, size);
}

static void *on_aligned_alloc(void *context, const cairn_call *call, size_t alignment, size_t size)
{
    void *block = guarded(context, call, alignment, size);
    return block != NULL ? block : cairn_below_aligned_alloc(call, alignment, size);
}

/* A guarded block always moves, so that whoever kept the old address is caught. */
static void *on_realloc(void *context, const cairn_call *call, void *block, size_t old_size, size_t size)
{
    struct guard_tool *guard = context;
    bool mine = is_mine(guard, block);
    void *moved = guarded(guard, call, 0, size);
    if (moved == NULL && !mine)
        return cairn_below_realloc(call, block, old_size, size);
    if (moved == NULL)
        moved = cairn_below_malloc(call, size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, block, size_min(old_size, size));
    if (mine)
        give_back(guard, call, block);
    else
        cairn_below_free(call, block, old_size);
    return moved;
}

static void on_free(void *context, const cairn_call *call, void *block, size_t old_size)
{
    struct guard_tool *guard = context;
    if (is_mine(guard, block))
        give_back(guard, call, block);
    else
        cairn_below_free(call, block, old_size);
}

/* The size as asked for: behind it is the fill. */
static size_t on_usable_size(void *context, const cairn_call *call, const void *block)
{
    struct guard_tool *guard = context;
    struct live_block known;
    if (!is_mine(guard, block))
        return cairn_below_usable_size(call, block);
    size_t usable = cairn_pool_usable_size(guard->pool, block); /* reports a block that was freed */
    if (!live_take(guard->known, block, &known))
        return usable;
    (void)live_put(guard->known, &known);
    return known.size;
}

/* ---- Output and life ----------------------------------------------------------------------------- */

static void guard_print(struct cairn_tool *tool, struct printer *p, bool json)
{
    const struct guard_tool *guard = (const struct guard_tool *)tool;
    cairn_stats stats = {.struct_size = sizeof stats};
    (void)cairn_pool_stats(guard->pool, &stats);
    uint64_t chosen = load_relaxed(&guard->chosen), placed = load_relaxed(&guard->placed);
    if (json)
        print(p,
              "{\"cairn\": \"%s\", \"tool\": \"guard\", \"chosen\": %ju, \"guarded\": %ju, \"live\": %ju}\n",
              cairn_version(), chosen, placed, stats.live_blocks);
    else
        print(p, "cairn: guard: %ju allocations chosen, %ju guarded, %ju of these live\n", chosen, placed,
              stats.live_blocks);
}

static void guard_fork(struct cairn_tool *tool, enum tool_fork when)
{
    struct guard_tool *guard = (struct guard_tool *)tool;
    if (when == TOOL_FORK_BEFORE)
        live_before_fork(guard->known);
    else
        live_after_fork(guard->known);
}

static size_t known_bytes(void)
{
    return align_up(sizeof(struct live), os_page_size());
}

static void drop_known(struct guard_tool *guard)
{
    live_release(guard->known);
    (void)os_unmap(guard->known, known_bytes());
}

/* A pool with blocks in use stays, with what is known of them: the program may still free them. */
static bool guard_end(struct cairn_tool *tool)
{
    struct guard_tool *guard = (struct guard_tool *)tool;
    cairn_stats stats = {.struct_size = sizeof stats};
    for (unsigned i = 0; i < GUARDS_MAX; i++) {
        struct guard_tool *expected = guard;
        (void)cas_acq_rel(&guards[i], &expected, NULL);
    }
    if (cairn_pool_stats(guard->pool, &stats) == 0 && stats.live_blocks == 0) {
        cairn_pool_destroy(guard->pool);
        drop_known(guard);
    }
    return true;
}

static const struct tool_kind guard_kind = {
    .name = "guard", .print = guard_print, .fork = guard_fork, .end = guard_end};

/* Makes the fault handler find it. */
static bool announce(struct guard_tool *guard)
{
    static uint32_t handled; /* atomic */
    uint32_t before = 0;
    if (cas_acq_rel(&handled, &before, 1) && !os_on_fault(on_fault))
        report_warning("guard", "the system takes no handler for faults: they will not be explained");
    for (unsigned i = 0; i < GUARDS_MAX; i++) {
        struct guard_tool *expected = NULL;
        if (cas_acq_rel(&guards[i], &expected, guard))
            return true;
    }
    return false;
}

struct cairn_tool *guard_make(const cairn_guard_config *given)
{
    cairn_guard_config config = {.struct_size = sizeof config};
    if (!tool_config_read(&config, sizeof config, given))
        return NULL;
    struct tool_config common = {sizeof common, config.flags, config.output, config.where};
    struct guard_tool *guard = tool_make(&guard_kind, sizeof *guard, &common);
    if (guard == NULL)
        return NULL;
    cairn_pool_config pool = {
        .struct_size = sizeof pool,
        .flags = CAIRN_POOL_GUARD,
        .name = "guard",
        .limit = config.limit != 0 ? config.limit : LIMIT_DEFAULT,
    };
    guard->pool = cairn_pool_create(&pool);
    guard->known = os_map(NULL, known_bytes());
    if (guard->pool == NULL || guard->known == NULL) {
        int error = guard->pool == NULL ? os_errno_get() : ENOMEM;
        if (guard->known != NULL)
            (void)os_unmap(guard->known, known_bytes());
        cairn_pool_destroy(guard->pool);
        tool_release(&guard->tool);
        return thread_fail(error, "there is no memory for the guard's pool");
    }
    live_init(guard->known);
    pool_guard_watch(guard->pool, on_pool_free, guard->known);
    guard->every = config.every;
    if (!announce(guard)) {
        cairn_pool_destroy(guard->pool);
        drop_known(guard);
        tool_release(&guard->tool);
        return thread_fail(ENOSPC, "as many guards as there may be are in place");
    }
    cairn_interface *interface = &guard->tool.interface;
    interface->on_malloc = on_malloc;
    interface->on_calloc = on_calloc;
    interface->on_aligned_alloc = on_aligned_alloc;
    interface->on_realloc = on_realloc;
    interface->on_free = on_free;
    interface->on_usable_size = on_usable_size;
    return &guard->tool;
}
