/* format.h - the pool file, byte by byte.
 *
 * All numbers are in the byte order of the machine that made the file (it is stated, and another machine refuses).
 * P is the number of pages of 4 KiB that the pool may grow to.  Areas begin at multiples of 64 KiB, so that they can be
 * mapped whatever the page size of the system.
 *
 *   offset      bytes     area          contents                                                 written by
 *   0           4,096     header        struct file_header: constant, one checksum               create
 *   4,096       4,096     state         struct file_state: sealed words                          owner
 *   8,192       8,192     checkpoints   for what checkpoints keep in the file; zero if nothing   checkpoint
 *   16,384      16,384    names         256 x struct file_name: the named roots                  roots.c
 *   32,768      65,536    intents       1,024 x struct file_intent: calls under way              intent.c
 *   131,072     8 P       descriptors   one word for each page, zero: none begins here           book.c
 *   then        256 P     marks         one byte for each 16 bytes of pages                      pool/slab.c
 *   then        4,096 P   pages         the blocks                                               the program
 *
 * The three last areas are there as far as the pool has grown (`capacity` pages); behind that they are holes in the
 * file, never touched, and the file ends with the last page.
 *
 * The header
 *   offset  bytes  field
 *   0       8      magic           89 43 41 49 52 4e 0d 0a
 *   8       4      version         1
 *   12      4      byte order      0x01020304 as a number
 *   16      4      page size       4,096
 *   20      4      header bytes    4,096
 *   24      4      features that an older program may ignore
 *   28      4      features that an older program may ignore if it only reads
 *   32      4      features that an older program must know, or refuse
 *   36      4      zero
 *   40      16     uuid
 *   56      8      address where the pool was made
 *   64      8      P
 *   72      8      bytes that the maker gave as max_size
 *   80      8      time of creation, seconds since 1970
 *   88      8      offset of the descriptors
 *   96      8      offset of the marks
 *   104     8      offset of the pages
 *   112     1,024  layout, with a terminating zero, then zeros
 *   1,136          zeros
 *   4,092   4      CRC32C of the 4,092 bytes before
 *
 * A sealed word is a value of 48 bits below a check of 16 bits: CRC-16/CCITT over the value and over what the word is
 * (its salt: for a descriptor its page, for a name the name).  So one aligned store of eight bytes, which a kill
 * cannot tear, changes value and check together, and a flipped byte, or a word at the wrong place, is noticed.
 *
 * A descriptor stands at the first page of a span:
 *
 *   63        48 47     44 43          32 31            0
 *   [  check    |  kind   | block / 16   | pages         ]     kind 1: equal blocks; 2: one large block; block 0
 *
 * Zero: no span begins here.  A page that no span covers has zero marks and no descriptor: it is free.
 *
 * A mark is the byte for the 16 bytes in which a block begins: MARK_LIVE (engine/types.h) for a live block, else 0.
 * Large blocks have none: they are live while their descriptor stands. */
#ifndef PERSIST_FORMAT_H
#define PERSIST_FORMAT_H

#include "engine/types.h"

#define FORMAT_MAGIC                                                                                         \
    "\x89"                                                                                                   \
    "CAIRN\r\n"
#define FORMAT_VERSION 1u
#define FORMAT_BYTE_ORDER 0x01020304u
#define FORMAT_ALIGN (64 * KiB)

/* ---- Features ------------------------------------------------------------------------------------ */

#define FEATURE_RELOCATABLE 1u /* compatible: nothing in the pool is a raw pointer */
#define FEATURES_COMPATIBLE FEATURE_RELOCATABLE
#define FEATURES_READ_ONLY 0u
#define FEATURES_INCOMPATIBLE 0u

/* ---- The header ----------------------------------------------------------------------------------- */

#define FORMAT_LAYOUT_MAX 1024

struct file_header {
    char magic[8];
    uint32_t version;
    uint32_t byte_order;
    uint32_t page_size;
    uint32_t header_bytes;
    uint32_t compatible, read_only_compatible, incompatible;
    uint32_t zero;
    uint8_t uuid[16];
    uint64_t address;
    uint64_t max_pages;
    uint64_t max_size;
    uint64_t created;
    uint64_t descriptors;
    uint64_t marks;
    uint64_t pages;
    char layout[FORMAT_LAYOUT_MAX];
    char zeros[4096 - 112 - FORMAT_LAYOUT_MAX - 4];
    uint32_t checksum;
};

_Static_assert(sizeof(struct file_header) == 4096, "the header is a page");

/* ---- The state: sealed words, each with its own index as salt ---------------------------------------- */

enum file_word {
    WORD_STATE,      /* STATE_CLOSED or STATE_OPEN */
    WORD_CAPACITY,   /* pages that are there */
    WORD_TOUCHED,    /* pages from here on are free, and their bytes zero */
    WORD_ROOT,       /* the main root's offset in the file; 0: NULL */
    WORD_GENERATION, /* of the last checkpoint */
    WORD_MAPPED,     /* where the owner has the file mapped */
    WORD_PID,        /* the owner: process id, */
    WORD_STARTED,    /* its start in clock ticks after boot, */
    WORD_BOOT_LOW,   /* the first and the last 48 bits of the boot id, */
    WORD_BOOT_HIGH,
    WORD_DEVICE, /* and the file that it had open, which a copy is not */
    WORD_INODE,
    WORD_COUNT,
};

enum { STATE_CLOSED = 1, STATE_OPEN = 2 };

struct file_state {
    uint64_t words[4096 / sizeof(uint64_t)]; /* from WORD_COUNT on zero */
};

/* ---- Named roots ---------------------------------------------------------------------------------- */

#define FORMAT_NAMES 256
#define FORMAT_NAME_MAX 56

struct file_name {
    uint64_t root; /* sealed offset, salt: a hash of the name; 0: the entry is free. Written last */
    char name[FORMAT_NAME_MAX]; /* with a terminating zero; anything in a free entry */
};

/* ---- Intents -------------------------------------------------------------------------------------- */

#define FORMAT_INTENTS 1024

enum intent_call { INTENT_NONE, INTENT_MALLOC, INTENT_REALLOC, INTENT_FREE };
enum intent_slot { SLOT_ROOT, SLOT_POINTER, SLOT_RELATIVE };

/* Offsets are in the file.  `call` seals INTENT_* + 256 * SLOT_*, salt: a hash of the three others.  It is written last,
 * and 0 when the call is through. */
struct file_intent {
    uint64_t call;
    uint64_t old;   /* block that goes; 0: none */
    uint64_t fresh; /* block that comes; 0: none */
    uint64_t slot;  /* where the pointer is; 0 for SLOT_ROOT */
    uint64_t zeros[4];
};

_Static_assert(sizeof(struct file_name) == 64 && sizeof(struct file_intent) == 64, "a line each");

/* ---- Places --------------------------------------------------------------------------------------- */

#define FORMAT_STATE 4096
#define FORMAT_CHECKPOINTS 8192
#define FORMAT_NAMES_AT 16384
#define FORMAT_INTENTS_AT 32768
#define FORMAT_DESCRIPTORS (128 * KiB)
#define FORMAT_MARKS_PER_PAGE (PAGE_SIZE / 16)
#define FORMAT_PAGES_MAX ((uint64_t)1 << 31) /* 8 TiB */

/* Where the areas of a pool of `max_pages` begin. */
struct file_places {
    uint64_t descriptors, marks, pages;
};

struct file_places format_places(uint64_t max_pages);

/* Bytes of disk that `pages` pages of such a pool take, with everything. */
uint64_t format_disk_size(uint64_t max_pages, uint64_t pages);

/* The other way: the most pages that fit `size` bytes of disk. */
uint64_t format_pages_for(uint64_t max_pages, uint64_t size);

/* ---- Sealing -------------------------------------------------------------------------------------- */

#define SEAL_BITS 48
#define SEAL_MASK (((uint64_t)1 << SEAL_BITS) - 1)

uint64_t format_seal(uint64_t value, uint64_t salt);               /* value <= SEAL_MASK */
bool format_unseal(uint64_t word, uint64_t salt, uint64_t *value); /* false: damaged */
uint64_t format_hash(const void *bytes, size_t size);              /* for salts */

/* ---- Descriptors ---------------------------------------------------------------------------------- */

enum page_kind { PAGE_NONE = 0, PAGE_BLOCKS = 1, PAGE_LARGE = 2 };

struct page_descriptor {
    enum page_kind kind;
    unsigned size_class; /* of PAGE_BLOCKS */
    uint64_t pages;
};

uint64_t format_descriptor(uint64_t page, unsigned size_class,
                           uint64_t pages); /* size_class: or CLASS_LARGE */

/* Reads the word of `page` in a pool of `capacity` pages.  NULL, or what is wrong with it. */
const char *format_read_descriptor(uint64_t word, uint64_t page, uint64_t capacity,
                                   struct page_descriptor *out);

/* ---- Headers -------------------------------------------------------------------------------------- */

void format_make_header(struct file_header *header); /* fills magic, version, sizes, places, checksum */

enum header_fault {
    HEADER_FINE,
    HEADER_NO_POOL, /* not one of ours */
    HEADER_FOREIGN, /* of a machine with another byte order or page size */
    HEADER_NEWER,   /* version or features that this program does not know */
    HEADER_DAMAGED,
};

/* `message` gets static text for a fault. */
enum header_fault format_check_header(const struct file_header *header, bool read_only, const char **message);

/* Whether all words of the state are whole and agree with each other and the header.  NULL, or what is wrong; *at then is
 * the index of the word. */
const char *format_check_state(const struct file_header *header, const struct file_state *state,
                               unsigned *at);

#endif
