/* check.c - see check.h.
 *
 * The file may hold anything and change or shrink meanwhile, so nothing of it is mapped and no number in it is believed
 * before it is compared with the file's length.  Everything is read once, in order, through windows of 64 KiB. */
#include "persist/check.h"

#include "engine/classes.h"
#include "os/file.h"
#include "os/os.h"
#include "persist/intent.h"
#include "persist/roots.h"

#include <errno.h>
#include <string.h>

#define WINDOW (64 * KiB)
#define MARKS_PER_PAGE (PAGE_SIZE / MARK_BYTES)

/* A part of the file in memory. */
struct window {
    uint64_t at;
    size_t size; /* bytes there */
    char *bytes; /* WINDOW of them */
};

struct checker {
    int fd;
    cairn_file_check *out;
    bool ended; /* the callback wants no more */
    int code;   /* of the first read that failed; 0: none */
    uint64_t length;
    struct file_header header;
    struct file_state state;
    uint64_t capacity, touched;
    struct window words, marks;
};

/* ---- Faults and reading ----------------------------------------------------------------------------- */

static void fault(struct checker *checker, uint64_t offset, const char *text)
{
    checker->out->faults++;
    if (checker->out->fault != NULL && !checker->ended)
        checker->ended = checker->out->fault(offset, text, checker->out->fault_context) != 0;
}

static bool goes_on(const struct checker *checker)
{
    return !checker->ended && checker->code == 0;
}

/* `size` bytes of the file at `offset`, which fit a window; NULL: the file ends before, or cannot be read. */
static const void *look(struct checker *checker, struct window *window, uint64_t offset, size_t size)
{
    if (offset >= window->at && offset + size <= window->at + window->size)
        return window->bytes + (offset - window->at);
    ptrdiff_t got = os_file_read_at(checker->fd, window->bytes, WINDOW, offset);
    window->at = offset;
    window->size = got > 0 ? (size_t)got : 0;
    if (got < 0)
        checker->code = errno;
    else if ((size_t)got < size)
        fault(checker, offset, "the file ends here");
    return got >= (ptrdiff_t)size ? window->bytes : NULL;
}

static bool is_zero(const void *bytes, size_t size)
{
    const char *at = bytes;
    return size == 0 || (at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
}

static void check_zeros(struct checker *checker, uint64_t from, uint64_t to, const char *text)
{
    for (uint64_t at = from; at < to && goes_on(checker);) {
        size_t step = to - at < WINDOW ? (size_t)(to - at) : WINDOW;
        const char *bytes = look(checker, &checker->marks, at, step);
        if (bytes == NULL)
            return;
        for (size_t i = 0; i < step && !is_zero(bytes + i, step - i); i++) {
            if (bytes[i] != 0) {
                fault(checker, at + i, text);
                break; /* one for each window is enough */
            }
        }
        at += step;
    }
}

/* ---- The first pages -------------------------------------------------------------------------------- */

/* False: the rest makes no sense. */
static bool check_beginning(struct checker *checker)
{
    const char *text;
    unsigned word;
    struct os_file_status status;
    if (!os_file_status(checker->fd, &status)) {
        checker->code = errno;
        return false;
    }
    checker->length = status.size;
    const char *bytes = look(checker, &checker->words, 0, FORMAT_STATE + sizeof checker->state);
    if (bytes == NULL)
        return false;
    memcpy(&checker->header, bytes, sizeof checker->header);
    memcpy(&checker->state, bytes + FORMAT_STATE, sizeof checker->state);
    if (format_check_header(&checker->header, true, &text) != HEADER_FINE) {
        fault(checker, 0, text);
        return false;
    }
    text = format_check_state(&checker->header, &checker->state, &word);
    if (text != NULL) {
        fault(checker, FORMAT_STATE + word * sizeof(uint64_t), text);
        return false;
    }
    checker->capacity = checker->state.words[WORD_CAPACITY] & SEAL_MASK;
    checker->touched = checker->state.words[WORD_TOUCHED] & SEAL_MASK;
    checker->out->is_closed = (checker->state.words[WORD_STATE] & SEAL_MASK) == STATE_CLOSED;
    if (checker->header.pages + checker->capacity * PAGE_SIZE > checker->length) {
        fault(checker, checker->length, "the file is shorter than the pool in it: it was cut");
        return false;
    }
    return true;
}

static bool is_inside(const struct checker *checker, uint64_t offset)
{
    return offset >= checker->header.pages && offset - checker->header.pages < checker->capacity * PAGE_SIZE;
}

static void check_names(struct checker *checker)
{
    struct file_name entry;
    for (size_t i = 0; i < FORMAT_NAMES && goes_on(checker); i++) {
        uint64_t at = FORMAT_NAMES_AT + i * sizeof entry, root;
        const void *bytes = look(checker, &checker->words, at, sizeof entry);
        if (bytes == NULL)
            return;
        memcpy(&entry, bytes, sizeof entry);
        if (entry.root == 0)
            continue;
        if (memchr(entry.name, 0, sizeof entry.name) == NULL || entry.name[0] == 0 ||
            !format_unseal(entry.root, roots_salt(entry.name), &root))
            fault(checker, at, "a named root is damaged");
        else if (!is_inside(checker, root))
            fault(checker, at, "a named root lies outside the pool");
    }
}

static void check_intents(struct checker *checker)
{
    struct file_intent intent;
    enum intent_call call;
    enum intent_slot kind;
    for (size_t i = 0; i < FORMAT_INTENTS && goes_on(checker); i++) {
        uint64_t at = FORMAT_INTENTS_AT + i * sizeof intent;
        const void *bytes = look(checker, &checker->words, at, sizeof intent);
        if (bytes == NULL)
            return;
        memcpy(&intent, bytes, sizeof intent);
        if (!is_zero(intent.zeros, sizeof intent.zeros))
            fault(checker, at, "the record of a call has something where zeros belong");
        if (intent.call == 0)
            continue;
        checker->out->calls_open++;
        if (!intent_read(&intent, &call, &kind) || (kind != SLOT_ROOT && !is_inside(checker, intent.slot)) ||
            (call != INTENT_MALLOC && !is_inside(checker, intent.old)) ||
            (call != INTENT_FREE && !is_inside(checker, intent.fresh)))
            fault(checker, at, "the record of an interrupted call is damaged");
        else if (checker->out->is_closed)
            fault(checker, at, "an interrupted call in a pool that was closed");
    }
}

/* ---- Pages ------------------------------------------------------------------------------------------ */

/* The word of a page; `false`: it cannot be read. */
static bool read_word(struct checker *checker, uint64_t page, uint64_t *word)
{
    const void *bytes =
        look(checker, &checker->words, checker->header.descriptors + page * sizeof *word, sizeof *word);
    if (bytes != NULL)
        memcpy(word, bytes, sizeof *word);
    return bytes != NULL;
}

static uint64_t marks_at(const struct checker *checker, uint64_t page)
{
    return checker->header.marks + page * MARKS_PER_PAGE;
}

/* The marks of a span of blocks: live or not where a block begins, zero between. */
static void check_marks(struct checker *checker, uint64_t page, const struct page_descriptor *descriptor)
{
    size_t block = class_size(descriptor->size_class), step = block / MARK_BYTES;
    size_t blocks = descriptor->pages * PAGE_SIZE / block, size = descriptor->pages * MARKS_PER_PAGE;
    const uint8_t *marks = look(checker, &checker->marks, marks_at(checker, page), size);
    if (marks == NULL)
        return;
    for (size_t i = 0, next = 0, left = blocks; i < size && goes_on(checker); i++) {
        bool begins = i == next && left > 0;
        if (begins) {
            next += step;
            left--;
        }
        if (marks[i] == 0)
            continue;
        if (!begins) {
            fault(checker, marks_at(checker, page) + i, "a mark where no block begins");
        } else if (marks[i] != MARK_LIVE) {
            fault(checker, marks_at(checker, page) + i, "a mark of no known meaning");
        } else {
            checker->out->blocks++;
            checker->out->bytes += block;
        }
    }
}

/* The pages of a span behind its first must have no descriptors. */
static bool check_inner(struct checker *checker, uint64_t page, uint64_t pages)
{
    uint64_t word;
    for (uint64_t i = 1; i < pages; i++) {
        if (!read_word(checker, page + i, &word))
            return false;
        if (word != 0) {
            fault(checker, checker->header.descriptors + (page + i) * sizeof word, "two spans overlap");
            return false;
        }
    }
    return true;
}

/* The span at `page`, or the free page there.  Returns the pages that are done with. */
static uint64_t check_page(struct checker *checker, uint64_t page, uint64_t word)
{
    struct page_descriptor descriptor;
    uint64_t at = checker->header.descriptors + page * sizeof word;
    const char *text = format_read_descriptor(word, page, checker->capacity, &descriptor);
    if (text == NULL && page + descriptor.pages > checker->touched)
        text = "a span where no page was touched yet";
    if (text != NULL) {
        fault(checker, at, text);
        return 1;
    }
    if (!check_inner(checker, page, descriptor.pages))
        return 1;
    if (descriptor.kind == PAGE_BLOCKS) {
        check_marks(checker, page, &descriptor);
    } else {
        checker->out->blocks++;
        checker->out->bytes += descriptor.pages * PAGE_SIZE;
        check_zeros(checker, marks_at(checker, page), marks_at(checker, page + descriptor.pages),
                    "a mark inside a large block");
    }
    return descriptor.pages;
}

#define PARTS 512 /* in which progress is told */

static void tell(const struct checker *checker, uint64_t page, uint64_t *told)
{
    if (checker->out->progress == NULL || page < *told)
        return;
    checker->out->progress(page, checker->capacity, checker->out->progress_context);
    *told = page + checker->capacity / PARTS;
}

static void check_pages(struct checker *checker)
{
    uint64_t word, told = 0;
    for (uint64_t page = 0, first = 0; page < checker->capacity && goes_on(checker);) {
        tell(checker, page, &told);
        if (!read_word(checker, page, &word))
            return;
        if (word == 0 && ++page < checker->capacity)
            continue;
        check_zeros(checker, marks_at(checker, first), marks_at(checker, page), "a mark in a free page");
        if (word != 0)
            page += check_page(checker, page, word);
        first = page;
    }
    checker->out->pages = checker->capacity;
}

/* ---- The whole ------------------------------------------------------------------------------------- */

bool check_file(int fd, cairn_file_check *check, struct trouble *trouble)
{
    struct checker checker = {.fd = fd, .out = check};
    char *room = os_map(NULL, 2 * WINDOW);
    if (room == NULL)
        return file_trouble(trouble, ENOMEM, "the system has no memory");
    checker.words.bytes = room;
    checker.marks.bytes = room + WINDOW;
    check->is_closed = 0;
    check->faults = check->blocks = check->bytes = check->pages = check->calls_open = 0;
    if (check_beginning(&checker)) {
        check_names(&checker);
        check_intents(&checker);
        check_zeros(&checker, FORMAT_INTENTS_AT + FORMAT_INTENTS * sizeof(struct file_intent),
                    FORMAT_DESCRIPTORS, "something between the areas of the file");
        check_pages(&checker);
    }
    (void)os_unmap(room, 2 * WINDOW);
    return checker.code == 0 || file_trouble(trouble, checker.code, "the file cannot be read");
}

static int note_first(uint64_t offset, const char *text, void *context)
{
    (void)offset;
    *(const char **)context = text;
    return 1;
}

bool check_trusted(int fd, struct trouble *trouble)
{
    const char *first = NULL;
    cairn_file_check check = {.struct_size = sizeof check, .fault = note_first, .fault_context = &first};
    if (!check_file(fd, &check, trouble))
        return false;
    return check.faults == 0 || file_trouble(trouble, EUCLEAN, first);
}

bool check_info(int fd, cairn_file_info *out, struct trouble *trouble)
{
    struct {
        struct file_header header;
        struct file_state state;
    } beginning;
    struct file_owner now;
    struct os_file_status status;
    const char *text;
    unsigned word;
    memset(&beginning, 0, sizeof beginning);
    if (!os_file_status(fd, &status) || os_file_read_at(fd, &beginning, sizeof beginning, 0) < 0)
        return file_trouble(trouble, errno, "the file cannot be read");
    const struct file_header *header = &beginning.header;
    enum header_fault header_fault = format_check_header(header, true, &text);
    if (header_fault != HEADER_FINE)
        return file_trouble(trouble, header_fault == HEADER_NEWER ? ENOTSUP : EINVAL, text);
    text = format_check_state(header, &beginning.state, &word);
    if (text != NULL)
        return file_trouble(trouble, EUCLEAN, text);
    uint64_t value[WORD_COUNT];
    for (word = 0; word < WORD_COUNT; word++)
        value[word] = beginning.state.words[word] & SEAL_MASK;
    if (!file_owner_now(&now))
        return file_trouble(trouble, errno, "the system could not say which boot this is");
    out->version = header->version;
    out->compatible = header->compatible;
    out->read_only_compatible = header->read_only_compatible;
    out->incompatible = header->incompatible;
    memcpy(out->uuid, header->uuid, sizeof out->uuid);
    out->created = header->created;
    out->address = header->address;
    out->size = format_disk_size(header->max_pages, value[WORD_CAPACITY]);
    out->max_size = header->max_size;
    out->pages = value[WORD_CAPACITY];
    out->pages_touched = value[WORD_TOUCHED];
    out->data = header->pages;
    out->generation = value[WORD_GENERATION];
    out->is_closed = value[WORD_STATE] == STATE_CLOSED;
    out->owner = out->is_closed ? 0 : value[WORD_PID];
    out->is_relocatable = (header->compatible & FEATURE_RELOCATABLE) != 0;
    out->is_open = os_file_is_locked(fd);
    out->is_of_other_boot =
        !out->is_closed && (value[WORD_BOOT_LOW] != now.boot_low || value[WORD_BOOT_HIGH] != now.boot_high);
    memcpy(out->layout, header->layout, sizeof out->layout);
    uint64_t length = header->pages + out->pages * PAGE_SIZE;
    out->bytes_missing = status.size < length ? length - status.size : 0;
    return true;
}
