/* leaks.c - see leaks.h: marks what can be reached from the roots, then looks at every live block.
 *
 * The file says itself what is live, so nothing of the heap is needed.  Beside it lie, for the time of the search, in
 * memory of its own:
 *   first    for each touched page the first page of its span, + 1; 0: free
 *   reached  a bit for each 16 bytes: the block that begins there can be reached
 *   later    the same: it has not been looked into yet, and the stack had no room for it
 * A block is put on the stack once, when its bit in `reached` is set. */
#include "persist/leaks.h"

#include "base/bits.h"
#include "engine/classes.h"
#include "os/os.h"
#include "persist/intent.h"
#include "persist/roots.h"

#include <errno.h>

#define UNIT MARK_BYTES
#define STACK_MAX 8192

struct cairn_tracer {
    struct pool_file *file;
    const cairn_leaks_config *config;
    cairn_leaks *out;
    bool relocatable;
    bool refused;   /* a block was to be freed in a pool that is open for reading */
    uint64_t pages; /* touched ones */
    uint32_t *first;
    uint64_t *reached, *later;
    size_t lowest; /* no bit of `later` below it */
    size_t depth;
    char *stack[STACK_MAX];
};

/* ---- Blocks --------------------------------------------------------------------------------------- */

struct found_block {
    char *base;
    size_t size;
};

static bool read_descriptor(const struct pool_file *file, uint64_t page, struct page_descriptor *out)
{
    uint64_t word = load_relaxed(&file->descriptors[page]);
    return word != 0 && format_read_descriptor(word, page, load_relaxed(&file->capacity), out) == NULL;
}

/* The live block that `address` lies in. */
static bool find_block(const struct cairn_tracer *tracer, uintptr_t address, struct found_block *out)
{
    const struct pool_file *file = tracer->file;
    struct page_descriptor descriptor;
    uint64_t page = (address - (uintptr_t)file->pages) / PAGE_SIZE;
    if (address < (uintptr_t)file->pages || page >= tracer->pages || tracer->first[page] == 0)
        return false;
    uint64_t first = tracer->first[page] - 1;
    char *base = file->pages + first * PAGE_SIZE;
    if (!read_descriptor(file, first, &descriptor))
        return false;
    if (descriptor.kind == PAGE_LARGE) {
        *out = (struct found_block){base, descriptor.pages * PAGE_SIZE};
        return true;
    }
    size_t size = class_size(descriptor.size_class), index = (address - (uintptr_t)base) / size;
    out->base = base + index * size;
    out->size = size;
    return (index + 1) * size <= descriptor.pages * PAGE_SIZE &&
           load_relaxed(&file->marks[(size_t)(out->base - file->pages) / UNIT]) != 0;
}

static size_t bit_of(const struct cairn_tracer *tracer, const char *block)
{
    return (size_t)(block - tracer->file->pages) / UNIT;
}

/* ---- Reaching ------------------------------------------------------------------------------------- */

static void reach(struct cairn_tracer *tracer, uintptr_t address)
{
    struct found_block block;
    if (!find_block(tracer, address, &block))
        return;
    size_t bit = bit_of(tracer, block.base);
    if (bits_test(tracer->reached, bit))
        return;
    bits_set(tracer->reached, bit, bit + 1);
    tracer->out->reached_blocks++;
    tracer->out->reached_bytes += block.size;
    if (tracer->depth < STACK_MAX) {
        tracer->stack[tracer->depth++] = block.base;
        return;
    }
    bits_set(tracer->later, bit, bit + 1);
    tracer->lowest = size_min(tracer->lowest, bit);
}

void cairn_trace_to(cairn_tracer *tracer, const void *address)
{
    reach(tracer, (uintptr_t)address);
}

/* Every aligned word may be a pointer, or a self-relative one. */
static void look_into(struct cairn_tracer *tracer, const struct found_block *block)
{
    const uint64_t *word = (const uint64_t *)(const void *)block->base;
    for (const uint64_t *end = word + block->size / sizeof *word; word < end; word++) {
        if (*word == 0)
            continue;
        reach(tracer, (uintptr_t)*word);
        if (tracer->relocatable && (*word & 1) != 0)
            reach(tracer, (uintptr_t)word + (uintptr_t)((int64_t)*word >> 1));
    }
}

static char *next_block(struct cairn_tracer *tracer)
{
    if (tracer->depth > 0)
        return tracer->stack[--tracer->depth];
    size_t end = tracer->pages * PAGE_SIZE / UNIT;
    size_t bit = bits_next_set(tracer->later, size_min(tracer->lowest, end), end);
    tracer->lowest = bit;
    if (bit == end)
        return NULL;
    bits_clear(tracer->later, bit, bit + 1);
    return tracer->file->pages + bit * UNIT;
}

#define PARTS 512 /* in which progress is told */

/* All is done when all that is live has been reached. */
static void tell(const struct cairn_tracer *tracer, uint64_t live, uint64_t *told)
{
    const cairn_leaks_config *config = tracer->config;
    if (config->progress == NULL || tracer->out->reached_bytes < *told)
        return;
    config->progress(tracer->out->reached_bytes, live, config->progress_context);
    *told = tracer->out->reached_bytes + live / PARTS;
}

static void trace(struct cairn_tracer *tracer)
{
    struct found_block block;
    char name[FORMAT_NAME_MAX], *base;
    uint64_t told = 0;
    cairn_stats stats = {.struct_size = sizeof stats};
    (void)cairn_pool_stats(tracer->file->pool, &stats);
    reach(tracer, (uintptr_t)roots_main(tracer->file));
    for (size_t i = 0; i < FORMAT_NAMES; i++)
        reach(tracer, (uintptr_t)roots_at(tracer->file, i, name));
    while ((base = next_block(tracer)) != NULL) {
        tell(tracer, stats.live, &told);
        if (!find_block(tracer, (uintptr_t)base, &block))
            continue;
        if (tracer->config->trace != NULL)
            tracer->config->trace(tracer, block.base, block.size, tracer->config->trace_context);
        else
            look_into(tracer, &block);
    }
}

/* ---- What was not reached -------------------------------------------------------------------------- */

static void leaked(struct cairn_tracer *tracer, char *block, size_t size)
{
    const cairn_leaks_config *config = tracer->config;
    tracer->out->leaked_blocks++;
    tracer->out->leaked_bytes += size;
    if (config->visit == NULL || config->visit(block, size, config->visit_context) == 0)
        return;
    if (tracer->file->read_only) {
        tracer->refused = true;
        return;
    }
    cairn_pool_free(tracer->file->pool, block);
    tracer->out->freed_blocks++;
    tracer->out->freed_bytes += size;
}

/* The span may go while its last block is freed; its pages then have no marks. */
static void sweep_span(struct cairn_tracer *tracer, uint64_t page, const struct page_descriptor *descriptor)
{
    char *base = tracer->file->pages + page * PAGE_SIZE;
    bool large = descriptor->kind == PAGE_LARGE;
    size_t size = large ? descriptor->pages * PAGE_SIZE : class_size(descriptor->size_class);
    for (size_t at = 0; at + size <= descriptor->pages * PAGE_SIZE; at += size) {
        size_t bit = bit_of(tracer, base + at);
        if ((large || load_relaxed(&tracer->file->marks[bit]) != 0) && !bits_test(tracer->reached, bit))
            leaked(tracer, base + at, size);
    }
}

static void sweep(struct cairn_tracer *tracer)
{
    struct page_descriptor descriptor;
    for (uint64_t page = 0; page < tracer->pages;)
        if (tracer->first[page] == page + 1 && read_descriptor(tracer->file, page, &descriptor)) {
            sweep_span(tracer, page, &descriptor);
            page += descriptor.pages;
        } else {
            page++;
        }
}

/* ---- All of it ------------------------------------------------------------------------------------ */

static void find_spans(struct cairn_tracer *tracer)
{
    struct page_descriptor descriptor;
    for (uint64_t page = 0; page < tracer->pages;) {
        if (!read_descriptor(tracer->file, page, &descriptor)) {
            page++;
            continue;
        }
        uint32_t first = (uint32_t)page + 1;
        for (uint64_t end = page + descriptor.pages; page < end && page < tracer->pages; page++)
            tracer->first[page] = first;
    }
}

bool leaks_find(struct pool_file *file, const cairn_leaks_config *config, cairn_leaks *out,
                struct trouble *trouble)
{
    uint64_t pages = file->touched < file->capacity ? file->touched : file->capacity;
    size_t bits = align_up(pages * PAGE_SIZE / UNIT / 8 + sizeof(uint64_t), sizeof(uint64_t));
    size_t table = align_up(pages * sizeof(uint32_t), sizeof(uint64_t));
    size_t size = align_up(sizeof(struct cairn_tracer) + 2 * bits + table, os_page_size());
    struct cairn_tracer *tracer = os_map(NULL, size);
    if (tracer == NULL)
        return file_trouble(trouble, ENOMEM, "no memory to look for leaks with");
    tracer->file = file;
    tracer->config = config;
    tracer->out = out;
    tracer->relocatable = (file->header->compatible & FEATURE_RELOCATABLE) != 0;
    tracer->pages = pages;
    tracer->reached = (uint64_t *)(tracer + 1);
    tracer->later = tracer->reached + bits / sizeof(uint64_t);
    tracer->first = (uint32_t *)(tracer->later + bits / sizeof(uint64_t));
    tracer->lowest = SIZE_MAX;
    find_spans(tracer);
    trace(tracer);
    sweep(tracer);
    bool refused = tracer->refused;
    (void)os_unmap(tracer, size);
    return !refused || file_trouble(trouble, EROFS, "the pool is open for reading only");
}
