/* stats.c - pmemcto_stats_print: a pool's figures as lines of text.
 *
 * Counts for each size come from a walk over the live blocks, which other threads do not disturb.  The table of sizes is
 * the only memory that this takes. */
#include "out.h"

#include <cairn/persist.h>
#include <inttypes.h>
#include <libpmemcto.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MAX (16 << 10) /* up to here sizes are classes; above, pages */

struct size_count {
    size_t size;
    uint64_t blocks;
};

struct table {
    struct size_count *sizes;
    size_t count, capacity;
};

static int count_block(void *block, size_t size, void *context)
{
    struct table *table = context;
    (void)block;
    for (size_t i = 0; i < table->count; i++)
        if (table->sizes[i].size == size) {
            table->sizes[i].blocks++;
            return 0;
        }
    if (table->count == table->capacity) {
        size_t capacity = table->capacity != 0 ? 2 * table->capacity : 128;
        struct size_count *sizes = pmemcto_out_realloc(table->sizes, capacity * sizeof *sizes);
        if (sizes == NULL)
            return -1;
        table->sizes = sizes;
        table->capacity = capacity;
    }
    table->sizes[table->count++] = (struct size_count){size, 1};
    return 0;
}

static int by_size(const void *a, const void *b)
{
    const struct size_count *x = a, *y = b;
    return (x->size > y->size) - (x->size < y->size);
}

static void print_sizes(const struct table *table, const char *title, size_t from, size_t to)
{
    pmemcto_out_print("%s:\n", title);
    pmemcto_out_print("  %12s %12s %16s\n", "size", "blocks", "bytes");
    for (size_t i = 0; i < table->count; i++)
        if (table->sizes[i].size > from && table->sizes[i].size <= to)
            pmemcto_out_print("  %12zu %12" PRIu64 " %16" PRIu64 "\n", table->sizes[i].size,
                              table->sizes[i].blocks, table->sizes[i].size * table->sizes[i].blocks);
}

static void print_by_size(cairn_pool *pool, int small, int large)
{
    struct table table = {NULL, 0, 0};
    if (cairn_pool_walk(pool, count_block, &table) != 0)
        pmemcto_out_error("pmemcto_stats_print", "no memory to count blocks by size");
    qsort(table.sizes, table.count, sizeof *table.sizes, by_size);
    if (small)
        print_sizes(&table, "bins", 0, SMALL_MAX);
    if (large)
        print_sizes(&table, "large", SMALL_MAX, SIZE_MAX);
    pmemcto_out_free(table.sizes);
}

static void print_general(const cairn_pool *pool)
{
    pmemcto_out_print("Version: %s, libpmemcto %d.%d\n", cairn_version(), PMEMCTO_MAJOR_VERSION,
                      PMEMCTO_MINOR_VERSION);
    pmemcto_out_print("Name: %s\n", cairn_pool_name(pool));
    pmemcto_out_print("Address: %p\n", cairn_pool_file_base(pool));
    pmemcto_out_print("Page size: 4096\nLargest size of a bin: %d\n", SMALL_MAX);
}

static void print_totals(const cairn_stats *stats)
{
    pmemcto_out_print("Allocated: %" PRIu64 ", active: %" PRIu64 ", metadata: %" PRIu64 ", mapped: %" PRIu64
                      "\n",
                      stats->live, stats->live + stats->cached, stats->metadata, stats->reserved);
    pmemcto_out_print("Blocks: %" PRIu64 ", of them large: %" PRIu64 " bytes\n", stats->live_blocks,
                      stats->live_large);
    pmemcto_out_print("Requests: %" PRIu64 " allocations, %" PRIu64 " frees\n", stats->allocations,
                      stats->frees);
}

static void print_arena(const cairn_stats *stats)
{
    pmemcto_out_print("arenas[0]:\n  threads: %" PRIu64 "\n  spans: %" PRIu64 "\n  cached: %" PRIu64
                      "\n  free: %" PRIu64 "\n  committed: %" PRIu64 ", at most %" PRIu64 "\n",
                      stats->threads, stats->spans, stats->cached, stats->free, stats->committed,
                      stats->committed_peak);
}

static int wants(const char *opts, char letter)
{
    return opts == NULL || strchr(opts, letter) == NULL;
}

void pmemcto_stats_print(PMEMctopool *pcp, const char *opts)
{
    cairn_pool *pool = (cairn_pool *)pcp;
    cairn_stats stats = {.struct_size = sizeof stats};
    pmemcto_out_log(OUT_POOL, __func__, "pcp %p opts %s", (void *)pcp, opts != NULL ? opts : "");
    if (cairn_pool_stats(pool, &stats) != 0) {
        pmemcto_out_error(__func__, "%s", cairn_errormsg());
        return;
    }
    pmemcto_out_print("___ Begin libpmemcto statistics ___\n");
    if (wants(opts, 'g'))
        print_general(pool);
    if (wants(opts, 'm'))
        print_totals(&stats);
    if (wants(opts, 'a'))
        print_arena(&stats);
    if (wants(opts, 'b') || wants(opts, 'l'))
        print_by_size(pool, wants(opts, 'b'), wants(opts, 'l'));
    pmemcto_out_print("--- End libpmemcto statistics ---\n");
}
