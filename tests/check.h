/* check.h - what the tests share: checks with a message, random numbers with a seed, figures of the own
 * process read without allocating, block patterns, and running children.
 *
 * CHECK works everywhere: in the main thread of a cmocka test (include cmocka.h first) it fails the test,
 * in a task (see below), in another thread and in a stress program it ends the process with status 1.
 *
 * A measurement that needs a process of its own is a task: check_task_ok("name", env) starts the same
 * program again with the task's name as its argument, and main() hands it to check_dispatch().
 *
 * Environment: CAIRN_TEST_SEED repeats a run, CAIRN_TEST_SCALE stretches durations (1.0 is normal),
 * CAIRN_TEST_LONG=1 chooses the long variants.
 */
#ifndef CAIRN_TESTS_CHECK_H
#define CAIRN_TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Under a sanitizer nothing that measures memory means anything. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CHECK_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define CHECK_SANITIZED 1
#endif
#endif
#ifndef CHECK_SANITIZED
#define CHECK_SANITIZED 0
#endif

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* ---- Failing ------------------------------------------------------------------------------------ */

static int check_in_task;
static uint64_t check_seed_used;

__attribute__((format(printf, 4, 5))) static inline void check_fail(const char *file, int line,
                                                                    const char *what, const char *format, ...)
{
    char text[1024];
    int used = snprintf(text, sizeof text, "%s:%d: check failed: %s", file, line, what);
    if (format[0] != '\0' && used > 0 && (size_t)used < sizeof text - 4) {
        va_list args;
        va_start(args, format);
        used += snprintf(text + used, sizeof text - (size_t)used, ": ");
        vsnprintf(text + used, sizeof text - (size_t)used, format, args);
        va_end(args);
    }
    dprintf(2, "%s\n", text);
    if (check_seed_used != 0)
        dprintf(2, "repeat with CAIRN_TEST_SEED=%llu\n", (unsigned long long)check_seed_used);
#ifdef CMOCKA_H_
    if (!check_in_task && syscall(SYS_gettid) == getpid())
        _fail(file, line); /* leaves by longjmp */
#endif
    _exit(1);
}

#define CHECK(condition) CHECKF(condition, "%s", "")
#define CHECKF(condition, ...)                                                                               \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            check_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                         \
    } while (0)

/* The two sides are compared as 64-bit numbers and shown. */
#define CHECK_EQ(a, b)                                                                                       \
    do {                                                                                                     \
        long long check_a = (long long)(a), check_b = (long long)(b);                                        \
        if (check_a != check_b)                                                                              \
            check_fail(__FILE__, __LINE__, #a " == " #b, "%lld and %lld", check_a, check_b);                 \
    } while (0)

/* Hides a value from the optimiser, which would otherwise remove pairs of malloc and free, or refuse to
 * compile the misuse that a test is about. */
static inline void *check_opaque(const void *pointer)
{
    void *p = (void *)(uintptr_t)pointer;
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}
static inline size_t check_opaque_size(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return size;
}

/* ---- Environment, time, random numbers ---------------------------------------------------------- */

static inline int check_long(void)
{
    const char *value = getenv("CAIRN_TEST_LONG");
    return value != NULL && value[0] == '1';
}

static inline double check_scale(double normal)
{
    const char *value = getenv("CAIRN_TEST_SCALE");
    double factor = value != NULL ? atof(value) : 1.0;
    return normal * (factor > 0 ? factor : 1.0);
}

static inline double check_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void check_sleep(double seconds)
{
    struct timespec t;
    t.tv_sec = (time_t)seconds;
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* The seed of this run: call it once, before threads start. */
static inline uint64_t check_seed(void)
{
    if (check_seed_used == 0) {
        const char *value = getenv("CAIRN_TEST_SEED");
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        check_seed_used = value != NULL ? strtoull(value, NULL, 10)
                                        : ((uint64_t)t.tv_nsec * 1000003u + (uint64_t)getpid()) | 1u;
    }
    return check_seed_used;
}

/* splitmix64 by Sebastiano Vigna (public domain) */
static inline uint64_t check_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t check_below(uint64_t *state, size_t bound)
{
    return (size_t)(check_random(state) % bound);
}

/* A size from 1 to max whose logarithm is evenly spread, as in real programs: small ones abound. */
static inline size_t check_random_size(uint64_t *state, size_t max)
{
    unsigned bits = (unsigned)(64 - __builtin_clzll((unsigned long long)max));
    size_t size = check_below(state, (size_t)1 << (1 + check_below(state, bits)));
    return size == 0 ? 1 : size > max ? max : size;
}

/* ---- Patterns ----------------------------------------------------------------------------------- */

static inline uint64_t check_word(uint64_t key, size_t index)
{
    return (key + index) * 0x9e3779b97f4a7c15u ^ (key >> 7);
}

/* Fills all `size` bytes from `key`. */
static inline void check_fill(void *block, size_t size, uint64_t key)
{
    unsigned char *bytes = (unsigned char *)block;
    size_t words = size / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = check_word(key, i);
        memcpy(bytes + i * 8, &word, 8);
    }
    uint64_t last = check_word(key, words);
    memcpy(bytes + words * 8, &last, size % 8);
}

/* Offset of the first byte that is not as check_fill(block, _, key) left it, `size` if all are. */
static inline size_t check_differs(const void *block, size_t size, uint64_t key)
{
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = check_word(key, i / 8);
        size_t part = size - i < 8 ? size - i : 8;
        if (memcmp(bytes + i, &word, part) != 0)
            return i;
    }
    return size;
}

#define CHECK_FILLED(block, size, key)                                                                       \
    do {                                                                                                     \
        size_t check_size = (size), check_at = check_differs(block, check_size, key);                        \
        CHECKF(check_at == check_size, "block %p of %zu bytes differs at %zu", (const void *)(block),        \
               check_size, check_at);                                                                        \
    } while (0)

/* Offset of the first byte that is not zero, `size` if all are. */
static inline size_t check_nonzero(const void *block, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return i;
    return size;
}

/* Writes one byte in every page, so that the block counts in the resident size. */
static inline void check_touch(void *block, size_t size)
{
    volatile unsigned char *bytes = (volatile unsigned char *)block;
    for (size_t i = 0; i < size; i += 4096)
        bytes[i] = (unsigned char)(i >> 12) | 1u;
    if (size != 0)
        bytes[size - 1] = 1;
}

/* A table outside the heap under test, zeroed; its own pages count as resident once written. */
static inline void *check_table(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

/* ---- The own process, read without allocating --------------------------------------------------- */

static inline size_t check_read_file(const char *path, char *text, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECKF(fd >= 0, "%s: %s", path, strerror(errno));
    size_t used = 0;
    ssize_t got;
    while (used < capacity - 1 && (got = read(fd, text + used, capacity - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(fd);
    return used;
}

/* Bytes of `field`, for example "VmRSS:" or "VmHWM:". */
static inline size_t check_status(const char *field)
{
    char text[8192];
    check_read_file("/proc/self/status", text, sizeof text);
    const char *line = strstr(text, field);
    CHECKF(line != NULL, "no %s", field);
    return strtoull(line + strlen(field), NULL, 10) * KIB;
}

static inline size_t check_rss(void)
{
    return check_status("VmRSS:");
}

/* The highest resident size since the last check_peak_reset(). */
static inline size_t check_peak(void)
{
    return check_status("VmHWM:");
}

static inline void check_peak_reset(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, "5", 1) == 1);
    close(fd);
}

static inline size_t check_mappings(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    char text[16384];
    size_t lines = 0;
    ssize_t got;
    while ((got = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < got; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* Sleeps until the resident size is at most `bound`, `seconds` at most; makes no allocator call.
 * Returns the last resident size. */
static inline size_t check_rss_falls(size_t bound, double seconds)
{
    double end = check_now() + seconds;
    size_t rss = check_rss();
    while (rss > bound && check_now() < end) {
        check_sleep(0.02);
        rss = check_rss();
    }
    return rss;
}

/* ---- Children ----------------------------------------------------------------------------------- */

typedef struct check_run {
    /* given by the caller; all zero is fine */
    const char *const *env; /* "NAME=value" ..., NULL: added to the own environment */
    const char *input;      /* for its standard input, NULL: none */
    size_t input_size;      /* 0: strlen(input) */
    int limit;              /* RLIMIT_... to set, when limit_bytes is not 0 */
    size_t limit_bytes;
    double seconds; /* killed after that time; 0: 60 */
    /* results */
    int status; /* as from waitpid */
    int timed_out;
    char out[1 << 16], err[1 << 16]; /* the beginning of what it wrote, terminated */
} check_run;

static inline char **check_environment(const char *const *more)
{
    static char *all[1024];
    size_t count = 0;
    for (char **e = environ; *e != NULL && count < 900; e++) {
        int replaced = 0;
        for (const char *const *m = more; m != NULL && *m != NULL; m++)
            replaced |= strncmp(*e, *m, strcspn(*m, "=") + 1) == 0;
        if (!replaced)
            all[count++] = *e;
    }
    for (; more != NULL && *more != NULL; more++)
        all[count++] = (char *)(uintptr_t)*more;
    all[count] = NULL;
    return all;
}

static inline void check_drain(int fd, char *text, size_t capacity, size_t *used, int *open_end)
{
    char scrap[4096];
    int full = *used >= capacity - 1;
    ssize_t got = read(fd, full ? scrap : text + *used, full ? sizeof scrap : capacity - 1 - *used);
    if (got > 0 && !full)
        *used += (size_t)got;
    if (got == 0 || (got < 0 && errno != EINTR))
        *open_end = 0;
}

/* Runs a program (found by PATH) to its end. */
static inline void check_exec(check_run *run, const char *const *argv)
{
    int out[2], err[2], in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(in >= 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    if (run->input != NULL) {
        size_t size = run->input_size != 0 ? run->input_size : strlen(run->input);
        close(in);
        in = memfd_create("input", MFD_CLOEXEC);
        CHECK(in >= 0 && write(in, run->input, size) == (ssize_t)size && lseek(in, 0, SEEK_SET) == 0);
    }
    char **env = check_environment(run->env);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(in, 0), dup2(out[1], 1), dup2(err[1], 2);
        struct rlimit limit = {run->limit_bytes, run->limit_bytes};
#ifdef __cplusplus
        if (run->limit_bytes != 0)
            setrlimit((__rlimit_resource)run->limit, &limit);
#else
        if (run->limit_bytes != 0)
            setrlimit((__rlimit_resource_t)run->limit, &limit);
#endif
        execvpe(argv[0], (char *const *)(uintptr_t)argv, env);
        dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(in), close(out[1]), close(err[1]);
    size_t out_used = 0, err_used = 0;
    int out_open = 1, err_open = 1;
    double end = check_now() + check_scale(run->seconds > 0 ? run->seconds : 60);
    run->timed_out = 0;
    while (out_open || err_open) {
        struct pollfd fds[2] = {{out_open ? out[0] : -1, POLLIN, 0}, {err_open ? err[0] : -1, POLLIN, 0}};
        int left = (int)((end - check_now()) * 1000);
        if (left <= 0 || poll(fds, 2, left) == 0) {
            run->timed_out = 1;
            kill(pid, SIGKILL);
            break;
        }
        if (fds[0].revents != 0)
            check_drain(out[0], run->out, sizeof run->out, &out_used, &out_open);
        if (fds[1].revents != 0)
            check_drain(err[0], run->err, sizeof run->err, &err_used, &err_open);
    }
    run->out[out_used] = run->err[err_used] = '\0';
    close(out[0]), close(err[0]);
    CHECK(waitpid(pid, &run->status, 0) == pid);
}

static inline int check_run_ok(const check_run *run)
{
    return !run->timed_out && WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0;
}

static inline void check_run_must(const check_run *run, const char *what)
{
    CHECKF(check_run_ok(run), "%s: %s %d\nits output: %.300s\nits errors: %.400s", what,
           run->timed_out ? "took too long, status" : "ended with status", run->status, run->out, run->err);
}

/* Whether a line of `text` has a match of the extended regular expression. */
static inline int check_match(const char *text, const char *expression)
{
    regex_t compiled;
    CHECK(regcomp(&compiled, expression, REG_EXTENDED | REG_NEWLINE | REG_NOSUB) == 0);
    int found = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

/* The process died by abort() and said `expression` on standard error. */
static inline void check_run_aborted(const check_run *run, const char *expression)
{
    CHECKF(!run->timed_out && WIFSIGNALED(run->status) && WTERMSIG(run->status) == SIGABRT,
           "no abort, status %d, errors: %.400s", run->status, run->err);
    CHECKF(check_match(run->err, expression), "%s does not match %.400s", expression, run->err);
}

typedef struct check_task {
    const char *name;
    void (*run)(void);
} check_task;

/* Runs the task of that name; a task that returns has passed. */
static inline int check_dispatch(const char *name, const check_task *tasks)
{
    check_in_task = 1;
    for (; tasks->name != NULL; tasks++)
        if (strcmp(tasks->name, name) == 0) {
            tasks->run();
            return 0;
        }
    dprintf(2, "no task named %s\n", name);
    return 2;
}

static inline void check_task_run(check_run *run, const char *task)
{
    const char *const argv[] = {"/proc/self/exe", task, NULL};
    check_exec(run, argv);
}

/* The task passes, run with `env` added. */
static inline void check_task_ok(const char *task, const char *const *env)
{
    static check_run run;
    memset(&run, 0, sizeof run);
    run.env = env;
    check_task_run(&run, task);
    check_run_must(&run, task);
}

static inline void check_task_conf(const char *task, const char *conf)
{
    char setting[4096];
    snprintf(setting, sizeof setting, "CAIRN_CONF=%s", conf);
    const char *const env[] = {setting, NULL};
    check_task_ok(task, env);
}

#endif
