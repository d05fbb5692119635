/* leaks.h - what becomes of the profiles that the processes of one run have left in a folder, by their process ids. */
#ifndef CLI_LEAKS_H
#define CLI_LEAKS_H

#include <stdbool.h>

/* Compresses the profile of `process` to `file`, those of others to `file`.PID.  False after a message. */
bool profiles_keep(const char *folder, int process, const char *file);

/* Names on standard error what was live at the end of `process`, by stack.  False after a message. */
bool profiles_print_leaks(const char *folder, int process);

#endif
