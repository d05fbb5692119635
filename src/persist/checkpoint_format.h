/* checkpoint_format.h - the bytes of a pool's checkpoint files.  Numbers are in the byte order of the machine, which
 * the slot states.  A page here is 4096 bytes whatever the system's page is.
 *
 * FILE.ckpt, the control file: says what counts.
 *     0        slot A, 512 bytes used
 *     4096     slot B
 *     8192     the journal: records one behind the other
 * The valid slot with the higher serial counts; slots are written in turn, so a torn one leaves the other.
 * FILE.ckpt0, FILE.ckpt1: copies of the pool file.  The slot names one; the other is being made, or out of date.
 *
 *   way       generation g is
 *   REFLINK   the copy that the slot names, byte for byte, at slot.generation == g
 *   JOURNAL   the copy that the slot names, with the records slot.generation + 1 ... g of the journal over it.  The copy
 *             may have any later page already; the records from slot.generation on put that right
 *
 * A slot
 *     0    8  magic "CairnCkp"              48    8  length of the copy, and of the pool file
 *     8    4  version, 1                    56    4  way: 1 reflink, 2 journal
 *    12    4  byte order, 0x01020304        60    4  copy: 0 or 1
 *    16   16  id of the pool                64    8  page size, 4096
 *    32    8  serial, from 1                72  432  zero
 *    40    8  generation, from 1           504    8  checksum of the bytes before it, seed 0
 *
 * A record is a row of chunks with sequence 0, 1, ...; the last one is marked.  A chunk is a header page and `count`
 * pages.  A record counts only if all its chunks are good.
 *     0    8  magic "CairnJnl"              32    8  that of the slot
 *     8    8  generation                    40    4  1: the last chunk of the record
 *    16    8  sequence                      44   12  zero
 *    24    8  count, at most 504            56    8  checksum of header (this field 0) and pages;
 *                                                    seed: the previous chunk's, first: that of the pool's id
 *    64    8 * count  page numbers; a page that comes twice in a record counts as it comes last */
#ifndef PERSIST_CHECKPOINT_FORMAT_H
#define PERSIST_CHECKPOINT_FORMAT_H

#include "base/base.h"

#define CHECKPOINT_PAGE ((size_t)4096)
#define CHECKPOINT_ID_BYTES 16
#define SLOT_MAGIC UINT64_C(0x706b436e72696143)  /* "CairnCkp" */
#define CHUNK_MAGIC UINT64_C(0x6c6e4a6e72696143) /* "CairnJnl" */
#define SLOT_VERSION 1
#define SLOT_BYTE_ORDER 0x01020304u
#define SLOT_DISTANCE 4096
#define JOURNAL_START ((uint64_t)8192)
#define CHUNK_PAGES_MAX 504

enum checkpoint_way { CHECKPOINT_NONE = 0, CHECKPOINT_REFLINK = 1, CHECKPOINT_JOURNAL = 2 };

struct slot {
    uint64_t magic;
    uint32_t version;
    uint32_t byte_order;
    uint8_t id[CHECKPOINT_ID_BYTES];
    uint64_t serial;
    uint64_t generation;
    uint64_t length;
    uint32_t way;
    uint32_t copy;
    uint64_t page_bytes;
    uint8_t zero[432];
    uint64_t checksum;
};

_Static_assert(sizeof(struct slot) == 512, "a slot is one sector");

struct piece {
    uint64_t magic;
    uint64_t generation;
    uint64_t sequence;
    uint64_t count;
    uint64_t length;
    uint32_t is_last;
    uint8_t zero[12];
    uint64_t checksum;
    uint64_t pages[CHUNK_PAGES_MAX];
};

_Static_assert(sizeof(struct piece) == CHECKPOINT_PAGE, "a chunk's header is one page");

#endif
