/* pool_map.c - cairn pool map: where in the pool pages are used, how full they are, and by which sizes.
 *
 * In the terminal each character stands for an equal number of pages:
 *     ' '  free and never touched      '.'  free
 *     '-' '=' '%' '#'                  in spans, of which up to 1/4, 1/2, 3/4, all is in live blocks
 * A character that stands for several pages shows the fullest span among them; '.' if all are free. */
#include "pool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- The figures ---------------------------------------------------------------------------------- */

/* The entry of a block size; large blocks have one of their own. */
static size_t class_index(struct page_map *map, uint64_t block_size)
{
    for (size_t i = 0; i < map->class_count; i++)
        if (map->classes[i].block_size == block_size)
            return i;
    map->classes[map->class_count].block_size = block_size;
    return map->class_count++;
}

enum { CLASSES_MAX = 254 };

static int note_span(const cairn_file_span *span, void *context)
{
    struct page_map *map = context;
    progress_step(&map->progress, span->offset + span->bytes - map->data);
    bool large = span->blocks == 1 && span->block_size == span->bytes;
    if (span->offset < map->data || map->class_count >= CLASSES_MAX)
        return 0;
    size_t kind = class_index(map, large ? 0 : span->block_size);
    struct page_class *page_class = &map->classes[kind];
    page_class->spans++;
    page_class->bytes += span->bytes;
    page_class->blocks += span->blocks;
    page_class->live += span->live;
    uint64_t used = span->bytes > 0 ? span->live * span->block_size * 255 / span->bytes : 0;
    for (uint64_t page = (span->offset - map->data) / 4096, i = 0;
         i < span->bytes / 4096 && page < map->pages; i++, page++) {
        map->used[page] = (unsigned char)(used > 0 ? used : 1);
        map->kind[page] = (unsigned char)(kind + 1);
    }
    return 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = ((const struct page_class *)a)->block_size - 1,
             y = ((const struct page_class *)b)->block_size - 1;
    return (x > y) - (x < y); /* 0, for large blocks, comes last */
}

bool page_map_make(const struct pool_request *request, const cairn_file_info *info, struct page_map *map)
{
    *map = (struct page_map){.pages = info->pages, .touched = info->pages_touched, .data = info->data};
    map->used = allocate(info->pages + 1, 1);
    map->kind = allocate(info->pages + 1, 1);
    map->classes = allocate(CLASSES_MAX + 1, sizeof *map->classes);
    progress_begin(&map->progress, request, "reading", map->touched * 4096);
    int walked = cairn_pool_file_walk(request->file, note_span, NULL, map);
    progress_end(&map->progress);
    if (walked != 0) {
        (void)pool_failed(request);
        page_map_drop(map);
        return false;
    }
    /* sorted, and the pages renumbered with them */
    struct page_class *before = allocate(map->class_count + 1, sizeof *before);
    unsigned char rank[256] = {0};
    memcpy(before, map->classes, map->class_count * sizeof *before);
    qsort(map->classes, map->class_count, sizeof *map->classes, by_size);
    for (size_t i = 0; i < map->class_count; i++)
        for (size_t k = 0; k < map->class_count; k++)
            if (map->classes[k].block_size == before[i].block_size)
                rank[i + 1] = (unsigned char)(k + 1);
    for (uint64_t page = 0; page < map->pages; page++)
        map->kind[page] = rank[map->kind[page]];
    free(before);
    return true;
}

void page_map_drop(struct page_map *map)
{
    free(map->used);
    free(map->kind);
    free(map->classes);
}

uint64_t page_class_live_bytes(const struct page_class *page_class, const struct page_map *map)
{
    (void)map;
    return page_class->block_size == 0 ? page_class->bytes : page_class->live * page_class->block_size;
}

double page_class_waste(const struct page_class *page_class)
{
    if (page_class->bytes == 0 || page_class->block_size == 0)
        return 0;
    return 1 - (double)(page_class->live * page_class->block_size) / (double)page_class->bytes;
}

/* ---- The terminal --------------------------------------------------------------------------------- */

enum { ROWS_MAX = 32, COLUMNS_DEFAULT = 72 };

static unsigned columns_of(const struct pool_request *request)
{
    struct winsize size;
    if (request->columns > 0)
        return request->columns;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col - 2u;
    return COLUMNS_DEFAULT;
}

static char symbol_of(const struct page_map *map, uint64_t from, uint64_t to)
{
    static const char levels[] = "-=%#";
    unsigned most = 0;
    for (uint64_t page = from; page < to; page++)
        most = map->used[page] > most ? map->used[page] : most;
    if (most > 0)
        return levels[(most - 1) / 64];
    return from >= map->touched ? ' ' : '.';
}

static void print_picture(const struct pool_request *request, const struct page_map *map)
{
    unsigned columns = columns_of(request);
    uint64_t cells = (uint64_t)columns * ROWS_MAX;
    uint64_t each = (map->pages + cells - 1) / cells;
    each = each > 0 ? each : 1;
    for (uint64_t page = 0, column = 0; page < map->pages; page += each) {
        if (column == 0 && page > 0 && page >= map->touched) { /* nothing but that from here on */
            printf("%s more, never used\n", pool_bytes((map->pages - page) * 4096));
            break;
        }
        if (column == 0)
            putchar('|');
        putchar(symbol_of(map, page, page + each < map->pages ? page + each : map->pages));
        if (++column == columns || page + each >= map->pages) {
            for (; column < columns; column++)
                putchar('/');
            puts("|");
            column = 0;
        }
    }
    printf("one character: %s; '.' free, ' ' never used, '-' '=' '%%' '#' up to 1/4, 1/2, 3/4, all live\n",
           pool_bytes(each * 4096));
}

static void print_fragmentation(const struct page_map *map)
{
    enum { BAR = 24 };
    if (map->class_count > 0)
        printf("\n  %10s  %10s  %-24s  not in live blocks\n", "block size", "in pages", "live");
    for (size_t i = 0; i < map->class_count; i++) {
        const struct page_class *at = &map->classes[i];
        char bar[BAR + 1] = "", size[24] = "large";
        double waste = page_class_waste(at);
        int full = (int)((1 - waste) * BAR + 0.5);
        for (int k = 0; k < BAR; k++)
            bar[k] = k < full ? '#' : '.';
        if (at->block_size != 0)
            (void)snprintf(size, sizeof size, "%" PRIu64, at->block_size);
        printf("  %10s  %10s  %s  %5.1f %%\n", size, pool_bytes(at->bytes), bar, 100 * waste);
    }
}

/* ---- JSON ----------------------------------------------------------------------------------------- */

/* Runs of pages of the same kind and fullness, so that the array is short. */
static json_t *map_object(const struct page_map *map)
{
    json_t *runs = json_array(), *classes = json_array();
    for (uint64_t page = 0, to; page < map->pages; page = to) {
        for (to = page + 1;
             to < map->pages && map->used[to] == map->used[page] && map->kind[to] == map->kind[page]; to++) {}
        json_t *size = map->kind[page] > 0
                           ? json_integer((json_int_t)map->classes[map->kind[page] - 1].block_size)
                           : json_null();
        (void)json_array_append_new(runs, json_pack("{s:I, s:I, s:o, s:f}", "page", (json_int_t)page, "pages",
                                                    (json_int_t)(to - page), "block_size", size, "live",
                                                    map->used[page] / 255.0));
    }
    for (size_t i = 0; i < map->class_count; i++)
        (void)json_array_append_new(classes, json_pack("{s:I, s:I, s:f}", "block_size",
                                                       (json_int_t)map->classes[i].block_size, "bytes",
                                                       (json_int_t)map->classes[i].bytes, "waste",
                                                       page_class_waste(&map->classes[i])));
    return json_pack("{s:I, s:I, s:o, s:o}", "pages", (json_int_t)map->pages, "pages_touched",
                     (json_int_t)map->touched, "runs", runs, "classes", classes);
}

static bool write_pictures(const struct pool_request *request, const struct page_map *map)
{
    if (request->svg != NULL && !svg_write(request, map, request->svg))
        return false;
    if (request->png == NULL)
        return true;
    char *svg = text_of("%s.XXXXXX", request->png);
    int fd = mkstemp(svg);
    if (fd >= 0)
        (void)close(fd);
    bool good = svg_write(request, map, svg) && svg_to_png(svg, request->png);
    (void)unlink(svg);
    free(svg);
    return good;
}

int pool_map(const struct pool_request *request)
{
    cairn_file_info info;
    struct page_map map;
    if (!pool_read_info(request, &info) || !page_map_make(request, &info, &map))
        return STATUS_TROUBLE;
    if (info.bytes_missing > 0)
        complain("%s: the file is shorter than the pool in it: it was cut", request->file);
    int status = write_pictures(request, &map) ? 0 : STATUS_TROUBLE;
    if (status == 0 && request->json) {
        status = pool_print_json(map_object(&map), 0);
    } else if (status == 0 && request->svg == NULL && request->png == NULL) {
        print_picture(request, &map);
        print_fragmentation(&map);
        status = pool_done(0);
    }
    page_map_drop(&map);
    return status;
}
