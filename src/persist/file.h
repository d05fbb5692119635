/* file.h - one open pool file: its descriptor, its mapping, and what this process knows about it.
 *
 *   create, open, close, grow     file.c (system calls: os/file.h; where it is mapped: place.c)
 *   descriptors                   book.c      what the heap tells of its spans, written down
 *   spans met again after an open adopt.c     built from descriptors and marks when they are needed
 *   interrupted calls             intent.c, recover.c
 *   roots                         roots.c
 *   checkpoints                   durable.c
 *
 * The file's order of stores is in protocol.h, its bytes in format.h. */
#ifndef PERSIST_FILE_H
#define PERSIST_FILE_H

#include "cairn/persist.h"
#include "engine/types.h"
#include "persist/checkpoint.h"
#include "persist/format.h"
#include "source/source.h"

#define FILE_PATH_MAX 4096
/* Why something failed: an errno and static text. */
struct trouble {
    int code;
    const char *text;
};

/* Who this process is, in the words that the state keeps. */
struct file_owner {
    uint64_t pid, started, boot_low, boot_high; /* the boot: 0 if the system does not say */
};

/* False with errno: the system could not say which boot this is.  True with zeros: it never does, there is no /proc. */
bool file_owner_now(struct file_owner *owner);

/* Made by create or open; unmapped memory of its own, never in the file. */
struct pool_file {
    int fd;
    bool read_only;  /* nothing is ever stored into the file */
    bool is_copy;    /* read_only, and the mapping is private, so that it could be recovered */
    bool in_memory;  /* tmpfs: no power cut to prepare for */
    char *base;      /* where offset 0 is mapped; constant */
    size_t reserved; /* bytes of addresses from base on; constant */
    size_t mapped;   /* bytes mapped from base on; grows */
    uint64_t device, inode;
    struct file_owner self; /* this process; constant */

    const struct file_header *header; /* these seven point into the mapping; constant */
    struct file_state *state;
    struct file_name *names;
    struct file_intent *intents;
    uint64_t *descriptors;
    uint8_t *marks;
    char *pages;
    uint64_t max_pages;
    uint64_t capacity; /* pages that are there; heap lock, and grow_lock to change it; atomic */

    uint64_t touched; /* WORD_TOUCHED; heap lock */

    struct cairn_pool *pool; /* NULL: none made of it */
    struct source source;    /* of the heap: never gives anything; its context leads here */
    struct heap *heap;       /* constant once set */
    struct arena *arena;     /* the pages; constant once set */
    uint64_t looked;         /* descriptors of pages before this one are in the heap's books; heap lock */
    size_t kept_size;        /* bytes mapped for arena->kept */

    struct lock names_lock;   /* writers of named roots */
    struct lock grow_lock;    /* one grows at a time */
    struct intent *expecting; /* calls that wait for a large block to be made or released; heap lock */
    uint8_t intents_used[FORMAT_INTENTS]; /* 1: a call has it; atomic */

    struct trouble *closing; /* where the close that is under way says what failed; NULL: nowhere */
    cairn_recovery recovery;
    struct checkpoint checkpoint;        /* durable.c; if has_checkpoint */
    bool has_checkpoint;                 /* open for writing */
    char checkpoint_path[FILE_PATH_MAX]; /* the file's real path, where its checkpoints lie */
    char path[FILE_PATH_MAX];            /* as it was given */
};

/* What create and open need of the public config, with defaults filled in. */
struct file_request {
    const char *path;
    unsigned flags;
    unsigned mode;
    size_t size, max_size;
    const char *layout; /* NULL: any, or "" */
};

/* A file with everything in place and nothing allocated, mapped, locked, marked open.  NULL with *trouble set. */
struct pool_file *file_create(const struct file_request *request, struct trouble *trouble);

/* The same of a file that is there; recovered if need be. */
struct pool_file *file_open(const struct file_request *request, struct trouble *trouble);

/* Flushes and marks closed (unless read_only), unmaps, unlocks.  False with *trouble when a flush failed. */
bool file_close(struct pool_file *file, struct trouble *trouble);

/* In the child of a fork: the mapping is not there, the lock is the parent's. */
void file_forget(struct pool_file *file);
void file_drop_lost(struct pool_file *file);

/* Room for `pages` pages: disk space, then mapping, then the state; file->capacity is the caller's to raise.  He holds
 * grow_lock. */
bool file_grow(struct pool_file *file, uint64_t pages, struct trouble *trouble);

/* Fills *trouble and returns false. */
bool file_trouble(struct trouble *trouble, int code, const char *text);

/* ---- Words of the state ---- */

uint64_t file_word(const struct pool_file *file, enum file_word word);
void file_set_word(struct pool_file *file, enum file_word word, uint64_t value);

/* ---- Offsets ---- */

ALWAYS_INLINE uint64_t file_offset(const struct pool_file *file, const void *address)
{
    return (uint64_t)((uintptr_t)address - (uintptr_t)file->base);
}

ALWAYS_INLINE void *file_address(const struct pool_file *file, uint64_t offset)
{
    return file->base + offset;
}

/* Whether `address` lies among the pages that are there. */
ALWAYS_INLINE bool file_has(const struct pool_file *file, const void *address)
{
    return (uintptr_t)address - (uintptr_t)file->pages < load_relaxed(&file->capacity) * PAGE_SIZE;
}

/* The page of an address among them. */
ALWAYS_INLINE uint64_t file_page(const struct pool_file *file, const void *address)
{
    return ((uintptr_t)address - (uintptr_t)file->pages) >> PAGE_SHIFT;
}

/* ---- place.c ---- */

/* Where a new pool of that size goes: reserved, far from others.  NULL: no room. */
char *place_choose(const uint8_t uuid[16], size_t size);

/* The place where the pool was made; any other only if it may be relocated.  NULL: taken. */
char *place_again(uint64_t address, size_t size, bool relocatable);

#endif
