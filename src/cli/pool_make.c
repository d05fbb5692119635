/* pool_make.c - cairn pool create, grow, recover: what writes to the file. */
#include "pool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* As pool_failed, when what `progress` tells of is over. */
static int failed(const struct pool_request *request, struct progress *progress)
{
    int error = errno;
    progress_end(progress);
    errno = error;
    return pool_failed(request);
}

/* Closing writes what changed, which is a part of the work. */
static int close_and_say(const struct pool_request *request, struct progress *progress, cairn_pool *pool,
                         json_t *object, const char *text)
{
    if (cairn_pool_close(pool) != 0) {
        json_decref(object);
        return failed(request, progress);
    }
    progress_end(progress);
    if (request->json)
        return pool_print_json(object, 0);
    json_decref(object);
    printf("%s: %s\n", request->file, text);
    return pool_done(0);
}

int pool_create(const struct pool_request *request)
{
    cairn_file_config config = {
        .struct_size = sizeof config,
        .flags = request->relocatable ? CAIRN_FILE_RELOCATABLE : 0,
        .mode = request->mode,
        .size = request->size,
        .max_size = request->max_size,
        .layout = request->layout,
    };
    struct progress progress;
    if (request->size == 0) {
        complain("pool create needs --size");
        return STATUS_USAGE;
    }
    progress_begin(&progress, request, "creating", 0);
    cairn_pool *pool = cairn_pool_create_at(request->file, &config);
    if (pool == NULL)
        return failed(request, &progress);
    json_t *object =
        json_pack("{s:o, s:I}", "file", json_text(request->file), "size", (json_int_t)request->size);
    char *text = text_of("made, %s", pool_bytes(request->size));
    return close_and_say(request, &progress, pool, object, text);
}

int pool_grow(const struct pool_request *request)
{
    uint64_t size;
    struct progress progress;
    if (!pool_parse_size(request->argument, &size)) {
        complain("pool grow: not a size: '%s'", request->argument);
        return STATUS_USAGE;
    }
    progress_begin(&progress, request, "growing", 0);
    cairn_pool *pool = cairn_pool_open(request->file, NULL);
    if (pool == NULL)
        return failed(request, &progress);
    if (cairn_pool_grow(pool, size) != 0) {
        int status = failed(request, &progress);
        return cairn_pool_close(pool) == 0 ? status : pool_failed(request);
    }
    json_t *object = json_pack("{s:o, s:I}", "file", json_text(request->file), "size", (json_int_t)size);
    return close_and_say(request, &progress, pool, object, text_of("grown to %s", pool_bytes(size)));
}

static const char *const found_names[] = {"closed", "killed", "power cut", "trusted"};

static json_t *recovery_object(const cairn_recovery *found)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "found", found_names[found->found],
                     "pages", (json_int_t)found->pages, "blocks", (json_int_t)found->blocks, "bytes",
                     (json_int_t)found->bytes, "pages_freed", (json_int_t)found->pages_freed,
                     "calls_completed", (json_int_t)found->calls_completed, "calls_undone",
                     (json_int_t)found->calls_undone, "generation", (json_int_t)found->generation,
                     "nanoseconds", (json_int_t)found->nanoseconds, "owner", (json_int_t)found->owner);
}

static char *recovery_text(const cairn_recovery *found)
{
    char *what = NULL;
    switch (found->found) {
    case CAIRN_WAS_CLOSED: return text_of("was closed properly, nothing to do");
    case CAIRN_WAS_KILLED:
        what = text_of("its process %" PRIu64 " had died: recovered in place", found->owner);
        break;
    case CAIRN_WAS_POWER_CUT:
        what = text_of("the machine had gone down: back at checkpoint %" PRIu64, found->generation);
        break;
    case CAIRN_WAS_TRUSTED: what = text_of("the machine had gone down: taken as it was"); break;
    }
    return text_of(
        "%s\n  %" PRIu64 " live blocks, %s; %" PRIu64 " pages looked at in %.2f ms, %" PRIu64 " freed; "
        "%" PRIu64 " interrupted calls completed, %" PRIu64 " undone",
        what, found->blocks, pool_bytes(found->bytes), found->pages, (double)found->nanoseconds / 1e6,
        found->pages_freed, found->calls_completed, found->calls_undone);
}

int pool_recover(const struct pool_request *request)
{
    cairn_recovery found = {.struct_size = sizeof found};
    cairn_file_config config = {.struct_size = sizeof config, .flags = request->trust ? CAIRN_FILE_TRUST : 0};
    struct progress progress;
    if (request->trust && request->rollback) {
        complain("--trust and --rollback exclude each other");
        return STATUS_USAGE;
    }
    progress_begin(&progress, request, "recovering", 0);
    if (request->rollback && cairn_pool_rollback(request->file) != 0)
        return failed(request, &progress);
    cairn_pool *pool = cairn_pool_open(request->file, &config);
    if (pool == NULL || cairn_pool_recovery(pool, &found) != 0)
        return failed(request, &progress);
    if (request->rollback) {
        cairn_checkpoint_stats stats = {.struct_size = sizeof stats};
        found.found = CAIRN_WAS_POWER_CUT;
        found.generation = cairn_pool_checkpoint_stats(pool, &stats) == 0 ? stats.generation : 0;
        return close_and_say(request, &progress, pool, recovery_object(&found),
                             text_of("back at checkpoint %" PRIu64 ": %" PRIu64 " live blocks, %s",
                                     found.generation, found.blocks, pool_bytes(found.bytes)));
    }
    return close_and_say(request, &progress, pool, recovery_object(&found), recovery_text(&found));
}
