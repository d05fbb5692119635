/* pool_image.h - for tests that kill a process at some point of its work on a pool file: the record that the process
 * keeps of what it did, and the check of what a killed process has left.
 *
 * The record lies in memory that the killed process shares with the test.  A block is entered as live when the call that
 * made it has returned and its bytes are written; before and after that it is `open`: the call may or may not count. */
#ifndef FAULT_POOL_IMAGE_H
#define FAULT_POOL_IMAGE_H

#include "cairn/persist.h"
#include "persist/format.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_BLOCKS 256
#define RECORD_SLOTS 32
#define RECORD_THREADS 8

/* GOES: being freed: it may be live, with its contents.  MOVES: in a realloc: it may be live. */
enum record_state { RECORD_NONE, RECORD_LIVE, RECORD_GOES, RECORD_MOVES };

struct record_block {
    enum record_state state;
    unsigned char *at;
    size_t size; /* bytes that hold the pattern */
};

struct record {
    struct record_block blocks[RECORD_BLOCKS];
    bool plain_open[RECORD_THREADS]; /* a call that may leak one block is under way */
    void **slots; /* RECORD_SLOTS pointers in the pool, for malloc_to and its like; NULL: not made yet */
    size_t slot_size[RECORD_SLOTS]; /* bytes of pattern in the block of the slot; 0: not told */
    const void *stale; /* address of a freed block that a slot may hold until its malloc_to has returned */
};

#define order_here() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* The pattern is at both ends only: every store of the process is looked at. */
static inline void image_fill(void *at, size_t size)
{
    uint64_t value = (uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15);
    memcpy(at, &value, 8);
    if (size >= 24) {
        memcpy((char *)at + 8, &value, 8);
        memcpy((char *)at + size - 8, &value, 8);
    }
}

static inline bool image_is_filled(const void *at, size_t size)
{
    uint64_t value = (uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15);
    return memcmp(at, &value, 8) == 0 && (size < 24 || (memcmp((const char *)at + 8, &value, 8) == 0 &&
                                                        memcmp((const char *)at + size - 8, &value, 8) == 0));
}

/* ---- What a process does ------------------------------------------------------------------------------ */

static inline void *image_note(struct record *record, unsigned i, unsigned thread, void *at, size_t size)
{
    struct record_block *block = &record->blocks[i];
    if (at == NULL)
        return NULL;
    image_fill(at, size);
    block->at = at;
    block->size = size;
    order_here();
    block->state = RECORD_LIVE;
    order_here();
    record->plain_open[thread] = false;
    order_here();
    return at;
}

static inline void image_open(struct record *record, unsigned thread)
{
    order_here();
    record->plain_open[thread] = true;
    order_here();
}

static inline void image_goes(struct record *record, unsigned i)
{
    order_here();
    record->blocks[i].state = RECORD_GOES;
    order_here();
}

static inline void image_moves(struct record *record, unsigned i)
{
    order_here();
    record->blocks[i].state = RECORD_MOVES;
    order_here();
}

static inline void image_gone(struct record *record, unsigned i)
{
    order_here();
    record->blocks[i].state = RECORD_NONE;
    order_here();
}

/* ---- What is left of it ------------------------------------------------------------------------------ */

struct image_walk {
    const struct record *record;
    void *const *slots;
    size_t live, known;
    bool found[RECORD_BLOCKS], slot_found[RECORD_SLOTS];
};

static inline int image_visit(void *at, size_t size, void *context)
{
    struct image_walk *walk = context;
    walk->live++;
    bool known = at == walk->slots;
    for (unsigned i = 0; i < RECORD_BLOCKS; i++) {
        const struct record_block *block = &walk->record->blocks[i];
        if (block->state != RECORD_NONE && block->at == at && size >= block->size) {
            walk->found[i] = true;
            known = true;
        }
    }
    for (unsigned i = 0; walk->slots != NULL && i < RECORD_SLOTS; i++) {
        if (walk->slots[i] == at) {
            if (walk->slot_found[i])
                return 2;
            walk->slot_found[i] = known = true;
        }
    }
    walk->known += known;
    return 0;
}

/* Whether a block that is live must have the contents of the record's.  One that is being freed may be another thread's by
 * now, if that one is just getting a block. */
static inline bool image_must_hold(const struct record *record, const struct image_walk *walk,
                                   const struct record_block *block)
{
    bool others = false;
    for (unsigned i = 0; i < RECORD_THREADS; i++)
        others = others || record->plain_open[i];
    for (unsigned i = 0; walk->slots != NULL && i < RECORD_SLOTS; i++)
        others = others || walk->slots[i] == block->at;
    return block->state == RECORD_LIVE || (block->state == RECORD_GOES && !others);
}

/* NULL, or what is wrong with the recovered pool.  `leaks`: blocks that nobody knows and that are allowed. */
static inline const char *image_check_blocks(cairn_pool *pool, const struct record *record, size_t *leaks)
{
    static char text[200];
    struct image_walk walk = {.record = record, .slots = cairn_pool_root(pool)};
    if (cairn_pool_check(pool) != 0)
        return cairn_errormsg();
    if (record->slots != NULL && walk.slots != record->slots)
        return "the root is not what it was";
    if (cairn_pool_walk(pool, image_visit, &walk) != 0)
        return "a block is met twice";
    for (unsigned i = 0; i < RECORD_BLOCKS; i++) {
        const struct record_block *block = &record->blocks[i];
        if (block->state == RECORD_LIVE && !walk.found[i]) {
            snprintf(text, sizeof text, "live block %u is lost", i);
            return text;
        }
        if (walk.found[i] && image_must_hold(record, &walk, block) &&
            !image_is_filled(block->at, block->size)) {
            snprintf(text, sizeof text, "live block %u of %zu bytes has other contents", i, block->size);
            return text;
        }
    }
    for (unsigned i = 0; walk.slots != NULL && i < RECORD_SLOTS; i++) {
        if (walk.slots[i] == NULL)
            continue;
        if (!walk.slot_found[i] && walk.slots[i] == record->stale)
            continue;
        if (!walk.slot_found[i]) {
            snprintf(text, sizeof text, "slot %u leads to a block that is not live", i);
            return text;
        }
        if (record->slot_size[i] != 0 && !image_is_filled(walk.slots[i], record->slot_size[i])) {
            snprintf(text, sizeof text, "the block of slot %u has other contents", i);
            return text;
        }
    }
    size_t allowed = 0;
    for (unsigned i = 0; i < RECORD_THREADS; i++)
        allowed += record->plain_open[i];
    *leaks = walk.live - walk.known;
    if (*leaks > allowed) {
        snprintf(text, sizeof text, "%zu blocks leak, %zu may", *leaks, allowed);
        return text;
    }
    return NULL;
}

/* Nothing that is live is handed out again: takes what can be had and writes into it. */
static inline const char *image_use(cairn_pool *pool, const struct record *record)
{
    static const size_t sizes[] = {16, 48, 100, 112, 1000, 1024, 5000, 16384, 20000};
    for (unsigned round = 0; round < 6; round++)
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            void *block = cairn_pool_malloc(pool, sizes[i]);
            if (block != NULL)
                memset(block, 0xee, sizes[i]);
        }
    for (unsigned i = 0; i < RECORD_BLOCKS; i++)
        if (record->blocks[i].state == RECORD_LIVE &&
            !image_is_filled(record->blocks[i].at, record->blocks[i].size))
            return "a live block was handed out again";
    return cairn_pool_check(pool) == 0 ? NULL : cairn_errormsg();
}

/* For a tracer and what it traces: they take turns anyway, and find the caches warm. */
static inline void image_one_processor(void)
{
    cpu_set_t one;
    int now = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET(now < 0 ? 0 : now, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

/* Makes the copy look as if it were the file itself: a copy is told by its inode. */
static inline void image_adopt(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &status) != 0)
        abort();
    uint64_t inode = format_seal((uint64_t)status.st_ino & SEAL_MASK, WORD_INODE);
    uint64_t device = format_seal((uint64_t)status.st_dev & SEAL_MASK, WORD_DEVICE);
    if (pwrite(fd, &inode, 8, FORMAT_STATE + 8 * WORD_INODE) != 8 ||
        pwrite(fd, &device, 8, FORMAT_STATE + 8 * WORD_DEVICE) != 8)
        abort();
    close(fd);
}

/* Opens the file, which a killed process left, checks it against the record, uses it, closes it, checks the file.  NULL, or
 * what is wrong. */
static inline const char *image_check(const char *path, const struct record *record)
{
    static char text[300];
    size_t leaks;
    cairn_pool *pool = cairn_pool_open(path, NULL);
    if (pool == NULL) {
        snprintf(text, sizeof text, "cannot be opened: %s", cairn_errormsg());
        return text;
    }
    const char *fault = image_check_blocks(pool, record, &leaks);
    if (fault == NULL)
        fault = image_use(pool, record);
    if (cairn_pool_close(pool) != 0 && fault == NULL)
        fault = "cannot be closed";
    if (fault == NULL && cairn_pool_check_file(path, NULL, NULL) != 1)
        fault = "the closed file is not consistent";
    return fault;
}

#endif
