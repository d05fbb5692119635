// link: -Wl,--wrap=os_map,--wrap=os_unmap
/* test_supply.c - memory for the classes that manage ranges: extents and the store, over a source that refuses on
 * demand and in buffers of every size. */
#include "unit.h"

#include "engine/pagemap.h"
#include "os/os.h"
#include "pool/supply.h"

#include <limits.h>

/* ---- A source of pages, one byte of state for each ------------------------------------------------------ */

enum { PAGES = 4096 };

static struct cairn_pool pool;
static cairn_pool_config config;

static struct {
    struct source source;
    char *region;
    uint8_t taken[PAGES];  /* 1: handed out, 2: and committed */
    unsigned refuse_after; /* calls that succeed before reserve refuses */
    bool refuse_release, refuse_commit, stale;
    size_t reserves, releases;
} fake;

static void *fake_reserve(struct source *source, size_t size, size_t align)
{
    size_t pages = size / PAGE_SIZE;
    CHECK(source == pool.source && size % (source->align) == 0);
    if (fake.refuse_after-- == 0)
        return fake.refuse_after = 0, NULL;
    fake.reserves++;
    for (size_t first = 0; first + pages <= PAGES; first++) {
        char *at = fake.region + first * PAGE_SIZE;
        if ((uintptr_t)at % align != 0 || memchr(fake.taken + first, 1, pages) != NULL ||
            memchr(fake.taken + first, 2, pages) != NULL)
            continue;
        memset(fake.taken + first, 1, pages);
        return at;
    }
    return NULL;
}

static bool fake_release(struct source *source, void *base, size_t size)
{
    size_t first = (size_t)((char *)base - fake.region) / PAGE_SIZE;
    CHECK(source == pool.source);
    if (fake.refuse_release)
        return false;
    for (size_t i = 0; i < size / PAGE_SIZE; i++) {
        CHECK(fake.taken[first + i] != 0);
        CHECK(pagemap_find(fake.region + (first + i) * PAGE_SIZE) == NULL);
    }
    memset(fake.taken + first, 0, size / PAGE_SIZE);
    memset(base, 0, size);
    fake.releases++;
    return true;
}

static bool fake_commit(struct source *source, void *base, size_t size)
{
    CHECK(source == pool.source);
    memset(fake.taken + ((char *)base - fake.region) / PAGE_SIZE, 2, size / PAGE_SIZE);
    return !fake.refuse_commit;
}

static bool fake_is_stale(struct source *source, void *base, size_t size)
{
    (void)source, (void)base, (void)size;
    return fake.stale;
}

static size_t fake_taken(void)
{
    size_t taken = 0;
    for (size_t i = 0; i < PAGES; i++)
        taken += fake.taken[i] != 0;
    return taken * PAGE_SIZE;
}

/* ---- What the store maps ---------------------------------------------------------------------------------- */

static size_t mapped;
static bool counting, refuse_map;

void *__real_os_map(void *hint, size_t size);
void *__wrap_os_map(void *hint, size_t size);
bool __real_os_unmap(void *address, size_t size);
bool __wrap_os_unmap(void *address, size_t size);

void *__wrap_os_map(void *hint, size_t size)
{
    if (counting && refuse_map)
        return NULL;
    if (counting && size != sizeof(pagemap_leaf)) /* leaves are not ours to count */
        mapped += size;
    return __real_os_map(hint, size);
}

bool __wrap_os_unmap(void *address, size_t size)
{
    if (counting)
        mapped -= size;
    return __real_os_unmap(address, size);
}

/* ---- Pools ---------------------------------------------------------------------------------------------------- */

static void set_up(struct supply *supply)
{
    if (fake.region == NULL) {
        char *got = check_table((PAGES + 1024) * PAGE_SIZE);
        fake.region = (char *)align_up((uintptr_t)got, 1024 * PAGE_SIZE);
    }
    CHECK(fake_taken() == 0);
    char *region = fake.region;
    memset(&fake, 0, sizeof fake);
    fake.region = region;
    fake.refuse_after = UINT_MAX;
    fake.source =
        (struct source){.name = "fake", .reserve = fake_reserve, .release = fake_release, .align = PAGE_SIZE};
    memset(&pool, 0, sizeof pool);
    memset(&config, 0, sizeof config);
    pool.source = &fake.source;
    mapped = 0;
    refuse_map = false;
    counting = true;
    if (supply != NULL)
        supply_init(supply, &pool, &config);
}

static void *get(struct supply *supply, size_t least, size_t wanted, size_t align, size_t *size)
{
    bool zero;
    enum error error;
    void *got = supply_get(supply, least, wanted, align, size, &zero, &error);
    if (got == NULL)
        return NULL;
    CHECK(error == OK && *size >= least && (uintptr_t)got % align == 0);
    CHECK(!zero || check_nonzero(got, *size) == *size);
    memset(got, 0xa5, *size);
    return got;
}

static enum error why_not(struct supply *supply, size_t least, size_t wanted)
{
    bool zero;
    enum error error = OK;
    size_t size;
    CHECK(supply_get(supply, least, wanted, 16, &size, &zero, &error) == NULL);
    return error;
}

static void check_sums(const struct supply *supply)
{
    const char *wrong = supply_check(supply);
    CHECKF(wrong == NULL, "%s", wrong);
    CHECK_EQ(supply->extent_bytes, fake_taken());
    CHECK_EQ(supply->store_bytes, mapped);
    CHECK(supply->peak >= supply_committed(supply));
}

static void extents_come_and_go(void **state)
{
    (void)state;
    struct supply supply;
    size_t size[3];
    set_up(&supply);
    CHECK(supply_committed(&supply) == 0 && supply_room(&supply) == SIZE_MAX);
    char *a = get(&supply, 1, 1, 16, &size[0]);
    CHECK(a != NULL && size[0] == PAGE_SIZE);
    char *b = get(&supply, 100, 5 * PAGE_SIZE + 1, 16, &size[1]);
    CHECK(b != NULL && size[1] == 6 * PAGE_SIZE);
    char *c = get(&supply, 3 * PAGE_SIZE, 0, 64 * PAGE_SIZE, &size[2]);
    CHECK(c != NULL && size[2] == 3 * PAGE_SIZE);
    for (size_t i = 0; i < size[1]; i += PAGE_SIZE)
        CHECK(pagemap_find(b + i) == &pool.extent);
    check_sums(&supply);
    CHECK(supply.range_count == 3);
    CHECK(!supply_splits(&supply) && !supply_give(&supply, b, PAGE_SIZE) &&
          !supply_give(&supply, b + PAGE_SIZE, 5 * PAGE_SIZE));
    check_sums(&supply);
    CHECK(supply_give(&supply, b, size[1]));
    check_sums(&supply);
    size_t peak = supply.peak;
    CHECK(peak == supply_committed(&supply) + size[1]);
    CHECK(supply_give(&supply, c, size[2]) && supply_give(&supply, a, size[0]));
    check_sums(&supply);
    CHECK(supply.extent_bytes == 0 && supply.peak == peak);
    supply_close(&supply, false);
    CHECK(mapped == 0);
}

/* What is known to be zero is told so, and nothing else is. */
static void zero_is_as_the_source_says(void **state)
{
    (void)state;
    struct supply supply;
    bool zero;
    enum error error;
    size_t size;
    set_up(&supply);
    CHECK(supply_get(&supply, 1, 1, 16, &size, &zero, &error) != NULL && zero);
    fake.source.is_stale = fake_is_stale;
    CHECK(supply_get(&supply, 1, 1, 16, &size, &zero, &error) != NULL && zero);
    fake.stale = true;
    CHECK(supply_get(&supply, 1, 1, 16, &size, &zero, &error) != NULL && !zero);
    supply_close(&supply, true);
}

static void what_comes_is_committed(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(&supply);
    fake.source.commit = fake_commit;
    char *got = get(&supply, 3 * PAGE_SIZE, 0, 16, &size);
    size_t first = (size_t)(got - fake.region) / PAGE_SIZE;
    CHECK(fake.taken[first] == 2 && fake.taken[first + 2] == 2 && fake.taken[first + 3] == 0);
    fake.refuse_commit = true;
    CHECK(why_not(&supply, 1, 1) == ERROR_MEMORY);
    check_sums(&supply);
    supply_close(&supply, true);
    CHECK(fake_taken() == 0);
}

static void granules_of_the_source(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(NULL);
    fake.source.align = 16 * PAGE_SIZE;
    supply_init(&supply, &pool, &config);
    CHECK(supply.granule == 16 * PAGE_SIZE);
    CHECK(get(&supply, 1, 17 * PAGE_SIZE, 16, &size) != NULL && size == 32 * PAGE_SIZE);
    CHECK(get(&supply, 1, 1, 16, &size) != NULL && size == 16 * PAGE_SIZE);
    check_sums(&supply);
    supply_close(&supply, true);
    /* the step of callbacks is what they want to be asked for at least */
    set_up(NULL);
    pool.own_source = fake.source;
    pool.own_source.step = 8 * PAGE_SIZE;
    pool.source = &pool.own_source;
    supply_init(&supply, &pool, &config);
    CHECK(get(&supply, 1, 1, 16, &size) != NULL && size == 8 * PAGE_SIZE);
    fake.refuse_after = 1;
    CHECK(get(&supply, 1, 9 * PAGE_SIZE, 16, &size) != NULL && size == 9 * PAGE_SIZE);
    supply_close(&supply, true);
}

static void less_when_the_source_has_less(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(&supply);
    char *got = get(&supply, PAGE_SIZE, 2 * PAGES * PAGE_SIZE, 16, &size);
    CHECK(got != NULL && size == PAGE_SIZE);
    CHECK(why_not(&supply, 2 * PAGES * PAGE_SIZE, 0) == ERROR_MEMORY);
    CHECK(why_not(&supply, SIZE_MAX, 0) == ERROR_MEMORY);
    CHECK(get(&supply, PAGE_SIZE, SIZE_MAX, 16, &size) != NULL && size == PAGE_SIZE);
    fake.refuse_after = 0;
    CHECK(why_not(&supply, 1, 1) == ERROR_MEMORY);
    check_sums(&supply);
    supply_close(&supply, true);
    CHECK(fake_taken() == 0 && mapped == 0);
}

/* Limits count the store too; what is wanted is cut to them, what is needed is refused. */
static void limits(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(NULL);
    config.limit = 20 * PAGE_SIZE;
    config.limit_soft = 10 * PAGE_SIZE;
    supply_init(&supply, &pool, &config);
    CHECK(why_not(&supply, 20 * PAGE_SIZE + 1, 0) == ERROR_LIMIT);
    CHECK(supply_store(&supply, 1) != NULL);
    size_t store = supply.store_bytes;
    CHECK(store > 0 && !supply_past_soft(&supply, 10 * PAGE_SIZE - store));
    CHECK(supply_past_soft(&supply, 10 * PAGE_SIZE - store + 1) && supply_past_soft(&supply, SIZE_MAX));
    CHECK(why_not(&supply, 20 * PAGE_SIZE, 0) == ERROR_LIMIT);
    char *got = get(&supply, 1, 100 * PAGE_SIZE, 16, &size);
    CHECK(got != NULL && size == 20 * PAGE_SIZE - store && supply_committed(&supply) == config.limit);
    CHECK(why_not(&supply, 1, 1) == ERROR_LIMIT && supply_past_soft(&supply, 0));
    CHECK(supply_store(&supply, PAGE_SIZE) == NULL);
    check_sums(&supply);
    CHECK(supply_give(&supply, got, size) && get(&supply, size, 0, 16, &size) != NULL);
    supply_limit(&supply, SIZE_MAX, SIZE_MAX);
    CHECK(get(&supply, 1, 1, 16, &size) != NULL && supply_store(&supply, PAGE_SIZE) != NULL);
    supply_limit(&supply, PAGE_SIZE, PAGE_SIZE); /* below what is in use: accepted, holds from here on */
    CHECK(why_not(&supply, 1, 1) == ERROR_LIMIT);
    check_sums(&supply);
    supply_close(&supply, true);
    CHECK(fake_taken() == 0 && mapped == 0);
}

static void the_store_is_zero_and_aligned(void **state)
{
    (void)state;
    struct supply supply;
    set_up(&supply);
    static unsigned char *all[300];
    uint64_t seed = check_seed();
    size_t asked = 0, sizes[300];
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        sizes[i] = i == 200 ? 300000 : check_random_size(&seed, 2000);
        all[i] = supply_store(&supply, sizes[i]);
        CHECK(all[i] != NULL && (uintptr_t)all[i] % 16 == 0);
        CHECK(check_nonzero(all[i], sizes[i]) == sizes[i]);
        check_fill(all[i], sizes[i], i);
        asked += sizes[i];
        CHECK_EQ(supply.store_bytes, mapped);
    }
    for (size_t i = 0; i < COUNT_OF(all); i++)
        CHECK_FILLED(all[i], sizes[i], i);
    CHECKF(mapped < asked + 2 * 64 * KiB, "%zu mapped for %zu", mapped, asked);
    CHECK(supply_store(&supply, SIZE_MAX) == NULL && supply_store(&supply, SIZE_MAX - 20) == NULL);
    refuse_map = true;
    CHECK(supply_store(&supply, 100000) == NULL);
    supply_close(&supply, true);
    CHECK(mapped == 0);
}

/* A structure of the class holds the supply and lies in its store; a small pool pays for one page. */
static void the_supply_in_its_own_store(void **state)
{
    (void)state;
    struct supply first;
    size_t size;
    set_up(&first);
    struct supply *supply = supply_store(&first, sizeof *supply);
    *supply = first;
    CHECK(get(supply, 1, 1, 16, &size) != NULL);
    CHECK_EQ(supply_committed(supply), 2 * PAGE_SIZE);
    check_sums(supply);
    supply_close(supply, true);
    CHECK(mapped == 0 && fake_taken() == 0);
}

/* Outside of buffers it lies behind the handle, in one it begins the store; it is zero in both. */
static void the_structure_of_a_class(void **state)
{
    (void)state;
    static struct {
        struct cairn_pool pool;
        char room[POOL_STATE_SIZE];
    } handle;
    struct supply supply;
    set_up(NULL);
    memset(&handle, 0x5a, sizeof handle);
    handle.pool = pool;
    supply_init(&supply, &handle.pool, &config);
    CHECK(supply_state(&supply, 300) == handle.room && check_nonzero(handle.room, 300) == 300);
    CHECK(mapped == 0 && supply_committed(&supply) == 0);
    memset(handle.room, 0x5a, sizeof handle.room);
    handle.pool.buffer = (uintptr_t)&handle;
    handle.pool.buffer_end = (uintptr_t)handle.room + 310;
    supply_init(&supply, &handle.pool, &config);
    CHECK(supply_state(&supply, 300) == handle.room && check_nonzero(handle.room, 300) == 300);
    CHECK_EQ(supply_committed(&supply), sizeof handle.pool + 304);
    supply_init(&supply, &handle.pool, &config);
    CHECK(supply_state(&supply, 320) == NULL && mapped == 0);
}

static void extents_that_the_source_keeps(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(&supply);
    char *got = get(&supply, 2 * PAGE_SIZE, 0, 16, &size);
    fake.refuse_release = true;
    CHECK(!supply_give(&supply, got, size) && pagemap_find(got + PAGE_SIZE) == &pool.extent);
    check_sums(&supply);
    fake.refuse_release = false;
    supply_close(&supply, true);
    CHECK(fake_taken() == 0);
}

static void no_memory_for_the_list(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(&supply);
    refuse_map = true;
    for (size_t i = 0; i < SUPPLY_RANGES_FIRST; i++) /* a small pool maps nothing but its extents */
        CHECK(get(&supply, 1, 1, 16, &size) != NULL);
    CHECK(why_not(&supply, 1, 1) == ERROR_MEMORY);
    CHECK(fake_taken() == SUPPLY_RANGES_FIRST * PAGE_SIZE && mapped == 0);
    check_sums(&supply);
    refuse_map = false;
    CHECK(get(&supply, 1, 1, 16, &size) != NULL && mapped == PAGE_SIZE);
    check_sums(&supply);
    supply_close(&supply, true);
}

/* Over a source that takes parts: random parts go back, and the list is as it should be each time. */
static void parts_of_extents(void **state)
{
    (void)state;
    struct supply supply;
    uint64_t seed = check_seed();
    static uint8_t mine[PAGES];
    memset(mine, 0, sizeof mine);
    set_up(&supply);
    fake.source.splits = true;
    CHECK(supply_splits(&supply));
    for (int step = 0; step < 4000; step++) {
        if (check_below(&seed, 2) == 0) {
            size_t size, wanted = check_random_size(&seed, 100 * PAGE_SIZE);
            char *got = get(&supply, wanted / 2, wanted, (size_t)16 << check_below(&seed, 12), &size);
            if (got != NULL)
                memset(mine + (got - fake.region) / PAGE_SIZE, 1, size / PAGE_SIZE);
        } else {
            size_t first = check_below(&seed, PAGES), pages = 0, most = 1 + check_below(&seed, 60);
            while (first + pages < PAGES && pages < most && mine[first + pages] == 1)
                pages++;
            if (pages > 0) {
                CHECK(supply_give(&supply, fake.region + first * PAGE_SIZE, pages * PAGE_SIZE));
                memset(mine + first, 0, pages);
            }
        }
        for (size_t i = 0; i < PAGES; i++)
            CHECK((mine[i] != 0) == (fake.taken[i] != 0));
        check_sums(&supply);
    }
    CHECK(supply.range_count > 3);
    supply_close(&supply, true);
    CHECK(fake_taken() == 0 && mapped == 0);
}

static void many_extents_without_splitting(void **state)
{
    (void)state;
    struct supply supply;
    static char *all[1000];
    uint64_t seed = check_seed();
    size_t size;
    set_up(&supply);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        CHECK((all[i] = get(&supply, 1, 1, 16, &size)) != NULL);
    CHECK(supply.range_count == COUNT_OF(all));
    for (size_t left = COUNT_OF(all); left > 300; left--) {
        size_t i = check_below(&seed, left);
        CHECK(supply_give(&supply, all[i], PAGE_SIZE));
        all[i] = all[left - 1];
    }
    check_sums(&supply);
    CHECK(supply.range_count == 300);
    supply_close(&supply, true);
    CHECK(fake_taken() == 0 && mapped == 0);
}

static void statistics(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(NULL);
    config.limit = MiB;
    supply_init(&supply, &pool, &config);
    CHECK(supply_store(&supply, 1) != NULL);
    char *got = get(&supply, 5 * PAGE_SIZE, 0, 16, &size);
    cairn_stats stats = {.struct_size = sizeof stats};
    supply_stats(&supply, &stats);
    CHECK(stats.committed == 6 * PAGE_SIZE && stats.metadata == PAGE_SIZE &&
          stats.reserved == stats.committed);
    CHECK(stats.limit_hard == MiB && stats.limit_soft == UINT64_MAX && stats.arenas == 1);
    CHECK(supply_give(&supply, got, size));
    supply_stats(&supply, &stats);
    CHECK(stats.committed == PAGE_SIZE && stats.committed_peak == 6 * PAGE_SIZE && stats.arenas == 0);
    supply_close(&supply, true);
}

/* supply_check finds each kind of damage. */
static void damage_is_found(void **state)
{
    (void)state;
    struct supply supply;
    size_t size;
    set_up(&supply);
    char *a = get(&supply, 2 * PAGE_SIZE, 0, 16, &size), *b = get(&supply, PAGE_SIZE, 0, 16, &size);
    CHECK(supply_check(&supply) == NULL);
    pagemap_set((uintptr_t)a + PAGE_SIZE, 1, NULL);
    CHECK(strstr(supply_check(&supply), "page map") != NULL);
    pagemap_set((uintptr_t)a + PAGE_SIZE, 1, &pool.extent);
    supply.extent_bytes++;
    CHECK(strstr(supply_check(&supply), "add up") != NULL);
    supply.extent_bytes--;
    supply.ranges[0].size--;
    CHECK(strstr(supply_check(&supply), "granules") != NULL);
    supply.ranges[0].size += 1 + PAGE_SIZE;
    CHECK(b < a || strstr(supply_check(&supply), "overlap") != NULL);
    supply.ranges[0].size -= PAGE_SIZE;
    CHECK(supply_check(&supply) == NULL);
    supply_close(&supply, true);
}

/* ---- In a buffer ------------------------------------------------------------------------------------------------ */

/* Every size, at every place in a cache line: nothing outside is touched, nothing is mapped, little is lost. */
static void buffers_of_every_size(void **state)
{
    (void)state;
    static char room[6000] __attribute__((aligned(64)));
    for (size_t size = 1; size < 5000; size += size < 200 ? 1 : 37) {
        size_t offset = 64 + size % 67;
        struct supply supply;
        set_up(NULL);
        memset(room, 0x5a, sizeof room);
        pool.source = NULL;
        pool.buffer = (uintptr_t)room + offset;
        pool.buffer_end = pool.buffer + size;
        supply_init(&supply, &pool, &config);
        size_t left = supply_room(&supply), got_size = 0;
        CHECK(left <= size && left + 16 > size);
        char *store = supply_store(&supply, 100);
        CHECK((store != NULL) == (left >= 112));
        if (store != NULL)
            memset(store, 1, 100);
        char *got = get(&supply, 1, SIZE_MAX, 16, &got_size);
        CHECK((got != NULL) == (left > (store != NULL ? 112u : 0u)));
        CHECK(got == NULL || got + got_size == (char *)pool.buffer_end);
        CHECK(supply_committed(&supply) <= size && (got == NULL || supply_committed(&supply) == size));
        if (got != NULL) {
            CHECK(why_not(&supply, 1, 1) == ERROR_MEMORY && supply_room(&supply) == 0);
            CHECK(supply_store(&supply, 1) == NULL && !supply_give(&supply, got, got_size));
            CHECK(supply_check(&supply) == NULL && !supply_splits(&supply));
        }
        supply_close(&supply, true);
        for (size_t i = 0; i < sizeof room; i++)
            CHECKF((i >= offset && i < offset + size) || room[i] == 0x5a, "byte %zu, size %zu", i, size);
        CHECK(mapped == 0);
    }
}

/* With the handle in the buffer, the store begins behind it. */
static void a_handle_in_the_buffer(void **state)
{
    (void)state;
    static char room[4096] __attribute__((aligned(64)));
    struct cairn_pool *inside = (struct cairn_pool *)(room + 64);
    struct supply supply;
    set_up(NULL);
    memset(room, 0x5a, sizeof room);
    *inside = pool;
    inside->buffer = (uintptr_t)room + 3;
    inside->buffer_end = (uintptr_t)room + sizeof room;
    supply_init(&supply, inside, &config);
    CHECK(supply_store(&supply, 8) == inside + 1);
    CHECK_EQ(supply_committed(&supply), 64 - 3 + sizeof *inside + 16);
    size_t size;
    CHECK(get(&supply, 1, 1, 16, &size) == (char *)(inside + 1) + 16 &&
          size == sizeof room - 64 - sizeof *inside - 16);
    cairn_stats stats = {.struct_size = sizeof stats};
    supply_stats(&supply, &stats);
    CHECK(stats.committed == sizeof room - 3 && stats.reserved == stats.committed && stats.arenas == 1);
    CHECK(stats.metadata == stats.committed - size);
    supply_close(&supply, true);
}

/* With CAIRN_POOL_OUTSIDE the extent is the buffer, and the store is elsewhere. */
static void metadata_outside(void **state)
{
    (void)state;
    static char room[5000];
    struct supply supply;
    size_t size;
    set_up(NULL);
    memset(room, 0x5a, sizeof room);
    pool.flags = CAIRN_POOL_OUTSIDE;
    pool.buffer = (uintptr_t)room + 1;
    pool.buffer_end = (uintptr_t)room + sizeof room;
    supply_init(&supply, &pool, &config);
    CHECK(supply_room(&supply) == sizeof room - 1);
    char *store = supply_store(&supply, 500);
    CHECK(store != NULL && (store < room || store >= room + sizeof room) && mapped == PAGE_SIZE);
    CHECK(check_nonzero(room, sizeof room) == 0);
    bool zero;
    enum error error;
    char *got = supply_get(&supply, 1, 1, 32, &size, &zero, &error);
    CHECK(got > room && got <= room + 32 && got + size == room + sizeof room && !zero);
    for (size_t i = 0; i < sizeof room; i++)
        CHECK(room[i] == 0x5a);
    CHECK(supply_store(&supply, 100000) != NULL); /* the store goes on */
    supply_close(&supply, true);
    CHECK(mapped == 0);
}

static void limits_in_a_buffer(void **state)
{
    (void)state;
    static char room[4096] __attribute__((aligned(64)));
    struct supply supply;
    size_t size;
    set_up(NULL);
    pool.buffer = (uintptr_t)room;
    pool.buffer_end = pool.buffer + sizeof room;
    config.limit = 1000;
    supply_init(&supply, &pool, &config);
    CHECK(supply_store(&supply, 992) != NULL && supply_store(&supply, 16) == NULL);
    CHECK(why_not(&supply, 9, 9) == ERROR_LIMIT);
    CHECK(get(&supply, 1, 4000, 8, &size) != NULL && size == 8 && supply_committed(&supply) == 1000);
    supply_close(&supply, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_come_and_go),
        cmocka_unit_test(zero_is_as_the_source_says),
        cmocka_unit_test(what_comes_is_committed),
        cmocka_unit_test(granules_of_the_source),
        cmocka_unit_test(less_when_the_source_has_less),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_store_is_zero_and_aligned),
        cmocka_unit_test(the_supply_in_its_own_store),
        cmocka_unit_test(the_structure_of_a_class),
        cmocka_unit_test(extents_that_the_source_keeps),
        cmocka_unit_test(no_memory_for_the_list),
        cmocka_unit_test(parts_of_extents),
        cmocka_unit_test(many_extents_without_splitting),
        cmocka_unit_test(statistics),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(buffers_of_every_size),
        cmocka_unit_test(a_handle_in_the_buffer),
        cmocka_unit_test(metadata_outside),
        cmocka_unit_test(limits_in_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
