/* user.c - the engine's face of a source of callbacks (<cairn/source.h>). */
#include "os/os.h"
#include "pool/pool.h"

static const cairn_source *callbacks(const struct source *source)
{
    return source->context;
}

static void *reserve(struct source *source, size_t size, size_t align)
{
    const cairn_source *user = callbacks(source);
    return user->reserve(user->context, size, align);
}

static bool release(struct source *source, void *base, size_t size)
{
    const cairn_source *user = callbacks(source);
    return user->release(user->context, base, size) == 0;
}

static bool purge(struct source *source, void *base, size_t size)
{
    const cairn_source *user = callbacks(source);
    return user->decommit(user->context, base, size) == 0;
}

static bool commit(struct source *source, void *base, size_t size)
{
    const cairn_source *user = callbacks(source);
    return user->commit(user->context, base, size) == 0;
}

static bool is_stale(struct source *source, void *base, size_t size)
{
    (void)base, (void)size;
    return (callbacks(source)->flags & CAIRN_SOURCE_ZEROED) == 0;
}

static void *reserve_committed(struct source *source, size_t size, size_t align)
{
    const cairn_source *user = callbacks(source);
    void *base = user->reserve(user->context, size, align);
    if (base == NULL || user->commit(user->context, base, size) == 0)
        return base;
    (void)user->release(user->context, base, size);
    return NULL;
}

void user_source_by_range(struct source *source)
{
    if (source->commit != NULL)
        source->reserve = reserve_committed;
    source->commit = NULL;
    source->purge = NULL;
}

void user_source_init(struct source *source, const cairn_source *user)
{
    size_t granule = size_max(user->granule != 0 ? user->granule : os_page_size(), PAGE_SIZE);
    *source = (struct source){
        .name = user->name != NULL ? user->name : "callbacks",
        .reserve = reserve,
        .release = release,
        .purge = user->decommit != NULL ? purge : NULL,
        .commit = user->commit != NULL ? commit : NULL,
        .is_stale = is_stale,
        .context = (void *)(uintptr_t)user,
        .align = granule,
        .step = align_up(user->step, granule),
        .unit = granule,
        .keeps_old = true,
        .splits = (user->flags & CAIRN_SOURCE_SPLIT) != 0,
    };
}
