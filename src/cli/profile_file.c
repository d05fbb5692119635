/* profile_file.c - see profile_file.h. */
#include "profile_file.h"

#include "cli.h"
#include "numbers.h"
#include "symbols.h"
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <pprof.pb-c.h> /* generated from pprof.proto */
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PIECE 65536
#define SIZE_LIMIT ((size_t)1 << 30) /* of an uncompressed profile: more is no profile */

/* ---- Files --------------------------------------------------------------------------------------- */

/* The whole file, uncompressed; NULL after a message. */
static uint8_t *read_whole(const char *name, size_t *size)
{
    gzFile file = gzopen(name, "rbe");
    uint8_t *bytes = NULL;
    size_t room = 0;
    int got = 0;
    *size = 0;
    if (file == NULL) {
        complain("%s: %s", name, strerror(errno));
        return NULL;
    }
    do {
        *size += (size_t)got;
        if (room - *size < PIECE) {
            room = room > 0 ? 2 * room : 4 * PIECE;
            bytes = realloc(bytes, room);
        }
        got = bytes != NULL && *size < SIZE_LIMIT ? gzread(file, bytes + *size, PIECE) : -1;
    } while (got > 0);
    int code;
    const char *why = gzerror(file, &code); /* says, too, when the end is missing */
    if (got < 0 || code < 0) {
        complain("%s: %s", name, code == Z_ERRNO ? strerror(errno) : code != Z_OK ? why : "too large");
        free(bytes);
        bytes = NULL;
    }
    (void)gzclose(file);
    return bytes;
}

bool profile_compress(const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = read_whole(from, &size);
    if (bytes == NULL)
        return false;
    gzFile file = gzopen(to, "wbe");
    bool good = file != NULL && (size == 0 || gzwrite(file, bytes, (unsigned)size) == (int)size);
    int why = errno;
    if (file != NULL && gzclose(file) != Z_OK)
        good = false;
    if (!good)
        complain("%s: %s", to, strerror(why));
    free(bytes);
    return good;
}

/* ---- From the message to sites ------------------------------------------------------------------- */

static const char *string_at(const Pprof__Profile *message, int64_t index)
{
    return index > 0 && (uint64_t)index < message->n_strings ? message->strings[index] : "";
}

static const Pprof__Mapping *mapping_of(const Pprof__Profile *message, const Pprof__Location *location)
{
    for (size_t i = 0; i < message->n_mapping; i++)
        if (message->mapping[i]->id == location->mapping)
            return message->mapping[i];
    return NULL;
}

/* Where no function is known: the file, and how far into it. */
static char *bare_name(const Pprof__Profile *message, const Pprof__Location *location)
{
    const Pprof__Mapping *mapping = mapping_of(message, location);
    if (mapping == NULL)
        return text_of("0x%" PRIx64, location->address);
    const char *file = string_at(message, mapping->file), *slash = strrchr(file, '/');
    return text_of("%s+0x%" PRIx64, slash != NULL ? slash + 1 : file,
                   location->address - mapping->start + mapping->offset);
}

static struct symbols *open_symbols(const Pprof__Profile *message)
{
    struct symbols *symbols = symbols_open();
    for (size_t i = 0; i < message->n_mapping; i++) {
        const Pprof__Mapping *mapping = message->mapping[i];
        symbols_add(symbols, string_at(message, mapping->file), string_at(message, mapping->build_id),
                    mapping->start, mapping->offset);
    }
    symbols_ready(symbols);
    return symbols;
}

/* "name@@VERSION" is the name alone. */
static char *without_version(char *function)
{
    if (function != NULL)
        function[strcspn(function, "@")] = 0;
    return function;
}

/* Places in the order of the locations; `numbers` leads from a location's id to its place, counted from 1. */
static void find_places(struct profile *profile, const Pprof__Profile *message, struct table *numbers)
{
    struct symbols *symbols = open_symbols(message);
    profile->place_count = message->n_location;
    profile->places = allocate(message->n_location + 1, sizeof *profile->places);
    for (size_t i = 0; i < message->n_location; i++) {
        const Pprof__Location *location = message->location[i];
        char *function, *source;
        symbols_find(symbols, location->address, &function, &source);
        profile->places[i].function =
            function != NULL ? without_version(function) : bare_name(message, location);
        profile->places[i].source = source;
        if (location->id != 0)
            *table_put(numbers, location->id) = i + 1;
    }
    symbols_close(symbols);
}

/* The innermost frames that are the allocator's own: of a library that is linked into the program. */
static size_t own_frames(const struct profile_site *site, const regex_t *own)
{
    size_t count = 0;
    while (count + 1 < site->depth && regexec(own, site->stack[count]->function, 0, NULL, 0) == 0)
        count++;
    return count;
}

static void add_site(struct profile *profile, const Pprof__Sample *sample, const struct table *numbers,
                     const regex_t *own)
{
    struct profile_site *site = &profile->sites[profile->site_count++];
    site->stack = allocate(sample->n_location + 1, sizeof *site->stack);
    for (size_t i = 0; i < sample->n_location; i++) {
        const uint64_t *number = table_find(numbers, sample->location[i]);
        if (number != NULL)
            site->stack[site->depth++] = &profile->places[*number - 1];
    }
    size_t skipped = own != NULL ? own_frames(site, own) : 0;
    site->depth -= skipped;
    memmove(site->stack, site->stack + skipped, site->depth * sizeof *site->stack);
    for (size_t i = 0; i < VALUE_COUNT; i++) {
        site->values[i] = (uint64_t)sample->value[i];
        profile->totals[i] += site->values[i];
    }
}

static void add_sites(struct profile *profile, const Pprof__Profile *message)
{
    struct table numbers = {0};
    regex_t own;
    char *expression = text_of("^(%s)$", string_at(message, message->drop_frames));
    bool has_own = message->drop_frames != 0 && regcomp(&own, expression, REG_EXTENDED | REG_NOSUB) == 0;
    find_places(profile, message, &numbers);
    profile->sites = allocate(message->n_sample + 1, sizeof *profile->sites);
    for (size_t i = 0; i < message->n_sample; i++)
        add_site(profile, message->sample[i], &numbers, has_own ? &own : NULL);
    if (has_own)
        regfree(&own);
    free(expression);
    table_release(&numbers);
}

/* Another program's profile may have other values, or none. */
static bool is_ours(const Pprof__Profile *message)
{
    static const char *const types[VALUE_COUNT] = {"alloc_objects", "alloc_space", "inuse_objects",
                                                   "inuse_space"};
    if (message->n_sample_type != VALUE_COUNT)
        return false;
    for (size_t i = 0; i < VALUE_COUNT; i++)
        if (strcmp(string_at(message, message->sample_type[i]->type), types[i]) != 0)
            return false;
    for (size_t i = 0; i < message->n_sample; i++)
        if (message->sample[i]->n_value != VALUE_COUNT)
            return false;
    return true;
}

bool profile_read(const char *name, struct profile *profile)
{
    size_t size;
    *profile = (struct profile){0};
    uint8_t *bytes = read_whole(name, &size);
    if (bytes == NULL)
        return false;
    Pprof__Profile *message = pprof__profile__unpack(NULL, size, bytes);
    bool good = message != NULL && is_ours(message);
    if (good) {
        profile->interval = (uint64_t)message->period;
        add_sites(profile, message);
    } else {
        complain("%s is not a heap profile", name);
    }
    if (message != NULL)
        pprof__profile__free_unpacked(message, NULL);
    free(bytes);
    return good;
}

void profile_release(struct profile *profile)
{
    for (size_t i = 0; i < profile->site_count; i++)
        free(profile->sites[i].stack);
    for (size_t i = 0; i < profile->place_count; i++) {
        free((char *)(uintptr_t)profile->places[i].function);
        free((char *)(uintptr_t)profile->places[i].source);
    }
    free(profile->sites);
    free(profile->places);
    *profile = (struct profile){0};
}

/* ---- For the eye --------------------------------------------------------------------------------- */

static int larger_first(const void *a, const void *b, void *value)
{
    uint64_t x = ((const struct profile_site *)a)->values[*(unsigned *)value];
    uint64_t y = ((const struct profile_site *)b)->values[*(unsigned *)value];
    return (x < y) - (x > y);
}

void profile_sort(struct profile *profile, unsigned value)
{
    qsort_r(profile->sites, profile->site_count, sizeof *profile->sites, larger_first, &value);
}

static void print_site(const struct profile_site *site, unsigned value, FILE *file)
{
    char bytes[NUMBER_MAX], blocks[NUMBER_MAX];
    number_of_bytes(bytes, site->values[value]);
    number_of_count(blocks, site->values[value - 1]);
    fprintf(file, "%12s in %s block%s\n", bytes, blocks, site->values[value - 1] == 1 ? "" : "s");
    for (size_t i = 0; i < site->depth; i++) {
        const struct place *place = site->stack[i];
        fprintf(file, "%16s%s%s%s%s\n", "", place->function, place->source != NULL ? " (" : "",
                place->source != NULL ? place->source : "", place->source != NULL ? ")" : "");
    }
}

void profile_print_sites(const struct profile *profile, unsigned value, size_t count, FILE *file)
{
    for (size_t i = 0; i < profile->site_count && i < count && profile->sites[i].values[value] > 0; i++)
        print_site(&profile->sites[i], value, file);
}
