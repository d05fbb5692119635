// timeout: 60
// sanitize: no
// link: -Wl,--as-needed
/* test_second_copy.c - libcairn-local.so loaded late, beside whatever allocator serves the process.
 *
 * This program is not linked to libcairn: it calls none of the names that the library defines, so that
 * --as-needed leaves the library out (the first check makes sure), and libc serves the process.  For the same
 * reason it does without cmocka. */
#include "check.h"
#include <cairn/cairn.h>
#include <dlfcn.h>
#include <link.h>

struct copy {
    void *handle;
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void (*free)(void *);
    size_t (*usable_size)(const void *);
    int (*stats_get)(cairn_stats *);
    const char *(*version)(void);
};

static void *symbol(void *handle, const char *name)
{
    void *address = dlsym(handle, name);
    CHECKF(address != NULL, "%s: %s", name, dlerror());
    return address;
}

static struct copy load(const char *library)
{
    const char *folder = getenv("CAIRN_BUILD_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s", folder != NULL ? folder : "", folder != NULL ? "/" : "", library);
    struct copy c = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    CHECKF(c.handle != NULL, "%s", dlerror());
    *(void **)&c.malloc = symbol(c.handle, "cairn_malloc");
    *(void **)&c.calloc = symbol(c.handle, "cairn_calloc");
    *(void **)&c.realloc = symbol(c.handle, "cairn_realloc");
    *(void **)&c.aligned_alloc = symbol(c.handle, "cairn_aligned_alloc");
    *(void **)&c.free = symbol(c.handle, "cairn_free");
    *(void **)&c.usable_size = symbol(c.handle, "cairn_usable_size");
    *(void **)&c.stats_get = symbol(c.handle, "cairn_stats_get");
    *(void **)&c.version = symbol(c.handle, "cairn_version");
    return c;
}

static int is_cairn(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    *(int *)data += strstr(info->dlpi_name, "libcairn") != NULL;
    return 0;
}

static int copies_loaded(void)
{
    int count = 0;
    dl_iterate_phdr(is_cairn, &count);
    return count;
}

static int from_libc(void *address)
{
    Dl_info info;
    CHECK(dladdr(address, &info) != 0);
    return strstr(info.dli_fname, "libc.so") != NULL;
}

static cairn_stats stats_of(const struct copy *c)
{
    cairn_stats s;
    memset(&s, 0, sizeof s);
    s.struct_size = sizeof s;
    CHECK(c->stats_get(&s) == 0);
    CHECK(s.live + s.cached + s.free + s.metadata == s.committed);
    return s;
}

/* Random work on the copy, with libc's allocator at work in between (strdup, whose copies are not freed). */
static void work(const struct copy *c, uint64_t seed)
{
    enum { COUNT = 500 };
    void *blocks[COUNT] = {NULL};
    size_t sizes[COUNT] = {0};
    for (int step = 0; step < 20000; step++) {
        size_t i = check_below(&seed, COUNT),
               size = check_random_size(&seed, step % 100 == 0 ? 2 * MIB : 4000);
        if (blocks[i] != NULL)
            CHECK_FILLED(blocks[i], sizes[i], i);
        if (step % 3 == 0) {
            blocks[i] = c->realloc(blocks[i], size);
        } else {
            c->free(blocks[i]);
            blocks[i] = step % 3 == 1 ? c->malloc(size) : c->aligned_alloc(64, size);
        }
        CHECK(blocks[i] != NULL && c->usable_size(blocks[i]) >= size);
        sizes[i] = size;
        check_fill(blocks[i], size, i);
        if (step % 500 == 0) {
            char *text = strdup("text that stays");
            CHECK(text != NULL && strcmp(text, "text that stays") == 0);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (blocks[i] != NULL)
            CHECK_FILLED(blocks[i], sizes[i], i);
        c->free(blocks[i]);
    }
}

static struct copy shared_copy;
static int copy_is_loaded;

/* Threads that are older than the library use it as well. */
static void *older_thread(void *argument)
{
    while (!__atomic_load_n(&copy_is_loaded, __ATOMIC_ACQUIRE))
        check_sleep(0.001);
    work(&shared_copy, (uint64_t)(uintptr_t)argument);
    return NULL;
}

static void *newer_thread(void *argument)
{
    work(&shared_copy, (uint64_t)(uintptr_t)argument);
    return NULL;
}

/* "a second build of the library that can be dlopen'ed": local, and the process's own malloc stays libc's */
static void second_copy_serves_whoever_asks(void)
{
    pthread_t threads[6];
    CHECKF(copies_loaded() == 0, "%s", "this program must not be linked to libcairn");
    CHECK(from_libc(symbol(RTLD_DEFAULT, "malloc")));
    for (uintptr_t i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, older_thread, (void *)(i + 1)) == 0);
    shared_copy = load("libcairn-local.so");
    CHECK(copies_loaded() == 1);
    CHECKF(from_libc(symbol(RTLD_DEFAULT, "malloc")) && from_libc(symbol(RTLD_DEFAULT, "free")), "%s",
           "the library takes the standard names");
    CHECKF(from_libc(symbol(shared_copy.handle, "malloc")), "%s", "the local build has a malloc of its own");
    CHECK(dlsym(RTLD_DEFAULT, "cairn_malloc") == NULL);
    __atomic_store_n(&copy_is_loaded, 1, __ATOMIC_RELEASE);
    for (uintptr_t i = 3; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, newer_thread, (void *)(i + 1)) == 0);
    for (int i = 0; i < 6; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    cairn_stats s = stats_of(&shared_copy);
    CHECKF(s.live_blocks == 0, "%llu blocks left, or blocks of libc's", (unsigned long long)s.live_blocks);
    CHECK(s.allocations > 6 * 10000 && s.threads == 0);
}

/* fork hooks of a library loaded late work too */
static void second_copy_survives_fork(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, newer_thread, (void *)(uintptr_t)77) == 0);
    for (int i = 0; i < 50; i++) {
        pid_t pid = fork();
        int status;
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(20);
            for (size_t size = 1; size < 5 * MIB; size = size * 3) {
                void *p = shared_copy.malloc(size);
                CHECK(p != NULL);
                check_touch(p, size);
                shared_copy.free(p);
            }
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK(pthread_join(thread, NULL) == 0);
}

/* After dlclose blocks stay valid, and the library can be had again. */
static void closing_leaves_blocks_alone(void)
{
    unsigned char *p = shared_copy.malloc(100000);
    CHECK(p != NULL);
    check_fill(p, 100000, 5);
    CHECK(dlclose(shared_copy.handle) == 0);
    CHECK_FILLED(p, 100000, 5);
    shared_copy = load("libcairn-local.so");
    CHECK(shared_copy.usable_size(p) >= 100000);
    shared_copy.free(p);
    CHECK(stats_of(&shared_copy).live_blocks == 0);
}

/* "two copies in one process": the drop-in build, loaded late and local, is a heap of its own */
static void two_copies_are_two_heaps(void)
{
    struct copy other = load("libcairn.so");
    CHECK(copies_loaded() == 2);
    CHECK(from_libc(symbol(RTLD_DEFAULT, "malloc")));
    CHECK(strcmp(other.version(), shared_copy.version()) == 0);
    uint64_t before = stats_of(&shared_copy).allocations;
    void *p = other.malloc(5000);
    CHECK(p != NULL);
    CHECK(stats_of(&shared_copy).allocations == before);
    CHECK(stats_of(&other).live_blocks == 1);
    other.free(p);
    work(&other, check_seed());
    work(&shared_copy, check_seed());
    CHECK(stats_of(&other).live_blocks == 0 && stats_of(&shared_copy).live_blocks == 0);
}

/* A block of one copy is foreign to the other, and so is a block of libc's. */
static void blocks_of_others_are_reported(void)
{
    void *foreign[2] = {load("libcairn.so").malloc(5000), strdup("libc's")};
    for (int i = 0; i < 2; i++) {
        int errors[2], status;
        char text[500];
        CHECK(pipe(errors) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            dup2(errors[1], 2);
            shared_copy.free(foreign[i]);
            _exit(0);
        }
        close(errors[1]);
        ssize_t got = read(errors[0], text, sizeof text - 1);
        close(errors[0]);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "case %d: status %d", i, status);
        text[got > 0 ? got : 0] = '\0';
        CHECKF(strstr(text, "cairn: free: invalid pointer 0x") == text, "case %d: %s", i, text);
    }
}

int main(void)
{
    second_copy_serves_whoever_asks();
    second_copy_survives_fork();
    closing_leaves_blocks_alone();
    two_copies_are_two_heaps();
    blocks_of_others_are_reported();
    return 0;
}
