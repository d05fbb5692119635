/* pool_svg.c - the map of a pool as SVG, and as PNG by rsvg-convert: a field of cells coloured by block size, pale where
 * few of the bytes are live; below it one bar for each block size. */
#include "pool.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CELL = 6,
    COLUMNS = 128,
    CELLS_MAX = COLUMNS * 128,
    LEFT = 10,
    TOP = 40,
    BAR_HEIGHT = 14,
    BAR_WIDTH = 420
};

/* Colours go round the wheel with the size; large blocks are grey. */
static void print_colour(FILE *out, const struct page_map *map, unsigned kind, double live)
{
    const struct page_class *page_class = &map->classes[kind - 1];
    double light = 92 - 47 * live;
    if (page_class->block_size == 0)
        fprintf(out, "hsl(0,0%%,%.0f%%)", light);
    else
        fprintf(out, "hsl(%.0f,65%%,%.0f%%)", fmod(log2((double)page_class->block_size) * 36, 360), light);
}

static void print_text(FILE *out, const char *text)
{
    for (; *text != 0; text++)
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        default: fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
        }
}

/* A cell of several pages has the colour of the first that is used, and the mean of how full they are. */
static void print_cell(FILE *out, const struct page_map *map, uint64_t from, uint64_t to, uint64_t index)
{
    uint64_t used = 0;
    unsigned kind = 0;
    for (uint64_t page = from; page < to; page++) {
        used += map->used[page];
        kind = kind == 0 ? map->kind[page] : kind;
    }
    if (kind == 0 && from >= map->touched)
        return; /* never used: the ground shows */
    fprintf(out, "<rect x=\"%" PRIu64 "\" y=\"%" PRIu64 "\" width=\"%d\" height=\"%d\" fill=\"",
            LEFT + index % COLUMNS * CELL, TOP + index / COLUMNS * CELL, CELL - 1, CELL - 1);
    if (kind == 0)
        fputs("#ddd", out);
    else
        print_colour(out, map, kind, (double)used / (255.0 * (double)(to - from)));
    fputs("\"/>\n", out);
}

static void print_bar(FILE *out, const struct page_map *map, size_t index, uint64_t y, uint64_t most)
{
    const struct page_class *page_class = &map->classes[index];
    double scale = most > 0 ? (double)BAR_WIDTH / (double)most : 0, live = 1 - page_class_waste(page_class);
    double width = (double)page_class->bytes * scale;
    char size[24] = "large";
    if (page_class->block_size != 0)
        (void)snprintf(size, sizeof size, "%" PRIu64, page_class->block_size);
    fprintf(out, "<text x=\"%d\" y=\"%" PRIu64 "\" text-anchor=\"end\">%s</text>\n", LEFT + 60, y + 11, size);
    fprintf(out, "<rect x=\"%d\" y=\"%" PRIu64 "\" width=\"%.1f\" height=\"%d\" fill=\"#ddd\"/>\n", LEFT + 70,
            y, width, BAR_HEIGHT - 3);
    fprintf(out, "<rect x=\"%d\" y=\"%" PRIu64 "\" width=\"%.1f\" height=\"%d\" fill=\"", LEFT + 70, y,
            width * live, BAR_HEIGHT - 3);
    print_colour(out, map, (unsigned)index + 1, 1);
    fprintf(out, "\"/>\n<text x=\"%d\" y=\"%" PRIu64 "\">%s, %.0f %% live</text>\n", LEFT + 80 + BAR_WIDTH,
            y + 11, pool_bytes(page_class->bytes), 100 * live);
}

static void print_svg(FILE *out, const struct pool_request *request, const struct page_map *map)
{
    uint64_t each = (map->pages + CELLS_MAX - 1) / CELLS_MAX, most = 0;
    each = each > 0 ? each : 1;
    uint64_t cells = (map->pages + each - 1) / each, rows = (cells + COLUMNS - 1) / COLUMNS;
    uint64_t bars = TOP + rows * CELL + 30;
    uint64_t width = 2 * LEFT + COLUMNS * CELL, height = bars + map->class_count * BAR_HEIGHT + 10;
    for (size_t i = 0; i < map->class_count; i++)
        most = map->classes[i].bytes > most ? map->classes[i].bytes : most;
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%" PRIu64 "\" height=\"%" PRIu64 "\" "
        "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
        "<text x=\"%d\" y=\"16\" font-size=\"14\">",
        width, height, LEFT);
    print_text(out, request->file);
    fprintf(out,
            "</text>\n<text x=\"%d\" y=\"32\">%" PRIu64
            " pages, a cell is %s; colour: block size, pale: little of it "
            "live, grey: free</text>\n",
            LEFT, map->pages, pool_bytes(each * 4096));
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%" PRIu64 "\" fill=\"#f6f6f6\"/>\n", LEFT,
            TOP, COLUMNS * CELL, rows * CELL);
    for (uint64_t i = 0; i < cells; i++)
        print_cell(out, map, i * each, (i + 1) * each < map->pages ? (i + 1) * each : map->pages, i);
    for (size_t i = 0; i < map->class_count; i++)
        print_bar(out, map, i, bars + i * BAR_HEIGHT, most);
    fputs("</svg>\n", out);
}

bool svg_write(const struct pool_request *request, const struct page_map *map, const char *path)
{
    FILE *out = fopen(path, "we");
    bool good = out != NULL;
    if (good) {
        print_svg(out, request, map);
        good = !ferror(out);
    }
    int error = errno;
    if (out != NULL && fclose(out) != 0 && good) {
        error = errno;
        good = false;
    }
    if (!good)
        complain("%s: %s", path, strerror(error));
    return good;
}

bool svg_to_png(const char *svg, const char *png)
{
    pid_t child = fork();
    if (child == 0) {
        (void)execlp("rsvg-convert", "rsvg-convert", "-o", png, svg, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        complain("--png: %s", WIFEXITED(status) && WEXITSTATUS(status) == 127
                                  ? "rsvg-convert is not there (Debian: librsvg2-bin); --svg needs nothing"
                                  : "rsvg-convert failed");
        return false;
    }
    return true;
}
