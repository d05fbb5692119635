/* profile.c - see profile.h. */
#include "observe/profile.h"

#include "base/chance.h"
#include "observe/stack.h"
#include "observe/watch.h"
#include "os/os.h"
#include "os/report.h"

#include <string.h>

#define PIECE (256 * KiB)    /* mapped at a time */
#define BUCKETS 16384        /* of sites, of locations */
#define LIVE_LEAST (1 << 12) /* heads of the live samples' table at first */
#define LOCK_TRIES 20
#define DEPTH_MAX STACK_DEPTH_MAX

/* A block that is live and known. */
struct sample {
    struct sample *next; /* in its bucket, or of the free ones */
    void *block;
    struct site *site;
    uint64_t blocks, bytes; /* what it stands for, in parts */
};

struct profile_settings profile_settings;
static struct heap *profiled; /* constant after profile_begin */

/* Under the lock, but for what readers without it follow: the lists of sites and locations. */
static struct {
    struct lock lock;
    char *at, *end; /* of the piece in use */
    struct site *site_buckets[BUCKETS], *sites;
    struct location *location_buckets[BUCKETS], *locations;
    struct sample **live;
    size_t live_heads, live_count;
    struct sample *free_samples;
    size_t interval; /* 1: every block; atomic */
    uint64_t started_at;
    uint32_t is_on, was_on; /* atomic */
} books = {.lock = {.rank = LOCK_RANK_WATCH}};

/* ---- Memory -------------------------------------------------------------------------------------- */

static void *take(size_t size)
{
    size = align_up(size, 16);
    if ((size_t)(books.end - books.at) < size) {
        char *piece = size <= PIECE ? os_map(NULL, PIECE) : NULL;
        if (piece == NULL)
            return NULL;
        os_name(piece, PIECE, "cairn profile");
        books.at = piece;
        books.end = piece + PIECE;
    }
    void *got = books.at;
    books.at += size;
    return got;
}

/* ---- Sites and locations ------------------------------------------------------------------------- */

static uint64_t hash_of(const uintptr_t *callers, unsigned depth)
{
    uint64_t hash = depth;
    for (unsigned i = 0; i < depth; i++) {
        hash = (hash ^ callers[i]) * UINT64_C(0x9fb21c651e98df25);
        hash ^= hash >> 29;
    }
    return hash;
}

static bool enter_location(uintptr_t address)
{
    struct location **bucket = &books.location_buckets[hash_of(&address, 1) % BUCKETS];
    for (struct location *at = *bucket; at != NULL; at = at->next_in_bucket)
        if (at->address == address)
            return true;
    struct location *fresh = take(sizeof *fresh);
    if (fresh == NULL)
        return false;
    *fresh = (struct location){*bucket, books.locations, address};
    *bucket = fresh;
    store_release(&books.locations, fresh); /* pairs with profile_locations */
    return true;
}

static struct site *site_of(const uintptr_t *callers, unsigned depth)
{
    uint64_t hash = hash_of(callers, depth);
    struct site **bucket = &books.site_buckets[hash % BUCKETS];
    for (struct site *at = *bucket; at != NULL; at = at->next_in_bucket)
        if (at->hash == hash && at->depth == depth &&
            memcmp(at->callers, callers, depth * sizeof *callers) == 0)
            return at;
    for (unsigned i = 0; i < depth; i++)
        if (!enter_location(callers[i]))
            return NULL;
    struct site *fresh = take(sizeof *fresh + depth * sizeof *callers);
    if (fresh == NULL)
        return NULL;
    *fresh = (struct site){.next_in_bucket = *bucket, .next = books.sites, .hash = hash, .depth = depth};
    memcpy(fresh->callers, callers, depth * sizeof *callers);
    *bucket = fresh;
    store_release(&books.sites, fresh); /* pairs with profile_sites */
    return fresh;
}

const struct site *profile_sites(void)
{
    return load_acquire(&books.sites); /* pairs with site_of */
}

const struct location *profile_locations(void)
{
    return load_acquire(&books.locations); /* pairs with enter_location */
}

size_t profile_interval(void)
{
    return load_relaxed(&books.interval);
}

uint64_t profile_started_at(void)
{
    return load_relaxed(&books.started_at);
}

/* ---- Live samples -------------------------------------------------------------------------------- */

static struct sample **bucket_of(const void *block)
{
    uintptr_t address = (uintptr_t)block;
    return &books.live[hash_of(&address, 1) & (books.live_heads - 1)];
}

/* Doubles the table; without memory the chains grow longer instead. */
static void grow_live(void)
{
    size_t heads = books.live_heads > 0 ? 2 * books.live_heads : LIVE_LEAST;
    struct sample **old = books.live, **fresh = os_map(NULL, heads * sizeof(struct sample *));
    size_t old_heads = books.live_heads;
    if (fresh == NULL)
        return;
    os_name(fresh, heads * sizeof(struct sample *), "cairn profile");
    books.live = fresh;
    books.live_heads = heads;
    for (size_t i = 0; i < old_heads; i++)
        for (struct sample *at = old[i], *next; at != NULL; at = next) {
            next = at->next;
            struct sample **bucket = bucket_of(at->block);
            at->next = *bucket;
            *bucket = at;
        }
    if (old != NULL)
        (void)os_unmap(old, old_heads * sizeof(struct sample *));
}

static void enter_live(struct sample *sample)
{
    if (books.live_count >= books.live_heads)
        grow_live();
    if (books.live_heads == 0) {
        sample->next = books.free_samples;
        books.free_samples = sample;
        return;
    }
    struct sample **bucket = bucket_of(sample->block);
    sample->next = *bucket;
    *bucket = sample;
    books.live_count++;
    count_up(&sample->site->live_blocks, sample->blocks);
    count_up(&sample->site->live_bytes, sample->bytes);
}

/* Out of the books, but not yet among the free ones; NULL: not known. */
static struct sample *leave_live(const void *block)
{
    if (books.live_heads == 0)
        return NULL;
    for (struct sample **link = bucket_of(block); *link != NULL; link = &(*link)->next) {
        struct sample *sample = *link;
        if (sample->block != block)
            continue;
        *link = sample->next;
        books.live_count--;
        count_down(&sample->site->live_blocks, sample->blocks);
        count_down(&sample->site->live_bytes, sample->bytes);
        return sample;
    }
    return NULL;
}

static void drop(struct sample *sample)
{
    if (sample == NULL)
        return;
    sample->next = books.free_samples;
    books.free_samples = sample;
}

/* ---- What watch.h tells -------------------------------------------------------------------------- */

/* In parts; what one sampled block of this size stands for. */
static uint64_t blocks_stood_for(size_t size, size_t interval)
{
    const double parts = (double)(1 << PROFILE_PARTS_LOG2);
    return (uint64_t)(interval == 1 ? parts : parts / chance_of_hit(size, interval) + 0.5);
}

static void enter(void *block, size_t size, const uintptr_t *callers, unsigned depth)
{
    struct sample *sample = books.free_samples;
    struct site *site = site_of(callers, depth);
    if (sample != NULL)
        books.free_samples = sample->next;
    else
        sample = take(sizeof *sample);
    if (site == NULL || sample == NULL) {
        drop(sample);
        return;
    }
    uint64_t blocks = blocks_stood_for(size, books.interval);
    *sample = (struct sample){NULL, block, site, blocks, blocks * size};
    count_up(&site->blocks, sample->blocks);
    count_up(&site->bytes, sample->bytes);
    enter_live(sample);
}

static void on_allocated(struct watcher *self, void *block, size_t size, size_t align)
{
    (void)self;
    (void)align;
    uintptr_t callers[DEPTH_MAX];
    unsigned depth = stack_capture(callers, DEPTH_MAX);
    lock_take(&books.lock);
    if (load_relaxed(&books.is_on)) {
        drop(leave_live(block)); /* of a time when frees were not told */
        enter(block, size, callers, depth);
    }
    lock_release(&books.lock);
}

static void on_freed(struct watcher *self, void *block)
{
    (void)self;
    lock_take(&books.lock);
    drop(leave_live(block));
    lock_release(&books.lock);
}

static void *on_moving(struct watcher *self, void *block)
{
    (void)self;
    lock_take(&books.lock);
    struct sample *sample = leave_live(block);
    lock_release(&books.lock);
    return sample;
}

/* A sample's new block comes as a new sample, if at all. */
static void on_sample_moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    (void)self;
    (void)old;
    (void)size;
    lock_take(&books.lock);
    if (known != NULL && block == NULL)
        enter_live(known);
    else
        drop(known);
    lock_release(&books.lock);
}

/* When every block is told: a realloc is the end of one and the beginning of another, as it is to the sampler. */
static void on_moved(struct watcher *self, void *known, void *old, void *block, size_t size)
{
    on_sample_moved(self, known, old, block, size);
    if (block != NULL)
        on_allocated(self, block, size, 0);
}

static void on_fork(struct watcher *self, enum watch_fork when)
{
    (void)self;
    static bool held; /* the sampler and the watcher share the lock */
    if (when == FORK_BEFORE && !held) {
        held = true;
        lock_take_for_fork(&books.lock);
    } else if (when != FORK_BEFORE && held) {
        held = false;
        lock_release_after_fork(&books.lock);
    }
    if (when == FORK_CHILD)
        chance_seed(os_process_id());
}

static size_t next_distance(struct sampler *self)
{
    (void)self;
    return chance_distance(load_relaxed(&books.interval));
}

static struct sampler sampler = {{on_allocated, on_freed, on_moving, on_sample_moved, on_fork},
                                 next_distance};
static struct watcher every_block = {on_allocated, on_freed, on_moving, on_moved, on_fork};

/* ---- On and off ---------------------------------------------------------------------------------- */

/* Under the lock. */
static void forget(void)
{
    for (size_t i = 0; i < books.live_heads; i++)
        while (books.live[i] != NULL)
            drop(leave_live(books.live[i]->block));
    for (struct site *site = books.sites; site != NULL; site = site->next) {
        store_relaxed(&site->blocks, 0);
        store_relaxed(&site->bytes, 0);
    }
}

/* A signal may have stopped the thread that has the lock. */
static bool lock_patiently(void)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (lock_try(&books.lock))
            return true;
        os_yield();
    }
    return false;
}

static void switch_off(struct heap *heap)
{
    watch_sample_stop(heap);
    watch_stop(heap, &every_block);
}

enum profile_started profile_start(struct heap *heap, size_t interval)
{
    if (!lock_patiently())
        return PROFILE_BUSY;
    switch_off(heap);
    forget();
    store_relaxed(&books.interval, interval < PROFILE_EVERY_BLOCK ? 1 : interval);
    store_relaxed(&books.started_at, os_unix_ns());
    store_relaxed(&books.is_on, 1);
    store_relaxed(&books.was_on, 1);
    chance_seed(os_unix_ns());
    bool good = true;
    if (books.interval > 1)
        watch_sample(heap, &sampler);
    else
        good = watch_start(heap, &every_block);
    lock_release(&books.lock);
    return good ? PROFILE_STARTED : PROFILE_NO_PLACE;
}

void profile_stop(struct heap *heap)
{
    store_relaxed(&books.is_on, 0);
    switch_off(heap);
}

bool profile_is_on(void)
{
    return load_relaxed(&books.is_on) != 0;
}

/* ---- By option, by signal, at exit --------------------------------------------------------------- */

static void write_where_asked(void)
{
    char name[PROFILE_FILE_MAX + 16];
    os_expand_name(name, sizeof name, profile_settings.file);
    int fd = os_create_file(name);
    if (fd < 0) {
        report_warning("cannot write the profile to", name);
        return;
    }
    if (!profile_write(fd, profile_settings.text ? PROFILE_TEXT : PROFILE_PPROF))
        report_warning("the profile is not whole", name);
    os_close(fd);
}

/* The first signal starts a profile, the next writes it and stops. */
static void on_signal(int number)
{
    (void)number;
    int saved = os_errno_get();
    if (profile_is_on()) {
        profile_stop(profiled);
        write_where_asked();
    } else if (profile_start(profiled, profile_settings.interval) != PROFILE_STARTED) {
        report_warning("profile", "its books were in use when the signal came; send it again");
    }
    os_errno_set(saved);
}

void profile_begin(struct heap *heap)
{
    profiled = heap;
    if (profile_settings.signal != 0 && !os_on_signal(profile_settings.signal, on_signal))
        report_warning("profile_signal", "the system does not allow a handler for this signal");
    if (profile_settings.at_start && profile_start(heap, profile_settings.interval) != PROFILE_STARTED)
        report_warning("profile", "cannot be started");
}

/* Only if it is on by then: what was stopped by call or signal has been written by whoever stopped it. */
void profile_exit(void)
{
    if (profile_settings.at_start && profile_is_on())
        write_where_asked();
}
