/* os.c - the source over mmap: private anonymous pages.
 *
 * A range asks for a place directly below the one before, so that aligned ranges follow each other
 * without trimming and the kernel merges their mappings into one. */
#include "os/os.h"
#include "base/atomic.h"
#include "source/source.h"

static uintptr_t next_hint; /* where the next range would continue the last; 0 at first.  Only a hint. */

/* Maps more than wanted and cuts both ends off. */
static void *map_trimmed(size_t size, size_t align)
{
    size_t whole;
    if (__builtin_add_overflow(size, align - os_page_size(), &whole))
        return NULL;
    char *got = os_map(NULL, whole);
    if (got == NULL)
        return NULL;
    char *base = (char *)align_up((uintptr_t)got, align);
    size_t head = (size_t)(base - got);
    size_t tail = whole - head - size;
    if (head > 0)
        (void)os_unmap(got, head); /* a failure costs address space only */
    if (tail > 0)
        (void)os_unmap(base + size, tail);
    return base;
}

static void *reserve(struct source *source, size_t size, size_t align)
{
    (void)source;
    uintptr_t hint = load_relaxed(&next_hint);
    hint = hint > size ? align_down(hint - size, align) : 0;
    void *got = os_map((void *)hint, size);
    if (got != NULL && ((uintptr_t)got & (align - 1)) != 0) {
        (void)os_unmap(got, size);
        got = map_trimmed(size, align);
    }
    if (got != NULL) {
        store_relaxed(&next_hint, (uintptr_t)got);
        os_name(got, size, "cairn");
    }
    return got;
}

static bool release(struct source *source, void *base, size_t size)
{
    (void)source;
    if (os_unmap(base, size))
        return true;
    (void)os_purge(base, size); /* too many mappings to split one: at least the memory goes back */
    return false;
}

static bool purge(struct source *source, void *base, size_t size)
{
    (void)source;
    return os_purge(base, size);
}

static bool move(struct source *source, void *from, void *to, size_t size)
{
    (void)source;
    return os_move_pages(from, to, size);
}

static bool renew(struct source *source, void *base, size_t size)
{
    (void)source;
    if (!os_map_over(base, size))
        return false;
    os_name(base, size, "cairn");
    return true;
}

struct source source_os = {
    .name = "os",
    .reserve = reserve,
    .release = release,
    .purge = purge,
    .move = move,
    .renew = renew,
    .align = 4 * MiB,
    .step = 16 * MiB,
};
