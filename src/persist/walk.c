/* walk.c - cairn_pool_file_walk: the spans and live blocks of a file, read from outside.  As check.c it believes nothing
 * that it reads, and maps nothing. */
#include "cairn/persist.h"

#include "engine/classes.h"
#include "os/file.h"
#include "os/os.h"
#include "persist/check.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define WORDS 512
#define MARKS_PER_PAGE (PAGE_SIZE / MARK_BYTES)

struct walk {
    int fd;
    cairn_file_span_visit *span;
    cairn_file_block_visit *block;
    void *context;
    struct file_places places;
    uint64_t pages;
    uint8_t marks[SPAN_PAGES_MAX * MARKS_PER_PAGE];
    uint64_t words[WORDS]; /* descriptors of pages from `at` on */
    uint64_t at, count;
};

static uint64_t word_of(struct walk *walk, uint64_t page)
{
    if (page < walk->at || page >= walk->at + walk->count) {
        ptrdiff_t got = os_file_read_at(walk->fd, walk->words, sizeof walk->words,
                                        walk->places.descriptors + page * sizeof *walk->words);
        walk->at = page;
        walk->count = got > 0 ? (uint64_t)got / sizeof *walk->words : 0;
    }
    return walk->count > 0 ? walk->words[page - walk->at] : 0;
}

static int visit_blocks(struct walk *walk, const cairn_file_span *span, size_t step)
{
    int result = 0;
    for (uint64_t i = 0; i < span->blocks && result == 0 && walk->block != NULL; i++)
        if (walk->marks[i * step] == MARK_LIVE)
            result =
                walk->block(span->offset + i * span->block_size, (size_t)span->block_size, walk->context);
    return result;
}

static int visit_span(struct walk *walk, uint64_t page, const struct page_descriptor *descriptor)
{
    bool large = descriptor->kind == PAGE_LARGE;
    cairn_file_span span = {.offset = walk->places.pages + page * PAGE_SIZE,
                            .bytes = descriptor->pages * PAGE_SIZE};
    span.block_size = large ? span.bytes : class_size(descriptor->size_class);
    span.blocks = span.bytes / span.block_size;
    size_t step = span.block_size / MARK_BYTES, size = descriptor->pages * MARKS_PER_PAGE;
    memset(walk->marks, 0, sizeof walk->marks);
    if (large)
        walk->marks[0] = MARK_LIVE;
    else if (descriptor->pages > SPAN_PAGES_MAX || step == 0 ||
             os_file_read_at(walk->fd, walk->marks, size, walk->places.marks + page * MARKS_PER_PAGE) < 0)
        return 0;
    for (uint64_t i = 0; i < span.blocks; i++)
        span.live += walk->marks[large ? 0 : i * step] == MARK_LIVE;
    int result = walk->span != NULL ? walk->span(&span, walk->context) : 0;
    return result != 0 ? result : visit_blocks(walk, &span, large ? 0 : step);
}

static int visit_all(struct walk *walk)
{
    struct page_descriptor descriptor;
    int result = 0;
    for (uint64_t page = 0; page < walk->pages && result == 0;) {
        uint64_t word = word_of(walk, page);
        if (word == 0 || format_read_descriptor(word, page, walk->pages, &descriptor) != NULL) {
            page++;
            continue;
        }
        result = visit_span(walk, page, &descriptor);
        page += descriptor.pages;
    }
    return result;
}

int cairn_pool_file_walk(const char *path, cairn_file_span_visit *span, cairn_file_block_visit *block,
                         void *context)
{
    struct trouble trouble;
    cairn_file_info info = {0};
    struct file_header header;
    int fd = os_file_open(path, false);
    if (fd < 0)
        return thread_fail(os_errno_get(), "the file cannot be opened"), -1;
    if (!check_info(fd, &info, &trouble) ||
        os_file_read_at(fd, &header, sizeof header, 0) != (ptrdiff_t)sizeof header) {
        os_close(fd);
        return thread_fail(trouble.code, trouble.text), -1;
    }
    size_t size = align_up(sizeof(struct walk), os_page_size());
    struct walk *walk = os_map(NULL, size);
    int result = -1;
    if (walk == NULL) {
        (void)thread_fail(ENOMEM, "the system has no memory");
    } else {
        walk->fd = fd;
        walk->span = span;
        walk->block = block;
        walk->context = context;
        walk->places = (struct file_places){header.descriptors, header.marks, header.pages};
        walk->pages = info.pages_touched < info.pages ? info.pages_touched : info.pages;
        result = visit_all(walk);
        (void)os_unmap(walk, size);
    }
    os_close(fd);
    return result;
}
