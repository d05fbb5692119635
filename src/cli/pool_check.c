/* pool_check.c - cairn pool check and leaks: exit status 1 when something is found. */
#include "pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- check ---------------------------------------------------------------------------------------- */

enum { FAULTS_SHOWN = 100 };

struct faults {
    json_t *array; /* NULL: printed */
    uint64_t count;
};

static int note_fault(uint64_t offset, const char *text, void *context)
{
    struct faults *faults = context;
    if (faults->count++ >= FAULTS_SHOWN)
        return 0;
    if (faults->array != NULL)
        (void)json_array_append_new(faults->array,
                                    json_pack("{s:I, s:s}", "offset", (json_int_t)offset, "text", text));
    else
        printf("  at %" PRIu64 ": %s\n", offset, text);
    return 0;
}

int pool_check(const struct pool_request *request)
{
    struct faults faults = {request->json ? json_array() : NULL, 0};
    struct progress progress;
    cairn_file_check check = {.struct_size = sizeof check,
                              .fault = note_fault,
                              .fault_context = &faults,
                              .progress = progress_of,
                              .progress_context = &progress};
    progress_begin(&progress, request, "checking", PROGRESS_PARTS);
    int result = cairn_pool_check_file(request->file, request->layout, &check);
    int error = errno;
    progress_end(&progress);
    errno = error;
    if (result < 0) {
        json_decref(faults.array);
        return pool_failed(request);
    }
    int status = result == 1 ? 0 : STATUS_FOUND;
    if (request->json)
        return pool_print_json(json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "is_consistent",
                                         check.faults == 0, "is_closed", check.is_closed, "faults",
                                         (json_int_t)check.faults, "blocks", (json_int_t)check.blocks,
                                         "bytes", (json_int_t)check.bytes, "pages", (json_int_t)check.pages,
                                         "calls_open", (json_int_t)check.calls_open, "fault_list",
                                         faults.array),
                               status);
    if (check.faults > FAULTS_SHOWN)
        printf("  and %" PRIu64 " more\n", check.faults - FAULTS_SHOWN);
    printf("%s: ", request->file);
    if (check.faults > 0)
        printf("%" PRIu64 " faults", check.faults);
    else
        printf("consistent, %" PRIu64 " live blocks of %s in %" PRIu64 " pages", check.blocks,
               pool_bytes(check.bytes), check.pages);
    puts(check.is_closed ? "" : "; not closed properly, the next open for writing recovers it");
    return pool_done(status);
}

/* ---- leaks ---------------------------------------------------------------------------------------- */

enum { LEAKS_SHOWN = 20 };

struct leak_list {
    const struct pool_request *request;
    json_t *array;
    uint64_t count;
};

static int note_leak(void *block, size_t size, void *context)
{
    struct leak_list *list = context;
    if (list->array != NULL)
        (void)json_array_append_new(
            list->array,
            json_pack("{s:I, s:I}", "address", (json_int_t)(uintptr_t)block, "size", (json_int_t)size));
    else if (list->count < LEAKS_SHOWN)
        printf("  %p: %zu bytes\n", block, size);
    list->count++;
    return list->request->free;
}

static int say_leaks(const struct pool_request *request, struct leak_list *list, const cairn_leaks *leaks)
{
    int status = leaks->leaked_blocks > leaks->freed_blocks ? STATUS_FOUND : 0;
    if (request->json)
        return pool_print_json(
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "reached_blocks",
                      (json_int_t)leaks->reached_blocks, "reached_bytes", (json_int_t)leaks->reached_bytes,
                      "leaked_blocks", (json_int_t)leaks->leaked_blocks, "leaked_bytes",
                      (json_int_t)leaks->leaked_bytes, "freed_blocks", (json_int_t)leaks->freed_blocks,
                      "freed_bytes", (json_int_t)leaks->freed_bytes, "leaks", list->array),
            status);
    if (list->count > LEAKS_SHOWN)
        printf("  and %" PRIu64 " more\n", list->count - LEAKS_SHOWN);
    printf("%s: %" PRIu64 " blocks of %s cannot be reached", request->file, leaks->leaked_blocks,
           pool_bytes(leaks->leaked_bytes));
    if (leaks->freed_blocks > 0)
        printf(", %" PRIu64 " freed", leaks->freed_blocks);
    printf("; %" PRIu64 " of %s can\n", leaks->reached_blocks, pool_bytes(leaks->reached_bytes));
    return pool_done(status);
}

int pool_leaks(const struct pool_request *request)
{
    struct leak_list list = {request, request->json ? json_array() : NULL, 0};
    struct progress progress;
    cairn_leaks_config config = {.struct_size = sizeof config,
                                 .visit = note_leak,
                                 .visit_context = &list,
                                 .progress = progress_of,
                                 .progress_context = &progress};
    cairn_leaks leaks = {.struct_size = sizeof leaks};
    cairn_pool *pool = request->free ? cairn_pool_open(request->file, NULL) : pool_open_to_read(request);
    if (pool == NULL) {
        json_decref(list.array);
        return request->free ? pool_failed(request) : STATUS_TROUBLE;
    }
    progress_begin(&progress, request, "looking for leaks", PROGRESS_PARTS);
    int result = cairn_pool_leaks(pool, &config, &leaks), error = errno;
    progress_end(&progress);
    errno = error;
    int failed = result != 0 ? pool_failed(request) : 0;
    if (cairn_pool_close(pool) != 0)
        failed = pool_failed(request);
    if (failed == 0)
        return say_leaks(request, &list, &leaks);
    json_decref(list.array);
    return failed;
}
