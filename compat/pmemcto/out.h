/* out.h - what the library says: error messages, debug messages and other output; and memory for itself.
 *
 *   PMEMCTO_LOG_LEVEL   0 nothing (the default), 1 errors, 2 also warnings, 3 also calls on pools, 4 also calls on blocks
 *   PMEMCTO_LOG_FILE    where output goes instead of standard error; a name ending in "-" gets the process id appended
 * Both are read when the library is loaded, and ignored in programs that run with others' privileges. */
#ifndef PMEMCTO_OUT_H
#define PMEMCTO_OUT_H

#include <stddef.h>

enum out_level { OUT_ERROR = 1, OUT_WARNING = 2, OUT_POOL = 3, OUT_BLOCK = 4 };

/* Inside the libraries only; the archive has them too. */
#define OUT_HIDDEN __attribute__((visibility("hidden")))

extern int pmemcto_out_level OUT_HIDDEN;

/* Notes the thread's error message and logs it.  errno stays. */
OUT_HIDDEN void pmemcto_out_error(const char *function, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Logs. */
OUT_HIDDEN void pmemcto_out_log(enum out_level level, const char *function, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* To the print function. */
OUT_HIDDEN void pmemcto_out_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* By the functions that the program has set. */
OUT_HIDDEN void *pmemcto_out_malloc(size_t size);
OUT_HIDDEN void *pmemcto_out_realloc(void *block, size_t size);
OUT_HIDDEN void pmemcto_out_free(void *block);

#endif
