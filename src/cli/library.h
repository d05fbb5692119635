/* library.h - which libcairn.so a program gets. */
#ifndef CLI_LIBRARY_H
#define CLI_LIBRARY_H

#include "program.h"

/* What CAIRN_LIBRARY names, else libcairn.so beside the command, else where it is installed.
 * Its absolute path (to be freed), which LD_PRELOAD can hold, and its header; NULL after a message. */
char *library_find(struct elf *elf);

/* The value of LD_PRELOAD (NULL: none) without any libcairn.so and without `library`; to be freed. */
char *library_removed(const char *preload, const char *library);

#endif
