/* api.c - the calls of <cairn/persist.h>: configs read, errors put into words.  malloc_to and its like are in
 * transfer.c. */
#include "cairn/persist.h"

#include "engine/grow.h"
#include "os/file.h"
#include "os/os.h"
#include "persist/check.h"
#include "persist/file_pool.h"
#include "persist/roots.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

static void *fail(const struct trouble *trouble)
{
    return thread_fail(trouble->code, trouble->text);
}

static int fail_int(int code, const char *text)
{
    (void)thread_fail(code, text);
    return -1;
}

/* ---- Opening and closing -------------------------------------------------------------------------- */

#define CREATE_FLAGS (CAIRN_FILE_RELOCATABLE | CAIRN_FILE_NO_SYNC)
#define OPEN_FLAGS                                                                                           \
    (CAIRN_FILE_READ_ONLY | CAIRN_FILE_UNLOCKED | CAIRN_FILE_STRICT | CAIRN_FILE_TRUST | CAIRN_FILE_NO_SYNC)

/* As much of the caller's config as he knows of; the rest is zero.  False: it is none. */
static bool read_config(const cairn_file_config *given, unsigned flags, cairn_file_config *config)
{
    memset(config, 0, sizeof *config);
    if (given == NULL)
        return true;
    if (given->struct_size < offsetof(cairn_file_config, size)) {
        (void)thread_fail(EINVAL, "struct_size is not set");
        return false;
    }
    memcpy(config, given, size_min(given->struct_size, sizeof *config));
    if ((config->flags & ~flags) == 0)
        return true;
    (void)thread_fail(EINVAL, "flags: some are not known, or not for this call");
    return false;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* A pool over the file, or NULL. */
static cairn_pool *make_pool(struct pool_file *file, const char *path, const cairn_file_config *config)
{
    struct trouble trouble;
    cairn_pool_config pool_config = {
        .struct_size = sizeof pool_config,
        .name = config->name != NULL ? config->name : last_part(path),
        .pressure = config->pressure,
        .pressure_context = config->pressure_context,
    };
    cairn_pool *pool = file_pool_make(file, &pool_config);
    if (pool != NULL)
        return pool;
    (void)file_close(file, &trouble);
    return thread_fail(ENOMEM, "the system has no memory for a pool");
}

cairn_pool *cairn_pool_create_at(const char *path, const cairn_file_config *given)
{
    cairn_file_config config;
    struct trouble trouble;
    if (!read_config(given, CREATE_FLAGS, &config))
        return NULL;
    struct file_request request = {
        .path = path,
        .flags = config.flags,
        .mode = config.mode,
        .size = config.size,
        .max_size = config.max_size,
        .layout = config.layout,
    };
    struct pool_file *file = file_create(&request, &trouble);
    return file != NULL ? make_pool(file, path, &config) : fail(&trouble);
}

cairn_pool *cairn_pool_open(const char *path, const cairn_file_config *given)
{
    cairn_file_config config;
    struct trouble trouble;
    if (!read_config(given, OPEN_FLAGS, &config))
        return NULL;
    struct file_request request = {.path = path, .flags = config.flags, .layout = config.layout};
    struct pool_file *file = file_open(&request, &trouble);
    return file != NULL ? make_pool(file, path, &config) : fail(&trouble);
}

int cairn_pool_close(cairn_pool *pool)
{
    struct trouble trouble = {0, NULL};
    if (pool == NULL)
        return 0;
    if (pool->file == NULL)
        return fail_int(EINVAL, "the pool is in no file");
    pool->file->closing = &trouble;
    cairn_pool_destroy(pool);
    return trouble.code == 0 ? 0 : fail_int(trouble.code, trouble.text);
}

int cairn_pool_recovery(const cairn_pool *pool, cairn_recovery *out)
{
    size_t room = out->struct_size;
    const struct pool_file *file = file_pool_file(pool);
    if (file == NULL)
        return -1;
    if (room == 0)
        return fail_int(EINVAL, "struct_size is 0");
    cairn_recovery all = file->recovery;
    all.struct_size = room;
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

/* ---- Growing -------------------------------------------------------------------------------------- */

/* Under grow_lock. */
static bool grow_to(struct pool_file *file, size_t size, struct trouble *trouble)
{
    uint64_t from = load_relaxed(&file->capacity);
    if (size > file->header->max_size)
        return file_trouble(trouble, EINVAL, "the size is above the pool's max_size");
    if (size < format_disk_size(file->max_pages, from))
        return file_trouble(trouble, EINVAL, "a pool cannot become smaller");
    uint64_t pages =
        size == file->header->max_size ? file->max_pages : format_pages_for(file->max_pages, size);
    if (pages <= from)
        return true;
    if (!file_grow(file, pages, trouble))
        return false;
    lock_take(&file->heap->lock);
    store_relaxed(&file->capacity, pages);
    arena_lengthen(file->heap, file->arena, pages - from);
    lock_release(&file->heap->lock);
    return true;
}

int cairn_pool_grow(cairn_pool *pool, size_t size)
{
    struct trouble trouble;
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL)
        return -1;
    lock_take(&file->grow_lock);
    bool done = grow_to(file, size, &trouble);
    lock_release(&file->grow_lock);
    return done ? 0 : fail_int(trouble.code, trouble.text);
}

/* ---- Roots ---------------------------------------------------------------------------------------- */

static const char outside[] = "the root is not in the pool";

int cairn_pool_set_root(cairn_pool *pool, const void *root)
{
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL)
        return -1;
    if (root != NULL && !file_has(file, root))
        return fail_int(EINVAL, outside);
    roots_set_main(file, root);
    return 0;
}

void *cairn_pool_root(const cairn_pool *pool)
{
    const struct pool_file *file = file_pool_file(pool);
    return file != NULL ? roots_main(file) : NULL;
}

int cairn_pool_set_named_root(cairn_pool *pool, const char *name, const void *root)
{
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL)
        return -1;
    if (name[0] == 0 || strlen(name) >= CAIRN_ROOT_NAME_MAX)
        return fail_int(EINVAL, "the root's name is empty, or has CAIRN_ROOT_NAME_MAX bytes or more");
    if (root != NULL && !file_has(file, root))
        return fail_int(EINVAL, outside);
    return roots_set(file, name, root) ? 0
                                       : fail_int(ENOSPC, "the pool has CAIRN_ROOTS_MAX named roots already");
}

void *cairn_pool_named_root(const cairn_pool *pool, const char *name)
{
    const struct pool_file *file = file_pool_file(pool);
    return file != NULL ? roots_get(file, name) : NULL;
}

int cairn_pool_named_roots_walk(const cairn_pool *pool,
                                int (*visit)(const char *name, void *root, void *context), void *context)
{
    char name[FORMAT_NAME_MAX];
    const struct pool_file *file = file_pool_file(pool);
    if (file == NULL)
        return -1;
    for (size_t i = 0; i < FORMAT_NAMES; i++) {
        void *root = roots_at(file, i, name);
        int result = root != NULL ? visit(name, root, context) : 0;
        if (result != 0)
            return result;
    }
    return 0;
}

/* ---- Looking at files ------------------------------------------------------------------------------ */

/* A regular file open for reading; -1 with errno and message. */
static int open_to_look(const char *path)
{
    struct os_file_status status;
    int fd = os_file_open(path, false);
    if (fd < 0)
        return fail_int(os_errno_get(), "the file cannot be opened");
    if (os_file_status(fd, &status) && status.regular)
        return fd;
    os_close(fd);
    return fail_int(EINVAL, "a pool lies in a regular file, and this is none");
}

int cairn_pool_file_info(const char *path, cairn_file_info *out)
{
    cairn_file_info all = {0};
    struct trouble trouble;
    size_t room = out->struct_size;
    if (room == 0)
        return fail_int(EINVAL, "struct_size is 0");
    int fd = open_to_look(path);
    if (fd < 0)
        return -1;
    bool done = check_info(fd, &all, &trouble);
    os_close(fd);
    if (!done)
        return fail_int(trouble.code, trouble.text);
    all.struct_size = room;
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

/* Whether the file may be checked: nobody writes to it, and the layout is the one asked for.  A file that is no pool has
 * no layout: that is for the check to say. */
static bool may_check(int fd, const char *layout, struct trouble *trouble)
{
    cairn_file_info info = {0};
    struct trouble unseen;
    if (!os_file_lock(fd, false))
        return file_trouble(trouble, os_errno_get(), "the pool is open for writing");
    if (layout != NULL && check_info(fd, &info, &unseen) && strcmp(layout, info.layout) != 0)
        return file_trouble(trouble, EINVAL, "the pool has another layout");
    return true;
}

int cairn_pool_check_file(const char *path, const char *layout, cairn_file_check *given)
{
    cairn_file_check check = {0};
    struct trouble trouble;
    if (given != NULL && given->struct_size == 0)
        return fail_int(EINVAL, "struct_size is 0");
    if (given != NULL)
        memcpy(&check, given, size_min(given->struct_size, sizeof check));
    int fd = open_to_look(path);
    if (fd < 0)
        return -1;
    bool done = may_check(fd, layout, &trouble) && check_file(fd, &check, &trouble);
    os_close(fd);
    if (!done)
        return fail_int(trouble.code, trouble.text);
    if (given != NULL)
        memcpy(given, &check, size_min(given->struct_size, sizeof check));
    if (check.faults > 0)
        (void)thread_fail(EUCLEAN, "inconsistent pool: it is damaged");
    else if (!check.is_closed)
        (void)thread_fail(EUCLEAN, "inconsistent pool: it was not closed properly");
    return check.faults == 0 && check.is_closed;
}
