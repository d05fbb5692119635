/* observe.c - the calls of <cairn/observe.h>. */
#include "cairn/observe.h"

#include "base/print.h"
#include "front/process.h"
#include "observe/recorder.h"
#include "observe/snapshot.h"
#include "os/os.h"
#include "pool/pool.h"

#include <errno.h>

/* ---- Tags: cache->tags, which allocate() in process.c follows ------------------------------------- */

static int refuse(int code, const char *message)
{
    (void)thread_fail(code, message);
    return -1;
}

/* The fast paths find nothing while there is a scope, and everything again after the last one. */
static void set_count(struct cache *cache, uint32_t count)
{
    bool veil_changes = (cache->tag_count == 0) != (count == 0);
    cache->tag_count = count;
    if (veil_changes)
        cache_follow(cache, cache->seen);
}

int cairn_tag_push(cairn_pool *pool)
{
    if (pool == NULL || (pool->flags & (CAIRN_POOL_OUTSIDE | CAIRN_POOL_SIZED)) != 0)
        return refuse(EINVAL, "a tag is a pool whose blocks free() can free");
    struct cache *cache = thread_own_cache();
    if (cache == NULL)
        return refuse(ENOMEM, "the system has no memory for the thread's cache");
    if (cache->tag_count == CACHE_TAGS_MAX)
        return refuse(EOVERFLOW, "more than 16 tags are pushed");
    cache->tags[cache->tag_count] = pool;
    set_count(cache, cache->tag_count + 1);
    return 0;
}

int cairn_tag_pop(void)
{
    struct cache *cache = process_cache();
    if (cache == NULL || cache->tag_count == 0)
        return refuse(EINVAL, "the thread is in no scope of a tag");
    set_count(cache, cache->tag_count - 1);
    return 0;
}

cairn_pool *cairn_tag_current(void)
{
    const struct cache *cache = process_cache();
    return cache != NULL && cache->tag_count > 0 ? cache->tags[cache->tag_count - 1] : NULL;
}

/* ---- Snapshots ----------------------------------------------------------------------------------- */

cairn_snapshot *cairn_snapshot_take(void)
{
    process_start();
    cairn_snapshot *snapshot = snapshot_take(&process_heap);
    return snapshot != NULL ? snapshot : thread_fail(ENOMEM, "the system has no memory for a snapshot");
}

void cairn_snapshot_free(cairn_snapshot *snapshot)
{
    snapshot_free(snapshot);
}

void cairn_snapshot_live(const cairn_snapshot *snapshot, size_t size, uint64_t *bytes, uint64_t *blocks)
{
    snapshot_live(snapshot, size, bytes, blocks);
}

void cairn_snapshot_pool(const cairn_snapshot *snapshot, const cairn_pool *pool, uint64_t *bytes,
                         uint64_t *blocks)
{
    snapshot_pool(snapshot, pool, bytes, blocks);
}

static bool to_file(void *context, const char *text, size_t size)
{
    return os_write(*(int *)context, text, size);
}

int cairn_snapshot_print(int fd, const cairn_snapshot *before, const cairn_snapshot *after,
                         cairn_stats_format format)
{
    struct printer printer;
    printer_init(&printer, to_file, &fd);
    if (!snapshot_print(&printer, before, after, format == CAIRN_STATS_JSON))
        return refuse(ENOMEM, "the system has no memory to compare snapshots");
    return printer.failed ? -1 : 0;
}

/* ---- Traces -------------------------------------------------------------------------------------- */

int cairn_trace_start(const char *path)
{
    process_start();
    if (recorder_start(&process_heap, path, process_thread_key))
        return 0;
    int error = os_errno_get();
    return refuse(error, error == EBUSY ? "a trace is being written already, or too many watch the heap"
                                        : "the trace cannot be written to this file");
}

int cairn_trace_stop(void)
{
    if (recorder_stop(&process_heap))
        return 0;
    int error = os_errno_get();
    return refuse(error, error == EINVAL ? "no trace is being written"
                                         : "the file did not take a part of the trace");
}
