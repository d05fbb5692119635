/* pool_progress.c - how far long work is, on standard error.
 *
 * On a terminal a line that is written over, from half a second on, and gone at the end: short work shows nothing.  With
 * --progress from the beginning, and where there is no terminal in lines of their own, the last one at the end.  A thread
 * writes them, so that work that cannot say how far it is (a call of the system that takes long) shows at least how
 * long it takes. */
#include "pool.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 0.5       /* seconds before the first line */
#define INTERVAL 0.1       /* between lines that are written over */
#define INTERVAL_LINES 1.0 /* between lines that stay */

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void show(struct progress *progress)
{
    uint64_t done = atomic_load(&progress->done);
    double share = (double)done / (double)(progress->all > 0 ? progress->all : 1);
    fprintf(stderr, progress->on_terminal ? "\r" : "cairn: ");
    if (progress->all > 0)
        fprintf(stderr, "%s: %s %3.0f %%", progress->file, progress->doing, 100 * (share < 1 ? share : 1));
    else
        fprintf(stderr, "%s: %s %.0f s", progress->file, progress->doing, now() - progress->begin);
    if (!progress->on_terminal)
        fputc('\n', stderr);
    progress->shown = true;
}

/* Until the time has come, or the work is done; under the lock. */
static void wait_for(struct progress *progress, double seconds)
{
    double until = now() + seconds;
    struct timespec time = {(time_t)until, (long)((until - (double)(time_t)until) * 1e9)};
    while (!progress->over)
        if (pthread_cond_timedwait(&progress->change, &progress->lock, &time) == ETIMEDOUT)
            return;
}

static void *tick(void *context)
{
    struct progress *progress = context;
    (void)pthread_mutex_lock(&progress->lock);
    wait_for(progress, progress->is_asked_for ? 0 : PATIENCE);
    while (!progress->over) {
        show(progress);
        wait_for(progress, progress->on_terminal ? INTERVAL : INTERVAL_LINES);
    }
    (void)pthread_mutex_unlock(&progress->lock);
    return NULL;
}

void progress_begin(struct progress *progress, const struct pool_request *request, const char *doing,
                    uint64_t all)
{
    *progress = (struct progress){
        .file = request->file,
        .doing = doing,
        .all = all,
        .is_asked_for = request->progress,
        .on_terminal = isatty(STDERR_FILENO) != 0,
        .begin = now(),
    };
    pthread_condattr_t by_monotonic;
    if (!progress->is_asked_for && !progress->on_terminal)
        return;
    (void)pthread_condattr_init(&by_monotonic);
    (void)pthread_condattr_setclock(&by_monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&progress->change, &by_monotonic);
    (void)pthread_condattr_destroy(&by_monotonic);
    (void)pthread_mutex_init(&progress->lock, NULL);
    progress->is_ticking = pthread_create(&progress->thread, NULL, tick, progress) == 0;
}

void progress_step(struct progress *progress, uint64_t done)
{
    atomic_store_explicit(&progress->done, done, memory_order_relaxed);
}

void progress_of(uint64_t done, uint64_t all, void *context)
{
    struct progress *progress = context;
    progress_step(progress, all > 0 ? (uint64_t)((double)done / (double)all * (double)progress->all) : 0);
}

void progress_end(struct progress *progress)
{
    if (!progress->is_ticking)
        return;
    (void)pthread_mutex_lock(&progress->lock);
    progress->over = true;
    (void)pthread_cond_signal(&progress->change);
    (void)pthread_mutex_unlock(&progress->lock);
    (void)pthread_join(progress->thread, NULL);
    if (!progress->on_terminal) {
        progress_step(progress, progress->all);
        show(progress);
    } else if (progress->shown) {
        fputs("\r\033[K", stderr);
    }
    progress->is_ticking = false;
}
