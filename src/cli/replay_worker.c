/* replay_worker.c - see replay_worker.h; plan.h says what a plan is.
 *
 * Nothing here may disturb what is measured: slots and counters are mapped and touched before the clock starts, steps
 * are read into the stack, and from the first step on only the plan's operations (and pthread_create) allocate. */
#include "replay_worker.h"

#include "cli.h"
#include "plan.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STEPS_AT_ONCE 256 /* 4 KiB of the stack */
#define SPINS 100
#define YIELDS 200
#define STACK_BYTES ((size_t)256 << 10)
#define PAGE 4096

/* In a slot: a call that failed left nothing there. */
static char nothing;

/* Constant once the clock runs, but for the atomics. */
static struct {
    int fd;
    struct plan_header plan;
    struct plan_thread *threads;
    _Atomic(char *) *slots;
    atomic_uint *remaining; /* per epoch: steps to do */
    atomic_uint completed;  /* so many epochs are done, from the first; a futex */
    atomic_uint running;    /* threads; a futex */
    atomic_ullong failed;
    enum replay_touch touch;
} replay;

/* ---- Trouble ------------------------------------------------------------------------------------- */

static _Noreturn void give_up(const char *what)
{
    complain("replay: %s: %s", what, strerror(errno));
    _exit(STATUS_TROUBLE);
}

static void *map(uint64_t size)
{
    void *got = mmap(NULL, size > 0 ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED)
        give_up("no memory for its own tables");
    memset(got, 0, size); /* its pages count before the clock starts */
    return got;
}

static void read_at(void *to, size_t size, uint64_t offset)
{
    for (char *at = to; size > 0;) {
        ssize_t got = pread(replay.fd, at, size, (off_t)offset);
        if (got == 0)
            errno = EIO;
        if (got == 0 || (got < 0 && errno != EINTR))
            give_up("the plan cannot be read");
        if (got > 0) {
            at += got;
            size -= (size_t)got;
            offset += (uint64_t)got;
        }
    }
}

/* ---- Waiting ------------------------------------------------------------------------------------- */

static void futex_wait(atomic_uint *word, unsigned expected)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void pause_for(unsigned tries)
{
    if (tries < SPINS)
        __asm__ volatile("" ::: "memory");
    else if (tries < SPINS + YIELDS)
        (void)sched_yield();
    else
        (void)nanosleep(&(struct timespec){0, 50000}, NULL);
}

/* The block in a slot, once it is there. */
static char *take(uint32_t slot)
{
    char *block;
    for (unsigned tries = 0;
         (block = atomic_load_explicit(&replay.slots[slot], memory_order_acquire)) == NULL; tries++)
        pause_for(tries);
    atomic_store_explicit(&replay.slots[slot], NULL, memory_order_release);
    return block;
}

static void put(uint32_t slot, char *block)
{
    for (unsigned tries = 0; atomic_load_explicit(&replay.slots[slot], memory_order_acquire) != NULL; tries++)
        pause_for(tries); /* another thread has not freed what was here before */
    atomic_store_explicit(&replay.slots[slot], block, memory_order_release);
}

/* Moves `completed` over all epochs that are done. */
static void complete_epochs(void)
{
    unsigned done = atomic_load(&replay.completed), before = done;
    while (done < replay.plan.epochs && atomic_load(&replay.remaining[done]) == 0)
        if (atomic_compare_exchange_strong(&replay.completed, &done, done + 1))
            done++;
    if (done != before)
        futex_wake(&replay.completed);
}

static void change_epoch(const struct plan_step *step)
{
    if (step->done != PLAN_NO_EPOCH &&
        atomic_fetch_sub(&replay.remaining[step->done], step->count) == step->count)
        complete_epochs();
    if (step->slot == PLAN_NO_EPOCH)
        return;
    unsigned done;
    for (unsigned tries = 0; (done = atomic_load(&replay.completed)) + 1 < step->slot; tries++) {
        if (tries < SPINS)
            pause_for(tries);
        else
            futex_wait(&replay.completed, done);
    }
}

/* ---- Steps --------------------------------------------------------------------------------------- */

/* As a program would that uses what it asks for. */
static void touch(char *block, uint64_t size)
{
    if (size == 0 || replay.touch == TOUCH_NONE)
        return;
    if (replay.touch == TOUCH_ALL) {
        memset(block, 0x5a, size);
        return;
    }
    for (uint64_t at = 0; at < size; at += PAGE)
        ((volatile char *)block)[at] = 1;
    ((volatile char *)block)[size - 1] = 1;
}

static void put_new(uint32_t slot, char *block, uint64_t size)
{
    if (block != NULL)
        touch(block, size);
    else
        atomic_fetch_add(&replay.failed, 1);
    put(slot, block != NULL ? block : &nothing);
}

static char *aligned(const struct plan_step *step)
{
    void *block = NULL;
    size_t alignment = (size_t)1 << step->alignment;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&block, alignment, step->size) == 0 ? block : NULL;
}

static void resize(const struct plan_step *step, uint32_t into)
{
    char *old = take(step->slot);
    char *block = realloc(old != &nothing ? old : NULL, step->size > 0 ? step->size : 1);
    if (block == NULL && old != &nothing) {
        atomic_fetch_add(&replay.failed, 1);
        put(into, old);
    } else {
        put_new(into, block, step->size);
    }
}

static void start_thread(uint32_t number);

static void do_step(const struct plan_step *step)
{
    switch (step->kind) {
    case PLAN_MALLOC: put_new(step->slot, malloc(step->size), step->size); break;
    case PLAN_CALLOC: put_new(step->slot, calloc(1, step->size), step->size); break;
    case PLAN_ALIGNED: put_new(step->slot, aligned(step), step->size); break;
    case PLAN_FREE: {
        char *block = take(step->slot);
        if (block != &nothing)
            free(block);
        break;
    }
    case PLAN_START: start_thread(step->slot); break;
    case PLAN_EPOCH: change_epoch(step); break;
    default: errno = EINVAL; give_up("the plan has an unknown step");
    }
}

static void run_thread(uint32_t number)
{
    static __thread struct plan_step steps[STEPS_AT_ONCE];
    const struct plan_thread *thread = &replay.threads[number];
    struct plan_step resizing = {0};
    for (uint64_t done = 0, now; done < thread->count; done += now) {
        now = thread->count - done < STEPS_AT_ONCE ? thread->count - done : STEPS_AT_ONCE;
        read_at(steps, now * sizeof *steps, replay.plan.steps_at + (thread->first + done) * sizeof *steps);
        for (uint64_t i = 0; i < now; i++) {
            if (steps[i].kind == PLAN_REALLOC)
                resizing = steps[i];
            else if (steps[i].kind == PLAN_INTO)
                resize(&resizing, steps[i].slot);
            else
                do_step(&steps[i]);
        }
    }
}

static void *thread_body(void *number)
{
    run_thread((uint32_t)(uintptr_t)number);
    if (atomic_fetch_sub(&replay.running, 1) == 1)
        futex_wake(&replay.running);
    return NULL;
}

static void start_thread(uint32_t number)
{
    pthread_t thread;
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    atomic_fetch_add(&replay.running, 1);
    errno = pthread_create(&thread, &attributes, thread_body, (void *)(uintptr_t)number);
    if (errno != 0)
        give_up("no thread can be started");
    (void)pthread_attr_destroy(&attributes);
}

/* ---- Measuring ----------------------------------------------------------------------------------- */

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* Bytes of a field of /proc/self/status, read without allocating. */
static uint64_t status_bytes(const char *field)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    text[got > 0 ? got : 0] = 0;
    const char *at = strstr(text, field);
    return at != NULL ? strtoull(at + strlen(field), NULL, 10) << 10 : 0;
}

/* The highest resident size so far becomes the present one. */
static void forget_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, "5", 1);
        (void)ignored;
        (void)close(fd);
    }
}

static void measure(struct replay_result *result)
{
    struct rusage before, after;
    forget_peak();
    uint64_t base = status_bytes("VmRSS:");
    (void)getrusage(RUSAGE_SELF, &before);
    double begin = seconds_of(CLOCK_MONOTONIC);
    if (replay.plan.threads > 0)
        run_thread(0);
    for (unsigned running; (running = atomic_load(&replay.running)) != 0;)
        futex_wait(&replay.running, running);
    result->wall = seconds_of(CLOCK_MONOTONIC) - begin;
    (void)getrusage(RUSAGE_SELF, &after);
    uint64_t peak = status_bytes("VmHWM:"), left = status_bytes("VmRSS:");
    result->user = seconds(after.ru_utime) - seconds(before.ru_utime);
    result->system = seconds(after.ru_stime) - seconds(before.ru_stime);
    result->peak = peak > base ? peak - base : 0;
    result->left = left > base ? left - base : 0;
    result->failed = atomic_load(&replay.failed);
}

static void name_allocator(struct replay_result *result)
{
    Dl_info info;
    void *found = dlsym(RTLD_DEFAULT, "malloc");
    if (found != NULL && dladdr(found, &info) != 0 && info.dli_fname != NULL)
        (void)snprintf(result->allocator, sizeof result->allocator, "%s", info.dli_fname);
}

int replay_worker(int argc, char **argv)
{
    struct replay_result result = {0};
    if (argc != 5) {
        complain("replay: %s is for the command itself", REPLAY_WORKER);
        return STATUS_USAGE;
    }
    replay.fd = (int)strtol(argv[2], NULL, 10);
    int out = (int)strtol(argv[3], NULL, 10);
    replay.touch = (enum replay_touch)strtol(argv[4], NULL, 10);
    read_at(&replay.plan, sizeof replay.plan, 0);
    replay.slots = map(replay.plan.slots * sizeof *replay.slots);
    replay.remaining = map(replay.plan.epochs * sizeof *replay.remaining);
    replay.threads = map(replay.plan.threads * sizeof *replay.threads);
    read_at(replay.remaining, replay.plan.epochs * sizeof *replay.remaining, replay.plan.remaining_at);
    read_at(replay.threads, replay.plan.threads * sizeof *replay.threads, replay.plan.threads_at);
    name_allocator(&result);
    measure(&result);
    if (write(out, &result, sizeof result) != (ssize_t)sizeof result)
        give_up("its result cannot be written");
    _exit(0); /* what is still allocated needs no end */
}
