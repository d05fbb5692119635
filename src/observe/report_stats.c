/* report_stats.c - see report_stats.h. */
#include "observe/report_stats.h"

#include "observe/statistics.h"
#include "os/os.h"
#include "os/report.h"

#define STANDARD_ERROR 2
#define SIGNAL_TRIES 20

struct observe_settings observe_settings;
static struct heap *observed; /* constant after observe_start */
static int error_copy = -1;   /* of standard error, which many programs close before they end */

static bool to_file(void *context, const char *text, size_t size)
{
    return os_write(*(int *)context, text, size);
}

bool observe_write_stats(struct heap *heap, int fd, bool json)
{
    struct statistics statistics;
    struct printer printer;
    statistics_read(heap, &statistics);
    printer_init(&printer, to_file, &fd);
    if (json)
        statistics_print_json(&printer, &statistics);
    else
        statistics_print_text(&printer, &statistics);
    return !printer.failed;
}

static void write_where_asked(void)
{
    char name[STATS_FILE_MAX + 16];
    int fd = error_copy >= 0 ? error_copy : STANDARD_ERROR;
    bool to_a_file = observe_settings.stats_file[0] != 0;
    if (to_a_file) {
        os_expand_name(name, sizeof name, observe_settings.stats_file);
        fd = os_create_file(name);
        if (fd < 0) {
            report_warning("cannot write the statistics to", name);
            return;
        }
    }
    (void)observe_write_stats(observed, fd, observe_settings.stats_json); /* standard error may be closed */
    if (to_a_file)
        os_close(fd);
}

/* A signal may have stopped a thread that holds the heap's lock; then there is nothing to be had safely. */
static void on_signal(int number)
{
    (void)number;
    int saved = os_errno_get();
    bool free = false;
    for (int i = 0; i < SIGNAL_TRIES && !free; i++) {
        free = lock_try(&observed->lock);
        if (!free)
            os_yield(); /* held by another thread, or by the one that the signal stopped */
    }
    if (free) {
        lock_release(&observed->lock);
        write_where_asked();
    } else {
        report_warning("statistics", "the heap was busy when the signal came; send it again");
    }
    os_errno_set(saved);
}

void observe_start(struct heap *heap)
{
    observed = heap;
    if (observe_settings.stats_at_exit && observe_settings.stats_file[0] == 0)
        error_copy = os_duplicate(STANDARD_ERROR);
    if (observe_settings.stats_signal != 0 && !os_on_signal(observe_settings.stats_signal, on_signal))
        report_warning("stats_signal", "the system does not allow a handler for this signal");
}

void observe_exit(void)
{
    if (observe_settings.stats_at_exit && observed != NULL)
        write_where_asked();
}
