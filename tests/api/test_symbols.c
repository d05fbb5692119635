// timeout: 60
// sanitize: no
/* test_symbols.c - the names that the library exports, seen by the dynamic linker: all are there, are ours,
 * carry no version, serve libc's own callers, and drag no C++ runtime into a C program. */
#include "api.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

static const char *const standard_names[] = {
    /* C, POSIX, C23 */
    "malloc",
    "free",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
    "free_sized",
    "free_aligned_sized",
    /* BSD and GNU */
    "reallocarray",
    "memalign",
    "valloc",
    "pvalloc",
    "cfree",
    "malloc_usable_size",
    "malloc_trim",
    "mallopt",
    "mallinfo",
    "mallinfo2",
    "malloc_stats",
    "malloc_info",
    /* operator new and delete: plain, array, nothrow, sized, aligned */
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_ZdlPv",
    "_ZdaPv",
    "_ZdlPvm",
    "_ZdaPvm",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t",
    "_ZdlPvmSt11align_val_t",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

static const char *const own_names[] = {
    "cairn_malloc",         "cairn_calloc",
    "cairn_realloc",        "cairn_reallocarray",
    "cairn_aligned_alloc",  "cairn_strdup",
    "cairn_strndup",        "cairn_free",
    "cairn_free_sized",     "cairn_free_aligned_sized",
    "cairn_usable_size",    "cairn_good_size",
    "cairn_errormsg",       "cairn_version",
    "cairn_posix_memalign", "cairn_trim",
    "cairn_limit_set",      "cairn_stats_get",
    "cairn_stats_print",
};

static const char *library_path(void)
{
    Dl_info info;
    CHECK(dladdr((void *)(uintptr_t)cairn_version, &info) != 0);
    return info.dli_fname;
}

/* "Symbols the drop-in library exports": found first, and found in libcairn */
static void every_name_is_ours(void **state)
{
    (void)state;
    const char *path = library_path();
    CHECKF(strstr(path, "libcairn.so") != NULL, "%s", path);
    for (size_t i = 0; i < sizeof standard_names / sizeof *standard_names; i++) {
        Dl_info info;
        void *address = dlsym(RTLD_DEFAULT, standard_names[i]);
        CHECKF(address != NULL, "%s is not there", standard_names[i]);
        CHECK(dladdr(address, &info) != 0);
        CHECKF(strcmp(info.dli_fname, path) == 0, "%s comes from %s", standard_names[i], info.dli_fname);
    }
    for (size_t i = 0; i < sizeof own_names / sizeof *own_names; i++) {
        Dl_info info;
        void *address = dlsym(RTLD_DEFAULT, own_names[i]);
        CHECKF(address != NULL && dladdr(address, &info) != 0, "%s is not there", own_names[i]);
        CHECKF(strcmp(info.dli_fname, path) == 0, "%s comes from %s", own_names[i], info.dli_fname);
    }
}

/* The version index of a symbol: 0 or 1 is none. */
static unsigned version_of(const char *name)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL, *table = NULL;
    const ElfW(Half) *versions = NULL;
    struct link_map *map = NULL;
    void *address = dlsym(RTLD_DEFAULT, name);
    CHECK(address != NULL && dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0);
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            table = (const ElfW(Sym) *)d->d_un.d_ptr;
        if (d->d_tag == DT_VERSYM)
            versions = (const ElfW(Half) *)d->d_un.d_ptr;
    }
    if (versions == NULL)
        return 0;
    /* several names may share an address: find the entry by name */
    const char *strings = NULL;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_STRTAB)
            strings = (const char *)d->d_un.d_ptr;
    CHECK(table != NULL && strings != NULL);
    for (symbol = table + 1; (const char *)symbol < strings; symbol++)
        if (symbol->st_shndx != SHN_UNDEF && strcmp(strings + symbol->st_name, name) == 0)
            return versions[symbol - table] & 0x7fffu;
    CHECKF(0, "%s is not in the symbol table", name);
    return 0;
}

/* "unversioned, so that they override any libc's"; and one's own API is versioned */
static void standard_names_have_no_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof standard_names / sizeof *standard_names; i++)
        CHECKF(version_of(standard_names[i]) <= 1, "%s has a version", standard_names[i]);
    for (size_t i = 0; i < sizeof own_names / sizeof *own_names; i++)
        CHECKF(version_of(own_names[i]) > 1, "%s has no version", own_names[i]);
}

/* "strdup, asprintf and the like go through malloc and need no override" */
static void libc_allocates_from_us(void **state)
{
    (void)state;
    static char text[9000];
    memset(text, 'a', sizeof text - 1);
    char *line = NULL, *copy, *path, *printed = NULL;
    size_t capacity = 0;
    cairn_stats before = stats_now();
    copy = strdup(text);
    path = realpath("/", NULL);
    CHECK(asprintf(&printed, "%s %d", text, 5) > 9000);
    FILE *file = fmemopen(text, sizeof text - 1, "r");
    CHECK(file != NULL && getline(&line, &capacity, file) == sizeof text - 1);
    cairn_stats during = stats_now();
    CHECK(copy != NULL && path != NULL && line != NULL);
    CHECKF(during.live_blocks >= before.live_blocks + 5, "%llu blocks more",
           (unsigned long long)(during.live_blocks - before.live_blocks));
    CHECK(during.live >= before.live + 3 * sizeof text);
    CHECK(cairn_usable_size(copy) >= sizeof text && cairn_usable_size(printed) >= sizeof text);
    fclose(file);
    cairn_free(copy);
    cairn_free(path);
    cairn_free(printed);
    cairn_free(line);
    CHECK(stats_now().live_blocks <= before.live_blocks + 1);
}

static int note_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    CHECKF(strstr(info->dlpi_name, "libstdc++") == NULL && strstr(info->dlpi_name, "libc++") == NULL,
           "%s is loaded", info->dlpi_name);
    CHECKF(strstr(info->dlpi_name, "libgcc_s") == NULL, "%s is loaded", info->dlpi_name);
    *(int *)data += strstr(info->dlpi_name, "libcairn.so") != NULL;
    return 0;
}

/* "a plain C program never drags a C++ runtime in"; the task's process has nothing but what is linked */
static void task_no_runtime_is_dragged_in(void)
{
    int found = 0;
    dl_iterate_phdr(note_object, &found);
    CHECKF(found == 1, "libcairn.so is loaded %d times", found);
}

static void no_runtime_is_dragged_in(void **state)
{
    (void)state;
    check_task_ok("no_runtime_is_dragged_in", NULL);
}

/* operator new works without a C++ runtime too, and can then only end in abort */
static void task_new_without_runtime(void)
{
    void *(*operator_new)(size_t) = (void *(*)(size_t))(uintptr_t)dlsym(RTLD_DEFAULT, "_Znwm");
    void (*operator_delete)(void *) = (void (*)(void *))(uintptr_t)dlsym(RTLD_DEFAULT, "_ZdlPv");
    CHECK(operator_new != NULL && operator_delete != NULL);
    void *p = operator_new(100);
    CHECK(p != NULL && cairn_usable_size(p) >= 100);
    operator_delete(p);
    dprintf(1, "so far\n");
    operator_new(check_opaque_size(SIZE_MAX));
    CHECKF(0, "%s", "operator new returned");
}

static void new_without_runtime(void **state)
{
    (void)state;
    static check_run run;
    check_task_run(&run, "new_without_runtime");
    CHECK(strcmp(run.out, "so far\n") == 0);
    check_run_aborted(&run, "^cairn: .*new");
}

/* LD_PRELOAD: a program of the system, linked against a versioned malloc, runs on the library. */
static void preload_serves_any_program(void **state)
{
    (void)state;
    static check_run run;
    char preload[4200], name[100], conf[200], text[20000];
    /* to a file, as sort closes its standard error before the library's turn comes */
    snprintf(name, sizeof name, "preload-%d.json", (int)getpid());
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library_path());
    snprintf(conf, sizeof conf, "CAIRN_CONF=stats:exit,stats_format:json,stats_file:%s", name);
    const char *const env[] = {preload, conf, NULL};
    const char *const argv[] = {"sort", "-r", NULL};
    run.env = env;
    run.input = "b\na\nc\n";
    check_exec(&run, argv);
    check_run_must(&run, "sort");
    CHECK(strcmp(run.out, "c\nb\na\n") == 0);
    check_read_file(name, text, sizeof text);
    unlink(name);
    CHECKF(check_match(text, "\"allocations\": *[1-9]"), "%.300s", text);
}

/* cfree is gone from libc's headers; old programs still call it */
static void cfree_frees(void **state)
{
    (void)state;
    void (*old_free)(void *) = (void (*)(void *))(uintptr_t)dlsym(RTLD_DEFAULT, "cfree");
    CHECK(old_free != NULL);
    uint64_t frees = stats_now().frees;
    old_free(check_opaque(malloc(100)));
    old_free(NULL);
    CHECK_EQ(stats_now().frees, frees + 1);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {{"no_runtime_is_dragged_in", task_no_runtime_is_dragged_in},
                                       {"new_without_runtime", task_new_without_runtime},
                                       {NULL, NULL}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_ours),
        cmocka_unit_test(standard_names_have_no_version),
        cmocka_unit_test(libc_allocates_from_us),
        cmocka_unit_test(no_runtime_is_dragged_in),
        cmocka_unit_test(new_without_runtime),
        cmocka_unit_test(preload_serves_any_program),
        cmocka_unit_test(cfree_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
