/* types.h - the engine in one file: its words, its structures and what always holds for them.
 *
 * Glossary
 *   heap          one instance of the engine; the process heap is one, every slab pool another
 *   source        what a heap gets address ranges from: mmap, the program break, a buffer, a file
 *   arena         one address range from a source, with two bits per page: free, dirty
 *   page          4 KiB, the unit of arenas and of the page map, whatever the system's page size is
 *   chunk         1024 pages of an arena (4 MiB): the unit in which free pages age and are purged
 *   span          a run of pages with one descriptor: cut into equal blocks, or one large block
 *   block         what malloc returns
 *   size class    one of CLASS_COUNT block sizes; a request is rounded up to the next
 *   large block   one above the largest size class; it has a span to itself
 *   thread cache  the spans that one thread allocates from in one heap, without locks
 *   owner         the thread cache that a span belongs to; NULL: nobody's
 *   remote free   a free by another thread than the owner's: pushed on the span's remote list
 *   guest         who looks into a span without owner, under the heap's lock, and leaves all as it was
 *   held          a thread whose way to its cache is barred for as long as somebody looks at its spans
 *   shared span   a span without owner that has free blocks and waits in the heap for a new owner
 *   page map      from any address to the span it lies in, for all heaps of the process
 *   purge         to give free dirty pages back to the system
 *   watched       a heap whose allocations somebody wants to see: its fast paths find nothing (see below)
 *   dirty         touched since the system handed it out: costs memory, may hold old bytes
 *   committed     pages in spans, free dirty pages, and metadata: what the process pays for
 *
 *      thread cache (one per thread and heap)              heap (lock)
 *     +--------------------------------------+            +---------------------------+
 *     | quick[size / 8] -> first span of bin |            | shared[class] -> spans    |
 *     | bins[class] -> span <-> span <-> ... | <--spans-- | arenas -> bits per page   |
 *     +--------------------------------------+            | descriptors, thread caches|
 *            | pop / push, no atomics                     +---------------------------+
 *            v                                                          ^ reserve, purge
 *     span { free list | remote list } ---blocks---> program         source
 *
 * A block's way.  malloc pops the free list of the first span in its class's bin.  When that is empty the
 * slow path looks, in this order: the span's remote list, blocks not yet cut, the next spans of the bin,
 * the heap's shared spans, new pages.  A span found full leaves the bin and loses its owner.  free finds the
 * span through the page map: the owner pushes on the free list; others push on the remote list.
 *
 * Who owns a span (the protocol of cache.c and remote.c)
 *
 *   OWNED    owner = C,    remote U = 0    in a bin of C; C alone touches free, carved, allocs, frees
 *   FULL     owner = NULL, remote U = 1    all blocks handed out when it was left; in no list
 *   SHARED   owner = NULL, remote U = L = 1  in heap->shared[class] (or its lister is on the way); has free blocks
 *
 *   from     to       by                          how
 *   OWNED    FULL     C, nothing left to pop      owner = NULL, then CAS remote: 0 -> U; if a remote free came
 *                                                 in between: owner = C again, collect
 *   OWNED    SHARED   C at thread exit            owner = NULL, CAS remote: |= U L, list it (heap lock); without
 *                                                 anything free it is FULL instead: |= U
 *   FULL     OWNED    C that frees and may        CAS remote: U -> 0, then owner = C, collect
 *   FULL     SHARED   anybody else who frees      pushes on remote; the push that makes 1/8 free sets L and
 *                                                 then lists the span (heap lock)
 *   SHARED   OWNED    C, who left it, by freeing  CAS remote -> 0, then unlist under the heap lock
 *   SHARED   OWNED    C in need of a span         under the heap lock: CAS remote -> 0, unlist
 *   any      freed    who frees the last block    the owner directly; others become owner first
 *   FULL, SHARED  and back  a guest               under the heap lock: CAS remote: U, L gone, and at the end back
 *
 * The CAS on `remote` is the only place where ownership changes hands: its release half publishes what the
 * last owner wrote, its acquire half lets the next one read it.  A thread takes a span for its own only
 * if owner == its cache, and only that thread ever writes this value, so the test needs no order.
 * Listing happens under the heap lock and only while U and L are both set; who takes a span with L set goes
 * through that lock afterwards, so a late lister finds U or L gone, or its entry is undone.
 *
 * How a heap is watched without a word in its fast paths
 *
 * The word heap->watch says what is to be seen: WATCH_* flags, and a count of the changes.  Who changes it
 * then veils every cache: quick[] and firsts[] become span_none, so that every allocation ends in a slow path,
 * where the thread compares the word with cache->seen, and follows.  While WATCH_VEIL is set, bins[].first alone
 * says where malloc pops.  Under WATCH_EVERY the thread's own pointer to its cache is moved on by one word
 * (cache_watched): every free then finds owner != cache and ends in a slow path too, and the fast paths read
 * quick[] and firsts[] one further, where they find span_none as well; so a word of guard follows each part.
 * Under WATCH_SAMPLE alone, sampled[] says what quick[] would: who finds nothing there, and has sample_left for the
 * size, pops behind the veil.  sampled[] is veiled as quick[] is, and span_none until the cache has followed.
 *
 *   who watches        watch = new, with veil; a barrier everywhere; all of quick, firsts, sampled = span_none;
 *                      barrier; if somebody has lifted the veil meanwhile: watch += WATCH_CHANGE, for those too quick
 *   owner, set_first   quick, firsts = watch has veil ? span_none : first; sampled = watch is seen and says
 *                      no more than WATCH_SAMPLE ? first : span_none; again if watch has changed meanwhile
 *
 * Of the two one comes last, so no class stays unveiled, and none veiled for good.  A thread that has not yet followed WATCH_EVERY frees
 * without being seen only what it got before: to allocate a block, or to take a span over, it has to follow first.
 *
 * By freeing, a thread may take over spans that it left itself, and FULL ones that a thread left that is gone.  So a thread that
 * allocates keeps its spans, and one that only frees hoards nothing: what it frees becomes SHARED.
 */
#ifndef ENGINE_TYPES_H
#define ENGINE_TYPES_H

#include "base/atomic.h"
#include "base/base.h"
#include "os/lock.h"
#include "source/source.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE ((size_t)1 << PAGE_SHIFT)
#define CHUNK_PAGES 1024
#define ADDRESS_BITS 48 /* of a user's pointer; anything above is foreign */

/* ---- Size classes (classes.h) -------------------------------------------------------------------- */

#define CLASS_STEPS_LOG2 3     /* 8 classes per doubling: at most 12.5 % is rounding */
#define CLASS_LINEAR_MAX 128   /* up to here the classes are 16 bytes apart */
#define CLASS_SIZE_MAX_LOG2 14 /* the largest class: 16 KiB */
#define CLASS_SIZE_MAX ((size_t)1 << CLASS_SIZE_MAX_LOG2)
#define CLASS_LINEAR_COUNT (1 + CLASS_LINEAR_MAX / 16) /* 8, 16, 32, ..., 128 */
#define CLASS_COUNT (CLASS_LINEAR_COUNT + (CLASS_SIZE_MAX_LOG2 - 7) * (1 << CLASS_STEPS_LOG2))
#define CLASS_LARGE CLASS_COUNT /* the class number of large blocks */
#define QUICK_SIZE_MAX_LOG2 10
#define QUICK_SIZE_MAX                                                                                       \
    ((size_t)1 << QUICK_SIZE_MAX_LOG2) /* up to here `quick` finds the span by size alone */
#define QUICK_COUNT (QUICK_SIZE_MAX / 8 + 1)
/* The class above QUICK_SIZE_MAX: from here on `firsts` finds the span by class. */
#define FIRSTS_CLASS (CLASS_LINEAR_COUNT + (QUICK_SIZE_MAX_LOG2 - 7) * (1 << CLASS_STEPS_LOG2))
#define SPAN_PAGES_MAX 32 /* of a span with size class */
#define BLOCK_ALIGN 16
#define MARK_BYTES 16  /* of memory for each liveness mark */
#define MARK_LIVE 0xa5 /* the mark of a live block; 0: no live block begins here */

/* ---- Blocks ------------------------------------------------------------------------------------------ */

/* A free block holds the link of the list that it is on, nothing else. */
struct block {
    struct block *next;
};

/* ---- Spans ------------------------------------------------------------------------------------------- */

/* The word `remote` of a span: the list of blocks that others freed, their number, and a flag.
 *
 *   63       48 47                       3  2   1   0
 *   [  count   | first block, 8-aligned   |   | L | U ]
 *
 * U, REMOTE_UNOWNED: the span has no owner.  L, REMOTE_LISTED: it is in heap->shared or about to be, so who
 * becomes its owner must look there, under the heap's lock; L implies U.
 * The count saves walking the list, and tells who frees without owning that the span is now empty. */
#define REMOTE_UNOWNED ((uint64_t)1)
#define REMOTE_LISTED ((uint64_t)2)
#define REMOTE_COUNT_SHIFT 48
#define REMOTE_ONE ((uint64_t)1 << REMOTE_COUNT_SHIFT)
#define REMOTE_BLOCK_MASK ((REMOTE_ONE - 1) & ~(uint64_t)7)

/* A value of span.empty_at: the span stays even when empty, and counts in its owner's retained_pages. */
#define SPAN_RETAINED UINT32_MAX

/* Invariants of a span with owner or in state FULL or SHARED, when nobody is in the middle of a call:
 *   base is page-aligned; carved <= capacity; capacity * block_size <= pages * PAGE_SIZE
 *   length(free) + length(remote) + (allocs - frees - length(remote)) == carved
 *   allocs - frees >= count(remote)
 * The first cache line is the owner's; the second holds what others write or read. */
struct span {
    struct block *free;  /* blocks to hand out next; owner only */
    uint64_t allocs;     /* blocks handed out since the span was made; owner writes, statistics read */
    uint64_t frees;      /* blocks that came back, remote ones once collected; as allocs */
    uintptr_t base;      /* address of the first page; constant */
    uint64_t inverse;    /* above 2^64 / block_size by less than 1, or by 1: see span_is_block; constant */
    struct cache *owner; /* see the protocol above; atomic */
    uint32_t block_size; /* bytes; 0 for a large block, which has all of its pages; constant */
    uint32_t empty_at;   /* blocks in use at which free looks closer: 0, or SPAN_RETAINED; owner */
    uint32_t cut_limit;  /* carved * (block_size * inverse mod 2^64); owner writes, others read */
    uint16_t carved;     /* blocks cut so far, from the front; owner */
    uint8_t size_class;  /* size class or CLASS_LARGE; constant */
    uint8_t
        is_marked; /* large: somebody wants to see its block freed (WATCH_MARKED); user of the block, atomic */

    uint64_t remote __attribute__((aligned(CACHE_LINE))); /* see above; atomic */
    struct span *next, *previous; /* in the owner's bin, in heap->shared, or next in the free descriptors */
    struct cache *last_owner;     /* who left it, and that cache's life then; written by the owner, */
    uint32_t last_life;           /* read by those without */
    uint16_t capacity;            /* blocks that fit; constant */
    uint8_t is_shared;            /* listed in heap->shared; heap lock */
    uint8_t is_moved;             /* large: its pages came from elsewhere by move; user of the block */
    uintptr_t marks;     /* where the liveness mark of address 0 would be (span_mark); 0: none; constant */
    struct arena *arena; /* constant; leads to the heap */
    size_t pages;        /* for a large block may change under the heap lock */
};

_Static_assert(sizeof(struct span) == 2 * CACHE_LINE, "one cache line for the owner, one for the others");

/* ---- Thread caches ----------------------------------------------------------------------------------- */

struct bin {
    struct span *first; /* where malloc pops; span_none when there is none.  The truth of quick and firsts */
    struct span *last;
    struct span
        *retained;  /* the one that stays even when it is empty, the largest that ever was; NULL: none */
    uint32_t spans; /* from first to last */
    uint8_t level;  /* size of the next new span: doubles as the class proves busy */
};

/* A way from a thread to its cache in another heap, by the heap's number; filled by pool/thread.c.  Each word is there
 * twice: who reads through cache_watched finds the second, for calls to other heaps are not watched. */
struct cache_slot {
    uint64_t id, same_id; /* 0: empty */
    struct cache *cache, *same_cache;
};

/* Pages that a thread gave back.  If they are still free when it wants as many again, they are the warmest to be had. */
struct given {
    struct arena *arena;
    uint32_t first; /* page */
    uint32_t pages; /* 0: nothing */
};

#define CACHE_GIVEN 128
#define CACHE_SLOTS 16
#define CACHE_MESSAGE_MAX 120

/* Flags of heap->watch and cache->seen; the bits above count the changes. */
#define WATCH_SAMPLE ((uint32_t)1) /* allocations are sampled: cache->sample_left counts down */
#define WATCH_ALL ((uint32_t)2)    /* every call is reported */
#define WATCH_MARKED ((uint32_t)4) /* frees of spans with is_marked are reported */
#define WATCH_HOOKS ((uint32_t)8)  /* every call goes through the interfaces of <cairn/hooks.h> first */
#define WATCH_EVERY (WATCH_ALL | WATCH_HOOKS)
#define WATCH_VEIL (WATCH_SAMPLE | WATCH_EVERY)
#define WATCH_FLAGS (WATCH_SAMPLE | WATCH_ALL | WATCH_MARKED) /* for which watchers are told */
#define WATCH_CHANGE ((uint32_t)16)

#define CACHE_TAGS_MAX 16

/* Written by its thread only, except `next_*`, `slot`, `held_as` and `in_use` (heap lock), the veil: see above,
 * and what pool/thread.h says.
 * Without a veil quick[i] == bins[class_of(8 * i)].first and firsts[i] == bins[i + FIRSTS_CLASS].first for every i;
 * with one all of them are span_none.  Caches lie at multiples of 16: bit 3 of a pointer is cache_watched's. */
struct cache {
    struct span *quick[QUICK_COUNT];
    struct span *firsts[CLASS_COUNT - FIRSTS_CLASS]; /* for the sizes above QUICK_SIZE_MAX */
    struct span *guard;                              /* span_none */
    size_t sample_left; /* bytes to allocate until the next sample; 0: no sampling, `sampled` means nothing */
    size_t sample_guard; /* 0: what cache_watched finds for sample_left */
    uint32_t seen;       /* of heap->watch: what the thread has followed */
    struct heap *heap;
    struct block *last_released; /* the block whose free released its span: a second free is told by it */
    uint32_t retained_pages;     /* in empty spans kept for the next allocation */
    uint32_t life;               /* which thread in the cache's history has it; rises when one ends; atomic */
    bool in_use;                 /* a living thread has it; for checks */
    struct cache **slot;         /* the word by which the thread finds it; NULL: it cannot be held */
    struct cache *held_as;       /* what stood in the slot before it was held */
    uint32_t tag_count;          /* scopes that the thread is in; while there is one, the cache is veiled */
    uint32_t inside;             /* calls of the thread that are passing through interfaces now */
    struct cairn_pool *tags[CACHE_TAGS_MAX]; /* where they allocate from, the innermost last */
    struct cache *next_all;                  /* every cache of the heap, ever */
    struct cache *next_idle;                 /* caches whose thread is gone */
    struct bin bins[CLASS_COUNT];
    uint32_t given_next;               /* where in `given` the next goes; heap lock */
    struct given given[CACHE_GIVEN];   /* the last spans released, round and round; heap lock */
    struct span *sampled[QUICK_COUNT]; /* what quick would be, while allocations are sampled */
    struct cache_slot
        slots[CACHE_SLOTS];    /* of the thread that has this cache in the process heap; see pool/thread.h */
    struct cache *own;         /* in a pool: the owner's cache in the process heap; NULL: nobody's; atomic */
    struct cache *pool_caches; /* in the process heap: the thread's caches in pools; pools lock */
    struct cache *next_of_thread; /* in that list */
    struct cache **to_of_thread;  /* the word in that list that leads here */
    char message
        [CACHE_MESSAGE_MAX]; /* in the process heap: the text of the thread's last failure, if composed */
};

/* ---- Arenas ------------------------------------------------------------------------------------------ */

/* One chunk's share in purging.  Under the heap lock. */
struct chunk {
    struct chunk *next,
        *previous;     /* in the heap's queue of chunks with free dirty pages, longest unused first */
    uint64_t freed_at; /* ms, when pages were freed here last */
    uint32_t
        room; /* no free run that starts here has more pages than this, up to CHUNK_PAGES; may be too high */
    uint16_t dirty;  /* free dirty pages */
    uint16_t purged; /* clean pages that were dirty once: reusing them means that purging was early */
    bool queued;
    struct arena *arena; /* constant */
};

/* Invariants: bits at and above `pages` are 0; chunk.dirty = number of pages with free and dirty set;
 * free_pages = number of pages with free set; a page that is not free belongs to exactly one span. */
struct arena {
    struct arena *next;    /* in the heap, in the order they came; heap lock */
    struct heap *heap;     /* constant */
    struct source *source; /* where it came from; constant */
    uintptr_t base;        /* constant */
    size_t pages;          /* now; grows and shrinks at the end if the source can */
    size_t capacity;       /* pages that the bit sets have room for; constant */
    size_t free_pages;
    size_t dirty_pages;   /* free dirty pages: the sum of chunk.dirty */
    size_t room;          /* no free run here is longer than this; may be too high */
    uint64_t *free;       /* one bit per page */
    uint64_t *dirty;      /* one bit per page; says something about free pages only */
    struct chunk *chunks; /* one per CHUNK_PAGES of the capacity */
    uint8_t *marks;       /* one byte per 16 bytes of pages, all 0 where nothing is live; NULL: none */
    uint64_t *kept; /* one bit per 16 bytes of pages: a block that was live when its span was adopted, which
                           * span_carve passes over; NULL: no span here was (persist/adopt.c has them) */
    size_t meta_mapped; /* bytes mapped for the bit sets and chunks; 0: they are in the common store */
    bool is_stale;      /* clean pages may hold old bytes: nothing here is known to be zero; constant */
};

/* ---- Heaps ------------------------------------------------------------------------------------------- */

/* Bytes; free_pages and live are derived when asked.  Under the heap lock; read relaxed elsewhere. */
struct heap_counts {
    size_t span_bytes;     /* pages in spans */
    size_t dirty_bytes;    /* free dirty pages */
    size_t meta_bytes;     /* metadata */
    size_t committed_peak; /* of the sum of the three */
    size_t reserved_bytes; /* in arenas */
    size_t large_bytes;    /* part of span_bytes that is in large blocks */
    size_t spans;
    size_t arenas;
    uint64_t allocs; /* of spans that are gone */
    uint64_t frees;
    uint64_t purged_bytes;
    uint64_t purges;
};

struct heap;

/* What a heap tells whoever keeps a record of its spans (a pool in a file).  Under the heap's lock. */
struct heap_events {
    void (*made)(struct heap *heap, struct span *span); /* it has its pages; none of its blocks is out yet */
    void (*released)(struct heap *heap, struct span *span); /* all is free; nobody else has its pages yet */
    void (*resized)(struct heap *heap, struct span *span,
                    size_t pages); /* a large block is to have so many now */
    /* Enters spans and free pages of an earlier process in the books, those of at least `pages` more pages; false:
     * all of them are. */
    bool (*look)(struct heap *heap, size_t pages);
};

struct heap_config {
    struct source *source;
    void *owner; /* what the heap is a part of; NULL: it is the process heap, or stands alone */
    struct source *meta_source;       /* of metadata in small pieces; NULL: the system */
    size_t meta_piece;                /* bytes of such a piece; 0: there is only what the store begins with */
    const char *name;                 /* of the mappings; NULL: what the source calls them */
    const struct heap_events *events; /* NULL: nobody listens */
    bool marks;          /* arenas have liveness marks; who allocates and frees sets them (pool/slab.c) */
    bool map_all;        /* the page map knows all pages of large blocks, not only the first */
    uint32_t least_size; /* of a block: 8 or 16 */
    size_t limit_hard;   /* committed bytes; SIZE_MAX: none */
    size_t limit_soft;
    uint32_t purge_delay; /* ms that free pages may stay dirty while the heap is in use */
    uint32_t keep_shift;  /* up to span_bytes >> keep_shift may stay dirty at any time */
    size_t keep_least;    /* and at least this much */
};

/* The store of descriptors and thread caches: a bump allocator that never gives back, with a free list for
 * each kind.  Under the heap lock. */
struct meta_store {
    char *at, *end;
    struct meta_piece *pieces; /* all, for heap_destroy */
    struct span *free_spans;
    struct cache *idle_caches;
    struct arena *free_arenas; /* descriptors of released arenas, with their bit sets if in the store */
};

struct heap {
    struct lock lock;
    struct heap_config config;
    struct arena *arenas;
    struct arena *last_arena;
    struct meta_store meta;
    struct cache *all_caches; /* every one ever made; read without the lock */
    size_t caches_in_use;
    struct chunk *dirty_first, *dirty_last; /* the queue of chunks to purge */
    struct purging *purging;                /* chunks on their way to the system now (purge.c) */
    size_t
        replaced_bytes; /* in spans whose contents are on their way to another: not counted against limits */
    size_t keep_boost;  /* bytes that may stay dirty on top, because purged pages were soon needed again */
    uint64_t boost_at;  /* ms, when keep_boost last changed */
    uint64_t purged_at; /* ms, of the last purge */
    struct span *shared_first[CLASS_COUNT], *shared_last[CLASS_COUNT];
    struct span *lost;      /* large spans that a failed resize left, with pages perhaps not mapped */
    uint32_t watch;         /* WATCH_* and the count of changes; atomic */
    bool has_oversized;     /* a realloc left a block larger than its size asks for; atomic */
    const void *last_large; /* the large block freed last; atomic */
    struct lock late_lock;  /* for `late` */
    struct cache *late;     /* shared by threads whose own cache is already gone */
    struct heap_counts counts;
};

#endif
