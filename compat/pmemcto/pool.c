/* pool.c - libpmemcto's pools and blocks over Cairn's.  A PMEMctopool is a cairn_pool by another name.
 *
 * Errors come from Cairn with its own numbers; those of libpmemcto are fewer: what cannot be opened because of what is in
 * the file is EINVAL. */
#include "out.h"

#include <cairn/persist.h>
#include <errno.h>
#include <fcntl.h>
#include <libpmemcto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_AREA (64 << 10) /* bytes that must be zero in a file that becomes a pool */

static cairn_pool *pool_of(PMEMctopool *pcp)
{
    return (cairn_pool *)pcp;
}

const char *pmemcto_check_version(unsigned major_required, unsigned minor_required)
{
    if (major_required != PMEMCTO_MAJOR_VERSION)
        pmemcto_out_error(__func__, "libpmemcto major version mismatch (need %u, found %u)", major_required,
                          PMEMCTO_MAJOR_VERSION);
    else if (minor_required > PMEMCTO_MINOR_VERSION)
        pmemcto_out_error(__func__, "libpmemcto minor version mismatch (need %u, found %u)", minor_required,
                          PMEMCTO_MINOR_VERSION);
    else
        return NULL;
    return pmemcto_errormsg();
}

/* ---- Pools ----------------------------------------------------------------------------------------- */

/* errno as libpmemcto has it. */
static void translate_errno(void)
{
    if (errno == EUCLEAN || errno == ENOTSUP)
        errno = EINVAL;
}

static void *fail(const char *function, int error, const char *path, const char *why)
{
    errno = error;
    pmemcto_out_error(function, "%s: %s", path, why);
    return NULL;
}

/* The words for a layout that cannot be, or NULL. */
static const char *fault_of_layout(const char *layout)
{
    return layout != NULL && strlen(layout) >= PMEMCTO_MAX_LAYOUT ? "layout is too long" : NULL;
}

/* Whether the file may become a pool: 0, or the error. */
static int check_empty(const char *path)
{
    static const char zeros[4096];
    char bytes[sizeof zeros];
    struct stat status;
    int error = 0, fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (fstat(fd, &status) != 0)
        error = errno;
    else if (!S_ISREG(status.st_mode) || (size_t)status.st_size < PMEMCTO_MIN_POOL)
        error = EINVAL;
    for (off_t at = 0; error == 0 && at < HEADER_AREA; at += sizeof bytes) {
        ssize_t got = pread(fd, bytes, sizeof bytes, at);
        if (got != sizeof bytes)
            error = got < 0 ? errno : EINVAL;
        else if (memcmp(bytes, zeros, sizeof bytes) != 0)
            error = EEXIST;
    }
    (void)close(fd); /* nothing was written */
    return error;
}

static const char *words_of(int error)
{
    return error == EINVAL   ? "the file is too small for a pool"
           : error == EEXIST ? "the file is not empty"
                             : strerror(error);
}

PMEMctopool *pmemcto_create(const char *path, const char *layout, size_t poolsize, mode_t mode)
{
    const char *fault = fault_of_layout(layout);
    pmemcto_out_log(OUT_POOL, __func__, "path %s layout %s poolsize %zu mode %o", path,
                    layout != NULL ? layout : "(null)", poolsize, (unsigned)mode);
    if (fault != NULL)
        return fail(__func__, EINVAL, path, fault);
    if (poolsize != 0 && poolsize < PMEMCTO_MIN_POOL)
        return fail(__func__, EINVAL, path, "poolsize is below PMEMCTO_MIN_POOL");
    int error = poolsize == 0 ? check_empty(path) : 0;
    if (error != 0)
        return fail(__func__, error, path, words_of(error));
    cairn_file_config config = {
        .struct_size = sizeof config, .mode = (unsigned)mode, .size = poolsize, .layout = layout};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    if (pool == NULL) {
        translate_errno();
        pmemcto_out_error(__func__, "%s: %s", path, cairn_errormsg());
        return NULL;
    }
    if (mode == 0 && poolsize != 0)
        (void)chmod(path, 0); /* Cairn takes 0 for its default */
    return (PMEMctopool *)pool;
}

/* Recovery after a crash is an opt-in. */
static int may_recover(void)
{
    const char *value = secure_getenv("CAIRN_PMEMCTO_RECOVER");
    return value != NULL && value[0] == '1';
}

PMEMctopool *pmemcto_open(const char *path, const char *layout)
{
    const char *fault = fault_of_layout(layout);
    pmemcto_out_log(OUT_POOL, __func__, "path %s layout %s", path, layout != NULL ? layout : "(null)");
    if (fault != NULL)
        return fail(__func__, EINVAL, path, fault);
    cairn_file_config config = {
        .struct_size = sizeof config, .flags = may_recover() ? 0 : CAIRN_FILE_STRICT, .layout = layout};
    cairn_pool *pool = cairn_pool_open(path, &config);
    if (pool == NULL) {
        translate_errno();
        pmemcto_out_error(__func__, "%s: %s", path, cairn_errormsg());
    }
    return (PMEMctopool *)pool;
}

void pmemcto_close(PMEMctopool *pcp)
{
    pmemcto_out_log(OUT_POOL, __func__, "pcp %p", (void *)pcp);
    if (cairn_pool_close(pool_of(pcp)) != 0)
        pmemcto_out_error(__func__, "flush failed, the pool stays marked as open: %s", cairn_errormsg());
}

int pmemcto_check(const char *path, const char *layout)
{
    const char *fault = fault_of_layout(layout);
    pmemcto_out_log(OUT_POOL, __func__, "path %s layout %s", path, layout != NULL ? layout : "(null)");
    if (fault != NULL)
        return fail(__func__, EINVAL, path, fault), -1;
    int result = cairn_pool_check_file(path, layout, NULL);
    if (result < 0) {
        translate_errno();
        pmemcto_out_error(__func__, "%s: %s", path, cairn_errormsg());
    } else if (result == 0) {
        pmemcto_out_error(__func__, "%s: inconsistent pool", path);
    }
    return result;
}

/* ---- Blocks ------------------------------------------------------------------------------------------- */

static void *note(const char *function, void *block, size_t size)
{
    if (block == NULL)
        pmemcto_out_error(function, "cannot allocate %zu bytes: %s", size, cairn_errormsg());
    if (pmemcto_out_level >= OUT_BLOCK)
        pmemcto_out_log(OUT_BLOCK, function, "size %zu: %p", size, block);
    return block;
}

void *pmemcto_malloc(PMEMctopool *pcp, size_t size)
{
    return note(__func__, cairn_pool_malloc(pool_of(pcp), size), size);
}

void pmemcto_free(PMEMctopool *pcp, void *ptr)
{
    if (pmemcto_out_level >= OUT_BLOCK)
        pmemcto_out_log(OUT_BLOCK, __func__, "ptr %p", ptr);
    cairn_pool_free(pool_of(pcp), ptr);
}

void *pmemcto_calloc(PMEMctopool *pcp, size_t nmemb, size_t size)
{
    return note(__func__, cairn_pool_calloc(pool_of(pcp), nmemb, size), size);
}

void *pmemcto_realloc(PMEMctopool *pcp, void *ptr, size_t size)
{
    if (ptr != NULL && size == 0) {
        pmemcto_free(pcp, ptr);
        return NULL;
    }
    return note(__func__, cairn_pool_realloc(pool_of(pcp), ptr, size), size);
}

void *pmemcto_aligned_alloc(PMEMctopool *pcp, size_t alignment, size_t size)
{
    return note(__func__, cairn_pool_aligned_alloc(pool_of(pcp), alignment, size), size);
}

char *pmemcto_strdup(PMEMctopool *pcp, const char *s)
{
    return note(__func__, cairn_pool_strdup(pool_of(pcp), s), strlen(s) + 1);
}

wchar_t *pmemcto_wcsdup(PMEMctopool *pcp, const wchar_t *s)
{
    size_t size = (wcslen(s) + 1) * sizeof *s;
    void *copy = pmemcto_malloc(pcp, size);
    return copy != NULL ? memcpy(copy, s, size) : NULL;
}

size_t pmemcto_malloc_usable_size(PMEMctopool *pcp, void *ptr)
{
    return cairn_pool_usable_size(pool_of(pcp), ptr);
}

/* ---- The root ------------------------------------------------------------------------------------------- */

void pmemcto_set_root_pointer(PMEMctopool *pcp, void *ptr)
{
    pmemcto_out_log(OUT_POOL, __func__, "pcp %p ptr %p", (void *)pcp, ptr);
    if (cairn_pool_set_root(pool_of(pcp), ptr) != 0)
        pmemcto_out_error(__func__, "the root pointer was not set: %s", cairn_errormsg());
}

void *pmemcto_get_root_pointer(PMEMctopool *pcp)
{
    return cairn_pool_root(pool_of(pcp));
}
