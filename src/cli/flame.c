/* flame.c - a profile as a flame graph: SVG, drawn without scripts.
 *
 * Each frame is a box as wide as what was allocated in it or below it; callers are under what they call.  Frames of one
 * caller with one name are one box.  Boxes that would be too narrow to see are left out, which leaves gaps. */
#include "cli.h"
#include "numbers.h"
#include "profile_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1200.0
#define MARGIN 10.0
#define ROW 17.0
#define HEAD 40.0
#define LEAST 0.3     /* points: narrower boxes are not drawn */
#define CHARACTER 6.9 /* points, of the font below */
#define DEPTH_MOST 200

/* A box.  The children are in the order of their names. */
struct box {
    const char *name;
    uint64_t value, blocks;
    struct box *first, *next;
};

struct drawing {
    FILE *file;
    uint64_t total;
    double points_per_unit;
    unsigned depth; /* of the deepest box that is drawn */
};

/* ---- Boxes --------------------------------------------------------------------------------------- */

static struct box *child_of(struct box *box, const char *name)
{
    struct box **link = &box->first;
    while (*link != NULL && strcmp((*link)->name, name) < 0)
        link = &(*link)->next;
    if (*link != NULL && strcmp((*link)->name, name) == 0)
        return *link;
    struct box *fresh = allocate(1, sizeof *fresh);
    *fresh = (struct box){.name = name, .next = *link};
    *link = fresh;
    return fresh;
}

static void add_site(struct box *root, const struct profile_site *site, unsigned value)
{
    struct box *box = root;
    size_t depth = site->depth < DEPTH_MOST ? site->depth : DEPTH_MOST;
    for (size_t i = 0; i <= depth; i++) {
        box->value += site->values[value];
        box->blocks += site->values[value - 1];
        if (i < depth)
            box = child_of(box, site->stack[site->depth - 1 - i]->function);
    }
}

static void release(struct box *box)
{
    for (struct box *child = box->first, *next; child != NULL; child = next) {
        next = child->next;
        release(child);
        free(child);
    }
}

static unsigned deepest(const struct box *box, double points_per_unit)
{
    unsigned most = 0;
    for (const struct box *child = box->first; child != NULL; child = child->next)
        if ((double)child->value * points_per_unit >= LEAST) {
            unsigned depth = 1 + deepest(child, points_per_unit);
            most = depth > most ? depth : most;
        }
    return most;
}

/* ---- SVG ----------------------------------------------------------------------------------------- */

/* At most `count` characters; what XML cannot hold as it is becomes an entity or a question mark. */
static void put_text(FILE *file, const char *text, size_t count)
{
    for (size_t i = 0; text[i] != 0 && i < count; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '<')
            fputs("&lt;", file);
        else if (c == '>')
            fputs("&gt;", file);
        else if (c == '&')
            fputs("&amp;", file);
        else if (c == '"')
            fputs("&quot;", file);
        else
            fputc(c < 32 || c > 126 ? '?' : c, file);
    }
}

/* Warm colours, always the same one for a name. */
static unsigned colour_of(const char *name)
{
    uint32_t hash = 2166136261U;
    for (; *name != 0; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    hash ^= hash >> 15;
    return (205 + hash % 50) << 16 | (90 + (hash >> 8) % 130) << 8 | (40 + (hash >> 16) % 50);
}

static void draw_label(const struct drawing *out, const struct box *box, double x, double y, double width)
{
    size_t room = width > 2 * CHARACTER ? (size_t)((width - 6) / CHARACTER) : 0;
    if (room < 3)
        return;
    bool cut = strlen(box->name) > room;
    fprintf(out->file, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + ROW - 5);
    put_text(out->file, box->name, cut ? room - 2 : room);
    fputs(cut ? "..</text>" : "</text>", out->file);
}

static void draw_box(const struct drawing *out, const struct box *box, unsigned level, double x)
{
    char bytes[NUMBER_MAX], blocks[NUMBER_MAX];
    double width = (double)box->value * out->points_per_unit;
    double y = HEAD + (out->depth - level) * ROW;
    if (width < LEAST || level > out->depth)
        return;
    number_of_bytes(bytes, box->value);
    number_of_count(blocks, box->blocks);
    fputs("<g><title>", out->file);
    put_text(out->file, box->name, SIZE_MAX);
    fprintf(out->file, ": %s in %s blocks, %.2f %%</title>", bytes, blocks,
            100 * (double)box->value / (double)out->total);
    fprintf(out->file, "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"#%06x\"/>", x, y,
            width, ROW - 1, colour_of(box->name));
    draw_label(out, box, x, y, width);
    fputs("</g>\n", out->file);
    for (const struct box *child = box->first; child != NULL; child = child->next) {
        draw_box(out, child, level + 1, x);
        x += (double)child->value * out->points_per_unit;
    }
}

static void draw_head(const struct drawing *out, const char *title, double height)
{
    fprintf(out->file,
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\">\n"
            "<style>text{font:11.5px monospace;fill:#000}rect{stroke:#fff;stroke-width:.4}"
            "g:hover rect{stroke:#000;stroke-width:1}.title{font:bold 15px sans-serif}</style>\n"
            "<rect x=\"0\" y=\"0\" width=\"%.0f\" height=\"%.0f\" fill=\"#fbfaf6\"/>\n"
            "<text class=\"title\" x=\"%.0f\" y=\"25\">",
            WIDTH, height, WIDTH, height, WIDTH, height, MARGIN);
    put_text(out->file, title, SIZE_MAX);
    fputs("</text>\n", out->file);
}

bool profile_draw(const struct profile *profile, unsigned value, const char *title, FILE *file)
{
    struct box root = {.name = "all"};
    for (size_t i = 0; i < profile->site_count; i++)
        add_site(&root, &profile->sites[i], value);
    struct drawing out = {.file = file, .total = root.value > 0 ? root.value : 1};
    out.points_per_unit = (WIDTH - 2 * MARGIN) / (double)out.total;
    out.depth = deepest(&root, out.points_per_unit);
    draw_head(&out, title, HEAD + (out.depth + 1) * ROW + MARGIN);
    draw_box(&out, &root, 0, MARGIN);
    fputs("</svg>\n", file);
    release(&root);
    return fflush(file) == 0 && !ferror(file);
}
