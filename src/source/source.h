/* source.h - where a heap's pages come from.
 *
 * A source hands out address ranges and takes them back; it knows nothing of spans or blocks.  What it
 * hands out is readable, writable and zero.  Calls are made under the lock of the heap that owns the
 * source, except purge and move, which touch only pages that the caller has to itself.
 *
 *   reserve   a range of at least `size` bytes, aligned to `align` (a power of two, at least a page)
 *   extend    more bytes directly behind `end`, the end of a range handed out earlier; may be NULL
 *   shrink    takes the last `size` bytes before `end` back; may be NULL
 *   release   takes a whole range back; false when it has to stay (its pages were purged then, but for keeps_old)
 *   purge     lets the system have the pages' memory; they read as zero afterwards; NULL: never
 *   move      moves pages from one place to another, leaving zero pages behind; may be NULL
 *   renew     puts fresh pages in place of moved ones, so that mappings can merge again; may be NULL
 *   commit    makes fresh or purged pages usable; NULL: they are
 *   is_stale  whether a range just reserved may hold old bytes; NULL: it is zero, and purged pages are too
 *
 * Sources here: os (mmap), brk (the program break); more in pool/.  Called by engine/grow.c, arena.c, purge.c and
 * large.c. */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/base.h"

struct source {
    const char *name;
    void *(*reserve)(struct source *source, size_t size, size_t align);
    bool (*extend)(struct source *source, void *end, size_t size);
    bool (*shrink)(struct source *source, void *end, size_t size);
    bool (*release)(struct source *source, void *base, size_t size);
    bool (*purge)(struct source *source, void *base, size_t size);
    bool (*move)(struct source *source, void *from, void *to, size_t size);
    bool (*renew)(struct source *source, void *base, size_t size);
    bool (*commit)(struct source *source, void *base, size_t size);
    bool (*is_stale)(struct source *source, void *base, size_t size);
    void *context;           /* of the callbacks */
    struct source *fallback; /* asked when this one can reserve no more; NULL: none */
    size_t growth;           /* bytes that a range may grow to by extend; 0: ranges have a fixed size */
    size_t step;             /* least bytes to reserve or extend by */
    size_t align;            /* of a range, at least; a power of two */
    size_t unit;             /* ranges are multiples of it; 0: the engine's choice */
    bool splits;             /* release takes any part of a range, in multiples of `align` */
    bool keeps_old;          /* a range that release leaves has its contents still */
    size_t largest;          /* no range is made larger than this without need; 0: the engine's choice */
};

extern struct source source_os;
extern struct source source_brk;

#endif
