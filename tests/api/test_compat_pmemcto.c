// compat: pmemcto
// timeout: 120
/* test_compat_pmemcto.c - libpmemcto's interface over pools in files: every line of what its users were promised, and
 * the two faults of the original, memory that leaks at close and pools that are marked consistent without being. */
#include <libpmemcto.h>

#include "api.h"

#include <cairn/persist.h>
#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define POOL_SIZE (PMEMCTO_MIN_POOL * 2)

static char folder[128];

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *fresh(const char *name)
{
    const char *path = path_of(name);
    (void)unlink(path);
    return path;
}

static PMEMctopool *made(const char *name, const char *layout)
{
    PMEMctopool *pcp = pmemcto_create(fresh(name), layout, POOL_SIZE, 0600);
    CHECKF(pcp != NULL, "%s", pmemcto_errormsg());
    return pcp;
}

static PMEMctopool *opened(const char *name, const char *layout)
{
    PMEMctopool *pcp = pmemcto_open(path_of(name), layout);
    CHECKF(pcp != NULL, "%s", pmemcto_errormsg());
    return pcp;
}

#define CHECK_FAILS(call, error, words)                                                                      \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        CHECK((call) == NULL);                                                                               \
        CHECKF(errno == (error) && strstr(pmemcto_errormsg(), words) != NULL, "errno %d, %s", errno,         \
               pmemcto_errormsg());                                                                          \
    } while (0)

/* ---- The library ---------------------------------------------------------------------------------------- */

static void versions(void **state)
{
    (void)state;
    CHECK(pmemcto_check_version(PMEMCTO_MAJOR_VERSION, PMEMCTO_MINOR_VERSION) == NULL);
    CHECK(PMEMCTO_MAJOR_VERSION == 1 && PMEMCTO_MINOR_VERSION == 0);
    CHECK(strstr(pmemcto_check_version(2, 0), "major version mismatch") != NULL);
    CHECK(strstr(pmemcto_check_version(0, 0), "major version mismatch") != NULL);
    const char *why = pmemcto_check_version(1, 1);
    CHECK(strstr(why, "minor version mismatch (need 1, found 0)") != NULL &&
          strcmp(why, pmemcto_errormsg()) == 0);
    CHECK(PMEMCTO_MIN_POOL == 16 * MIB && PMEMCTO_MIN_PART == 2 * MIB && PMEMCTO_MAX_LAYOUT == 1024);
}

static void *other_thread(void *seen)
{
    *(int *)seen = pmemcto_errormsg()[0] == 0;
    (void)pmemcto_check_version(9, 0);
    return NULL;
}

static void messages_are_of_the_thread(void **state)
{
    (void)state;
    char before[512];
    int empty = 0;
    pthread_t thread;
    CHECK(pmemcto_open(path_of("there is none"), NULL) == NULL && errno == ENOENT);
    snprintf(before, sizeof before, "%s", pmemcto_errormsg());
    CHECK(pthread_create(&thread, NULL, other_thread, &empty) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(empty && strcmp(before, pmemcto_errormsg()) == 0);
}

/* The disk is full. */
static int no_space;

int posix_fallocate(int fd, off_t offset, off_t size)
{
    return no_space ? ENOSPC : fallocate(fd, 0, offset, size) == 0 ? 0 : errno;
}

/* ---- Creating ---------------------------------------------------------------------------------------------- */

static void create_makes_the_whole_file(void **state)
{
    (void)state;
    mode_t mask = umask(0);
    PMEMctopool *pcp = pmemcto_create(fresh("a"), "layout", POOL_SIZE, 0640);
    CHECK(pcp != NULL);
    struct stat status;
    CHECK(stat(path_of("a"), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    CHECK((size_t)status.st_size >= POOL_SIZE && (size_t)status.st_blocks * 512 >= POOL_SIZE * 99 / 100);
    pmemcto_close(pcp);
    umask(mask);
}

static void create_refuses(void **state)
{
    (void)state;
    char layout[PMEMCTO_MAX_LAYOUT + 2];
    memset(layout, 'x', sizeof layout);
    layout[PMEMCTO_MAX_LAYOUT] = 0;
    CHECK_FAILS(pmemcto_create(fresh("b"), layout, POOL_SIZE, 0600), EINVAL, "layout");
    layout[PMEMCTO_MAX_LAYOUT - 1] = 0;
    PMEMctopool *pcp = pmemcto_create(fresh("b"), layout, POOL_SIZE, 0600);
    CHECK(pcp != NULL);
    pmemcto_close(pcp);
    CHECK(pmemcto_check(path_of("b"), layout) == 1);
    CHECK_FAILS(pmemcto_create(fresh("b"), NULL, PMEMCTO_MIN_POOL - 1, 0600), EINVAL, "poolsize");
    CHECK(access(path_of("b"), F_OK) != 0);
    pcp = pmemcto_create(fresh("b"), NULL, PMEMCTO_MIN_POOL, 0600);
    CHECK(pcp != NULL);
    pmemcto_close(pcp);
    CHECK_FAILS(pmemcto_create(path_of("b"), NULL, POOL_SIZE, 0600), EEXIST, "");
    CHECK_FAILS(pmemcto_create(path_of("b"), NULL, 0, 0600), EEXIST, "not empty");
    CHECK_FAILS(pmemcto_create(path_of("none/b"), NULL, POOL_SIZE, 0600), ENOENT, "");
    CHECK_FAILS(pmemcto_create(fresh("b"), NULL, 0, 0600), ENOENT, "");
    CHECK(access(path_of("b"), F_OK) != 0);
    if (geteuid() != 0) {
        CHECK_FAILS(pmemcto_create("/proc/version", NULL, 0, 0600), EACCES, "");
    }
    CHECK_FAILS(pmemcto_create(fresh("b"), NULL, (size_t)1 << 60, 0600), EINVAL, "");
    no_space = 1;
    CHECK_FAILS(pmemcto_create(fresh("b"), NULL, POOL_SIZE, 0600), ENOSPC, "");
    no_space = 0;
    CHECK(access(path_of("b"), F_OK) != 0);
}

/* poolsize 0: somebody else made the file. */
static void a_file_that_is_there(void **state)
{
    (void)state;
    static const struct {
        off_t size, dirt;
        int error;
    } cases[] = {
        {PMEMCTO_MIN_POOL - 1, -1, EINVAL}, {0, -1, EINVAL},
        {PMEMCTO_MIN_POOL, -1, 0},          {PMEMCTO_MIN_POOL, 0, EEXIST},
        {PMEMCTO_MIN_POOL, 5000, EEXIST},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int fd = open(fresh("c"), O_RDWR | O_CREAT, 0600);
        CHECK(fd >= 0 && ftruncate(fd, cases[i].size) == 0);
        CHECK(cases[i].dirt < 0 || pwrite(fd, "x", 1, cases[i].dirt) == 1);
        close(fd);
        errno = 0;
        PMEMctopool *pcp = pmemcto_create(path_of("c"), "x", 0, 0600);
        CHECKF((pcp != NULL) == (cases[i].error == 0) && (pcp != NULL || errno == cases[i].error),
               "case %zu: errno %d, %s", i, errno, pmemcto_errormsg());
        if (pcp == NULL)
            continue;
        CHECK(pmemcto_malloc(pcp, 1000) != NULL);
        pmemcto_close(pcp);
        CHECK(pmemcto_check(path_of("c"), "x") == 1);
    }
}

/* ---- Opening and closing --------------------------------------------------------------------------------------- */

struct node {
    struct node *next;
    int number;
    char *text;
};

/* Raw pointers hold from one run to the next. */
static void what_was_closed_is_there_again(void **state)
{
    (void)state;
    PMEMctopool *pcp = made("d", "list");
    CHECK(pmemcto_get_root_pointer(pcp) == NULL);
    for (int i = 0; i < 1000; i++) {
        struct node *node = pmemcto_malloc(pcp, sizeof *node);
        char text[40];
        snprintf(text, sizeof text, "the node of number %d", i);
        *node = (struct node){pmemcto_get_root_pointer(pcp), i, pmemcto_strdup(pcp, text)};
        pmemcto_set_root_pointer(pcp, node);
    }
    struct node *root = pmemcto_get_root_pointer(pcp);
    pmemcto_close(pcp);
    for (int round = 0; round < 3; round++) {
        CHECK(pmemcto_check(path_of("d"), "list") == 1);
        pcp = opened("d", round == 0 ? NULL : "list");
        CHECK(pmemcto_get_root_pointer(pcp) == root);
        int expected = 999;
        for (struct node *node = root; node != NULL; node = node->next, expected--) {
            char text[40];
            snprintf(text, sizeof text, "the node of number %d", expected);
            CHECK(node->number == expected && strcmp(node->text, text) == 0);
            CHECK(pmemcto_malloc_usable_size(pcp, node) >= sizeof *node);
        }
        CHECK(expected == -1);
        pmemcto_close(pcp);
    }
}

static void open_refuses(void **state)
{
    (void)state;
    PMEMctopool *pcp = made("e", "right");
    CHECK_FAILS(pmemcto_open(path_of("e"), NULL), EAGAIN, "");
    CHECK_FAILS(pmemcto_open(path_of("e"), "right"), EAGAIN, "");
    pmemcto_close(pcp);
    CHECK_FAILS(pmemcto_open(path_of("e"), "wrong"), EINVAL, "layout");
    CHECK_FAILS(pmemcto_open(path_of("e"), ""), EINVAL, "layout");
    CHECK(pmemcto_check(path_of("e"), "wrong") == -1 && errno == EINVAL);
    CHECK_FAILS(pmemcto_open(fresh("f"), NULL), ENOENT, "");
    int fd = open(path_of("f"), O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)POOL_SIZE) == 0);
    CHECK_FAILS(pmemcto_open(path_of("f"), NULL), EINVAL, "");
    CHECK(pwrite(fd, "this is no pool", 15, 0) == 15);
    CHECK_FAILS(pmemcto_open(path_of("f"), NULL), EINVAL, "");
    close(fd);
    pcp = made("g", NULL); /* no layout is the empty one */
    pmemcto_close(pcp);
    pcp = opened("g", "");
    pmemcto_close(pcp);
}

/* Two pools at once, each at its place; and a pool whose addresses are taken. */
static void addresses(void **state)
{
    (void)state;
    PMEMctopool *one = made("h", NULL), *two = made("i", NULL);
    char *p = pmemcto_malloc(one, 10), *q = pmemcto_malloc(two, 10);
    CHECK(p != NULL && q != NULL && cairn_pool_file_base((cairn_pool *)one) != NULL);
    char *base = cairn_pool_file_base((cairn_pool *)one);
    pmemcto_close(one);
    void *taken = mmap(base, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(taken == base);
    CHECK_FAILS(pmemcto_open(path_of("h"), NULL), ENOMEM, "");
    CHECK(munmap(taken, 4096) == 0);
    one = opened("h", NULL);
    CHECK(cairn_pool_file_base((cairn_pool *)one) == base);
    pmemcto_close(two);
    pmemcto_close(one);
}

static void task_die(void)
{
    PMEMctopool *pcp = opened("j", NULL);
    char *p = pmemcto_malloc(pcp, 100);
    strcpy(p, "written before the end");
    pmemcto_set_root_pointer(pcp, p);
    _exit(0); /* no close */
}

static void task_recover(void)
{
    PMEMctopool *pcp = opened("j", NULL);
    CHECK(strcmp(pmemcto_get_root_pointer(pcp), "written before the end") == 0);
    pmemcto_close(pcp);
}

static void not_closed_properly(void **state)
{
    (void)state;
    char setting[200];
    snprintf(setting, sizeof setting, "PMEMCTO_TEST_FOLDER=%s", folder);
    const char *const env[] = {setting, NULL}, *const recover[] = {setting, "CAIRN_PMEMCTO_RECOVER=1", NULL};
    pmemcto_close(made("j", "crash"));
    check_task_ok("die", env);
    for (int i = 0; i < 2; i++) {
        CHECK(pmemcto_check(path_of("j"), "crash") == 0);
        CHECK_FAILS(pmemcto_open(path_of("j"), NULL), EINVAL, "inconsistent pool");
    }
    check_task_ok("recover", recover); /* the opt-in */
    CHECK(pmemcto_check(path_of("j"), "crash") == 1);
    pmemcto_close(opened("j", "crash"));
}

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_of_file(const char *path)
{
    static char bytes[1 << 16];
    uint64_t hash = 1;
    ssize_t got;
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < got; i++)
            hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    close(fd);
    return hash;
}

static void check_reads_only(void **state)
{
    (void)state;
    PMEMctopool *pcp = made("k", "x");
    for (int i = 0; i < 1000; i++)
        memset(pmemcto_malloc(pcp, 100), i, 100);
    pmemcto_close(pcp);
    uint64_t hash = hash_of_file(path_of("k"));
    CHECK(pmemcto_check(path_of("k"), "x") == 1 && pmemcto_check(path_of("k"), NULL) == 1);
    CHECK(pmemcto_check(path_of("k"), "y") == -1);
    CHECK(hash_of_file(path_of("k")) == hash);
    CHECK(chmod(path_of("k"), 0400) == 0 && pmemcto_check(path_of("k"), "x") == 1);
    errno = 0;
    CHECK(pmemcto_check(fresh("none"), NULL) == -1 && errno == ENOENT);
    char layout[PMEMCTO_MAX_LAYOUT + 1];
    memset(layout, 'x', sizeof layout);
    layout[PMEMCTO_MAX_LAYOUT] = 0;
    CHECK(pmemcto_check(path_of("k"), layout) == -1 && errno == EINVAL);
}

/* ---- Blocks -------------------------------------------------------------------------------------------------------- */

static void blocks_as_in_libc(void **state)
{
    (void)state;
    PMEMctopool *pcp = made("l", NULL);
    pmemcto_free(pcp, NULL);
    void *none = pmemcto_malloc(pcp, 0), *other = pmemcto_malloc(pcp, 0);
    CHECK(none == NULL || none != other);
    pmemcto_free(pcp, none);
    pmemcto_free(pcp, other);
    char *p = pmemcto_realloc(pcp, NULL, 100);
    CHECK(p != NULL);
    check_fill(p, 100, 7);
    p = pmemcto_realloc(pcp, p, 100000);
    CHECK(p != NULL);
    CHECK_FILLED(p, 100, 7);
    errno = 0;
    CHECK(pmemcto_realloc(pcp, p, check_opaque_size(POOL_SIZE)) == NULL && errno == ENOMEM);
    CHECK_FILLED(p, 100, 7);
    CHECK(pmemcto_realloc(pcp, p, 0) == NULL);
    for (int i = 0; i < 100; i++) {
        memset(p = pmemcto_malloc(pcp, 300), 0xff, 300);
        pmemcto_free(pcp, p);
        char *z = pmemcto_calloc(pcp, 3, 100);
        CHECK(z != NULL && check_nonzero(z, 300) == 300);
        pmemcto_free(pcp, z);
    }
    errno = 0;
    CHECK(pmemcto_calloc(pcp, check_opaque_size(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    CHECK(pmemcto_malloc(pcp, check_opaque_size(SIZE_MAX)) == NULL && errno == ENOMEM);
    char *s = pmemcto_strdup(pcp, "a string"), *empty = pmemcto_strdup(pcp, "");
    wchar_t *w = pmemcto_wcsdup(pcp, L"w\u00efde"), *nothing = pmemcto_wcsdup(pcp, L"");
    CHECK(strcmp(s, "a string") == 0 && wcscmp(w, L"w\u00efde") == 0 && empty[0] == 0 && nothing[0] == 0);
    CHECK(pmemcto_malloc_usable_size(pcp, w) >= 5 * sizeof *w);
    for (size_t alignment = 1; alignment <= 1 << 20; alignment *= 2) {
        void *aligned = pmemcto_aligned_alloc(pcp, alignment, 100);
        CHECK(aligned != NULL && (uintptr_t)aligned % alignment == 0);
        pmemcto_free(pcp, aligned);
    }
    errno = 0;
    CHECK(pmemcto_aligned_alloc(pcp, 0, 8) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(pmemcto_aligned_alloc(pcp, 48, 8) == NULL && errno == EINVAL);
    pmemcto_close(pcp);
}

static void usable_sizes_are_tight(void **state)
{
    (void)state;
    static const struct {
        size_t size, slack;
    } cases[] = {{10, 8},           {100, 16},   {200, 32},          {500, 64},          {1000, 128},
                 {2000, 256},       {3000, 512}, {1 << 20, 4 << 20}, {2 << 20, 4 << 20}, {5 << 20, 4 << 20},
                 {9 << 20, 4 << 20}};
    PMEMctopool *pcp = made("m", NULL);
    CHECK(pmemcto_malloc_usable_size(pcp, NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *p = pmemcto_malloc(pcp, cases[i].size);
        CHECK(p != NULL);
        size_t usable = pmemcto_malloc_usable_size(pcp, p);
        CHECKF(usable >= cases[i].size && usable <= cases[i].size + cases[i].slack, "%zu for %zu", usable,
               cases[i].size);
        memset(p, 1, usable);
        pmemcto_free(pcp, p);
    }
    pmemcto_close(pcp);
}

/* Full is NULL with ENOMEM, never a signal; what is freed can be had again. */
static size_t fill_up(PMEMctopool *pcp, size_t size, void **first)
{
    size_t count = 0;
    void **p;
    *first = NULL;
    while ((p = pmemcto_malloc(pcp, size)) != NULL) {
        memset(p, 0x77, size);
        *p = *first;
        *first = p;
        count++;
    }
    CHECK(errno == ENOMEM);
    return count;
}

static void free_all(PMEMctopool *pcp, void *first)
{
    for (void *next; first != NULL; first = next) {
        next = *(void **)first;
        pmemcto_free(pcp, first);
    }
}

static void nothing_is_lost_across_close_and_open(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 400, 5000, 100000, 3 << 20};
    void *first;
    PMEMctopool *pcp = made("n", NULL);
    size_t counts[COUNT_OF(sizes)];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        counts[i] = fill_up(pcp, sizes[i], &first);
        CHECKF(counts[i] * sizes[i] > POOL_SIZE * 7 / 10, "%zu blocks of %zu", counts[i], sizes[i]);
        free_all(pcp, first);
    }
    for (int round = 0; round < 4; round++) {
        pmemcto_close(pcp);
        CHECK(pmemcto_check(path_of("n"), NULL) == 1);
        pcp = opened("n", NULL);
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            size_t count = fill_up(pcp, sizes[i], &first);
            CHECKF(count >= counts[i] - counts[i] / 256, "%zu blocks of %zu, %zu when the pool was new",
                   count, sizes[i], counts[i]);
            pmemcto_set_root_pointer(pcp, first);
            if (round % 2 == 1) { /* freed by the next run */
                pmemcto_close(pcp);
                pcp = opened("n", NULL);
                first = pmemcto_get_root_pointer(pcp);
            }
            free_all(pcp, first);
        }
    }
    /* one live block is one live block */
    pmemcto_set_root_pointer(pcp, pmemcto_malloc(pcp, 400));
    pmemcto_close(pcp);
    pcp = opened("n", NULL);
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats((cairn_pool *)pcp, &stats) == 0 && stats.live_blocks == 1);
    pmemcto_close(pcp);
}

/* ---- Threads ---------------------------------------------------------------------------------------------------------- */

static PMEMctopool *shared;

static void *allocate_and_free(void *number)
{
    uint64_t seed = check_seed() + (uintptr_t)number;
    struct {
        char *at;
        size_t size;
    } kept[100] = {{NULL, 0}};
    for (int i = 0; i < 20000; i++) {
        size_t k = check_below(&seed, 100);
        if (kept[k].at != NULL)
            CHECK_FILLED(kept[k].at, kept[k].size, (uintptr_t)kept[k].at);
        pmemcto_free(shared, kept[k].at);
        kept[k].size = check_random_size(&seed, 2000);
        kept[k].at = pmemcto_malloc(shared, kept[k].size);
        CHECK(kept[k].at != NULL);
        check_fill(kept[k].at, kept[k].size, (uintptr_t)kept[k].at);
    }
    for (int k = 0; k < 100; k++)
        pmemcto_free(shared, kept[k].at);
    return NULL;
}

static void threads_leave_nothing(void **state)
{
    (void)state;
    pthread_t threads[4];
    void *first;
    shared = made("o", NULL);
    size_t count = fill_up(shared, 400, &first);
    free_all(shared, first);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_and_free, (void *)i) == 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    pmemcto_close(shared);
    shared = opened("o", NULL);
    size_t after = fill_up(shared, 400, &first);
    CHECKF(after >= count - count / 256, "%zu of %zu", after, count);
    free_all(shared, first);
    pmemcto_close(shared);
}

/* No threads, signal handlers or descriptors beyond the file's own are made. */
static size_t entries_in(const char *path)
{
    size_t count = 0;
    DIR *dir = opendir(path);
    CHECK(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void no_threads_and_no_sockets(void **state)
{
    (void)state;
    size_t files = entries_in("/proc/self/fd");
    PMEMctopool *pcp = made("p", NULL);
    CHECK_EQ(entries_in("/proc/self/task"), 3);
    CHECK(entries_in("/proc/self/fd") <= files + 2);
    pmemcto_close(pcp);
    CHECK_EQ(entries_in("/proc/self/fd"), files);
}

/* ---- Output ---------------------------------------------------------------------------------------------------------------- */

static char printed[1 << 16];
static size_t mallocs, frees;

static void print_to_text(const char *text)
{
    strncat(printed, text, sizeof printed - strlen(printed) - 1);
}

static void *counted_malloc(size_t size)
{
    mallocs++;
    return malloc(size);
}

static void *counted_realloc(void *block, size_t size)
{
    mallocs += block == NULL;
    return realloc(block, size);
}

static void counted_free(void *block)
{
    frees += block != NULL;
    free(block);
}

static void statistics(void **state)
{
    (void)state;
    static const struct {
        char letter;
        const char *text;
    } parts[] = {
        {'g', "Version:"}, {'m', "Allocated:"}, {'a', "arenas[0]"}, {'b', "bins:\n"}, {'l', "\nlarge:\n"},
    };
    pmemcto_set_funcs(counted_malloc, counted_free, counted_realloc, NULL, print_to_text);
    PMEMctopool *pcp = made("q", NULL);
    for (int i = 0; i < 17; i++)
        CHECK(pmemcto_malloc(pcp, 500) != NULL);
    CHECK(pmemcto_malloc(pcp, 1 << 20) != NULL);
    for (size_t i = 0; i <= COUNT_OF(parts); i++) {
        char opts[8] = "xyZ"; /* unknown letters are ignored */
        opts[3] = i < COUNT_OF(parts) ? parts[i].letter : 0;
        printed[0] = 0;
        pmemcto_stats_print(pcp, opts);
        CHECK(strstr(printed, "Begin libpmemcto statistics") != NULL &&
              strstr(printed, "End libpmemcto") != NULL);
        for (size_t k = 0; k < COUNT_OF(parts); k++)
            CHECKF((strstr(printed, parts[k].text) == NULL) == (k == i), "%s with %s:\n%s", parts[k].text,
                   opts, printed);
    }
    CHECK(check_match(printed, "^ +512 +17 +8704$") && check_match(printed, "^ +1048576 +1 +1048576$"));
    printed[0] = 0;
    pmemcto_stats_print(pcp, NULL);
    CHECK(strstr(printed, "Version:") != NULL && strstr(printed, "\nlarge:") != NULL);
    printed[0] = 0;
    pmemcto_stats_print(pcp, "gmabl");
    CHECK(strchr(printed, ':') == NULL);
    CHECKF(mallocs > 0 && mallocs == frees, "%zu, %zu", mallocs, frees);
    pmemcto_set_funcs(NULL, NULL, NULL, NULL, NULL);
    size_t before = mallocs;
    pmemcto_close(pcp);
    CHECK(mallocs == before);
}

static void task_log(void)
{
    PMEMctopool *pcp = made("r", NULL);
    pmemcto_free(pcp, pmemcto_malloc(pcp, 123));
    (void)pmemcto_malloc(pcp, check_opaque_size(POOL_SIZE));
    pmemcto_close(pcp);
    CHECK(pmemcto_check_version(3, 0) != NULL);
    pcp = opened("r", NULL);
    pmemcto_stats_print(pcp, "abl");
    pmemcto_close(pcp);
}

static check_run run;

static void run_log(const char *level, const char *file)
{
    static char settings[3][300];
    snprintf(settings[0], sizeof settings[0], "PMEMCTO_TEST_FOLDER=%s", folder);
    snprintf(settings[1], sizeof settings[1], "PMEMCTO_LOG_LEVEL=%s", level);
    snprintf(settings[2], sizeof settings[2], "PMEMCTO_LOG_FILE=%s", file);
    const char *env[] = {settings[0], settings[1], file != NULL ? settings[2] : NULL, NULL};
    memset(&run, 0, sizeof run);
    run.env = env;
    check_task_run(&run, "log");
    check_run_must(&run, "log");
}

static void debug_messages(void **state)
{
    (void)state;
    run_log("0", NULL);
    CHECK(strstr(run.err, "pmemcto_create") == NULL && strstr(run.err, "Version:") != NULL);
    run_log("1", NULL);
    CHECK(check_match(run.err, "^<libpmemcto>: <1> \\[pmemcto_malloc\\] cannot allocate"));
    CHECK(strstr(run.err, "major version mismatch") != NULL && strstr(run.err, "[pmemcto_create]") == NULL);
    run_log("3", NULL);
    CHECK(check_match(run.err, "<3> \\[pmemcto_create\\] path ") && strstr(run.err, "size 123") == NULL);
    run_log("4", NULL);
    CHECK(check_match(run.err, "<4> \\[pmemcto_malloc\\] size 123: 0x"));
    static char text[1 << 16];
    run_log("3", path_of("log"));
    check_read_file(path_of("log"), text, sizeof text);
    CHECK(strstr(text, "[pmemcto_create]") != NULL && strstr(text, "Version:") != NULL);
    CHECK(strstr(run.err, "pmemcto") == NULL && strstr(run.err, "Version:") == NULL);
    run_log("3", path_of("log-")); /* the process id is appended */
    size_t found = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        found += strncmp(entry->d_name, "log-", 4) == 0 && atoi(entry->d_name + 4) > 0;
    closedir(dir);
    CHECK_EQ(found, 1);
}

/* ---- A flush that fails ------------------------------------------------------------------------------------------------------ */

static int fail_syncs;

int msync(void *address, size_t size, int flags)
{
    if (fail_syncs)
        return errno = EIO, -1;
    return (int)syscall(SYS_msync, address, size, flags);
}

int fsync(int fd)
{
    if (fail_syncs)
        return errno = EIO, -1;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (fail_syncs)
        return errno = EIO, -1;
    return (int)syscall(SYS_fdatasync, fd);
}

static void a_failed_flush_is_told(void **state)
{
    (void)state;
    PMEMctopool *pcp = made("s", NULL);
    CHECK(pmemcto_malloc(pcp, 10) != NULL);
    (void)pmemcto_check_version(7, 0);
    fail_syncs = 1;
    pmemcto_close(pcp);
    fail_syncs = 0;
    CHECKF(strncmp(pmemcto_errormsg(), "flush failed", 12) == 0, "%s", pmemcto_errormsg());
    CHECK(pmemcto_check(path_of("s"), NULL) == 0);
    CHECK_FAILS(pmemcto_open(path_of("s"), NULL), EINVAL, "inconsistent pool");
}

static int set_up(void **state)
{
    (void)state;
    const char *given = getenv("PMEMCTO_TEST_FOLDER");
    snprintf(folder, sizeof folder, "%s", given != NULL ? given : "/dev/shm/cairn-pmemcto-XXXXXX");
    return given == NULL && mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"die", task_die}, {"recover", task_recover}, {"log", task_log}, {NULL, NULL}};
    if (argc > 1)
        return set_up(NULL) != 0 ? 1 : check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions),
        cmocka_unit_test(messages_are_of_the_thread),
        cmocka_unit_test(create_makes_the_whole_file),
        cmocka_unit_test(create_refuses),
        cmocka_unit_test(a_file_that_is_there),
        cmocka_unit_test(what_was_closed_is_there_again),
        cmocka_unit_test(open_refuses),
        cmocka_unit_test(addresses),
        cmocka_unit_test(not_closed_properly),
        cmocka_unit_test(check_reads_only),
        cmocka_unit_test(blocks_as_in_libc),
        cmocka_unit_test(usable_sizes_are_tight),
        cmocka_unit_test(nothing_is_lost_across_close_and_open),
        cmocka_unit_test(threads_leave_nothing),
        cmocka_unit_test(no_threads_and_no_sockets),
        cmocka_unit_test(statistics),
        cmocka_unit_test(debug_messages),
        cmocka_unit_test(a_failed_flush_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
