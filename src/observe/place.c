/* place.c - see place.h. */
#include "observe/place.h"

#include "base/atomic.h"
#include "os/lock.h"
#include "os/os.h"

#include <string.h>

#define BUCKETS 16384 /* a power of two */
#define PIECE (256 * KiB)

struct table {
    struct place *buckets[BUCKETS];  /* atomic */
    struct place *by_id[PLACES_MAX]; /* atomic */
};

static const struct place elsewhere = {.id = 0};
static struct table *table; /* made by the first call; atomic */
static struct lock table_lock = {.rank = LOCK_RANK_PLACES};

/* Under table_lock. */
static uint32_t count; /* read without it, too */
static char *piece;    /* what is left of the memory for entries and texts */
static size_t left;

static size_t bucket_of(const cairn_call *call)
{
    uintptr_t key = call->file != NULL
                        ? (uintptr_t)call->file * 31 + (uintptr_t)call->func * 7 + (unsigned)call->line
                        : (uintptr_t)call->address;
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) % BUCKETS;
}

static bool is_place_of(const struct place *place, const cairn_call *call)
{
    if (call->file == NULL)
        return place->file_key == NULL && place->address == call->address;
    return place->file_key == call->file && place->line == call->line && place->func_key == call->func;
}

static const struct place *find(struct place *place, const cairn_call *call)
{
    while (place != NULL && !is_place_of(place, call))
        place = place->next;
    return place;
}

/* From here on under table_lock. */

static void *take(size_t size)
{
    size = align_up(size, sizeof(void *));
    if (size > left) {
        char *more = size <= PIECE ? os_map(NULL, PIECE) : NULL;
        if (more == NULL)
            return NULL;
        piece = more;
        left = PIECE;
    }
    void *got = piece;
    piece += size;
    left -= size;
    return got;
}

/* NULL for NULL, and when there is no memory. */
static const char *copy(const char *text)
{
    size_t size = text != NULL ? strlen(text) + 1 : 0;
    char *got = text != NULL ? take(size) : NULL;
    return got != NULL ? memcpy(got, text, size) : NULL;
}

static const char *copy_if_any(const char *text)
{
    return text[0] != 0 ? copy(text) : NULL;
}

static const struct place *add(struct table *t, size_t bucket, const cairn_call *call,
                               const struct os_symbol *symbol)
{
    struct place *place = count + 1 < PLACES_MAX ? take(sizeof *place) : NULL;
    if (place == NULL)
        return &elsewhere;
    *place = (struct place){
        .id = count + 1,
        .line = call->file != NULL ? call->line : 0,
        .file = copy(call->file),
        .func = call->func != NULL ? copy(call->func) : copy_if_any(symbol->function),
        .object = copy_if_any(symbol->object),
        .offset = symbol->offset,
        .address = call->address,
        .file_key = call->file,
        .func_key = call->func,
        .next = t->buckets[bucket],
    };
    store_relaxed(&count, place->id);
    store_release(&t->by_id[place->id], place); /* pairs with place_by_id */
    store_release(&t->buckets[bucket], place);  /* pairs with place_of */
    return place;
}

NOINLINE static const struct place *place_new(const cairn_call *call)
{
    const struct place *place = &elsewhere;
    size_t bucket = bucket_of(call);
    struct os_symbol symbol;
    symbol.function[0] = symbol.object[0] = 0;
    symbol.offset = 0;
    if (call->file == NULL &&
        load_relaxed(&count) + 1 < PLACES_MAX) /* of those without a place no more is said */
        os_symbol_before(call->address, &symbol);
    lock_take(&table_lock);
    struct table *t = load_relaxed(&table);
    if (t == NULL && (t = os_map(NULL, align_up(sizeof *t, os_page_size()))) != NULL)
        store_release(&table, t); /* pairs with place_of */
    if (t != NULL) {
        place = find(t->buckets[bucket], call);
        if (place == NULL)
            place = add(t, bucket, call, &symbol);
    }
    lock_release(&table_lock);
    return place;
}

const struct place *place_of(const cairn_call *call)
{
    struct table *t = load_acquire(&table); /* pairs with place_new */
    if (LIKELY(t != NULL)) {
        const struct place *place =
            find(load_acquire(&t->buckets[bucket_of(call)]), call); /* pairs with add */
        if (LIKELY(place != NULL))
            return place;
    }
    return place_new(call);
}

const struct place *place_by_id(uint32_t id)
{
    struct table *t = load_acquire(&table);                                 /* pairs with place_new */
    return id != 0 && t != NULL ? load_acquire(&t->by_id[id]) : &elsewhere; /* pairs with add */
}

/* ---- Printing ------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void place_print(struct printer *p, const struct place *place)
{
    if (place->id == 0) {
        print(p, "elsewhere");
    } else if (place->file != NULL) {
        print(p, "%s:%d", place->file, place->line);
        if (place->func != NULL)
            print(p, " (%s)", place->func);
    } else if (place->object == NULL) {
        print(p, "%p", place->address);
    } else if (place->func != NULL) {
        print(p, "%s+%zu (%s)", place->func, place->offset, base_name(place->object));
    } else {
        print(p, "%s+%p", base_name(place->object), (const void *)place->offset);
    }
}

void place_print_quoted(struct printer *p, const char *text)
{
    if (text == NULL) {
        print(p, "null");
        return;
    }
    print(p, "\"");
    for (; *text != 0; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            print(p, "\\%c", c);
        else if (c < 0x20)
            print(p, "\\u00%c%c", "01"[c >> 4], "0123456789abcdef"[c & 15]);
        else
            print(p, "%c", c);
    }
    print(p, "\"");
}

void place_print_json(struct printer *p, const struct place *place)
{
    print(p, "\"file\": ");
    place_print_quoted(p, place->file);
    print(p, ", \"line\": %d, \"function\": ", place->line);
    place_print_quoted(p, place->func);
    print(p, ", \"object\": ");
    place_print_quoted(p, place->object);
    print(p, ", \"address\": \"%p\"", place->address);
}

/* ---- Fork ---------------------------------------------------------------------------------------- */

void place_before_fork(void)
{
    lock_take_next_for_fork(&table_lock);
}

void place_after_fork(void)
{
    lock_release_after_fork(&table_lock);
}
