// timeout: 120
// link: -Wl,--wrap=mmap -Wl,--wrap=munmap -Wl,--wrap=madvise
// link: -Wl,--wrap=mremap -Wl,--wrap=sbrk -Wl,--wrap=prctl
/* test_system_calls.c - every system call that the heap makes for memory fails once, at each place where it is
 * made, and from each place on.
 *
 * A script of allocator calls of all kinds runs in a child for each case.  Whatever fails, a call ends in a block
 * or in NULL with ENOMEM and a reason in words; blocks keep their contents; after each part the heap's structures
 * and figures are whole; and when the system is well again so is the heap.  Only mmap can make a call fail at all:
 * for all the others there is a way round. */
#include "unit/heap_check.h"

#include "front/process.h"
#include "os/os.h"
#include <limits.h>

/* ---- The system ----------------------------------------------------------------------------------- */

enum call { MMAP, MUNMAP, MADVISE, MREMAP, SBRK, PRCTL, CALLS };

static const char *const call_names[CALLS] = {"mmap", "munmap", "madvise", "mremap", "sbrk", "prctl"};
static const int call_errors[CALLS] = {ENOMEM, ENOMEM, EINVAL, ENOMEM, ENOMEM, EINVAL};

/* The calls numbered first to last (all kinds counted together, from 1) fail if they are among `kinds`. */
static struct {
    unsigned kinds; /* one bit for each */
    unsigned long first, last;
} faults;

static unsigned long made[CALLS], all_made, failed[CALLS];
static bool well = true; /* nothing fails */

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t size);
int __wrap_munmap(void *address, size_t size);
int __real_madvise(void *address, size_t size, int advice);
int __wrap_madvise(void *address, size_t size, int advice);
void *__real_mremap(void *from, size_t old_size, size_t new_size, int flags, void *to);
void *__wrap_mremap(void *from, size_t old_size, size_t new_size, int flags, void *to);
void *__real_sbrk(intptr_t by);
void *__wrap_sbrk(intptr_t by);
int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

static bool fails(enum call call)
{
    if (well)
        return false;
    made[call]++;
    all_made++;
    if ((faults.kinds >> call & 1) == 0 || all_made < faults.first || all_made > faults.last)
        return false;
    failed[call]++;
    errno = call_errors[call];
    return true;
}

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails(MMAP) ? MAP_FAILED : __real_mmap(address, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *address, size_t size)
{
    return fails(MUNMAP) ? -1 : __real_munmap(address, size);
}

int __wrap_madvise(void *address, size_t size, int advice)
{
    return fails(MADVISE) ? -1 : __real_madvise(address, size, advice);
}

void *__wrap_mremap(void *from, size_t old_size, size_t new_size, int flags, void *to)
{
    return fails(MREMAP) ? MAP_FAILED : __real_mremap(from, old_size, new_size, flags, to);
}

void *__wrap_sbrk(intptr_t by)
{
    void *failure = (void *)-1;
    return fails(SBRK) ? failure : __real_sbrk(by);
}

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return fails(PRCTL) ? -1 : __real_prctl(option, a, b, c, d);
}

/* ---- Blocks --------------------------------------------------------------------------------------- */

enum { BLOCKS = 700, HEAD = 6 << 10 };

static struct {
    unsigned char *at;
    size_t size;
} blocks[BLOCKS];

static size_t refused; /* calls that ended in NULL */

static size_t head(size_t size)
{
    return size < HEAD ? size : HEAD;
}

/* The beginning of the block and its last byte. */
static void fill(size_t i)
{
    check_fill(blocks[i].at, head(blocks[i].size), i);
    if (blocks[i].size > HEAD)
        blocks[i].at[blocks[i].size - 1] = (unsigned char)i;
}

static void verify(size_t i, size_t size)
{
    CHECK_FILLED(blocks[i].at, head(size), i);
    if (size == blocks[i].size && size > HEAD)
        CHECK(blocks[i].at[size - 1] == (unsigned char)i);
}

static void refusal(const char *call, size_t size)
{
    CHECKF(errno == ENOMEM, "%s of %zu: errno %d", call, size, errno);
    CHECKF(failed[MMAP] > 0, "%s of %zu is refused, but no mmap was", call, size);
    CHECKF(cairn_errormsg()[0] != '\0', "%s says nothing", call);
    refused++;
}

static void adopt(size_t i, void *p, size_t size, const char *call)
{
    if (p == NULL) {
        refusal(call, size);
        return;
    }
    CHECK(cairn_usable_size(p) >= size);
    blocks[i].at = p;
    blocks[i].size = size;
    fill(i);
}

static void do_free(size_t i)
{
    if (blocks[i].at == NULL)
        return;
    verify(i, blocks[i].size);
    errno = 4242;
    cairn_free(blocks[i].at);
    CHECKF(errno == 4242, "free sets errno to %d", errno);
    blocks[i].at = NULL;
}

static void do_malloc(size_t i, size_t size)
{
    do_free(i);
    errno = 0;
    adopt(i, cairn_malloc(size), size, "malloc");
}

static void do_calloc(size_t i, size_t size)
{
    do_free(i);
    errno = 0;
    unsigned char *p = cairn_calloc(size / 8 + 1, 8);
    if (p != NULL)
        CHECK(check_nonzero(p, head(size)) == head(size) && p[size - 1] == 0 && p[size / 2] == 0);
    adopt(i, p, size, "calloc");
}

static void do_aligned(size_t i, size_t alignment, size_t size)
{
    do_free(i);
    errno = 0;
    void *p = cairn_aligned_alloc(alignment, size);
    CHECK((uintptr_t)p % alignment == 0);
    adopt(i, p, size, "aligned_alloc");
    do_free(i);
    p = NULL;
    errno = 77;
    int result = cairn_posix_memalign(&p, alignment, size);
    CHECK((result == 0) == (p != NULL) && (result == 0 || result == ENOMEM) && errno == 77);
    CHECK((uintptr_t)p % alignment == 0);
    errno = result;
    adopt(i, p, size, "posix_memalign");
}

static void do_realloc(size_t i, size_t size)
{
    size_t kept = blocks[i].at == NULL ? 0 : blocks[i].size < size ? blocks[i].size : size;
    errno = 0;
    void *p = cairn_realloc(blocks[i].at, size);
    if (p == NULL) {
        refusal("realloc", size);
        if (blocks[i].at != NULL)
            verify(i, blocks[i].size);
        return;
    }
    blocks[i].at = p;
    verify(i, kept);
    blocks[i].size = size;
    fill(i);
}

/* ---- The script ----------------------------------------------------------------------------------- */

static void whole(void)
{
    bool before = well;
    well = true;
    if (process_heap.arenas != NULL)
        heap_check(&process_heap);
    else
        heap_check_stats(&process_heap);
    well = before;
}

static void each_way_to_allocate(void)
{
    static const size_t sizes[] = {1, 16, 100, 1000, 1024, 5000, 16384, 16385, 100000, 5 << 20};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        do_malloc(i, sizes[i]);
        do_calloc(20 + i, sizes[i]);
        do_realloc(40 + i, sizes[i]);
    }
    for (size_t alignment = 8, i = 60; alignment <= 8 << 20; alignment *= 8, i++)
        do_aligned(i, alignment, 300 * (i - 59));
    char *text = cairn_strdup("some text");
    CHECK(text == NULL || strcmp(text, "some text") == 0);
    cairn_free(text);
}

static void each_way_to_resize(void)
{
    static const size_t steps[] = {10,      12,      500,     400,     5000,    20000, 200000, 1200000,
                                   2600000, 4 << 20, 9 << 20, 3 << 20, 3000000, 30000, 3000,   30};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        do_realloc(80, steps[i]);
        do_malloc(81 + i, 5000 + 20000 * (i % 4)); /* something behind it, so that it has to move */
    }
    do_malloc(98, 200000);
    do_malloc(99, 20 << 20);
    do_malloc(100, 20000);
    do_realloc(99, 24 << 20);
    do_realloc(98, 6 << 20);
    do_realloc(99, 17 << 20);
    void *none = cairn_realloc(NULL, 0);
    cairn_free(none);
}

static void many_spans(void)
{
    for (size_t i = 110; i < BLOCKS; i++)
        do_malloc(i, i % 3 == 0 ? 2000 : i % 3 == 1 ? 300 : 9000);
    for (size_t i = 110; i < BLOCKS; i += 2)
        do_free(i);
    cairn_trim(0);
}

/* A thread that allocates, frees what others made, and leaves something behind. */
static void *short_life(void *unused)
{
    check_in_task = 1;
    for (size_t i = 110; i < 200; i++)
        if (i % 2 == 0)
            do_malloc(i, 700);
        else
            do_free(i);
    do_realloc(98, 7 << 20);
    return unused;
}

/* One that only frees. */
static void *only_frees(void *unused)
{
    check_in_task = 1;
    for (size_t i = 110; i < 300; i++)
        do_free(i);
    return unused;
}

static void run_thread(void *(*function)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void script(void)
{
    each_way_to_allocate();
    whole();
    each_way_to_resize();
    whole();
    many_spans();
    whole();
    run_thread(short_life);
    whole();
    run_thread(only_frees);
    whole();
    for (size_t i = 0; i < BLOCKS; i += 3)
        do_free(i);
    cairn_trim(1 << 20);
    whole();
    many_spans();
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks[i].at != NULL)
            verify(i, blocks[i].size);
}

/* The system is well again: everything is to be had, and everything goes back. */
static void afterwards(void)
{
    well = true;
    size_t before = refused;
    each_way_to_allocate();
    many_spans();
    do_malloc(0, 50 << 20);
    do_realloc(0, 70 << 20);
    CHECK_EQ(refused, before);
    for (size_t i = 0; i < BLOCKS; i++)
        do_free(i);
    cairn_trim(0);
    whole();
    cairn_stats s = heap_check_stats(&process_heap);
    /* A move that fails may take its target away; then that stays in the books as a block that nobody has. */
    CHECK(s.live_blocks <= failed[MREMAP] && (s.live == 0 || (failed[MADVISE] > 0 && failed[MMAP] > 0)));
    CHECK(s.free == 0 && s.cached <= 2 * MIB);
}

/* ---- Cases ---------------------------------------------------------------------------------------- */

struct result {
    unsigned long made[CALLS], failed[CALLS], all_made;
    size_t refused;
};

static size_t runs;
static struct result *result; /* shared with the child */

static void in_child(struct source *source)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
    check_in_task = 1;
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        signal(signals[i], SIG_DFL); /* cmocka would go on in the child */
    alarm(60);
    process_start();
    process_heap.config.source = source;
    process_heap.config.keep_least = 256 * KiB;
    well = false;
    script();
    afterwards();
    memcpy(result->made, made, sizeof made);
    memcpy(result->failed, failed, sizeof failed);
    result->all_made = all_made;
    result->refused = refused;
    _exit(0);
}

static void run(struct source *source, unsigned kinds, unsigned long first, unsigned long last)
{
    faults.kinds = kinds;
    faults.first = first;
    faults.last = last;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        in_child(source);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    runs++;
    CHECKF(status == 0, "status %#x; alone: test_system_calls %s %#x %lu %lu", (unsigned)status, source->name,
           kinds, first, last);
}

#define ALL_KINDS ((1u << CALLS) - 1)

/* Each call alone; in a normal run of a slow build not every one. */
static void one_after_the_other(struct source *source)
{
    run(source, 0, 1, 0);
    unsigned long calls = result->all_made, by = CHECK_SANITIZED && !check_long() ? 5 : 1;
    CHECKF(calls > 30, "%lu", calls);
    for (int call = 0; call < CALLS; call++) {
        bool of_break = call == SBRK, of_mmap = call == MUNMAP || call == MREMAP;
        CHECKF((source == &source_os && of_break) || (source == &source_brk && of_mmap) ||
                   result->made[call] > 0,
               "the script makes no %s", call_names[call]);
    }
    CHECK_EQ(result->refused, 0);
    for (unsigned long k = 1 + check_seed() % by; k <= calls; k += by)
        run(source, ALL_KINDS, k, k);
}

static void one_fails(void **state)
{
    (void)state;
    one_after_the_other(&source_os);
}

static void one_fails_with_the_break(void **state)
{
    (void)state;
    one_after_the_other(&source_brk);
}

/* From each call on, all fail. */
static void all_fail_from(struct source *source)
{
    run(source, 0, 1, 0);
    unsigned long calls = result->all_made, by = CHECK_SANITIZED && !check_long() ? 5 : 1;
    for (unsigned long k = 1 + check_seed() % by; k <= calls; k += by) {
        run(source, ALL_KINDS, k, ULONG_MAX);
        CHECKF(k > 1 || result->refused > 100, "%zu", result->refused);
    }
}

static void all_fail_from_one_on(void **state)
{
    (void)state;
    all_fail_from(&source_os);
}

static void all_fail_from_one_on_with_the_break(void **state)
{
    (void)state;
    all_fail_from(&source_brk);
}

/* Systems that lack a call altogether: only without mmap is there nothing to give. */
static void kinds_that_never_work(void **state)
{
    (void)state;
    struct source *const sources[] = {&source_os, &source_brk};
    for (size_t s = 0; s < COUNT_OF(sources); s++)
        for (unsigned kinds = 1; kinds <= ALL_KINDS; kinds += CHECK_SANITIZED && !check_long() ? 5 : 1) {
            run(sources[s], kinds, 1, ULONG_MAX);
            CHECKF((result->refused > 0) == (kinds >> MMAP & 1), "kinds %#x: %zu refused", kinds,
                   result->refused);
        }
}

/* A stretch of failures at random places, over and over. */
static void bad_times(void **state)
{
    (void)state;
    uint64_t random = check_seed();
    for (int i = 0; i < (check_long() ? 3000 : CHECK_SANITIZED ? 30 : 150); i++) {
        unsigned long first = 1 + check_below(&random, 300);
        struct source *source = check_below(&random, 2) == 0 ? &source_os : &source_brk;
        run(source, 1 + (unsigned)check_below(&random, ALL_KINDS), first, first + check_below(&random, 60));
    }
}

/* Without arguments all cases; with those that a failure names that one, in this process. */
int main(int argc, char **argv)
{
    check_seed();
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(result != MAP_FAILED);
    if (argc == 5) {
        faults.kinds = (unsigned)strtoul(argv[2], NULL, 0);
        faults.first = strtoul(argv[3], NULL, 0);
        faults.last = strtoul(argv[4], NULL, 0);
        in_child(strcmp(argv[1], "brk") == 0 ? &source_brk : &source_os);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_fails),
        cmocka_unit_test(one_fails_with_the_break),
        cmocka_unit_test(all_fail_from_one_on),
        cmocka_unit_test(all_fail_from_one_on_with_the_break),
        cmocka_unit_test(kinds_that_never_work),
        cmocka_unit_test(bad_times),
    };
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    print_message("%zu runs of the script\n", runs);
    return bad;
}
