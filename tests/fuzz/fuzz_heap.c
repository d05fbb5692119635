/* fuzz_heap.c - sequences of heap operations against a model that knows, for each block, its address, what
 * was asked for and how it is filled.
 *
 * The input is a string of operations; each takes a few bytes and wraps around in the table of blocks, so
 * that every input means something.  Checked at each step:
 *   a block is aligned as promised, has the size that was asked for, and overlaps no other block
 *   calloc's bytes are zero, realloc keeps contents up to the smaller size
 *   the contents of a block are as they were left when it is grown or freed: its whole usable size, of a big
 *     one the beginning and the last byte
 *   a refusal comes only where a limit is set or the size is out of reach, and changes nothing
 *   the statistics add up, and in the end no block is left
 * The first byte may set a hard limit, so that refusals happen anywhere. */
#include "check.h"
#include <cairn/cairn.h>

enum { SLOTS = 64, HEAD = 128 << 10 };

static struct {
    unsigned char *at;
    size_t size;      /* asked for */
    size_t alignment; /* asked for; 0: none */
    size_t usable;
    uint64_t key; /* of what fills the first HEAD bytes; its lowest byte is the block's last */
} blocks[SLOTS];

static uint64_t next_key;
static int limited;

/* ---- Input --------------------------------------------------------------------------------------- */

struct input {
    const uint8_t *at, *end;
};

static unsigned take(struct input *in, int bytes)
{
    unsigned value = 0;
    for (; bytes > 0; bytes--)
        value = value << 8 | (in->at < in->end ? *in->at++ : 0u);
    return value;
}

/* Small sizes mostly; some large; a few at the edge of what there is. */
static size_t take_size(struct input *in)
{
    unsigned kind = take(in, 1);
    if (kind < 150)
        return kind * 8u + take(in, 1) % 8u;
    if (kind < 230)
        return take(in, 2);
    if (kind < 250)
        return take(in, 3) / 8; /* up to 2 MiB */
    if (kind < 253)
        return 32 * MIB + take(in, 3);
    return kind == 253 ? (size_t)PTRDIFF_MAX + take(in, 1) : SIZE_MAX - take(in, 2);
}

/* ---- Model --------------------------------------------------------------------------------------- */

static int out_of_reach(size_t size)
{
    return size > (size_t)PTRDIFF_MAX - 16 * MIB;
}

static void check_refusal(const char *what, size_t size)
{
    CHECKF(errno == ENOMEM, "%s of %zu: errno %d", what, size, errno);
    CHECKF(limited || out_of_reach(size), "%s of %zu is refused", what, size);
}

static size_t head(size_t size)
{
    return size < HEAD ? size : HEAD;
}

static void fill(size_t i)
{
    blocks[i].key = ++next_key;
    check_fill(blocks[i].at, head(blocks[i].usable), blocks[i].key);
    if (blocks[i].usable > HEAD)
        blocks[i].at[blocks[i].usable - 1] = (unsigned char)blocks[i].key;
}

static void adopt(size_t i, void *p, size_t size, size_t alignment)
{
    unsigned char *at = p;
    size_t usable = cairn_usable_size(at);
    CHECKF(!out_of_reach(size), "%zu bytes are served", size);
    CHECKF((alignment != 0 ? (uintptr_t)at & (alignment - 1) : 0) == 0, "%p is not aligned to %zu", p,
           alignment);
    CHECKF(((uintptr_t)at & (usable <= 8 ? 7 : 15)) == 0, "%p with %zu bytes is not aligned", p, usable);
    CHECKF(usable >= size && usable > 0, "%zu usable of %zu", usable, size);
    for (size_t k = 0; k < SLOTS; k++)
        CHECKF(k == i || blocks[k].at == NULL || at + usable <= blocks[k].at ||
                   blocks[k].at + blocks[k].usable <= at,
               "%p of %zu overlaps %p of %zu", p, usable, (void *)blocks[k].at, blocks[k].usable);
    blocks[i].at = at;
    blocks[i].size = size;
    blocks[i].alignment = alignment;
    blocks[i].usable = usable;
}

static void verify(size_t i)
{
    CHECK_EQ(cairn_usable_size(blocks[i].at), blocks[i].usable);
    CHECK_FILLED(blocks[i].at, head(blocks[i].usable), blocks[i].key);
    CHECK(blocks[i].usable <= HEAD || blocks[i].at[blocks[i].usable - 1] == (unsigned char)blocks[i].key);
}

static void release(size_t i, int sized)
{
    if (blocks[i].at != NULL)
        verify(i);
    errno = 4242;
    if (sized && blocks[i].at != NULL && blocks[i].alignment != 0)
        cairn_free_aligned_sized(blocks[i].at, blocks[i].alignment, blocks[i].size);
    else if (sized && blocks[i].at != NULL)
        cairn_free_sized(blocks[i].at, blocks[i].size);
    else
        cairn_free(blocks[i].at);
    CHECK(errno == 4242);
    blocks[i].at = NULL;
    blocks[i].size = 0;
}

/* ---- Operations ---------------------------------------------------------------------------------- */

static void do_malloc(size_t i, struct input *in)
{
    size_t size = take_size(in);
    void *p = cairn_malloc(size);
    if (p == NULL) {
        check_refusal("malloc", size);
        return;
    }
    adopt(i, p, size, 0);
    fill(i);
}

static void do_calloc(size_t i, struct input *in)
{
    size_t size = take_size(in), count = take(in, 1) % 4, total;
    int overflow = __builtin_mul_overflow(size, count, &total);
    void *p = cairn_calloc(count, size);
    if (p == NULL) {
        check_refusal("calloc", overflow ? SIZE_MAX : total);
        return;
    }
    CHECK(!overflow);
    size_t looked_at = total < 4 * MIB ? total : MIB;
    size_t at = check_nonzero(p, looked_at);
    CHECKF(at == looked_at, "calloc(%zu, %zu) is not zero at %zu", count, size, at);
    adopt(i, p, total, 0);
    fill(i);
}

static void do_aligned(size_t i, struct input *in, int posix)
{
    size_t alignment = (size_t)1 << take(in, 1) % 24, size = take_size(in);
    void *p = NULL;
    if (posix) {
        alignment = alignment < sizeof p ? sizeof p : alignment;
        int result = cairn_posix_memalign(&p, alignment, size);
        CHECK(result == (p != NULL ? 0 : ENOMEM));
        errno = result;
    } else {
        p = cairn_aligned_alloc(alignment, size);
    }
    if (p == NULL) {
        check_refusal("aligned_alloc", size);
        return;
    }
    adopt(i, p, size, alignment);
    fill(i);
}

static void do_realloc(size_t i, struct input *in)
{
    size_t size = take_size(in), kept = size < blocks[i].size ? size : blocks[i].size;
    if (blocks[i].at != NULL)
        verify(i);
    void *p = cairn_realloc(blocks[i].at, size);
    if (p == NULL) {
        check_refusal("realloc", size);
        if (blocks[i].at != NULL)
            verify(i);
        return;
    }
    CHECK_FILLED(p, head(kept), blocks[i].key);
    adopt(i, p, size, 0);
    fill(i);
}

static void check_stats(void)
{
    cairn_stats s;
    s.struct_size = sizeof s;
    CHECK(cairn_stats_get(&s) == 0);
    CHECKF(s.live + s.cached + s.free + s.metadata == s.committed, "%llu + %llu + %llu + %llu != %llu",
           (unsigned long long)s.live, (unsigned long long)s.cached, (unsigned long long)s.free,
           (unsigned long long)s.metadata, (unsigned long long)s.committed);
    uint64_t live = 0, count = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (blocks[i].at != NULL) {
            live += blocks[i].usable;
            count++;
        }
    CHECK_EQ(s.live, live);
    CHECK_EQ(s.live_blocks, count);
}

static void set_limit(unsigned choice)
{
    cairn_stats s;
    s.struct_size = sizeof s;
    CHECK(cairn_stats_get(&s) == 0);
    limited = choice % 4 == 1;
    size_t limit = limited ? s.committed + (choice / 4 + 1) * 64 * KIB : SIZE_MAX;
    CHECK(cairn_limit_set(limit, limit) == 0);
}

static void step(struct input *in)
{
    unsigned operation = take(in, 1);
    size_t i = take(in, 1) % SLOTS;
    switch (operation % 16) {
    case 0:
    case 1:
    case 2:
        release(i, 0);
        do_malloc(i, in);
        break;
    case 3:
    case 4:
        release(i, 0);
        do_calloc(i, in);
        break;
    case 5:
    case 6: do_realloc(i, in); break;
    case 7:
        release(i, 0);
        do_aligned(i, in, 0);
        break;
    case 8:
        release(i, 0);
        do_aligned(i, in, 1);
        break;
    case 9: /* a run of equal blocks, to fill spans */
        for (size_t size = take_size(in) % 2000, k = 0; k < SLOTS / 2; k++) {
            size_t at = (i + k) % SLOTS;
            release(at, 0);
            void *p = cairn_malloc(size);
            if (p == NULL) {
                check_refusal("malloc", size);
                break;
            }
            adopt(at, p, size, 0);
            fill(at);
        }
        break;
    case 10: /* and a run of frees */
        for (size_t k = 0; k < SLOTS / 2; k++)
            release((i + k) % SLOTS, 0);
        break;
    case 11: check_stats(); break;
    case 12: cairn_trim(take(in, 2) * KIB); break;
    case 13: CHECK(cairn_good_size(i * 100) >= i * 100); break;
    default: release(i, operation >= 128);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    set_limit(take(&in, 1));
    while (in.at < in.end)
        step(&in);
    check_stats();
    for (size_t i = 0; i < SLOTS; i++)
        release(i, 0);
    check_stats();
    return 0;
}
