/* journal.c - a checkpoint that is a copy of the pool file and a journal of the pages written since.
 *
 * Which pages those are, the kernel says (os/dirty.h).  Where it cannot, or nothing is known (the first checkpoint after
 * a process died), every page is compared with the copy; the system keeps both in memory as long as it has some.
 *
 * Bits, one for each page:
 *   fresh    to be written in this round
 *   pending  differs from the last checkpoint; cleared when the next one holds, so a failed one loses nothing
 * With `known`, a page that is neither pending nor written since the last look is as in the last checkpoint.
 *
 * The copy gets a record's pages only when the record is on the disk, so whatever part of them comes to the disk, the
 * journal puts it right.  It gets them late: when the journal is full, or pages are to be compared.  The journal is emptied
 * (restarted) once the copy is on the disk, too. */
#include "persist/checkpoint.h"

#include "base/bits.h"
#include "base/checksum.h"
#include "os/os.h"
#include "os/storage.h"

#include <errno.h>
#include <string.h>

#define ROUNDS_MAX 8 /* looks at pages that are stored to meanwhile, before EAGAIN */
#define RANGES 128

/* Pages of a copy that are written at once.  A file system may cache what one call writes as one piece, and look through all
 * of the piece when a page of it is written later (ext4). */
#define RUN_PAGES_MAX 16

/* ---- Which pages ---------------------------------------------------------------------------------- */

static size_t bits_bytes(const struct checkpoint *checkpoint)
{
    return align_up(checkpoint->target.length / CHECKPOINT_PAGE / 8 + 8, os_page_size());
}

static const char *set_up(struct checkpoint *checkpoint)
{
    if (checkpoint->buffer == NULL)
        checkpoint->buffer = os_map(NULL, align_up(CHECKPOINT_BUFFER, os_page_size()));
    if (checkpoint->pending == NULL)
        checkpoint->pending = os_map(NULL, bits_bytes(checkpoint));
    if (checkpoint->fresh == NULL)
        checkpoint->fresh = os_map(NULL, bits_bytes(checkpoint));
    if (checkpoint->buffer != NULL && checkpoint->pending != NULL && checkpoint->fresh != NULL)
        return NULL;
    os_errno_set(ENOMEM);
    return "no memory to take a checkpoint with";
}

/* Has the kernel watch all parts as far as they have grown.  False: it cannot. */
static bool watch_parts(struct checkpoint *checkpoint)
{
    for (unsigned i = 0; i < checkpoint->target.part_count && !checkpoint->cannot_watch; i++) {
        const struct checkpoint_part *part = &checkpoint->target.parts[i];
        size_t old = checkpoint->watched[i];
        char *from = checkpoint->target.base + part->offset + old;
        if (part->size <= old)
            continue;
        if (checkpoint->watch.faults >= 0 ? !dirty_watch_add(&checkpoint->watch, from, part->size - old)
                                          : !dirty_watch_begin(&checkpoint->watch, from, part->size - old)) {
            dirty_watch_end(&checkpoint->watch);
            checkpoint->cannot_watch = true;
        }
        checkpoint->watched[i] = part->size;
    }
    return !checkpoint->cannot_watch;
}

bool journal_tracks(struct checkpoint *checkpoint)
{
    return watch_parts(checkpoint);
}

/* Adds the pages written since the last look to `fresh` and `pending`, and write-protects them.  *count gets their
 * number. */
static const char *look(struct checkpoint *checkpoint, size_t *count)
{
    struct dirty_range ranges[RANGES];
    uintptr_t base = (uintptr_t)checkpoint->target.base;
    *count = 0;
    for (unsigned i = 0; i < checkpoint->target.part_count; i++) {
        uintptr_t at = base + checkpoint->target.parts[i].offset;
        uintptr_t end = at + checkpoint->target.parts[i].size;
        while (at < end) {
            ptrdiff_t found = dirty_take(&checkpoint->watch, &at, end, ranges, RANGES);
            if (found < 0)
                return "the kernel does not say which pages were written";
            for (ptrdiff_t k = 0; k < found; k++) {
                size_t from = (ranges[k].from - base) / CHECKPOINT_PAGE;
                size_t to = (ranges[k].to - base) / CHECKPOINT_PAGE;
                bits_set(checkpoint->fresh, from, to);
                bits_set(checkpoint->pending, from, to);
                *count += to - from;
            }
        }
    }
    return NULL;
}

static void each_part_bits(struct checkpoint *checkpoint, uint64_t *bits, bool set)
{
    for (unsigned i = 0; i < checkpoint->target.part_count; i++) {
        size_t from = checkpoint->target.parts[i].offset / CHECKPOINT_PAGE;
        size_t to = from + checkpoint->target.parts[i].size / CHECKPOINT_PAGE;
        if (to > from)
            (set ? bits_set : bits_clear)(bits, from, to);
    }
}

/* ---- Writing pages -------------------------------------------------------------------------------- */

/* Where the pages of one checkpoint go: into records of the journal, or (`fd` >= 0) straight into a new copy, which does
 * not count yet. */
struct writer {
    struct checkpoint *checkpoint;
    struct piece *chunk; /* the one that is being filled: the buffer */
    char *pages;         /* behind it */
    int fd;
    uint64_t at; /* journal: where the chunk goes */
    uint64_t sequence;
    uint64_t chain;   /* checksum of the chunk before */
    uint64_t written; /* pages */
    uint64_t bytes;
    bool watching; /* the kernel says what is stored to from here on */
};

static struct writer writer_of(struct checkpoint *checkpoint, int fd)
{
    struct piece *chunk = (struct piece *)(void *)checkpoint->buffer;
    memset(chunk, 0, sizeof *chunk);
    return (struct writer){.checkpoint = checkpoint,
                           .chunk = chunk,
                           .pages = checkpoint->buffer + CHECKPOINT_PAGE,
                           .fd = fd,
                           .at = checkpoint->journal_end,
                           .chain = checksum64(0, checkpoint->target.id, CHECKPOINT_ID_BYTES)};
}

static const char *write_chunk(struct writer *writer, bool is_last)
{
    struct piece *chunk = writer->chunk;
    size_t size = (size_t)(1 + chunk->count) * CHECKPOINT_PAGE;
    chunk->magic = CHUNK_MAGIC;
    chunk->generation = writer->checkpoint->generation + 1;
    chunk->sequence = writer->sequence++;
    chunk->length = writer->checkpoint->target.length;
    chunk->is_last = is_last;
    chunk->checksum = 0;
    chunk->checksum = writer->chain = checksum64(writer->chain, chunk, size);
    if (!storage_write(writer->checkpoint->control, chunk, size, writer->at))
        return "the checkpoint could not be written";
    writer->at += size;
    writer->bytes += size;
    chunk->count = 0;
    return NULL;
}

/* Writes the pages of a chunk to where they belong in a copy, neighbours at once. */
static const char *put_pages(const struct piece *chunk, const char *pages, int copy)
{
    for (size_t i = 0, run; i < chunk->count; i += run) {
        for (run = 1;
             run < RUN_PAGES_MAX && i + run < chunk->count && chunk->pages[i + run] == chunk->pages[i] + run;
             run++) {}
        if (!storage_write(copy, pages + i * CHECKPOINT_PAGE, run * CHECKPOINT_PAGE,
                           chunk->pages[i] * CHECKPOINT_PAGE))
            return "the copy of the pool could not be written";
    }
    return NULL;
}

static const char *flush(struct writer *writer)
{
    if (writer->fd < 0)
        return write_chunk(writer, false);
    const char *trouble = put_pages(writer->chunk, writer->pages, writer->fd);
    writer->bytes += writer->chunk->count * CHECKPOINT_PAGE;
    writer->chunk->count = 0;
    return trouble;
}

/* Pages of the pool as they are now.  Through the file and not the mapping: threads may store to them meanwhile, and what
 * comes of that is taken again; a read by the system is in no race with them, and maps no page that was not mapped. */
static const char *read_pages(const struct checkpoint *checkpoint, char *to, size_t page, size_t count)
{
    return storage_read(checkpoint->target.fd, to, count * CHECKPOINT_PAGE, page * CHECKPOINT_PAGE)
               ? NULL
               : "the pool file could not be read";
}

/* What is in the chunk behind its pages becomes `count` more of them; a full chunk is written. */
static const char *add_pages(struct writer *writer, size_t page, size_t count)
{
    struct piece *chunk = writer->chunk;
    for (size_t i = 0; i < count; i++)
        chunk->pages[chunk->count++] = page + i;
    writer->written += count;
    return chunk->count == CHUNK_PAGES_MAX ? flush(writer) : NULL;
}

static const char *write_pages(struct writer *writer, size_t from, size_t to)
{
    const char *trouble = NULL;
    while (from < to && trouble == NULL) {
        size_t count = size_min(to - from, CHUNK_PAGES_MAX - writer->chunk->count);
        trouble = read_pages(writer->checkpoint, writer->pages + writer->chunk->count * CHECKPOINT_PAGE, from,
                             count);
        if (trouble == NULL)
            trouble = add_pages(writer, from, count);
        from += count;
    }
    return trouble;
}

static bool is_zero(const char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, CHECKPOINT_PAGE - 1) == 0;
}

/* Writes those of [from, to) that are not what the copy has.  A new copy has zeros everywhere. */
static const char *write_differing(struct writer *writer, size_t from, size_t to)
{
    struct checkpoint *checkpoint = writer->checkpoint;
    char *now = checkpoint->buffer + CHUNK_BYTES_MAX, *old = now + COMPARE_PAGES * CHECKPOINT_PAGE;
    bool is_new = writer->fd >= 0;
    const char *trouble = NULL;
    for (size_t at = from; at < to && trouble == NULL; at += COMPARE_PAGES) {
        size_t count = size_min(COMPARE_PAGES, to - at);
        trouble = read_pages(checkpoint, now, at, count);
        if (trouble == NULL && !is_new &&
            !storage_read(checkpoint->copy, old, count * CHECKPOINT_PAGE, at * CHECKPOINT_PAGE))
            trouble = "the copy of the pool could not be read";
        for (size_t i = 0; i < count && trouble == NULL; i++) {
            const char *page = now + i * CHECKPOINT_PAGE;
            if (is_new ? is_zero(page) : memcmp(page, old + i * CHECKPOINT_PAGE, CHECKPOINT_PAGE) == 0)
                continue;
            memcpy(writer->pages + writer->chunk->count * CHECKPOINT_PAGE, page, CHECKPOINT_PAGE);
            trouble = add_pages(writer, at + i, 1);
        }
        checkpoint->counts.compared_pages += is_new ? 0 : count;
    }
    return trouble;
}

/* Writes the fresh pages.  `compare`: only those that differ. */
static const char *write_fresh(struct writer *writer, bool compare)
{
    struct checkpoint *checkpoint = writer->checkpoint;
    const char *trouble = NULL;
    for (unsigned i = 0; i < checkpoint->target.part_count; i++) {
        size_t at = checkpoint->target.parts[i].offset / CHECKPOINT_PAGE;
        size_t end = at + checkpoint->target.parts[i].size / CHECKPOINT_PAGE;
        while ((at = bits_next_set(checkpoint->fresh, at, end)) < end) {
            size_t to = bits_next_clear(checkpoint->fresh, at, end);
            trouble = compare ? write_differing(writer, at, to) : write_pages(writer, at, to);
            if (trouble != NULL)
                return trouble;
            at = to;
        }
    }
    return NULL;
}

/* All pages of this checkpoint, until none is written while they are; on success what is left in the chunk is not yet
 * written. */
static const char *write_all(struct writer *writer)
{
    struct checkpoint *checkpoint = writer->checkpoint;
    bool watching = watch_parts(checkpoint);
    bool compare = writer->fd >= 0 || !checkpoint->known || !watching;
    size_t found = 0;
    const char *trouble = watching ? look(checkpoint, &found) : NULL;
    if (trouble != NULL)
        return trouble;
    if (compare)
        each_part_bits(checkpoint, checkpoint->pending, true);
    bits_set(checkpoint->pending, 0, checkpoint->target.head / CHECKPOINT_PAGE);
    writer->watching = watching;
    for (unsigned i = 0; i < checkpoint->target.part_count; i++) {
        size_t word = checkpoint->target.parts[i].offset / CHECKPOINT_PAGE / BITS_PER_WORD;
        size_t end = BITS_WORDS((checkpoint->target.parts[i].offset + checkpoint->target.parts[i].size) /
                                CHECKPOINT_PAGE);
        memcpy(checkpoint->fresh + word, checkpoint->pending + word,
               (end - word) * sizeof *checkpoint->fresh);
    }
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        trouble = write_fresh(writer, compare);
        if (trouble != NULL || !watching)
            return trouble;
        each_part_bits(checkpoint, checkpoint->fresh, false);
        trouble = look(checkpoint, &found);
        if (trouble != NULL || found == 0)
            return trouble;
        checkpoint->counts.again++;
        compare = false; /* a page that was taken must be taken again, also when it is now as it was */
    }
    os_errno_set(EAGAIN);
    return "other threads keep storing to the pool: no moment could be found for a checkpoint";
}

/* ---- Reading the journal -------------------------------------------------------------------------- */

/* False: the file ends before, or, with *trouble set, it cannot be read, which says nothing of where the journal ends. */
static bool read_part(int control, void *data, size_t size, uint64_t at, const char **trouble)
{
    if (storage_read(control, data, size, at))
        return true;
    if (!storage_ends_before(control, at + size))
        *trouble = "the checkpoint's journal cannot be read";
    return false;
}

/* Reads and checks the chunk at `at`; false: there is none, or *trouble says why it cannot be known. */
static bool read_chunk(int control, char *buffer, const struct checkpoint_found *found, uint64_t at,
                       uint64_t generation, uint64_t sequence, uint64_t *chain, const char **trouble)
{
    struct piece *chunk = (struct piece *)(void *)buffer;
    if (!read_part(control, chunk, CHECKPOINT_PAGE, at, trouble))
        return false;
    if (chunk->magic != CHUNK_MAGIC || chunk->generation != generation || chunk->sequence != sequence ||
        chunk->count > CHUNK_PAGES_MAX || chunk->length != found->slot.length)
        return false;
    if (!read_part(control, buffer + CHECKPOINT_PAGE, (size_t)chunk->count * CHECKPOINT_PAGE,
                   at + CHECKPOINT_PAGE, trouble))
        return false;
    uint64_t expected = chunk->checksum;
    chunk->checksum = 0;
    *chain = checksum64(*chain, chunk, (size_t)(1 + chunk->count) * CHECKPOINT_PAGE);
    for (size_t i = 0; i < chunk->count; i++)
        if (chunk->pages[i] >= found->slot.length / CHECKPOINT_PAGE)
            return false;
    return *chain == expected;
}

/* The record at *at, put into `copy` chunk by chunk (-1: only checked).  *at moves behind it; false: no good
 * record, or *trouble says what failed. */
static bool read_record(int control, char *buffer, const struct checkpoint_found *found, uint64_t *at,
                        uint64_t generation, int copy, const char **trouble)
{
    const struct piece *chunk = (const struct piece *)(const void *)buffer;
    uint64_t chain = checksum64(0, found->slot.id, CHECKPOINT_ID_BYTES);
    uint64_t place = *at;
    bool is_last = false;
    for (uint64_t sequence = 0; !is_last; sequence++) {
        if (!read_chunk(control, buffer, found, place, generation, sequence, &chain, trouble))
            return false;
        if (copy >= 0 && (*trouble = put_pages(chunk, buffer + CHECKPOINT_PAGE, copy)) != NULL)
            return false;
        place += (1 + chunk->count) * CHECKPOINT_PAGE;
        is_last = chunk->is_last != 0;
    }
    *at = place;
    return true;
}

const char *journal_find(int control, char *buffer, struct checkpoint_found *found)
{
    const char *trouble = NULL;
    found->generation = found->slot.generation;
    found->records = 0;
    found->journal_end = JOURNAL_START;
    while (read_record(control, buffer, found, &found->journal_end, found->generation + 1, -1, &trouble)) {
        found->generation++;
        found->records++;
    }
    return trouble;
}

const char *journal_rewrite(int control, char *buffer, const struct checkpoint_found *found)
{
    for (uint64_t at = JOURNAL_START; at < found->journal_end; at += CHUNK_BYTES_MAX) {
        size_t size = size_min(CHUNK_BYTES_MAX, found->journal_end - at);
        if (!storage_read(control, buffer, size, at) || !storage_write(control, buffer, size, at))
            return "the checkpoint's journal could not be written again";
    }
    return storage_sync(control) ? NULL : "the checkpoint's journal could not be flushed";
}

const char *journal_apply(int control, char *buffer, const struct checkpoint_found *found, uint64_t from,
                          uint64_t generation, int copy)
{
    const char *trouble = NULL;
    while (from < found->journal_end) {
        if (read_record(control, buffer, found, &from, ++generation, copy, &trouble))
            continue;
        if (trouble != NULL)
            return trouble;
        os_errno_set(EIO);
        return "the checkpoint's journal could not be read again";
    }
    return NULL;
}

/* ---- The copy ------------------------------------------------------------------------------------- */

/* Brings what the journal has on top into the copy. */
static const char *catch_up(struct checkpoint *checkpoint)
{
    struct checkpoint_found found = {.slot = checkpoint->slot, .journal_end = checkpoint->journal_end};
    const char *trouble = journal_apply(checkpoint->control, checkpoint->buffer, &found,
                                        checkpoint->copied_to, checkpoint->copied, checkpoint->copy);
    checkpoint->copy_broken = trouble != NULL && os_errno_get() != ENOSPC;
    if (trouble != NULL)
        return trouble;
    checkpoint->counts.all_bytes += checkpoint->journal_end - checkpoint->copied_to;
    checkpoint->copied_to = checkpoint->journal_end;
    checkpoint->copied = checkpoint->generation;
    return NULL;
}

static void journal_is_empty(struct checkpoint *checkpoint)
{
    checkpoint->journal_end = checkpoint->copied_to = JOURNAL_START;
    checkpoint->copied = checkpoint->generation;
}

const char *journal_restart(struct checkpoint *checkpoint)
{
    const char *trouble = catch_up(checkpoint);
    if (trouble != NULL)
        return trouble;
    if (!storage_sync(checkpoint->copy)) {
        /* What was written since the last flush may be lost: all of it again. */
        checkpoint->copied_to = JOURNAL_START;
        checkpoint->copied = checkpoint->slot.generation;
        return "the copy of the pool could not be flushed";
    }
    trouble = checkpoint_commit(checkpoint, CHECKPOINT_JOURNAL, checkpoint->slot.copy, checkpoint->generation,
                                checkpoint->target.length);
    if (trouble != NULL)
        return trouble;
    if (checkpoint->journal_end >
        JOURNAL_START + 2 * checkpoint->journal_limit) /* one large record: its room goes back */
        (void)storage_resize(checkpoint->control, JOURNAL_START);
    journal_is_empty(checkpoint);
    return NULL;
}

/* Opens the copy that an earlier process has left. */
const char *journal_begin(struct checkpoint *checkpoint, uint64_t same_as)
{
    const char *trouble = set_up(checkpoint);
    if (trouble != NULL)
        return trouble;
    checkpoint->copy = checkpoint_open_file(checkpoint, (int)checkpoint->slot.copy);
    if (checkpoint->copy < 0)
        return "the copy of the pool could not be opened";
    if (checkpoint->journal_end > JOURNAL_START) {
        struct checkpoint_found all = {.slot = checkpoint->slot, .journal_end = checkpoint->journal_end};
        trouble = journal_rewrite(checkpoint->control, checkpoint->buffer, &all);
        if (trouble == NULL)
            trouble = journal_restart(checkpoint);
    }
    size_t found;
    if (trouble != NULL || same_as != checkpoint->generation || !watch_parts(checkpoint))
        return trouble;
    trouble = look(checkpoint, &found);
    each_part_bits(checkpoint, checkpoint->pending, false);
    checkpoint->known = trouble == NULL;
    return trouble;
}

/* ---- Taking --------------------------------------------------------------------------------------- */

static void account(struct checkpoint *checkpoint, const struct writer *writer)
{
    checkpoint->generation++;
    checkpoint->known = writer->watching;
    checkpoint->counts.last_pages = writer->written;
    checkpoint->counts.last_bytes = writer->bytes;
    checkpoint->counts.all_bytes += writer->bytes;
    each_part_bits(checkpoint, checkpoint->pending, false);
}

/* A checkpoint that is a whole new copy, with an empty journal. */
static const char *fill_copy(struct checkpoint *checkpoint, int copy, unsigned number)
{
    if (!storage_resize(copy, 0) || !storage_resize(copy, checkpoint->target.length))
        return "the copy of the pool could not be made";
    struct writer writer = writer_of(checkpoint, copy);
    const char *trouble = write_all(&writer);
    if (trouble == NULL)
        trouble = flush(&writer);
    if (trouble == NULL && !storage_sync(copy))
        trouble = "the copy of the pool could not be flushed";
    if (trouble == NULL)
        trouble = checkpoint_commit(checkpoint, CHECKPOINT_JOURNAL, number, checkpoint->generation + 1,
                                    checkpoint->target.length);
    if (trouble == NULL)
        account(checkpoint, &writer);
    return trouble;
}

static const char *take_copy(struct checkpoint *checkpoint)
{
    unsigned other = checkpoint_other_copy(checkpoint);
    int copy = checkpoint_open_file(checkpoint, (int)other);
    if (copy < 0)
        return "the copy of the pool could not be opened";
    const char *trouble = fill_copy(checkpoint, copy, other);
    if (trouble != NULL) {
        os_close(copy);
        return trouble;
    }
    if (checkpoint->copy >= 0) {
        char name[CHECKPOINT_PATH_MAX];
        os_close(checkpoint->copy);
        if (checkpoint_name(name, checkpoint->target.path, 1 - (int)other))
            (void)storage_remove(name); /* gives its room back */
    }
    checkpoint->copy = copy;
    checkpoint->copy_broken = false;
    journal_is_empty(checkpoint);
    return NULL;
}

static const char *take_record(struct checkpoint *checkpoint)
{
    struct writer writer = writer_of(checkpoint, -1);
    const char *trouble = write_all(&writer);
    if (trouble == NULL)
        trouble = write_chunk(&writer, true);
    if (trouble == NULL && !storage_sync(checkpoint->control))
        trouble = "the checkpoint could not be flushed";
    if (trouble != NULL)
        return trouble;
    account(checkpoint, &writer);
    checkpoint->journal_end = writer.at;
    return NULL;
}

static bool is_full(const struct checkpoint *checkpoint)
{
    return checkpoint->journal_end - JOURNAL_START > checkpoint->journal_limit;
}

/* Whether the journal has to be in the copy before the next record: pages are compared with it, or the journal could not
 * be emptied when it was full, and is not to grow for ever. */
static bool needs_copy(struct checkpoint *checkpoint)
{
    return !checkpoint->known || !watch_parts(checkpoint) || is_full(checkpoint);
}

const char *journal_take(struct checkpoint *checkpoint)
{
    const char *trouble = set_up(checkpoint);
    if (trouble != NULL)
        return trouble;
    if (checkpoint->slot.way != CHECKPOINT_JOURNAL || checkpoint->copy < 0 || checkpoint->copy_broken)
        return take_copy(checkpoint);
    if (needs_copy(checkpoint))
        trouble = catch_up(checkpoint);
    if (trouble != NULL && checkpoint->copy_broken)
        return take_copy(checkpoint);
    if (trouble == NULL)
        trouble = take_record(checkpoint);
    if (trouble != NULL && os_errno_get() == ENOSPC && checkpoint->journal_end > JOURNAL_START) {
        trouble = journal_restart(checkpoint);
        if (trouble == NULL)
            trouble = take_record(checkpoint);
    }
    if (trouble != NULL)
        return trouble;
    /* The checkpoint holds.  What fails from here on is made good by the next one. */
    if (is_full(checkpoint))
        (void)journal_restart(checkpoint);
    return NULL;
}
