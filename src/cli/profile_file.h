/* profile_file.h - heap profiles as files, with symbols: what `cairn profile` and `cairn run --leaks` show. */
#ifndef CLI_PROFILE_FILE_H
#define CLI_PROFILE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Numbers of the values of a site. */
enum { ALLOCATED_BLOCKS, ALLOCATED_BYTES, LIVE_BLOCKS, LIVE_BYTES, VALUE_COUNT };

/* A frame of a stack: texts last as long as the profile. */
struct place {
    const char *function; /* or "file+0x..." */
    const char *source;   /* "file:line", or NULL */
};

struct profile_site {
    uint64_t values[VALUE_COUNT];
    size_t depth;
    const struct place **stack; /* the innermost first, frames of the allocator left out */
};

struct profile {
    struct profile_site *sites;
    size_t site_count;
    uint64_t totals[VALUE_COUNT];
    uint64_t interval; /* bytes; 1: every block was seen */
    struct place *places;
    size_t place_count;
};

/* Reads a profile that the library wrote, compressed or not, and finds the symbols in the files that it names.
 * False after a message. */
bool profile_read(const char *name, struct profile *profile);
void profile_release(struct profile *profile);

/* The largest first, by one of the values. */
void profile_sort(struct profile *profile, unsigned value);

/* Writes the file `from`, compressed, to `to`.  False after a message. */
bool profile_compress(const char *from, const char *to);

/* The `count` first sites with their stacks; `value` in the first column. */
void profile_print_sites(const struct profile *profile, unsigned value, size_t count, FILE *file);

/* A flame graph of the value as SVG; false when it cannot be written. */
bool profile_draw(const struct profile *profile, unsigned value, const char *title, FILE *file);

#endif
