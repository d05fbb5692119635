/* format.c - see format.h: places, checksums, sealed words, and what makes a header one. */
#include "persist/format.h"

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

/* CRC-32C (Castagnoli), reflected, four bits at a time. */
uint32_t format_crc32c(const void *bytes, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *at = bytes;
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

/* FNV-1a, 64 bits. */
uint64_t format_hash(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* CRC-16/CCITT of eight bytes, from the highest, four bits at a time. */
static uint32_t crc16(uint32_t crc, uint64_t value)
{
    static const uint16_t table[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    for (int shift = 60; shift >= 0; shift -= 4)
        crc = ((crc << 4) ^ table[((crc >> 12) ^ (value >> shift)) & 15]) & 0xffff;
    return crc;
}

uint64_t format_seal(uint64_t value, uint64_t salt)
{
    return value | (uint64_t)crc16(crc16(0xffff, salt), value) << SEAL_BITS;
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
    header->checksum = format_crc32c(header, offsetof(struct file_header, checksum));
}

static const char *header_trouble(const struct file_header *header)
{
    if (header->checksum != format_crc32c(header, offsetof(struct file_header, checksum)))
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
