/* report.h - saying that something is wrong, in one line on standard error, without allocating. */
#ifndef OS_REPORT_H
#define OS_REPORT_H

#include "base/base.h"

/* "cairn: CALL: FACT POINTER", then abort: for corruption and misuse that a check found. */
_Noreturn COLD void report_fatal(const char *call, const void *pointer, const char *fact);

/* "cairn: TEXT: DETAIL", and go on. */
COLD void report_warning(const char *text, const char *detail);

#endif
