/* table.c - see table.h. */
#include "table.h"

#include "cli.h"

#include <stdlib.h>

static size_t place(const struct table *table, uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (table->room - 1);
}

/* Where the key is, or would be. */
static struct table_entry *slot(const struct table *table, uint64_t key)
{
    size_t at = place(table, key);
    while (table->entries[at].key != 0 && table->entries[at].key != key)
        at = (at + 1) & (table->room - 1);
    return &table->entries[at];
}

uint64_t *table_find(const struct table *table, uint64_t key)
{
    if (table->room == 0)
        return NULL;
    struct table_entry *entry = slot(table, key);
    return entry->key != 0 ? &entry->value : NULL;
}

static void grow(struct table *table)
{
    struct table larger = {NULL, table->room > 0 ? 2 * table->room : 256, table->count};
    larger.entries = allocate(larger.room, sizeof *larger.entries);
    for (size_t i = 0; i < table->room; i++)
        if (table->entries[i].key != 0)
            *slot(&larger, table->entries[i].key) = table->entries[i];
    free(table->entries);
    *table = larger;
}

uint64_t *table_put(struct table *table, uint64_t key)
{
    if (4 * (table->count + 1) > 3 * table->room)
        grow(table);
    struct table_entry *entry = slot(table, key);
    if (entry->key == 0) {
        *entry = (struct table_entry){key, 0};
        table->count++;
    }
    return &entry->value;
}

/* What follows moves up, so that no search ends at the gap. */
bool table_remove(struct table *table, uint64_t key)
{
    if (table->room == 0)
        return false;
    struct table_entry *entry = slot(table, key);
    if (entry->key == 0)
        return false;
    size_t mask = table->room - 1, gap = (size_t)(entry - table->entries);
    for (size_t at = (gap + 1) & mask; table->entries[at].key != 0; at = (at + 1) & mask) {
        size_t wanted = place(table, table->entries[at].key);
        if (((at - wanted) & mask) >= ((at - gap) & mask)) {
            table->entries[gap] = table->entries[at];
            gap = at;
        }
    }
    table->entries[gap] = (struct table_entry){0, 0};
    table->count--;
    return true;
}

void table_release(struct table *table)
{
    free(table->entries);
    *table = (struct table){NULL, 0, 0};
}
