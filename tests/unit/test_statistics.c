/* test_statistics.c - figures that add up to the byte, and say the same as text, JSON and XML. */
#include "unit.h"

#include "unit/fake_source.h"
#include "unit/heap_check.h"

enum { SLOTS = 500 };

static struct heap heap;
static struct fake fake;
static struct cache *caches[2];
static void *slots[SLOTS];
static struct statistics now;

static int begin(void **state)
{
    (void)state;
    fake_init(&fake, GiB, 0);
    struct heap_config config = heap_config_default(&fake.source);
    heap_init(&heap, &config);
    for (size_t i = 0; i < COUNT_OF(caches); i++)
        CHECK((caches[i] = cache_make(&heap)) != NULL);
    memset(slots, 0, sizeof slots);
    return 0;
}

static int end(void **state)
{
    (void)state;
    heap_check(&heap);
    heap_forget(&heap);
    fake_done(&fake);
    return 0;
}

static void *allocate(size_t which, size_t size)
{
    enum error error = OK;
    void *block = heap_alloc(caches[which], size, false, &error);
    CHECK(block != NULL);
    return block;
}

static const cairn_stats *read_now(void)
{
    memset(&now, 0xff, sizeof now);
    statistics_read(&heap, &now);
    return &now.total;
}

static void an_empty_heap(void **state)
{
    (void)state;
    const cairn_stats *t = read_now();
    CHECK(t->live == 0 && t->cached == 0 && t->free == 0 && t->metadata == t->committed && t->spans == 0);
    CHECK(t->limit_hard == UINT64_MAX && t->limit_soft == UINT64_MAX && t->threads == 2 && t->arenas == 0);
    CHECK(t->struct_size == sizeof *t && t->reserved == t->metadata && t->allocations == 0);
}

/* Each figure against what is known of a few blocks. */
static void known_blocks(void **state)
{
    (void)state;
    void *small = allocate(0, 100), *other = allocate(1, 112), *medium = allocate(0, 5000);
    void *large = allocate(1, 100000);
    heap.config.limit_hard = 7 * MiB;
    heap.config.limit_soft = 3 * MiB;
    const cairn_stats *t = read_now();
    CHECK_EQ(t->live, 112 + 112 + 5120 + 25 * PAGE_SIZE);
    CHECK_EQ(t->live_large, 25 * PAGE_SIZE);
    CHECK(t->live_blocks == 4 && t->allocations == 4 && t->frees == 0 && t->spans == 4 && t->arenas == 1);
    CHECK(t->limit_hard == 7 * MiB && t->limit_soft == 3 * MiB);
    CHECK_EQ(t->reserved, 4 * MiB + t->metadata);
    const struct class_statistics *c = &now.classes[class_of(112)];
    CHECK(c->spans == 2 && c->live_blocks == 2 && c->live == 224 &&
          c->held == heap_committed(&heap) - t->metadata - now.classes[CLASS_LARGE].held -
                         now.classes[class_of(5000)].held);
    CHECK(now.classes[CLASS_LARGE].live_blocks == 1 && now.classes[CLASS_LARGE].held == 25 * PAGE_SIZE);
    heap.config.limit_hard = heap.config.limit_soft = SIZE_MAX;
    heap_free(caches[1], "free", small); /* by another thread: it counts at once */
    heap_free(caches[1], "free", large);
    t = read_now();
    CHECK(t->live == 112 + 5120 && t->live_blocks == 2 && t->frees == 2 && t->live_large == 0);
    CHECK_EQ(t->free, 25 * PAGE_SIZE);
    CHECK(heap_trim(&heap, 0));
    t = read_now();
    CHECK(t->free == 0 && t->purged == 25 * PAGE_SIZE && t->purges == 1 && t->committed_peak > t->committed);
    heap_free(NULL, "free", other);
    heap_free(NULL, "free", medium);
    for (size_t i = 0; i < COUNT_OF(caches); i++)
        cache_drop(caches[i]);
    t = read_now();
    CHECK(t->live == 0 && t->cached == 0 && t->threads == 0 && t->spans == 0);
    CHECK(t->allocations == 4 && t->frees == 4);
}

static void random_operations(void **state)
{
    (void)state;
    uint64_t random = check_seed(), allocations = 0, frees = 0, peak = 0;
    size_t usable[SLOTS] = {0}, live = 0;
    for (int step = 0; step < 20000; step++) {
        size_t i = check_below(&random, SLOTS), cache = check_below(&random, 2);
        if (slots[i] == NULL) {
            slots[i] = allocate(cache, check_random_size(&random, 200000));
            usable[i] = span_usable_size(pagemap_find(slots[i]));
            live += usable[i];
            allocations++;
        } else {
            heap_free(caches[cache], "free", slots[i]);
            slots[i] = NULL;
            live -= usable[i];
            frees++;
        }
        if (step % 20 != 0)
            continue;
        cairn_stats t = heap_check_stats(&heap);
        CHECK_EQ(t.live, live);
        CHECK(t.allocations == allocations && t.frees == frees);
        CHECK(t.committed_peak >= peak);
        peak = t.committed_peak;
        if (step % 1000 == 0)
            heap_check(&heap);
    }
}

/* ---- Forms --------------------------------------------------------------------------------------- */

static char text[65536];
static size_t text_used;

static bool sink(void *context, const char *part, size_t size)
{
    (void)context;
    CHECK(text_used + size < sizeof text);
    memcpy(text + text_used, part, size);
    text_used += size;
    text[text_used] = '\0';
    return true;
}

static void print_as(void (*form)(struct printer *p, const struct statistics *s))
{
    struct printer p;
    text_used = 0;
    printer_init(&p, sink, NULL);
    form(&p, &now);
    CHECK(!p.failed);
}

__attribute__((format(printf, 1, 2))) static void has(const char *format, ...)
{
    char expression[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(expression, sizeof expression, format, arguments);
    va_end(arguments);
    CHECKF(check_match(text, expression), "no %s in %.6000s", expression, text);
}

static void forms_agree(void **state)
{
    (void)state;
    allocate(0, 100);
    allocate(0, 100000);
    heap.config.limit_hard = 5 * MiB;
    const cairn_stats *t = read_now();
    print_as(statistics_print_text);
#define LINE(name)                                                                                           \
    if (t->name == UINT64_MAX)                                                                               \
        has("^  " #name " +none  [a-z]");                                                                    \
    else                                                                                                     \
        has("^  " #name " +%llu  [a-z]", (unsigned long long)t->name);
/* clang-format off */
#define EACH(DO)                                                                                             \
    DO(live) DO(cached) DO(free) DO(metadata) DO(committed) DO(committed_peak) DO(reserved) DO(limit_hard)   \
    DO(limit_soft) DO(live_blocks) DO(live_large) DO(allocations) DO(frees) DO(spans) DO(threads) DO(arenas) \
    DO(purged) DO(purges)
    /* clang-format on */
    EACH(LINE)
    has("^ +112 +1 +1 +112 +[0-9]+$");
    has("^ +large +1 +1 +102400 +102400$");
    print_as(statistics_print_json);
    CHECK(text[0] == '{' && text[text_used - 2] == '}' && strchr(text, '\n') == text + text_used - 1);
#define PAIR(name)                                                                                           \
    if (t->name == UINT64_MAX)                                                                               \
        has(", \"" #name "\": null,");                                                                       \
    else                                                                                                     \
        has(", \"" #name "\": %llu,", (unsigned long long)t->name);
    EACH(PAIR)
    has("\\{\"block_size\": 112, \"spans\": 1, \"live_blocks\": 1, \"live\": 112, \"held\": [0-9]+\\}, \\{");
    has("\\{\"block_size\": null, \"spans\": 1, \"live_blocks\": 1, \"live\": 102400, \"held\": 102400\\}\\]\\}$");
    print_as(statistics_print_xml);
    has("^<malloc version=\"1\">$");
    has("<size from=\"97\" to=\"112\" total=\"[0-9]+\" count=\"1\" live=\"112\" cached=\"[0-9]+\"/>$");
    has("<system type=\"current\" size=\"%llu\"/>$", (unsigned long long)t->committed);
    has("^</malloc>$");
    heap.config.limit_hard = SIZE_MAX;
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(an_empty_heap),
        WITH(known_blocks),
        WITH(random_operations),
        WITH(forms_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
