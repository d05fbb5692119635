/* grains.c - the memory of an arena, grain by grain.
 *
 *   grain   used spare   memory
 *   free     0    0      address space only
 *   spare    0    1      committed, contents undefined
 *   used     1    0      committed, a pool's (or the control pool's)
 *
 * Low requests take the lowest run that is not used, high ones the highest, so that the two meet only when a chunk
 * is full.  Client memory is never spare: what pools give back counts as not committed at once. */
#include "impl.h"

#include <string.h>
#include <sys/mman.h>

#define MPS_FILE "grains.c"
#define WORD 64
#define STORE_CHUNK ((size_t)1 << 20)

__thread mps_res_t mps_impl_refusal;

/* ---- Bits ------------------------------------------------------------------------------------------ */

static bool bit(const uint64_t *bits, size_t i)
{
    return (bits[i / WORD] >> (i % WORD)) & 1;
}

static void put_bit(uint64_t *bits, size_t i, bool value)
{
    uint64_t mask = UINT64_C(1) << (i % WORD);
    bits[i / WORD] = value ? bits[i / WORD] | mask : bits[i / WORD] & ~mask;
}

/* The lowest grain from which `count` are not used, at a multiple of `align` bytes; SIZE_MAX: none. */
static size_t find_low(const struct chunk *chunk, size_t grain, size_t count, size_t align)
{
    for (size_t i = 0, run = 0; i < chunk->grains;) {
        if (i % WORD == 0 && chunk->used[i / WORD] == ~UINT64_C(0)) {
            run = 0;
            i += WORD;
            continue;
        }
        bool start = run > 0 || ((uintptr_t)chunk->base + i * grain) % align == 0;
        run = !bit(chunk->used, i) && start ? run + 1 : 0;
        i++;
        if (run == count)
            return i - count;
    }
    return SIZE_MAX;
}

/* The highest. */
static size_t find_high(const struct chunk *chunk, size_t grain, size_t count, size_t align)
{
    for (size_t i = chunk->grains, run = 0; i > 0;) {
        if (i % WORD == 0 && chunk->used[i / WORD - 1] == ~UINT64_C(0)) {
            run = 0;
            i -= WORD;
            continue;
        }
        i--;
        run = bit(chunk->used, i) ? 0 : run + 1;
        if (run >= count && ((uintptr_t)chunk->base + i * grain) % align == 0)
            return i;
    }
    return SIZE_MAX;
}

/* ---- Memory of the system --------------------------------------------------------------------------- */

static bool commit(void *base, size_t size)
{
    return mprotect(base, size, PROT_READ | PROT_WRITE) == 0;
}

static bool decommit(void *base, size_t size)
{
    return mmap(base, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
           MAP_FAILED;
}

static bool is_client(const struct mps_arena_s *arena)
{
    return arena->arena_class->client;
}

/* Spare, and not about to be used (take). */
static bool is_spare(const struct chunk *chunk, size_t i)
{
    return bit(chunk->spare, i) && !bit(chunk->used, i);
}

/* Gives spare grains of one chunk back, from the highest on; returns the bytes. */
static size_t purge_chunk(mps_arena_t arena, struct chunk *chunk, size_t bytes)
{
    size_t purged = 0;
    for (size_t i = chunk->grains; i > 0 && purged < bytes;) {
        if (i % WORD == 0 && (chunk->spare[i / WORD - 1] & ~chunk->used[i / WORD - 1]) == 0) {
            i -= WORD;
            continue;
        }
        size_t end = i;
        while (i > 0 && is_spare(chunk, i - 1) && purged + (end - i) * arena->grain < bytes)
            i--;
        if (i == end) {
            i--;
            continue;
        }
        if (!decommit(chunk->base + i * arena->grain, (end - i) * arena->grain))
            return purged;
        for (size_t k = i; k < end; k++)
            put_bit(chunk->spare, k, false);
        purged += (end - i) * arena->grain;
    }
    return purged;
}

void grains_purge(mps_arena_t arena, size_t bytes)
{
    while (bytes > 0 && arena->spare_bytes > 0) {
        size_t purged = 0;
        for (struct chunk *c = arena->chunks; c != NULL && purged < bytes; c = c->next)
            purged += purge_chunk(arena, c, bytes - purged);
        arena->spare_bytes -= purged;
        bytes -= purged < bytes ? purged : bytes;
        if (purged == 0)
            return;
    }
}

void grains_trim(mps_arena_t arena)
{
    double over = (double)arena->spare_bytes - arena->spare * (double)arena_committed(arena);
    if (over <= 0 || arena->spare_bytes == 0)
        return;
    /* spare - x <= part * (committed - x) */
    double bytes = over / (1 - arena->spare);
    size_t whole = bytes >= (double)arena->spare_bytes ? arena->spare_bytes : (size_t)bytes + 1;
    grains_purge(arena, whole);
}

/* ---- Chunks ----------------------------------------------------------------------------------------- */

static size_t head_bytes(size_t front, size_t grains)
{
    return front + round_up(sizeof(struct chunk), 16) + 2 * ((grains + WORD - 1) / WORD) * sizeof(uint64_t);
}

/* The chunk lies `front` bytes into its head, which for the first chunk begins with the arena. */
mps_res_t chunk_make(struct chunk **chunk_o, mps_arena_t arena, size_t front, char *base, size_t size)
{
    bool client = base != NULL;
    size_t grain = arena->grain;
    char *mapping = base;
    if (!client) {
        mapping = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (mapping == MAP_FAILED)
            return MPS_RES_RESOURCE;
    }
    char *start = (char *)round_up((uintptr_t)mapping, 16);
    size_t most = size / grain, head = head_bytes(front, most);
    char *first = (char *)round_up((uintptr_t)start + head, grain);
    if (first > mapping + size || (size_t)(mapping + size - first) < grain) {
        if (!client)
            (void)munmap(mapping, size); /* nothing is lost but address space */
        return MPS_RES_MEMORY;
    }
    if (!client && !commit(mapping, (size_t)(first - mapping))) {
        (void)munmap(mapping, size);
        return MPS_RES_MEMORY;
    }
    memset(start, 0, head);
    struct chunk *chunk = (struct chunk *)(void *)(start + front);
    chunk->base = first;
    chunk->mapping = mapping;
    chunk->size = size;
    chunk->grains = (size_t)(mapping + size - first) / grain;
    chunk->used = (uint64_t *)(void *)((char *)chunk + round_up(sizeof *chunk, 16));
    chunk->spare = chunk->used + (most + WORD - 1) / WORD;
    *chunk_o = chunk;
    return MPS_RES_OK;
}

mps_res_t chunk_add(mps_arena_t arena, char *base, size_t size, bool store)
{
    struct chunk *chunk, **at = &arena->chunks;
    mps_res_t res = chunk_make(&chunk, arena, 0, base, size);
    if (res != MPS_RES_OK)
        return res;
    chunk->store = store;
    while (*at != NULL && (*at)->base < chunk->base)
        at = &(*at)->next;
    chunk->next = *at;
    *at = chunk;
    arena->reserved += size;
    arena->heads += (size_t)(chunk->base - chunk->mapping);
    if (arena->extended != NULL)
        arena->extended(arena, chunk->mapping, size);
    return MPS_RES_OK;
}

void chunk_drop(struct chunk *chunk, bool client)
{
    if (!client)
        (void)munmap(chunk->mapping, chunk->size); /* what the system keeps is lost */
}

/* More address space for a VM arena: what it is set to grow by, less if that cannot be had. */
static mps_res_t grow(mps_arena_t arena, size_t size, size_t align, bool store)
{
    if (is_client(arena) || size > PTRDIFF_MAX / 2 || align > PTRDIFF_MAX / 4)
        return MPS_RES_RESOURCE;
    size_t need = size + align, grain = arena->grain;
    /* The head has two bits for each grain. */
    need = round_up(need + need / grain / 2 + head_bytes(0, 0) + 2 * grain, grain);
    if (store)
        return chunk_add(arena, NULL, need > STORE_CHUNK ? need : round_up(STORE_CHUNK, grain), true);
    size_t least = arena->growth_minimum > need ? round_up(arena->growth_minimum, grain) : need;
    size_t wish = arena->growth_desired > least ? round_up(arena->growth_desired, grain) : least;
    mps_res_t res = chunk_add(arena, NULL, wish, false);
    for (; res != MPS_RES_OK && wish > least; res = chunk_add(arena, NULL, wish, false))
        wish = wish / 2 > least ? round_up(wish / 2, grain) : least;
    return res;
}

/* ---- Getting and giving ------------------------------------------------------------------------------- */

/* Bytes of the run that are not committed yet; they become used, spare ones stop being that. */
static size_t enter(mps_arena_t arena, struct chunk *chunk, size_t first, size_t count)
{
    size_t fresh = 0;
    for (size_t i = first; i < first + count; i++) {
        if (!bit(chunk->spare, i))
            fresh += arena->grain;
        put_bit(chunk->used, i, true);
    }
    return fresh;
}

static mps_res_t commit_run(mps_arena_t arena, struct chunk *chunk, size_t first, size_t count)
{
    for (size_t i = first, end; !is_client(arena) && i < first + count; i = end) {
        bool spare = bit(chunk->spare, i);
        for (end = i + 1; end < first + count && bit(chunk->spare, end) == spare; end++)
            continue;
        if (!spare && !commit(chunk->base + i * arena->grain, (end - i) * arena->grain))
            return MPS_RES_MEMORY; /* what was committed is not counted, and will be again or go with its neighbours */
    }
    return MPS_RES_OK;
}

/* Takes a run that is not used.  Spare memory elsewhere goes first when the limit calls for it. */
static mps_res_t take(mps_arena_t arena, struct chunk *chunk, size_t first, size_t count)
{
    size_t bytes = count * arena->grain, fresh = enter(arena, chunk, first, count);
    mps_res_t res = MPS_RES_OK;
    arena->spare_bytes -= bytes - fresh;
    size_t after = arena_committed(arena) + bytes;
    if (after > arena->commit_limit && after - arena->commit_limit <= arena->spare_bytes) {
        grains_purge(arena, after - arena->commit_limit);
        after = arena_committed(arena) + bytes;
    }
    if (after > arena->commit_limit)
        res = MPS_RES_COMMIT_LIMIT;
    if (res == MPS_RES_OK)
        res = commit_run(arena, chunk, first, count);
    for (size_t i = first; i < first + count; i++)
        put_bit(res == MPS_RES_OK ? chunk->spare : chunk->used, i, false);
    if (res == MPS_RES_OK) {
        arena->used += bytes;
        chunk->used_count += count;
    } else {
        arena->spare_bytes += bytes - fresh;
    }
    return res;
}

static struct chunk *find(const struct grains *grains, size_t count, size_t align, size_t *first)
{
    struct chunk *found = NULL;
    mps_arena_t arena = grains->arena;
    for (struct chunk *c = arena->chunks; c != NULL; c = c->next) {
        if (c->grains - c->used_count < count || (c->store != grains->store && !is_client(arena)))
            continue;
        size_t at =
            grains->high ? find_high(c, arena->grain, count, align) : find_low(c, arena->grain, count, align);
        if (at == SIZE_MAX)
            continue;
        *first = at;
        found = c;
        if (!grains->high)
            break;
    }
    return found;
}

static bool has_pattern(const char *base, size_t size, const char *pattern, size_t pattern_size)
{
    size_t phase = (uintptr_t)base % pattern_size;
    for (size_t i = 0; i < size; i++, phase = phase + 1 == pattern_size ? 0 : phase + 1)
        if (base[i] != pattern[phase])
            return false;
    return true;
}

static void fill_pattern(char *base, size_t size, const char *pattern, size_t pattern_size)
{
    size_t phase = (uintptr_t)base % pattern_size;
    for (size_t i = 0; i < size; i++, phase = phase + 1 == pattern_size ? 0 : phase + 1)
        base[i] = pattern[phase];
}

void *grains_get(struct grains *grains, size_t size, size_t align)
{
    mps_arena_t arena = grains->arena;
    size_t first = 0;
    mps_res_t res = MPS_RES_OK;
    char *got = NULL;
    pthread_mutex_lock(&arena->lock);
    size_t count = round_up(size, arena->grain) / arena->grain;
    struct chunk *chunk = find(grains, count, align, &first);
    if (chunk == NULL && arena->commit_limit - arena_committed(arena) + arena->spare_bytes < size &&
        arena->commit_limit >= arena_committed(arena))
        res = MPS_RES_COMMIT_LIMIT; /* address space would not help */
    else if (chunk == NULL)
        res = grow(arena, size, align, grains->store);
    if (chunk == NULL && res == MPS_RES_OK)
        chunk = find(grains, count, align, &first);
    if (res == MPS_RES_OK)
        res = chunk != NULL ? take(arena, chunk, first, count) : MPS_RES_RESOURCE;
    if (res == MPS_RES_OK) {
        got = chunk->base + first * arena->grain;
        grains->bytes += count * arena->grain;
    }
    pthread_mutex_unlock(&arena->lock);
    mps_impl_refusal = res;
    if (got != NULL && grains->free_pattern != NULL)
        fill_pattern(got, count * arena->grain, grains->free_pattern, grains->free_size);
    return got;
}

void grains_give(struct grains *grains, void *base, size_t size)
{
    mps_arena_t arena = grains->arena;
    if (grains->free_pattern != NULL && !has_pattern(base, size, grains->free_pattern, grains->free_size))
        grains->corrupt = true;
    pthread_mutex_lock(&arena->lock);
    struct chunk *chunk = arena->chunks;
    while ((size_t)((char *)base - chunk->base) >= chunk->grains * arena->grain)
        chunk = chunk->next;
    size_t first = (size_t)((char *)base - chunk->base) / arena->grain, count = size / arena->grain;
    for (size_t i = first; i < first + count; i++) {
        put_bit(chunk->used, i, false);
        put_bit(chunk->spare, i, !is_client(arena));
    }
    chunk->used_count -= count;
    arena->used -= size;
    grains->bytes -= size;
    if (!is_client(arena))
        arena->spare_bytes += size;
    grains_trim(arena);
    pthread_mutex_unlock(&arena->lock);
}

bool grain_is_used(mps_arena_t arena, const void *address)
{
    for (struct chunk *c = arena->chunks; c != NULL; c = c->next) {
        size_t offset = (size_t)((const char *)address - c->base);
        if (offset < c->grains * arena->grain)
            return bit(c->used, offset / arena->grain);
    }
    return false;
}

/* ---- As Cairn's source ---------------------------------------------------------------------------------- */

static void *reserve(void *context, size_t size, size_t alignment)
{
    return grains_get(context, size, alignment);
}

static int release(void *context, void *base, size_t size)
{
    grains_give(context, base, size);
    return 0;
}

void grains_init(struct grains *grains, mps_arena_t arena, bool high, bool store)
{
    *grains = (struct grains){.arena = arena, .high = high, .store = store};
    grains->source = (cairn_source){.struct_size = sizeof grains->source,
                                    .name = "mps arena",
                                    .context = grains,
                                    .reserve = reserve,
                                    .release = release,
                                    .granule = arena->grain,
                                    .flags = CAIRN_SOURCE_SPLIT};
}
