/* table.h - from numbers to numbers: open addressing with linear probing.  Keys are not 0. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
    uint64_t key, value; /* key 0: empty */
};

/* Zero is a table without entries. */
struct table {
    struct table_entry *entries;
    size_t room, count; /* room: a power of two, or 0 */
};

/* The value of `key`, or NULL; valid until the next change. */
uint64_t *table_find(const struct table *table, uint64_t key);

/* The value of `key`, made (0) if there was none. */
uint64_t *table_put(struct table *table, uint64_t key);

/* Takes the key out; false if it was not there. */
bool table_remove(struct table *table, uint64_t key);

void table_release(struct table *table);

#endif
