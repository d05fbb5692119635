/* test_classes.c - every size, every class, every alignment. */
#include "unit.h"

#include "engine/classes.h"

static void every_size_gets_the_smallest_class_that_fits(void **state)
{
    (void)state;
    for (size_t size = 0; size <= CLASS_SIZE_MAX; size++) {
        unsigned size_class = class_of(size);
        CHECK(size_class < CLASS_COUNT);
        CHECKF(class_size(size_class) >= size, "%zu in class %u", size, size_class);
        CHECKF(size_class == 0 || class_size(size_class - 1) < size, "%zu in class %u", size, size_class);
    }
    CHECK_EQ(class_of(CLASS_SIZE_MAX), CLASS_COUNT - 1);
    for (size_t i = 0; i < QUICK_COUNT; i++)
        CHECK_EQ(class_of_eighths[i], class_of(8 * i));
}

static void classes_rise_by_little(void **state)
{
    (void)state;
    CHECK_EQ(class_size(0), 8);
    CHECK_EQ(class_size(CLASS_COUNT - 1), CLASS_SIZE_MAX);
    for (unsigned i = 1; i < CLASS_COUNT; i++) {
        size_t size = class_size(i), before = class_size(i - 1);
        CHECK(size > before && size % BLOCK_ALIGN == 0);
        CHECKF(size - before <= 16 || (size - before) * 8 <= before, "%zu after %zu", size, before);
        CHECK_EQ(class_of(size), i);
    }
    for (size_t size = 16; size <= CLASS_SIZE_MAX; size *= 2)
        CHECK_EQ(class_size(class_of(size)), size);
}

/* What class_aligned_size asks for is a class whose blocks all have the alignment, and the smallest. */
static void alignment_by_choice_of_class(void **state)
{
    (void)state;
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2)
        for (size_t size = 0; size <= CLASS_SIZE_MAX; size++) {
            size_t wanted = class_aligned_size(size, align);
            CHECK(wanted >= size && wanted > 0);
            size_t smallest = 0;
            for (unsigned i = class_of(size); i < CLASS_COUNT && smallest == 0; i++)
                if (class_size(i) % align == 0)
                    smallest = class_size(i);
            CHECKF(wanted == smallest, "%zu to %zu: %zu, not %zu", size, align, wanted, smallest);
        }
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2)
        CHECK(class_aligned_size(CLASS_SIZE_MAX + 1, align) > CLASS_SIZE_MAX);
}

static void spans_waste_little(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        size_t size = class_size(i);
        unsigned top = class_level_max(i);
        CHECK(top < 32);
        for (unsigned level = 0; level <= top; level++) {
            size_t pages = class_span_pages(i, level), bytes = pages * PAGE_SIZE;
            CHECKF(pages >= 1 && pages <= SPAN_PAGES_MAX, "class %u level %u: %zu pages", i, level, pages);
            CHECKF(bytes / size >= 4, "class %u level %u: %zu blocks", i, level, bytes / size);
            CHECKF(bytes % size * 12 <= bytes, "class %u level %u: %zu of %zu wasted", i, level, bytes % size,
                   bytes);
            CHECK(level == 0 || pages == 2 * class_span_pages(i, level - 1));
            CHECKF(bytes / size <= UINT16_MAX, "class %u: the count in `remote` has 16 bits", i);
        }
        CHECK(class_span_pages(i, 0) * PAGE_SIZE * 2 > 64 * KiB || top > 0);
        CHECK(top == 0 || class_span_pages(i, top) * PAGE_SIZE <= 64 * KiB);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_gets_the_smallest_class_that_fits),
        cmocka_unit_test(classes_rise_by_little),
        cmocka_unit_test(alignment_by_choice_of_class),
        cmocka_unit_test(spans_waste_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
