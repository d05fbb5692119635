// timeout: 120
/* test_profile.c - <cairn/profile.h>: estimates near the truth, exact figures when every block is seen, both formats,
 * and no harm while threads load libraries, fork and end. */
#include "api.h"

#include <cairn/profile.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { INTERVAL = 16 * 1024 };

static char text[4 << 20];
static size_t text_size;

/* The profile as it is now. */
static void take(cairn_profile_format format)
{
    int fd = memfd_create("profile", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(cairn_profile_write(fd, format), 0);
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    CHECK(got > 0 && (size_t)got < sizeof text - 1);
    text_size = (size_t)got;
    text[got] = 0;
    close(fd);
}

struct figures {
    unsigned long long live_blocks, live_bytes, blocks, bytes;
};

/* The totals, from the first line; the lines of the sites must add up to them, unless threads go on allocating. */
static struct figures totals_while(bool quiet)
{
    struct figures f, sum = {0, 0, 0, 0}, one;
    take(CAIRN_PROFILE_TEXT);
    CHECK(sscanf(text, "heap profile: %llu: %llu [%llu: %llu] @ heapprofile\n", &f.live_blocks, &f.live_bytes,
                 &f.blocks, &f.bytes) == 4);
    for (const char *line = strchr(text, '\n'); line != NULL && line[1] != '\n';
         line = strchr(line + 1, '\n')) {
        CHECKF(sscanf(line + 1, "%llu: %llu [%llu: %llu] @ 0x", &one.live_blocks, &one.live_bytes,
                      &one.blocks, &one.bytes) == 4,
               "%.200s", line);
        CHECK(!quiet || (one.live_blocks <= one.blocks && one.live_bytes <= one.bytes));
        sum.live_blocks += one.live_blocks;
        sum.live_bytes += one.live_bytes;
        sum.blocks += one.blocks;
        sum.bytes += one.bytes;
    }
    CHECK(!quiet || memcmp(&sum, &f, sizeof f) == 0);
    return f;
}

static struct figures totals(void)
{
    return totals_while(true);
}

static void check_near(const char *what, unsigned long long estimate, double truth)
{
    CHECKF((double)estimate > truth * 0.9 && (double)estimate < truth * 1.1, "%s: %llu, not %.0f", what,
           estimate, truth);
}

/* ---- Estimates ----------------------------------------------------------------------------------- */

/* 1,500 samples and more for each size, so that 10 % is four deviations; a quarter stays live. */
static void estimates_are_near(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 24, 100, 1000, 5000, 16384, 100000, 1000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t samples = sizes[i] < 4096 ? 6000 : 8000;
        size_t count = samples * INTERVAL / sizes[i];
        if (sizes[i] > INTERVAL)
            count = 2000;
        size_t live = count / 4;
        void **kept = check_table(live * sizeof *kept);
        CHECK_EQ(cairn_profile_start(INTERVAL), 0);
        CHECK(cairn_profile_on());
        for (size_t k = 0; k < count; k++) {
            void *block = k % 2 ? cairn_malloc(sizes[i]) : cairn_calloc(1, sizes[i]);
            CHECK(block != NULL);
            if (k % 4 == 0 && k / 4 < live)
                kept[k / 4] = block;
            else
                cairn_free(block);
        }
        struct figures f = totals();
        check_near("blocks", f.blocks, (double)count);
        check_near("bytes", f.bytes, (double)(count * sizes[i]));
        check_near("live blocks", f.live_blocks, (double)live);
        check_near("live bytes", f.live_bytes, (double)(live * sizes[i]));
        cairn_profile_stop();
        CHECK(!cairn_profile_on());
        for (size_t k = 0; k < live; k++)
            cairn_free(kept[k]);
        f = totals();
        CHECKF(f.live_blocks == 0 && f.live_bytes == 0 && f.blocks > 0, "%zu: %llu live", sizes[i],
               f.live_blocks);
        munmap(kept, live * sizeof *kept);
    }
}

/* A vector that grows: each realloc is a new block of the whole size. */
static void growing_blocks(void **state)
{
    (void)state;
    enum { COUNT = 2000, STEPS = 40, STEP = 600 };
    static char *blocks[COUNT];
    double bytes = 0;
    CHECK_EQ(cairn_profile_start(INTERVAL), 0);
    for (size_t step = 1; step <= STEPS; step++)
        for (size_t i = 0; i < COUNT; i++) {
            CHECK((blocks[i] = cairn_realloc(blocks[i], step * STEP)) != NULL);
            bytes += (double)(step * STEP);
        }
    struct figures f = totals();
    check_near("blocks", f.blocks, COUNT * STEPS);
    check_near("bytes", f.bytes, bytes);
    check_near("live blocks", f.live_blocks, COUNT);
    check_near("live bytes", f.live_bytes, (double)COUNT * STEPS * STEP);
    for (size_t i = 0; i < COUNT; i++)
        cairn_free(blocks[i]);
    f = totals();
    CHECK(f.live_blocks == 0 && f.live_bytes == 0);
    cairn_profile_stop();
}

/* ---- Every block --------------------------------------------------------------------------------- */

/* By the standard names, too, where the library has them. */
static void every_block_is_exact(void **state)
{
    (void)state;
    void *blocks[100];
    void *before = cairn_malloc(10);
    CHECK_EQ(cairn_profile_start(1), 0);
    for (size_t i = 0; i < 100; i++)
        CHECK((blocks[i] = cairn_malloc(i + 1)) != NULL);
    CHECK((blocks[0] = cairn_realloc(blocks[0], 1000)) != NULL);
    cairn_free(before);
    cairn_profile_stop();
    struct figures f = totals();
    CHECK_EQ(f.blocks, 101);
    CHECK_EQ(f.bytes, 5050 + 1000);
    CHECK_EQ(f.live_blocks, 100);
    CHECK_EQ(f.live_bytes, 5050 - 1 + 1000);
    for (size_t i = 0; i < 100; i++)
        cairn_free(blocks[i]);
    CHECK_EQ(cairn_profile_start(1), 0); /* forgets */
    cairn_profile_stop();
    f = totals();
    CHECK(f.blocks == 0 && f.live_blocks == 0);
}

__attribute__((noinline)) static void *deep(size_t size, int depth)
{
    void *block = depth > 0 ? deep(size, depth - 1) : cairn_malloc(size);
    __asm__ volatile("" : "+r"(block)); /* no tail call */
    return block;
}

/* Different stacks are different sites, and the innermost caller comes first. */
static void stacks_are_told_apart(void **state)
{
    (void)state;
    CHECK_EQ(cairn_profile_start(1), 0);
    void *one = deep(100, 0), *two = deep(200, 5), *three = deep(200, 5);
    cairn_profile_stop();
    struct figures f = totals();
    CHECK(f.blocks == 3 && f.bytes == 500);
    CHECK(strstr(text, "\n1: 100 [1: 100] @ ") != NULL && strstr(text, " [2: 400] @ ") == NULL);
    CHECKF(strstr(text, "MAPPED_LIBRARIES:\n") != NULL && strstr(text, "test_profile\n") != NULL, "%s", text);
    unsigned long long caller = 0;
    CHECK(sscanf(strstr(text, "\n1: 100 [1: 100] @ "), "\n1: 100 [1: 100] @ 0x%llx", &caller) == 1);
    CHECK(caller > (uintptr_t)deep && caller < (uintptr_t)deep + 300);
    cairn_free(one);
    cairn_free(two);
    cairn_free(three);
}

/* ---- The protocol buffer ------------------------------------------------------------------------- */

struct cursor {
    const unsigned char *at, *end;
};

static uint64_t varint(struct cursor *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        CHECK(in->at < in->end && shift < 64);
        value |= (uint64_t)(*in->at & 0x7f) << shift;
        if ((*in->at++ & 0x80) == 0)
            return value;
    }
}

/* The next field; a message or string goes to *inside. */
static unsigned field(struct cursor *in, uint64_t *value, struct cursor *inside)
{
    uint64_t key = varint(in);
    CHECKF((key & 7) == 0 || (key & 7) == 2, "wire type %d", (int)(key & 7));
    *value = varint(in);
    if ((key & 7) == 2) {
        CHECK(*value <= (uint64_t)(in->end - in->at));
        *inside = (struct cursor){in->at, in->at + *value};
        in->at += *value;
    }
    return (unsigned)(key >> 3);
}

enum { MODULES = 256 };
static uint64_t bounds[MODULES][2]; /* of the code of mappings, by their ids */
static size_t addresses;

/* A return address is the location's number; its address is the call in front of that, in the mapping that it names. */
static void check_location(uint64_t id, unsigned which, uint64_t value)
{
    CHECK(which == 2 || which == 3);
    if (which == 2)
        CHECK(value < MODULES && id - 1 >= bounds[value][0] && id - 1 < bounds[value][1]);
    else
        CHECK_EQ(value, id - 1);
    addresses += which == 3;
}

static void pprof_is_whole(void **state)
{
    (void)state;
    enum { MOST = 4096 };
    static uint64_t named[MOST], located[MOST];
    size_t named_count = 0, located_count = 0, mappings = 0, types = 0, build_ids = 0;
    uint64_t sums[4] = {0, 0, 0, 0}, value, strings = 0, highest_string = 0;
    CHECK_EQ(cairn_profile_start(1), 0);
    void *blocks[] = {cairn_malloc(11), deep(200, 3), cairn_calloc(10, 50000)};
    cairn_free(blocks[0]);
    cairn_profile_stop();
    take(CAIRN_PROFILE_PPROF);
    struct cursor in = {(unsigned char *)text, (unsigned char *)text + text_size}, m, packed;
    while (in.at < in.end) {
        switch (field(&in, &value, &m)) {
        case 1: types++; break;
        case 2:
            CHECK(field(&m, &value, &packed) == 1);
            while (packed.at < packed.end && named_count < MOST)
                named[named_count++] = varint(&packed);
            CHECK(field(&m, &value, &packed) == 2 && m.at == m.end);
            for (size_t i = 0; i < 4; i++)
                sums[i] += varint(&packed);
            CHECK(packed.at == packed.end);
            break;
        case 3:
            mappings++;
            while (m.at < m.end) {
                unsigned which = field(&m, &value, &packed);
                build_ids += which == 6;
                if (which == 2 || which == 3)
                    bounds[mappings % MODULES][which - 2] = value;
                if (which >= 5 && value > highest_string)
                    highest_string = value;
                CHECK(which != 1 || value == mappings);
            }
            break;
        case 4:
            CHECK(field(&m, &value, &packed) == 1);
            located[located_count++] = value;
            while (m.at < m.end) {
                unsigned which = field(&m, &value, &packed);
                check_location(located[located_count - 1], which, value);
            }
            break;
        case 6: strings++; break;
        default: break;
        }
    }
    CHECK_EQ(types, 4);
    CHECK_EQ(addresses, located_count);
    CHECK_EQ(sums[0], 3);
    CHECK_EQ(sums[1], 11 + 200 + 500000);
    CHECK_EQ(sums[2], 2);
    CHECK_EQ(sums[3], 200 + 500000);
    CHECKF(mappings >= 3 && build_ids >= 1 && highest_string < strings, "%zu %zu", mappings, build_ids);
    for (size_t i = 0; i < named_count; i++) {
        size_t times = 0;
        for (size_t k = 0; k < located_count; k++)
            times += located[k] == named[i];
        CHECK_EQ(times, 1);
    }
    cairn_free(blocks[1]);
    cairn_free(blocks[2]);
}

static void refusals(void **state)
{
    (void)state;
    errno = 0;
    CHECK(cairn_profile_write(-1, CAIRN_PROFILE_TEXT) == -1 && errno == EBADF && cairn_errormsg()[0] != 0);
    CHECK(cairn_profile_write(-1, CAIRN_PROFILE_PPROF) == -1 && errno == EBADF);
    CHECK(cairn_profile_write(1, (cairn_profile_format)7) == -1 && errno == EINVAL);
    cairn_profile_stop(); /* none is on */
    CHECK(!cairn_profile_on());
    CHECK_EQ(cairn_profile_start(0), 0); /* the default */
    CHECK(cairn_profile_on());
    cairn_profile_stop();
}

/* ---- While much happens -------------------------------------------------------------------------- */

static int stopping;

static void *load_libraries(void *unused)
{
    static const char *const names[] = {"libm.so.6", "libcmocka.so.0", "libresolv.so.2", "libutil.so.1"};
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            void *library = dlopen(names[i], RTLD_NOW);
            if (library != NULL)
                dlclose(library);
        }
    return unused;
}

static void *allocate_some(void *seed)
{
    uint64_t random = (uint64_t)(uintptr_t)seed;
    void *blocks[50] = {NULL};
    for (size_t i = 0; i < 2000; i++) {
        void **at = &blocks[check_below(&random, 50)];
        cairn_free(*at);
        CHECK((*at = cairn_malloc(check_random_size(&random, 20000))) != NULL);
    }
    for (size_t i = 0; i < 50; i++)
        cairn_free(blocks[i]);
    return NULL;
}

static void *short_threads(void *seed)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, allocate_some, seed) == 0 && pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

/* The child goes on with the profile, and writes it. */
static void fork_once(size_t i)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)allocate_some((void *)i);
        int fd = memfd_create("child", 0);
        _exit(cairn_profile_write(fd, i % 2 ? CAIRN_PROFILE_TEXT : CAIRN_PROFILE_PPROF) == 0 &&
                      lseek(fd, 0, SEEK_END) > 100 && cairn_profile_start(INTERVAL) == 0
                  ? 0
                  : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(status == 0, "status %x", status);
}

static volatile sig_atomic_t written;

static void write_in_handler(int number)
{
    (void)number;
    int fd = memfd_create("handler", 0);
    written +=
        fd >= 0 && cairn_profile_write(fd, written % 2 ? CAIRN_PROFILE_TEXT : CAIRN_PROFILE_PPROF) == 0;
    close(fd);
}

static void among_threads_forks_and_libraries(void **state)
{
    (void)state;
    enum { FORKS = 30, BUSY = 2 };
    pthread_t threads[BUSY + 1];
    struct sigaction action = {.sa_handler = write_in_handler, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    CHECK_EQ(cairn_profile_start(4096), 0);
    CHECK(pthread_create(&threads[0], NULL, load_libraries, NULL) == 0);
    for (size_t i = 1; i <= BUSY; i++)
        CHECK(pthread_create(&threads[i], NULL, short_threads, (void *)(check_seed() + i)) == 0);
    for (size_t i = 0; i < FORKS; i++) {
        fork_once(i);
        CHECK(pthread_kill(threads[1 + i % BUSY], SIGUSR2) == 0 && raise(SIGUSR2) == 0);
        if (i % 5 == 4) { /* EBUSY: a thread is in the books at every moment that is tried */
            int started = cairn_profile_start(i % 2 ? 4096 : 1);
            CHECK(started == 0 || errno == EBUSY);
        }
        (void)totals_while(false);
    }
    __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
    for (size_t i = 0; i <= BUSY; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(written >= FORKS);
    cairn_profile_stop();
    struct figures f = totals();
    CHECK(f.blocks > 0);
}

/* ---- By option and signal ------------------------------------------------------------------------ */

static void raise_twice(void)
{
    CHECK(!cairn_profile_on());
    raise(SIGUSR1);
    CHECK(cairn_profile_on());
    cairn_free(cairn_malloc(1234567));
    raise(SIGUSR1);
    CHECK(!cairn_profile_on());
}

static void just_end(void)
{
    CHECK(cairn_profile_on());
    void *volatile kept = cairn_malloc(7654321);
    (void)kept;
}

static const check_task tasks[] = {{"raise_twice", raise_twice}, {"just_end", just_end}, {NULL, NULL}};

static void check_file(const char *task, const char *options, const char *expected)
{
    char conf[300], name[100];
    snprintf(name, sizeof name, "/tmp/cairn-test-profile.%d", (int)getpid());
    snprintf(conf, sizeof conf, "profile_file:%s,profile_interval:1,profile_format:text,%s", name, options);
    check_task_conf(task, conf);
    CHECK(check_read_file(name, text, sizeof text) > 0);
    CHECKF(check_match(text, expected), "%.2000s", text);
    CHECK(unlink(name) == 0);
}

static void by_option_and_signal(void **state)
{
    (void)state;
    check_file("raise_twice", "profile_signal:10", "^heap profile: .* \\[");
    CHECK(check_match(text, "^0: 0 \\[1: 1234567\\] @ 0x"));
    check_file("just_end", "profile:on", "^1: 7654321 \\[1: 7654321\\] @ 0x");
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_near),
        cmocka_unit_test(growing_blocks),
        cmocka_unit_test(every_block_is_exact),
        cmocka_unit_test(stacks_are_told_apart),
        cmocka_unit_test(pprof_is_whole),
        cmocka_unit_test(refusals),
        cmocka_unit_test(among_threads_forks_and_libraries),
        cmocka_unit_test(by_option_and_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
