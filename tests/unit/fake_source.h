/* fake_source.h - a source for tests: ranges out of one region of zero pages, counted, and refused on demand.
 *
 * With growth 0 it is like mmap: ranges of a fixed size that can be released.  With growth it is like the
 * program break: a range has that much room to extend into, and shrinks from its end.  What it takes back it
 * really empties, so that "zero" can be verified by reading the memory. */
#ifndef TESTS_UNIT_FAKE_SOURCE_H
#define TESTS_UNIT_FAKE_SOURCE_H

#include "source/source.h"
#include "unit/unit.h"

#define FAKE_RANGES 256
#define FAKE_ALIGN (4 * MiB)

struct fake_range {
    char *base;
    size_t size, room; /* room: as far as extend may go */
};

struct fake {
    struct source source; /* first, so that a call finds the rest */
    char *region;
    size_t region_size, used;
    struct fake_range ranges[FAKE_RANGES];
    size_t count;
    unsigned reserves, extends, shrinks, releases, purges, moves, renews;
    bool refuse_reserve, refuse_extend, refuse_shrink, refuse_release, refuse_purge, refuse_move,
        refuse_renew;
    size_t extend_at_most; /* 0: any */
    bool lazy;             /* leaves old bytes behind: for tests that do not look at them */
    void (*during_purge)(void *base, size_t size); /* called in purge, when the heap's lock is open */
};

static inline void fake_empty(struct fake *fake, void *base, size_t size)
{
    if (!fake->lazy && size > 0)
        CHECK(madvise(base, size, MADV_DONTNEED) == 0);
}

/* The range that [base, base + size) lies in. */
static inline struct fake_range *fake_range_of(struct fake *fake, const void *base, size_t size)
{
    for (size_t i = 0; i < fake->count; i++) {
        struct fake_range *r = &fake->ranges[i];
        if (r->base <= (const char *)base && (const char *)base + size <= r->base + r->size)
            return r;
    }
    CHECKF(false, "%p with %zu bytes is in no range", base, size);
    return NULL;
}

static inline void *fake_reserve(struct source *source, size_t size, size_t align)
{
    struct fake *fake = (struct fake *)source;
    CHECKF(size > 0 && size % 4096 == 0 && align >= 4096 && (align & (align - 1)) == 0, "%zu, %zu", size,
           align);
    fake->reserves++;
    uintptr_t base = ((uintptr_t)fake->region + fake->used + align - 1) & ~(uintptr_t)(align - 1);
    size_t room = size > source->growth ? size : source->growth;
    size_t end = base - (uintptr_t)fake->region + room;
    if (fake->refuse_reserve || end > fake->region_size || fake->count == FAKE_RANGES)
        return NULL;
    fake->used = end;
    fake->ranges[fake->count++] = (struct fake_range){(char *)base, size, room};
    return (void *)base;
}

static inline bool fake_extend(struct source *source, void *end, size_t size)
{
    struct fake *fake = (struct fake *)source;
    fake->extends++;
    for (size_t i = 0; i < fake->count; i++) {
        struct fake_range *r = &fake->ranges[i];
        if (r->base + r->size != end)
            continue;
        CHECKF(r->size + size <= r->room, "extend to %zu of %zu", r->size + size, r->room);
        if (fake->refuse_extend || (fake->extend_at_most != 0 && size > fake->extend_at_most))
            return false;
        r->size += size;
        return true;
    }
    CHECKF(false, "no range ends at %p", end);
    return false;
}

static inline bool fake_shrink(struct source *source, void *end, size_t size)
{
    struct fake *fake = (struct fake *)source;
    struct fake_range *r = fake_range_of(fake, (char *)end - size, size);
    CHECK(r->base + r->size == end);
    fake->shrinks++;
    if (fake->refuse_shrink)
        return false;
    r->size -= size;
    fake_empty(fake, (char *)end - size, size);
    return true;
}

static inline bool fake_release(struct source *source, void *base, size_t size)
{
    struct fake *fake = (struct fake *)source;
    struct fake_range *r = fake_range_of(fake, base, size);
    CHECK(r->base == base && r->size == size);
    fake->releases++;
    fake_empty(fake, base, size);
    if (fake->refuse_release)
        return false;
    if (r->base + r->room == fake->region + fake->used)
        fake->used = (size_t)(r->base - fake->region);
    *r = fake->ranges[--fake->count];
    return true;
}

static inline bool fake_purge(struct source *source, void *base, size_t size)
{
    struct fake *fake = (struct fake *)source;
    fake_range_of(fake, base, size);
    fake->purges++;
    if (fake->during_purge != NULL)
        fake->during_purge(base, size);
    if (fake->refuse_purge)
        return false;
    fake_empty(fake, base, size);
    return true;
}

static inline bool fake_move(struct source *source, void *from, void *to, size_t size)
{
    struct fake *fake = (struct fake *)source;
    fake_range_of(fake, from, size);
    fake_range_of(fake, to, size);
    fake->moves++;
    if (fake->refuse_move)
        return false;
    memcpy(to, from, size);
    fake_empty(fake, from, size);
    return true;
}

static inline bool fake_renew(struct source *source, void *base, size_t size)
{
    struct fake *fake = (struct fake *)source;
    fake_range_of(fake, base, size);
    fake->renews++;
    if (fake->refuse_renew)
        return false;
    fake_empty(fake, base, size);
    return true;
}

/* Forgets all ranges; the region stays. */
static inline void fake_reset(struct fake *fake)
{
    fake_empty(fake, fake->region, fake->used);
    fake->used = fake->count = 0;
}

/* `growth` 0: ranges of a fixed size. */
static inline void fake_init(struct fake *fake, size_t region_size, size_t growth)
{
    memset(fake, 0, sizeof *fake);
    fake->source = (struct source){
        .name = "fake",
        .reserve = fake_reserve,
        .extend = growth != 0 ? fake_extend : NULL,
        .shrink = growth != 0 ? fake_shrink : NULL,
        .release = fake_release,
        .purge = fake_purge,
        .move = fake_move,
        .renew = fake_renew,
        .growth = growth,
        .align = growth != 0 ? 4096 : FAKE_ALIGN,
        .step = growth != 0 ? 256 * KiB : FAKE_ALIGN,
    };
    char *got = check_table(region_size + FAKE_ALIGN);
    fake->region = (char *)(((uintptr_t)got + FAKE_ALIGN - 1) & ~(uintptr_t)(FAKE_ALIGN - 1));
    fake->region_size = region_size;
}

static inline void fake_done(struct fake *fake)
{
    CHECK(munmap(fake->region, fake->region_size) == 0);
}

#endif
