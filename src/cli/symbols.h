/* symbols.h - from addresses of a process that is gone to functions and lines, by its files and their build ids. */
#ifndef CLI_SYMBOLS_H
#define CLI_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

struct symbols;

struct symbols *symbols_open(void);
void symbols_close(struct symbols *symbols);

/* Code of `file` was mapped at `start`, from `offset` in the file on.  Without the file, or if it has another build id
 * than the given one ("": unknown), its addresses have no names; a difference is complained of. */
void symbols_add(struct symbols *symbols, const char *file, const char *build_id, uint64_t start,
                 uint64_t offset);

/* After the last symbols_add. */
void symbols_ready(struct symbols *symbols);

/* The function (NULL: not known) and "file:line" (NULL: not known) of an address; both to be freed. */
void symbols_find(struct symbols *symbols, uint64_t address, char **function, char **source);

#endif
