/* api.c - the cairn_ names of <cairn/cairn.h>, in every build. */
#include "cairn/cairn.h"

#include "base/print.h"
#include "engine/purge.h"
#include "front/options.h"
#include "front/process.h"
#include "observe/inspect.h"
#include "observe/report_stats.h"
#include "observe/statistics.h"

#include <errno.h>
#include <string.h>

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

/* ---- Allocating ---------------------------------------------------------------------------------- */

void *cairn_malloc(size_t size)
{
    return process_malloc(size);
}

void *cairn_calloc(size_t count, size_t size)
{
    return process_calloc(count, size);
}

void *cairn_realloc(void *block, size_t size)
{
    return process_realloc("realloc", block, size, CALLER);
}

void *cairn_reallocarray(void *block, size_t count, size_t size)
{
    size_t total;
    if (multiply_overflows(count, size, &total))
        return thread_fail(ENOMEM, "the product of count and size is above SIZE_MAX");
    return process_realloc("reallocarray", block, total, CALLER);
}

void *cairn_aligned_alloc(size_t alignment, size_t size)
{
    if (!is_power_of_two(alignment))
        return thread_fail(EINVAL, "the alignment is not a power of two");
    return process_aligned_alloc(alignment, size, CALLER);
}

int cairn_posix_memalign(void **out, size_t alignment, size_t size)
{
    return process_posix_memalign(out, alignment, size, CALLER);
}

char *cairn_strdup(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = process_malloc(size);
    return copy != NULL ? memcpy(copy, string, size) : NULL;
}

char *cairn_strndup(const char *string, size_t max)
{
    size_t length = strnlen(string, max);
    char *copy = process_malloc(length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, string, length);
    copy[length] = 0;
    return copy;
}

/* ---- Freeing and asking -------------------------------------------------------------------------- */

void cairn_free(void *block)
{
    process_free("free", block);
}

void cairn_free_sized(void *block, size_t size)
{
    process_free_sized("free_sized", block, 0, size);
}

void cairn_free_aligned_sized(void *block, size_t alignment, size_t size)
{
    process_free_sized("free_aligned_sized", block, alignment, size);
}

size_t cairn_usable_size(const void *block)
{
    return process_usable_size("usable_size", block);
}

size_t cairn_good_size(size_t size)
{
    if (size <= CLASS_SIZE_MAX)
        return class_size(class_of(size));
    return size <= PTRDIFF_MAX ? align_up(size, PAGE_SIZE) : size;
}

const char *cairn_errormsg(void)
{
    return thread_message != NULL ? thread_message : "";
}

const char *cairn_version(void)
{
    return VERSION_TEXT(CAIRN_VERSION_MAJOR, CAIRN_VERSION_MINOR, CAIRN_VERSION_PATCH);
}

/* ---- Memory kept, limits, statistics ------------------------------------------------------------- */

int cairn_trim(size_t keep)
{
    return heap_trim(&process_heap, keep);
}

int cairn_limit_set(size_t hard, size_t soft)
{
    if (hard < soft && soft != SIZE_MAX) {
        (void)thread_fail(EINVAL, "the hard limit is below the soft one");
        return -1;
    }
    process_start();
    lock_take(&process_heap.lock);
    process_heap.config.limit_hard = hard;
    process_heap.config.limit_soft = soft;
    lock_release(&process_heap.lock);
    return 0;
}

int cairn_stats_get(cairn_stats *out)
{
    struct statistics statistics;
    size_t room = out->struct_size;
    if (room == 0) {
        (void)thread_fail(EINVAL, "struct_size is 0");
        return -1;
    }
    process_start();
    statistics_read(&process_heap, &statistics);
    statistics.total.struct_size = room;
    memcpy(out, &statistics.total, size_min(room, sizeof *out));
    return 0;
}

int cairn_stats_print(int fd, cairn_stats_format format)
{
    process_start();
    return observe_write_stats(&process_heap, fd, format == CAIRN_STATS_JSON) ? 0 : -1;
}

/* ---- Looking into the heap ----------------------------------------------------------------------- */

int cairn_heap_walk(cairn_visit *visit, void *context)
{
    enum error error = OK;
    process_start();
    int result = inspect_walk(&process_heap, process_cache(), visit, context, &error);
    if (error != OK)
        (void)thread_fail(ENOMEM, "the system has no more memory to walk the heap");
    return result;
}

/* Texts of failed checks, the oldest used again. */
static const char *fault_text(const struct inspect_fault *fault)
{
    enum { TEXTS = 8, TEXT_MAX = 120 };
    static char texts[TEXTS][TEXT_MAX];
    static uint32_t count;
    char *text = texts[fetch_add_relaxed(&count, 1) % TEXTS];
    print_to_buffer(text, TEXT_MAX, "%s: %p", fault->what, fault->where);
    return text;
}

int cairn_heap_check(void)
{
    enum error error = OK;
    struct inspect_fault fault;
    process_start();
    if (!inspect_heap(&process_heap, process_cache(), &fault, &error)) {
        (void)thread_fail(ENOMEM, "the system has no more memory to check the heap");
        return -1;
    }
    if (fault.what == NULL)
        return 0;
    (void)thread_fail(EUCLEAN, fault_text(&fault));
    return -1;
}

int cairn_options_print(int fd, int markdown)
{
    return options_print(fd, markdown != 0) ? 0 : -1;
}
