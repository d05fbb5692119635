#!/bin/bash
# timeout: 120
# A program linked with libcairn.a forks under load while others' fork handlers allocate, whenever those were
# registered: by a library or in .preinit_array, before the heap knows of the process, or by the program's first
# constructor.  The latter also take a lock under which other threads allocate, which is free of deadlock only
# if the heap is locked after it.
. "$(dirname "$0")/lib.bash"

cat >"$work/handlers.h" <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Small blocks, enough for new spans, and a large one. */
static void allocate(void)
{
    static __thread void *blocks[200];
    for (int i = 0; i < 200; i++) {
        blocks[i] = malloc(i == 0 ? 300000 : 1000);
        if (blocks[i] == NULL)
            _exit(10);
        memset(blocks[i], 1, 1000);
    }
    for (int i = 0; i < 200; i++)
        free(blocks[i]);
}
C
cat >"$work/library.c" <<'C'
#include "handlers.h"
int library_runs;
static void handler(void) { allocate(); library_runs++; }
__attribute__((constructor)) static void start(void)
{
    if (pthread_atfork(handler, handler, handler) != 0)
        _exit(11);
}
C
cat >"$work/program.c" <<'C'
#include "handlers.h"
#include <sys/wait.h>
enum { FORKS = 300 };
extern int library_runs;
static int early_runs, first_runs, stop;

static void early_handler(void) { allocate(); early_runs++; }
static void early(void) { if (pthread_atfork(early_handler, early_handler, early_handler) != 0) _exit(12); }
__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = early;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void take(void) { pthread_mutex_lock(&lock); allocate(); first_runs++; }
static void release(void) { allocate(); first_runs++; pthread_mutex_unlock(&lock); }
__attribute__((constructor(101))) static void first(void) { if (pthread_atfork(take, release, release) != 0) _exit(13); }

static void *under_lock(void *unused)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        pthread_mutex_lock(&lock);
        allocate();
        pthread_mutex_unlock(&lock);
    }
    return unused;
}
static void *once(void *unused) { allocate(); return unused; }

int main(void)
{
    pthread_t threads[3], more;
    alarm(40);
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, under_lock, NULL) != 0)
            return 14;
    for (int i = 0; i < FORKS; i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            allocate();
            if (pthread_create(&more, NULL, once, NULL) != 0 || pthread_join(more, NULL) != 0)
                _exit(15);
            _exit(0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("fork %d: status %x\n", i, (unsigned)status);
            return 16;
        }
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("%d %d %d\n", library_runs, early_runs, first_runs);
    return 0;
}
C

gcc -O1 -w -pthread -fno-builtin -fPIC -shared -o "$work/liblibrary.so" "$work/library.c"
# linked OPTION...: the program with the archive behind it, so that its constructors come first at equal priority
linked() {
    gcc -O1 -w -pthread -fno-builtin -o "$work/program" "$work/program.c" "$@" "$build/libcairn.a" "-Wl,-rpath,$work"
}
runs() {
    [[ $("$work/program") == "$1" ]]
}
linked "$work/liblibrary.so"
must_pass "fork handlers of a library and a program" runs "600 600 600"
linked -static "$work/library.c"
must_pass "fork handlers of a static program" runs "600 600 600"
