/* recover.c - see recover.h; what a kill can have left is in protocol.h.
 *
 * Two passes.  First all descriptors are read, so that damage is refused before anything is written; then the intents
 * are ended; then spans without live blocks, which thread caches kept for the next allocation, become free pages.  Every
 * store writes the same however often recovery begins anew: an intent is cleared when all that it asks for is done.
 * Time: one word for each page and one byte for each 16 bytes of pages in spans, none of the pages themselves. */
#include "persist/recover.h"

#include "engine/classes.h"
#include "os/os.h"
#include "persist/intent.h"
#include "persist/protocol.h"

#include <errno.h>

#define MARKS_PER_PAGE (PAGE_SIZE / MARK_BYTES)
#define MARKS_ONE UINT64_C(0x0101010101010101)

/* ---- Descriptors ---------------------------------------------------------------------------------- */

/* Marks set in the pages; only block starts have any. */
static uint64_t count_marks(const struct pool_file *file, uint64_t page, uint64_t pages)
{
    const uint64_t *at = (const uint64_t *)(file->marks + page * MARKS_PER_PAGE);
    const uint64_t *end = at + pages * MARKS_PER_PAGE / sizeof *at;
    uint64_t count = 0;
    for (; at < end; at++)
        count += (unsigned)__builtin_popcountll(*at & MARKS_ONE);
    return count;
}

typedef void visit_span(struct pool_file *file, uint64_t page, const struct page_descriptor *descriptor);

/* Calls `visit` (or nobody) for each span; the first fault, or NULL. */
static const char *each_span(struct pool_file *file, visit_span *visit)
{
    struct page_descriptor descriptor;
    uint64_t capacity = file->capacity;
    for (uint64_t page = 0; page < file->touched;) {
        uint64_t word = load_relaxed(&file->descriptors[page]);
        if (word == 0) {
            page++;
            continue;
        }
        const char *fault = format_read_descriptor(word, page, capacity, &descriptor);
        if (fault != NULL)
            return fault;
        for (uint64_t i = 1; i < descriptor.pages; i++)
            if (load_relaxed(&file->descriptors[page + i]) != 0)
                return "two spans overlap";
        if (visit != NULL)
            visit(file, page, &descriptor);
        page += descriptor.pages;
    }
    return NULL;
}

static void settle_span(struct pool_file *file, uint64_t page, const struct page_descriptor *descriptor)
{
    cairn_recovery *out = &file->recovery;
    if (descriptor->kind == PAGE_LARGE) {
        out->blocks++;
        out->bytes += descriptor->pages * PAGE_SIZE;
        return;
    }
    uint64_t live = count_marks(file, page, descriptor->pages);
    out->blocks += live;
    out->bytes += live * class_size(descriptor->size_class);
    if (live == 0) {
        file_store(&file->descriptors[page], 0);
        out->pages_freed += descriptor->pages;
    }
}

/* ---- Intents -------------------------------------------------------------------------------------- */

/* One interrupted call, as written. */
struct interrupted {
    struct file_intent *written;
    enum intent_call call;
    enum intent_slot kind;
    uint64_t mapped; /* where the dead process had the file */
};

static bool is_place(const struct pool_file *file, uint64_t offset, size_t align)
{
    uint64_t pages = file_offset(file, file->pages);
    return offset % align == 0 && offset >= pages && offset - pages < file->capacity * PAGE_SIZE;
}

static bool read_intent(const struct pool_file *file, struct file_intent *written, struct interrupted *out)
{
    *out = (struct interrupted){.written = written, .mapped = file_word(file, WORD_MAPPED)};
    if (!intent_read(written, &out->call, &out->kind))
        return false;
    return (out->kind == SLOT_ROOT ? written->slot == 0 : is_place(file, written->slot, sizeof(uint64_t))) &&
           (out->call == INTENT_MALLOC ? written->old == 0 : is_place(file, written->old, MARK_BYTES)) &&
           (out->call == INTENT_FREE ? written->fresh == 0 : is_place(file, written->fresh, MARK_BYTES));
}

static const char *check_intents(struct pool_file *file)
{
    struct interrupted interrupted;
    for (size_t i = 0; i < FORMAT_INTENTS; i++)
        if (file->intents[i].call != 0 && !read_intent(file, &file->intents[i], &interrupted))
            return "the record of an interrupted call is damaged";
    return NULL;
}

/* The offset that the slot points to; 0: NULL.  A pointer is the dead process's. */
static uint64_t slot_target(const struct pool_file *file, const struct interrupted *interrupted)
{
    uint64_t slot = interrupted->written->slot;
    const uint64_t *word = file_address(file, slot);
    if (interrupted->kind == SLOT_ROOT)
        return file_word(file, WORD_ROOT);
    if (*word == 0)
        return 0;
    if (interrupted->kind == SLOT_POINTER)
        return *word - interrupted->mapped;
    return slot + (uint64_t)((int64_t)*word >> 1);
}

/* The block at the offset is not live any more, whether it was or not. */
static void end_block(struct pool_file *file, uint64_t offset)
{
    uint64_t at = offset - file_offset(file, file->pages), page = at / PAGE_SIZE;
    struct page_descriptor descriptor;
    if (at % PAGE_SIZE == 0 && file->descriptors[page] != 0 &&
        format_read_descriptor(file->descriptors[page], page, file->capacity, &descriptor) == NULL &&
        descriptor.kind == PAGE_LARGE)
        file_store(&file->descriptors[page], 0);
    else
        file_store(&file->marks[at / MARK_BYTES], 0);
}

static void settle_intent(struct pool_file *file, const struct interrupted *interrupted)
{
    struct file_intent *written = interrupted->written;
    uint64_t target = slot_target(file, interrupted);
    bool forward = interrupted->call == INTENT_FREE || target == written->fresh;
    if (interrupted->call == INTENT_FREE && target == written->old)
        intent_store_slot(file, interrupted->kind, file_address(file, written->slot), NULL);
    if (!forward)
        end_block(file, written->fresh);
    else if (written->old != 0)
        end_block(file, written->old);
    file_store(&written->call, 0);
    if (forward)
        file->recovery.calls_completed++;
    else
        file->recovery.calls_undone++;
}

/* ---- All of it ------------------------------------------------------------------------------------ */

bool recover(struct pool_file *file, struct trouble *trouble)
{
    struct interrupted interrupted;
    uint64_t begin = os_now_ns();
    const char *fault = each_span(file, NULL);
    if (fault == NULL)
        fault = check_intents(file);
    if (fault != NULL)
        return file_trouble(trouble, EUCLEAN, fault);
    for (size_t i = 0; i < FORMAT_INTENTS; i++)
        if (file->intents[i].call != 0 && read_intent(file, &file->intents[i], &interrupted))
            settle_intent(file, &interrupted);
    (void)each_span(file, settle_span);
    file->recovery.pages = file->touched;
    file->recovery.nanoseconds = os_now_ns() - begin;
    return true;
}
