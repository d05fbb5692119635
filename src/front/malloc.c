/* malloc.c - the standard names, unversioned, so that they take the place of any libc's.
 * Only in the builds that replace the heap; see operators.c for C++. */
#include "cairn/cairn.h"
#include "front/process.h"
#include "front/standard.h"
#include "observe/statistics.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define EXPORT CAIRN_API

/* ---- C, POSIX, GNU ------------------------------------------------------------------------------- */

EXPORT void *malloc(size_t size)
{
    return process_malloc(size);
}

EXPORT void free(void *block)
{
    process_free("free", block);
}

EXPORT void cfree(void *block)
{
    process_free("cfree", block);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return process_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size)
{
    return process_realloc("realloc", block, size, CALLER);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    return cairn_reallocarray(block, count, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return cairn_aligned_alloc(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    return cairn_aligned_alloc(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    return process_posix_memalign(out, alignment, size, CALLER);
}

EXPORT void *valloc(size_t size)
{
    return process_aligned_alloc(os_page_size(), size, CALLER);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = os_page_size();
    if (size > PTRDIFF_MAX - page)
        return thread_fail(ENOMEM, "a size above PTRDIFF_MAX was asked for");
    return process_aligned_alloc(page, align_up(size_max(size, 1), page), CALLER);
}

EXPORT void free_sized(void *block, size_t size)
{
    cairn_free_sized(block, size);
}

EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    cairn_free_aligned_sized(block, alignment, size);
}

EXPORT size_t malloc_usable_size(void *block)
{
    return process_usable_size("malloc_usable_size", block);
}

/* ---- GNU's questions ----------------------------------------------------------------------------- */

EXPORT int malloc_trim(size_t keep)
{
    return cairn_trim(keep);
}

/* No parameter of GNU's has a meaning here; 0 says that it was not taken. */
EXPORT int mallopt(int parameter, int value)
{
    (void)parameter;
    (void)value;
    return 0;
}

/* As the manual page of mallinfo has it: `arena` and `uordblks` leave the large blocks out, `hblkhd` is them. */
static struct mallinfo2 read_mallinfo2(void)
{
    cairn_stats s = {.struct_size = sizeof s};
    (void)cairn_stats_get(&s);
    return (struct mallinfo2){
        .arena = s.committed - s.live_large,
        .ordblks = s.spans,
        .hblkhd = s.live_large,
        .usmblks = s.committed_peak,
        .fsmblks = s.metadata,
        .uordblks = s.live - s.live_large,
        .fordblks = s.cached + s.free,
        .keepcost = s.free,
    };
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    return read_mallinfo2();
}

static int clamp_to_int(size_t value)
{
    return value > INT32_MAX ? INT32_MAX : (int)value;
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 m = read_mallinfo2();
    return (struct mallinfo){
        .arena = clamp_to_int(m.arena),
        .ordblks = clamp_to_int(m.ordblks),
        .hblkhd = clamp_to_int(m.hblkhd),
        .usmblks = clamp_to_int(m.usmblks),
        .fsmblks = clamp_to_int(m.fsmblks),
        .uordblks = clamp_to_int(m.uordblks),
        .fordblks = clamp_to_int(m.fordblks),
        .keepcost = clamp_to_int(m.keepcost),
    };
}

EXPORT void malloc_stats(void)
{
    (void)cairn_stats_print(2, CAIRN_STATS_TEXT);
}

static bool to_stream(void *stream, const char *text, size_t size)
{
    return os_stream_write(stream, text, size);
}

EXPORT int malloc_info(int options, void *stream)
{
    struct statistics statistics;
    struct printer printer;
    if (options != 0) {
        os_errno_set(EINVAL);
        return -1;
    }
    process_start();
    statistics_read(&process_heap, &statistics);
    printer_init(&printer, to_stream, stream);
    statistics_print_xml(&printer, &statistics);
    return printer.failed ? -1 : 0;
}
