/* print.h - formatted text without malloc, stdio or locale, into a buffer that flushes to a callback.
 * Usable in a signal handler and with every lock held, as long as the sink is. */
#ifndef BASE_PRINT_H
#define BASE_PRINT_H

#include "base/base.h"

#include <stdarg.h>

/* Takes `size` bytes; false when they could not be written (further output is then dropped). */
typedef bool print_sink(void *context, const char *text, size_t size);

struct printer {
    print_sink *sink;
    void *context;
    bool failed;
    size_t used;
    char buffer[512];
};

void printer_init(struct printer *p, print_sink *sink, void *context);

/* Knows %s %c %d %u %zu %lu (as uint64_t: %ju) %x %p %%, and a field width with '-' or not ("%-12s", "%8zu"). */
void print(struct printer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands the rest to the sink; false if any write failed. */
bool printer_flush(struct printer *p);

/* Formats into `out`, cut to `size` - 1 bytes and terminated. */
void print_to_buffer_arguments(char *out, size_t size, const char *format, va_list *args);
void print_to_buffer(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
