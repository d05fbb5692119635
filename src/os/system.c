/* system.c - time, threads, signals, files.  See os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/atomic.h"
#include "base/print.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t os_now_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t os_unix_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

bool os_clock_is_counter(void)
{
    char name[16] = "";
    int saved = errno;
    int fd = os_open_file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if (fd >= 0) {
        (void)os_read(fd, name, sizeof name - 1);
        os_close(fd);
    }
    errno = saved;
    return strcmp(name, "tsc\n") == 0;
}

unsigned os_thread_number(void)
{
    return (unsigned)syscall(SYS_gettid);
}

void os_futex_wait(uint32_t *word, uint32_t expected)
{
    int saved = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
    errno = saved;
}

void os_futex_wake_one(uint32_t *word)
{
    int saved = errno;
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

void os_yield(void)
{
    int saved = errno;
    (void)sched_yield();
    errno = saved;
}

uintptr_t os_thread_id(void)
{
    return (uintptr_t)pthread_self();
}

void os_sleep_us(unsigned microseconds)
{
    int saved = errno;
    struct timespec time = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
    (void)nanosleep(&time, NULL);
    errno = saved;
}

static pthread_key_t thread_key;
static bool thread_key_made; /* written once, before any thread sets a value */

bool os_thread_hook(void (*at_exit)(void *value))
{
    thread_key_made = pthread_key_create(&thread_key, at_exit) == 0;
    return thread_key_made;
}

void os_thread_value_set(void *value)
{
    if (thread_key_made)
        (void)pthread_setspecific(thread_key, value);
}

void os_fork_hooks(void (*before)(void), void (*parent)(void), void (*child)(void))
{
    (void)pthread_atfork(before, parent, child);
}

static void (*fault_handler)(uintptr_t address); /* constant once installed */
static struct sigaction fault_before;

/* Whoever was there before has the last word; if nobody was, the access is made again, and ends the process in its place. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    fault_handler((uintptr_t)info->si_addr);
    errno = saved;
    if ((fault_before.sa_flags & SA_SIGINFO) != 0)
        fault_before.sa_sigaction(number, info, context);
    else if (fault_before.sa_handler != SIG_DFL && fault_before.sa_handler != SIG_IGN)
        fault_before.sa_handler(number);
    else
        (void)signal(number, SIG_DFL);
}

bool os_on_fault(void (*handler)(uintptr_t address))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    fault_handler = handler;
    return sigaction(SIGSEGV, &action, &fault_before) == 0;
}

size_t os_command_line(char *out, size_t size)
{
    int saved = errno;
    size_t used = 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    for (long got; fd >= 0 && used < size; used += (size_t)got)
        if ((got = syscall(SYS_read, fd, out + used, size - used)) <= 0)
            break;
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
    errno = saved;
    return used;
}

bool os_on_signal(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    return sigaction(number, &action, NULL) == 0;
}

static char **early_environment; /* until the C library knows its own */

bool os_environment_ready(void)
{
    return environ != NULL || early_environment != NULL;
}

void os_environment_set(char **entries)
{
    early_environment = entries;
}

const char *os_environment(const char *name)
{
    size_t length = strlen(name);
    char **entries = environ != NULL ? environ : early_environment;
    if (entries == NULL)
        return NULL;
    for (char **entry = entries; *entry != NULL; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return *entry + length + 1;
    return NULL;
}

bool os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

unsigned os_process_id(void)
{
    return (unsigned)getpid();
}

bool os_write(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t done = syscall(SYS_write, fd, at, size); /* write() is a cancellation point, malloc none */
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        size -= (size_t)done;
    }
    return true;
}

int os_duplicate(int fd)
{
    enum { OUT_OF_THE_WAY = 200 };
    int saved = errno;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    errno = saved;
    return copy;
}

int os_create_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

int os_open_file(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

ptrdiff_t os_read(int fd, void *data, size_t size)
{
    ssize_t got;
    do
        got = read(fd, data, size);
    while (got < 0 && errno == EINTR);
    return got;
}

void os_expand_name(char *out, size_t size, const char *name)
{
    const char *mark = strstr(name, "%p");
    if (mark == NULL) {
        print_to_buffer(out, size, "%s", name);
        return;
    }
    size_t head = size_min((size_t)(mark - name), size - 1);
    memcpy(out, name, head);
    print_to_buffer(out + head, size - head, "%u%s", os_process_id(), mark + 2);
}

void os_close(int fd)
{
    int saved = errno;
    (void)close(fd);
    errno = saved;
}

bool os_stream_write(void *stream, const void *data, size_t size)
{
    return fwrite(data, 1, size, stream) == size;
}

void os_abort(void)
{
    abort();
}

int os_errno_get(void)
{
    return errno;
}

void os_errno_set(int value)
{
    errno = value;
}

void *os_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

void *os_next_symbol(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}
