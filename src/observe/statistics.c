/* statistics.c - see statistics.h. */
#include "observe/statistics.h"

#include "engine/classes.h"

/* Every field of cairn_stats once, for text and JSON alike: FIELD(name, what it is). */
#define FIELDS(FIELD)                                                                                        \
    FIELD(live, "bytes in blocks handed out")                                                                \
    FIELD(cached, "bytes free inside spans")                                                                 \
    FIELD(free, "bytes of free pages not given back")                                                        \
    FIELD(metadata, "bytes of the allocator's own")                                                          \
    FIELD(committed, "bytes, the sum of these")                                                              \
    FIELD(committed_peak, "bytes, its highest value")                                                        \
    FIELD(reserved, "bytes of address space")                                                                \
    FIELD(limit_hard, "bytes, hard limit")                                                                   \
    FIELD(limit_soft, "bytes, soft limit")                                                                   \
    FIELD(live_blocks, "blocks handed out")                                                                  \
    FIELD(live_large, "bytes in large blocks")                                                               \
    FIELD(allocations, "blocks handed out so far")                                                           \
    FIELD(frees, "blocks given back so far")                                                                 \
    FIELD(spans, "spans")                                                                                    \
    FIELD(threads, "thread caches in use")                                                                   \
    FIELD(arenas, "address ranges")                                                                          \
    FIELD(purged, "bytes given back to the system so far")                                                   \
    FIELD(purges, "calls that gave them back")

static void text_field(struct printer *p, const char *name, uint64_t value, const char *what)
{
    if (value == UINT64_MAX)
        print(p, "  %-15s %16s  %s\n", name, "none", what);
    else
        print(p, "  %-15s %16ju  %s\n", name, value, what);
}

void statistics_print_text(struct printer *p, const struct statistics *s)
{
    print(p, "cairn %s statistics\n", cairn_version());
#define TEXT(name, what) text_field(p, #name, s->total.name, what);
    FIELDS(TEXT)
#undef TEXT
    print(p, "  %10s %8s %12s %14s %14s\n", "block size", "spans", "blocks", "live", "held");
    for (unsigned i = 0; i <= CLASS_COUNT; i++) {
        const struct class_statistics *size_class = &s->classes[i];
        if (size_class->spans == 0)
            continue;
        if (i == CLASS_LARGE)
            print(p, "  %10s", "large");
        else
            print(p, "  %10zu", class_size(i));
        print(p, " %8ju %12ju %14ju %14ju\n", size_class->spans, size_class->live_blocks, size_class->live,
              size_class->held);
    }
    printer_flush(p);
}

void statistics_print_json(struct printer *p, const struct statistics *s)
{
    print(p, "{\"cairn\": \"%s\"", cairn_version());
#define JSON(name, what)                                                                                     \
    if (s->total.name == UINT64_MAX)                                                                         \
        print(p, ", \"%s\": null", #name);                                                                   \
    else                                                                                                     \
        print(p, ", \"%s\": %ju", #name, s->total.name);
    FIELDS(JSON)
#undef JSON
    print(p, ", \"classes\": [");
    const char *separator = "";
    for (unsigned i = 0; i <= CLASS_COUNT; i++) {
        const struct class_statistics *size_class = &s->classes[i];
        if (size_class->spans == 0)
            continue;
        print(p, "%s{\"block_size\": ", separator);
        if (i == CLASS_LARGE)
            print(p, "null");
        else
            print(p, "%zu", class_size(i));
        print(p, ", \"spans\": %ju, \"live_blocks\": %ju, \"live\": %ju, \"held\": %ju}", size_class->spans,
              size_class->live_blocks, size_class->live, size_class->held);
        separator = ", ";
    }
    print(p, "]}\n");
    printer_flush(p);
}

static void xml_class(struct printer *p, unsigned i, const struct class_statistics *size_class)
{
    if (size_class->spans == 0)
        return;
    size_t size = i == CLASS_LARGE ? (size_t)PTRDIFF_MAX : class_size(i);
    uint64_t cached = size_class->held - size_class->live;
    print(p, "    <size from=\"%zu\" to=\"%zu\" total=\"%ju\" count=\"%ju\" live=\"%ju\" cached=\"%ju\"/>\n",
          i == 0 ? (size_t)0 : class_size(i - 1) + 1, size, size_class->held, size_class->live_blocks,
          size_class->live, cached);
}

/* The layout of glibc's malloc_info, so that its readers find what they know: one heap, its sizes, totals. */
void statistics_print_xml(struct printer *p, const struct statistics *s)
{
    const cairn_stats *t = &s->total;
    print(p, "<malloc version=\"1\">\n  <heap nr=\"0\">\n  <sizes>\n");
    for (unsigned i = 0; i <= CLASS_COUNT; i++)
        xml_class(p, i, &s->classes[i]);
    print(p, "  </sizes>\n");
    print(p, "  <total type=\"live\" count=\"%ju\" size=\"%ju\"/>\n", t->live_blocks, t->live);
    print(p, "  <total type=\"cached\" count=\"0\" size=\"%ju\"/>\n", t->cached);
    print(p, "  <total type=\"free\" count=\"0\" size=\"%ju\"/>\n", t->free);
    print(p, "  <total type=\"metadata\" count=\"0\" size=\"%ju\"/>\n", t->metadata);
    print(p, "  <system type=\"current\" size=\"%ju\"/>\n", t->committed);
    print(p, "  <system type=\"max\" size=\"%ju\"/>\n", t->committed_peak);
    print(p, "  <aspace type=\"total\" size=\"%ju\"/>\n", t->reserved);
    print(p, "  <aspace type=\"mprotect\" size=\"%ju\"/>\n", t->reserved);
    print(p, "  </heap>\n");
    print(p, "  <total type=\"live\" count=\"%ju\" size=\"%ju\"/>\n", t->live_blocks, t->live);
    print(p, "  <total type=\"cached\" count=\"0\" size=\"%ju\"/>\n", t->cached);
    print(p, "  <total type=\"free\" count=\"0\" size=\"%ju\"/>\n", t->free);
    print(p, "  <total type=\"metadata\" count=\"0\" size=\"%ju\"/>\n", t->metadata);
    print(p, "  <system type=\"current\" size=\"%ju\"/>\n", t->committed);
    print(p, "  <system type=\"max\" size=\"%ju\"/>\n", t->committed_peak);
    print(p, "  <aspace type=\"total\" size=\"%ju\"/>\n", t->reserved);
    print(p, "</malloc>\n");
    printer_flush(p);
}
