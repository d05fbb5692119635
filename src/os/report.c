/* report.c - see report.h. */
#include "os/report.h"

#include "base/print.h"
#include "os/os.h"

#include <string.h>

#define STANDARD_ERROR 2

static void write_line(const char *line)
{
    (void)os_write(STANDARD_ERROR, line, strlen(line)); /* nobody is left to tell */
}

void report_fatal(const char *call, const void *pointer, const char *fact)
{
    char line[256];
    print_to_buffer(line, sizeof line, "cairn: %s: %s %p\n", call, fact, pointer);
    write_line(line);
    os_abort();
}

void report_warning(const char *text, const char *detail)
{
    char line[512];
    int saved = os_errno_get();
    print_to_buffer(line, sizeof line, "cairn: %s: %s\n", text, detail);
    write_line(line);
    os_errno_set(saved);
}
