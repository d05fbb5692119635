/* brk.c - the source over the program break, for those who want the heap where it classically is.
 *
 * The break belongs to the whole process: others may call sbrk between any two of our calls.  So a range
 * grows only while its end is still the break, and what sbrk returns decides, not what we expected: a
 * break that others moved gives a new range, and the bytes between are theirs.  When the break cannot
 * move, the fallback takes over. */
#include "os/os.h"
#include "source/source.h"

#define FAILED ((void *)-1)

/* Lowers the break by `size` if it is at `end`.  The C library offers no such step in one, so somebody may raise it in
 * between, and what is cut off is his: then the break goes up again at once, though his bytes there are zero.  True:
 * the bytes before `end` are no longer ours. */
static bool lower(char *end, size_t size)
{
    if (size > PTRDIFF_MAX || os_sbrk(0) != end)
        return false;
    char *was = os_sbrk(-(intptr_t)size);
    if (was == FAILED || was == end)
        return was == end;
    return os_sbrk((intptr_t)size) != was - size;
}

static void *reserve(struct source *source, size_t size, size_t align)
{
    (void)source;
    uintptr_t now = (uintptr_t)os_sbrk(0);
    if (now == (uintptr_t)FAILED)
        return NULL;
    size_t gap = align_up(now, align) - now;
    size_t whole;
    if (__builtin_add_overflow(size, gap, &whole) || whole > PTRDIFF_MAX)
        return NULL;
    char *got = os_sbrk((intptr_t)whole);
    if (got == FAILED)
        return NULL;
    if ((uintptr_t)got != now) { /* somebody was quicker: give it back if that is still possible */
        (void)lower(got + whole, whole);
        return NULL;
    }
    return got + gap;
}

static bool extend(struct source *source, void *end, size_t size)
{
    (void)source;
    if (size > PTRDIFF_MAX || os_sbrk(0) != end)
        return false;
    char *got = os_sbrk((intptr_t)size);
    if (got == FAILED)
        return false;
    if (got == end)
        return true;
    (void)lower(got + size, size);
    return false;
}

static bool shrink(struct source *source, void *end, size_t size)
{
    (void)source;
    return lower(end, size);
}

static bool release(struct source *source, void *base, size_t size)
{
    (void)source;
    if (lower((char *)base + size, size))
        return true;
    (void)os_purge(base, size); /* in the middle of the data segment: only the memory goes back */
    return false;
}

static bool purge(struct source *source, void *base, size_t size)
{
    (void)source;
    return os_purge(base, size);
}

struct source source_brk = {
    .name = "brk",
    .reserve = reserve,
    .extend = extend,
    .shrink = shrink,
    .release = release,
    .purge = purge,
    .fallback = &source_os,
    .growth = GiB,
    .align = 4 * KiB,
    .step = MiB,
};
