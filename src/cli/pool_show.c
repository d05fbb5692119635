/* pool_show.c - cairn pool info and stat. */
#include "pool.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* ---- info ----------------------------------------------------------------------------------------- */

static void write_uuid(char out[37], const uint8_t uuid[16])
{
    char *at = out;
    for (int i = 0; i < 16; i++)
        at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static const char *state_of(const cairn_file_info *info)
{
    if (info->bytes_missing > 0)
        return "cut: the file is shorter than the pool in it";
    if (info->is_closed)
        return "closed properly";
    if (info->is_open)
        return "open";
    return info->is_of_other_boot ? "open when the machine went down" : "its process died";
}

static void write_time(char *out, size_t size, uint64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&time, &parts) == NULL || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
        (void)snprintf(out, size, "%" PRIu64 " s after 1970", seconds);
}

static json_t *info_object(const cairn_file_info *info, const char *uuid)
{
    json_t *object =
        json_pack("{s:i, s:i, s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "version",
                  (int)info->version, "compatible", (int)info->compatible, "read_only_compatible",
                  (int)info->read_only_compatible, "incompatible", (int)info->incompatible, "uuid", uuid,
                  "created", (json_int_t)info->created, "address", (json_int_t)info->address, "size",
                  (json_int_t)info->size, "max_size", (json_int_t)info->max_size, "pages",
                  (json_int_t)info->pages, "pages_touched", (json_int_t)info->pages_touched, "generation",
                  (json_int_t)info->generation, "owner", (json_int_t)info->owner);
    (void)json_object_update_new(object,
                                 json_pack("{s:I, s:b, s:b, s:b, s:b, s:s, s:o}", "bytes_missing",
                                           (json_int_t)info->bytes_missing, "is_closed", info->is_closed,
                                           "is_relocatable", info->is_relocatable, "is_open", info->is_open,
                                           "is_of_other_boot", info->is_of_other_boot, "state",
                                           state_of(info), "layout", json_text(info->layout)));
    return object;
}

int pool_info(const struct pool_request *request)
{
    cairn_file_info info;
    char uuid[40], created[64];
    if (!pool_read_info(request, &info))
        return STATUS_TROUBLE;
    write_uuid(uuid, info.uuid);
    if (request->json)
        return pool_print_json(info_object(&info, uuid), 0);
    write_time(created, sizeof created, info.created);
    printf("%s: pool of version %u, %s\n", request->file, info.version, state_of(&info));
    printf("  layout        \"%s\"\n  uuid          %s\n  created       %s\n", info.layout, uuid, created);
    printf("  size          %s (%" PRIu64 " pages, %" PRIu64 " touched)\n", pool_bytes(info.size), info.pages,
           info.pages_touched);
    if (info.bytes_missing > 0)
        printf("  missing       %s\n", pool_bytes(info.bytes_missing));
    printf("  may grow to   %s\n", pool_bytes(info.max_size));
    printf("  address       0x%" PRIx64 "%s\n", info.address, info.is_relocatable ? ", relocatable" : "");
    printf("  checkpoint    ");
    if (info.generation > 0)
        printf("%" PRIu64 "\n", info.generation);
    else
        puts("none");
    if (info.owner != 0)
        printf("  owner         process %" PRIu64 "\n", info.owner);
    return pool_done(0);
}

/* ---- stat ----------------------------------------------------------------------------------------- */

/* What stat knows of the whole. */
struct totals {
    uint64_t spans, bytes, live_blocks, live_bytes;
};

static struct totals add_up(const struct page_map *map)
{
    struct totals totals = {0};
    for (size_t i = 0; i < map->class_count; i++) {
        const struct page_class *page_class = &map->classes[i];
        totals.spans += page_class->spans;
        totals.bytes += page_class->bytes;
        totals.live_blocks += page_class->live;
        totals.live_bytes += page_class_live_bytes(page_class, map);
    }
    return totals;
}

static json_t *classes_array(const struct page_map *map)
{
    json_t *array = json_array();
    for (size_t i = 0; i < map->class_count; i++) {
        const struct page_class *at = &map->classes[i];
        (void)json_array_append_new(
            array, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "block_size", (json_int_t)at->block_size,
                             "spans", (json_int_t)at->spans, "bytes", (json_int_t)at->bytes, "blocks",
                             (json_int_t)at->blocks, "live", (json_int_t)at->live, "live_bytes",
                             (json_int_t)page_class_live_bytes(at, map)));
    }
    return array;
}

static void print_classes(const struct page_map *map)
{
    printf("  %12s %8s %12s %12s %12s %10s\n", "block size", "spans", "in pages", "live blocks", "live",
           "not used");
    for (size_t i = 0; i < map->class_count; i++) {
        const struct page_class *at = &map->classes[i];
        if (at->spans == 0)
            continue;
        if (at->block_size == 0)
            printf("  %12s", "large");
        else
            printf("  %12" PRIu64, at->block_size);
        printf(" %8" PRIu64 " %12s %12" PRIu64 " %12s %8.1f %%\n", at->spans, pool_bytes(at->bytes), at->live,
               pool_bytes(page_class_live_bytes(at, map)), 100 * page_class_waste(at));
    }
}

int pool_stat(const struct pool_request *request)
{
    cairn_file_info info;
    struct page_map map;
    if (!pool_read_info(request, &info) || !page_map_make(request, &info, &map))
        return STATUS_TROUBLE;
    struct totals totals = add_up(&map);
    uint64_t all = info.pages * 4096;
    int status = 0;
    if (request->json) {
        json_t *object =
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "state", state_of(&info), "size",
                      (json_int_t)info.size, "page_bytes", (json_int_t)all, "span_bytes",
                      (json_int_t)totals.bytes, "free_bytes", (json_int_t)(all - totals.bytes), "live_blocks",
                      (json_int_t)totals.live_blocks, "live_bytes", (json_int_t)totals.live_bytes,
                      "generation", (json_int_t)info.generation, "classes", classes_array(&map));
        status = pool_print_json(object, 0);
    } else {
        printf("%s: %s\n", request->file, state_of(&info));
        printf("  %" PRIu64 " live blocks, %s, in %" PRIu64 " spans of %s; %s of pages are free\n",
               totals.live_blocks, pool_bytes(totals.live_bytes), totals.spans, pool_bytes(totals.bytes),
               pool_bytes(all - totals.bytes));
        if (info.generation > 0)
            printf("  last checkpoint: %" PRIu64 "\n", info.generation);
        print_classes(&map);
        status = pool_done(0);
    }
    page_map_drop(&map);
    return status;
}
