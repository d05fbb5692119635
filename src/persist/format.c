/* format.c - see format.h: places, checksums, sealed words, and what makes a header one. */
#include "persist/format.h"

#include "base/bits.h"
#include "base/crc.h"
#include "engine/classes.h"

#include <string.h>

/* ---- Places -------------------------------------------------------------------------------------- */

struct file_places format_places(uint64_t max_pages)
{
    struct file_places places;
    places.descriptors = FORMAT_DESCRIPTORS;
    places.marks = align_up(places.descriptors + max_pages * sizeof(uint64_t), FORMAT_ALIGN);
    places.pages = align_up(places.marks + max_pages * FORMAT_MARKS_PER_PAGE, FORMAT_ALIGN);
    return places;
}

uint64_t format_disk_size(uint64_t max_pages, uint64_t pages)
{
    if (pages == max_pages)
        return format_places(max_pages).pages + pages * PAGE_SIZE;
    return FORMAT_DESCRIPTORS + align_up(pages * sizeof(uint64_t), FORMAT_ALIGN) +
           align_up(pages * FORMAT_MARKS_PER_PAGE, FORMAT_ALIGN) + pages * PAGE_SIZE;
}

uint64_t format_pages_for(uint64_t max_pages, uint64_t size)
{
    uint64_t each = PAGE_SIZE + FORMAT_MARKS_PER_PAGE + sizeof(uint64_t);
    uint64_t pages = size / each < max_pages ? size / each : max_pages;
    while (pages > 0 && format_disk_size(max_pages, pages) > size)
        pages--;
    return pages;
}

/* ---- Checksums ------------------------------------------------------------------------------------ */

#define FNV UINT64_C(0x100000001b3)
#define FNV_2 (FNV * FNV)
#define FNV_4 (FNV_2 * FNV_2)
#define FNV_8 (FNV_4 * FNV_4)

/* A step for each of the lowest `count` bytes of the word. */
ALWAYS_INLINE uint64_t hash_low(uint64_t hash, uint64_t word, unsigned count)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < count; i++)
        hash = (hash ^ (word >> 8 * i & 0xff)) * FNV;
    return hash;
}

/* The eight bytes of a word, the lowest first.  Zeros are mere factors; offsets have many. */
static uint64_t hash_word(uint64_t hash, uint64_t word)
{
    if (word == 0)
        return hash * FNV_8;
    hash = hash_low(hash, word, 4);
    if (word >> 32 == 0)
        return hash * FNV_4;
    hash = hash_low(hash, word >> 32, 2);
    return word >> 48 == 0 ? hash * FNV_2 : hash_low(hash, word >> 48, 2);
}

/* FNV-1a, 64 bits. */
uint64_t format_hash(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t))
        hash = hash_word(hash, low_first(at));
    for (; size > 0; size--, at++)
        hash = hash_low(hash, *at, 1);
    return hash;
}

uint64_t format_seal(uint64_t value, uint64_t salt)
{
    return value | crc16_of(salt, value) << SEAL_BITS;
}

bool format_unseal(uint64_t word, uint64_t salt, uint64_t *value)
{
    *value = word & SEAL_MASK;
    return format_seal(*value, salt) == word;
}

/* ---- Descriptors ---------------------------------------------------------------------------------- */

#define KIND_SHIFT 44
#define BLOCK_SHIFT 32
#define BLOCK_MASK 0xfff

uint64_t format_descriptor(uint64_t page, unsigned size_class, uint64_t pages)
{
    uint64_t kind = size_class == CLASS_LARGE ? PAGE_LARGE : PAGE_BLOCKS;
    uint64_t block = size_class == CLASS_LARGE ? 0 : class_size(size_class) / BLOCK_ALIGN;
    return format_seal(kind << KIND_SHIFT | block << BLOCK_SHIFT | pages, page);
}

const char *format_read_descriptor(uint64_t word, uint64_t page, uint64_t capacity,
                                   struct page_descriptor *out)
{
    uint64_t value;
    *out = (struct page_descriptor){PAGE_NONE, CLASS_LARGE, 0};
    if (word == 0)
        return NULL;
    if (!format_unseal(word, page, &value))
        return "a page descriptor is damaged";
    size_t block = (value >> BLOCK_SHIFT & BLOCK_MASK) * BLOCK_ALIGN;
    uint64_t kind = value >> KIND_SHIFT, pages = value & UINT32_MAX;
    if (kind != PAGE_BLOCKS && kind != PAGE_LARGE)
        return "a page descriptor is of no known kind";
    if (pages == 0 || pages > capacity - page)
        return "a page descriptor reaches beyond the pool";
    if (kind == PAGE_LARGE ? block != 0 : block == 0 || block > CLASS_SIZE_MAX)
        return "a page descriptor has an impossible block size";
    if (kind == PAGE_BLOCKS) {
        out->size_class = class_of(block);
        if (class_size(out->size_class) != block)
            return "a page descriptor has a block size that is no size class";
        if (pages > SPAN_PAGES_MAX || pages * PAGE_SIZE < block)
            return "a page descriptor has an impossible number of pages for its blocks";
    }
    out->kind = (enum page_kind)kind;
    out->pages = pages;
    return NULL;
}

/* ---- Headers -------------------------------------------------------------------------------------- */

void format_make_header(struct file_header *header)
{
    struct file_places places = format_places(header->max_pages);
    memcpy(header->magic, FORMAT_MAGIC, sizeof header->magic);
    header->version = FORMAT_VERSION;
    header->byte_order = FORMAT_BYTE_ORDER;
    header->page_size = PAGE_SIZE;
    header->header_bytes = sizeof *header;
    header->descriptors = places.descriptors;
    header->marks = places.marks;
    header->pages = places.pages;
    header->checksum = crc32c(header, offsetof(struct file_header, checksum));
}

static const char *header_trouble(const struct file_header *header)
{
    if (header->checksum != crc32c(header, offsetof(struct file_header, checksum)))
        return "the header of the pool is damaged: its checksum does not match";
    if (header->header_bytes != sizeof *header)
        return "the header of the pool has an impossible length";
    if (header->max_pages == 0 || header->max_pages > FORMAT_PAGES_MAX)
        return "the header of the pool has an impossible number of pages";
    struct file_places places = format_places(header->max_pages);
    if (header->descriptors != places.descriptors || header->marks != places.marks ||
        header->pages != places.pages)
        return "the header of the pool has its areas at impossible places";
    if (header->address == 0 || header->address % FORMAT_ALIGN != 0 || header->address >> SEAL_BITS != 0)
        return "the header of the pool has an impossible address";
    if (memchr(header->layout, 0, sizeof header->layout) == NULL)
        return "the layout in the header of the pool does not end";
    return NULL;
}

enum header_fault format_check_header(const struct file_header *header, bool read_only, const char **message)
{
    if (memcmp(header->magic, FORMAT_MAGIC, sizeof header->magic) != 0) {
        *message = "the file is no pool: it does not begin as one";
        return HEADER_NO_POOL;
    }
    if (header->byte_order != FORMAT_BYTE_ORDER || header->page_size != PAGE_SIZE) {
        bool swapped = header->byte_order == __builtin_bswap32(FORMAT_BYTE_ORDER);
        *message = swapped ? "the pool was made on a machine with another byte order"
                           : "the pool has pages of another size, or a damaged header";
        return HEADER_FOREIGN;
    }
    if (header->version > FORMAT_VERSION) {
        *message = "the pool was made by a newer version of Cairn, in a format that this one does not know";
        return HEADER_NEWER;
    }
    *message = header_trouble(header);
    if (*message != NULL)
        return HEADER_DAMAGED;
    if ((header->incompatible & ~FEATURES_INCOMPATIBLE) != 0 ||
        (!read_only && (header->read_only_compatible & ~FEATURES_READ_ONLY) != 0)) {
        *message = (header->incompatible & ~FEATURES_INCOMPATIBLE) != 0
                       ? "the pool uses features of a newer version of Cairn that this one does not know"
                       : "the pool uses features of a newer version of Cairn: this one may only read it";
        return HEADER_NEWER;
    }
    return HEADER_FINE;
}

const char *format_check_state(const struct file_header *header, const struct file_state *state, unsigned *at)
{
    uint64_t value[WORD_COUNT];
    for (*at = 0; *at < sizeof state->words / sizeof *state->words; ++*at) {
        if (*at >= WORD_COUNT ? state->words[*at] != 0 : !format_unseal(state->words[*at], *at, &value[*at]))
            return "a word of the pool's state is damaged";
    }
    uint64_t end = header->pages + value[WORD_CAPACITY] * PAGE_SIZE;
    *at = WORD_STATE;
    if (value[WORD_STATE] != STATE_CLOSED && value[WORD_STATE] != STATE_OPEN)
        return "the pool is neither open nor closed";
    *at = WORD_CAPACITY;
    if (value[WORD_CAPACITY] == 0 || value[WORD_CAPACITY] > header->max_pages)
        return "the pool's capacity is impossible";
    *at = WORD_TOUCHED;
    if (value[WORD_TOUCHED] > value[WORD_CAPACITY])
        return "more pages are touched than there are";
    *at = WORD_ROOT;
    if (value[WORD_ROOT] != 0 && (value[WORD_ROOT] < header->pages || value[WORD_ROOT] >= end))
        return "the root lies outside the pool";
    return NULL;
}
