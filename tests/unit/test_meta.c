// link: -Wl,--wrap=os_map
/* test_meta.c - the store of descriptors: aligned, zeroed, counted, recycled, and whole after a refusal. */
#include "unit.h"

#include "engine/cache.h"
#include "engine/heap.h"
#include "engine/meta.h"

void *__real_os_map(void *hint, size_t size);
void *__wrap_os_map(void *hint, size_t size);

static bool refuse;
static size_t mapped;

void *__wrap_os_map(void *hint, size_t size)
{
    void *got = refuse ? NULL : __real_os_map(hint, size);
    mapped += got != NULL ? size : 0;
    return got;
}

static struct heap heap;

static int fresh_heap(void **state)
{
    (void)state;
    struct heap_config config = heap_config_default(&source_os);
    heap_init(&heap, &config);
    mapped = 0;
    refuse = false;
    return 0;
}

static void pieces_are_aligned_zero_and_apart(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static char *pieces[COUNT];
    static size_t sizes[COUNT];
    uint64_t random = check_seed();
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = i == 77 ? 200 * KiB : 1 + check_below(&random, 900);
        pieces[i] = meta_alloc(&heap, sizes[i]);
        CHECK(pieces[i] != NULL && (uintptr_t)pieces[i] % CACHE_LINE == 0);
        CHECK(check_nonzero(pieces[i], sizes[i]) == sizes[i]);
        check_fill(pieces[i], sizes[i], i);
        CHECK_EQ(heap.counts.meta_bytes, mapped);
    }
    for (size_t i = 0; i < COUNT; i++)
        CHECK_FILLED(pieces[i], sizes[i], i);
    CHECK(mapped < COUNT * 640 + 300 * KiB);
}

static void descriptors_are_recycled(void **state)
{
    (void)state;
    struct span *spans[100];
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        CHECK((spans[i] = meta_span_alloc(&heap)) != NULL);
    size_t before = mapped;
    for (size_t i = 0; i < COUNT_OF(spans); i++)
        meta_span_free(&heap, spans[i]);
    for (size_t i = COUNT_OF(spans); i-- > 0;)
        CHECK(meta_span_alloc(&heap) == spans[i]);
    CHECK_EQ(mapped, before);
    CHECK(meta_span_alloc(&heap) != spans[0]);
}

static void own_mappings_are_counted(void **state)
{
    (void)state;
    size_t size = 5000;
    char *at = meta_map(&heap, &size);
    CHECK(at != NULL && size >= 5000 && size % PAGE_SIZE == 0);
    CHECK_EQ(heap.counts.meta_bytes, size);
    CHECK(check_nonzero(at, size) == size);
    meta_unmap(&heap, at, size);
    CHECK_EQ(heap.counts.meta_bytes, 0);
}

static void a_refusal_changes_nothing(void **state)
{
    (void)state;
    char *first = meta_alloc(&heap, 64);
    CHECK(first != NULL);
    size_t before = heap.counts.meta_bytes;
    refuse = true;
    size_t size = 5000;
    CHECK(meta_map(&heap, &size) == NULL && size == 5000);
    CHECK(meta_alloc(&heap, 300 * KiB) == NULL);
    CHECK(meta_alloc(&heap, 64) == first + 64); /* what is left of the piece still serves */
    while (meta_span_alloc(&heap) != NULL)
        continue;
    CHECK(meta_span_alloc(&heap) == NULL && cache_make(&heap) == NULL);
    CHECK_EQ(heap.counts.meta_bytes, before);
    refuse = false;
    CHECK(meta_span_alloc(&heap) != NULL && heap.counts.meta_bytes > before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pieces_are_aligned_zero_and_apart, fresh_heap),
        cmocka_unit_test_setup(descriptors_are_recycled, fresh_heap),
        cmocka_unit_test_setup(own_mappings_are_counted, fresh_heap),
        cmocka_unit_test_setup(a_refusal_changes_nothing, fresh_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
