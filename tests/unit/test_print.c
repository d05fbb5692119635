/* test_print.c - base/print beside the C library's printf, and at the borders of its buffer. */
#include "unit.h"

#include "base/print.h"

/* Both print the same. */
#define SAME(...)                                                                                            \
    do {                                                                                                     \
        char ours[256], theirs[256];                                                                         \
        print_to_buffer(ours, sizeof ours, __VA_ARGS__);                                                     \
        snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                        \
        CHECKF(strcmp(ours, theirs) == 0, "\"%s\" and \"%s\"", ours, theirs);                                \
    } while (0)

static void every_conversion(void **state)
{
    (void)state;
    static const int numbers[] = {0, 1, -1, 9, 10, -10, 42, 99999, INT32_MAX, INT32_MIN};
    static const uint64_t wide[] = {0,          1,
                                    9,          10,
                                    15,         16,
                                    UINT32_MAX, 0xdeadbeef,
                                    UINT64_MAX, UINT64_C(1) << 63,
                                    1000000000, UINT64_C(10000000000000000000)};
    SAME("plain");
    SAME("%s|%s|%s", "", "a", "some words");
    SAME("%c%c%c", 'a', ' ', '%');
    SAME("100%%");
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        SAME("<%d> <%u> <%x>", numbers[i], (unsigned)numbers[i], (unsigned)numbers[i]);
    for (size_t i = 0; i < COUNT_OF(wide); i++) {
        SAME("<%zu> <%lu> <%ju>", (size_t)wide[i], (unsigned long)wide[i], (uintmax_t)wide[i]);
        SAME("<%zx> <%lx> <%jx>", (size_t)wide[i], (unsigned long)wide[i], (uintmax_t)wide[i]);
        if (wide[i] != 0)
            SAME("<%p>", (void *)(uintptr_t)wide[i]);
    }
}

static void widths(void **state)
{
    (void)state;
    SAME("<%1s> <%5s> <%-5s> <%2s>", "ab", "ab", "ab", "abcd");
    SAME("<%3d> <%-3d> <%10d> <%-10d>", 7, 7, -12345, -12345);
    SAME("<%8zu> <%-8zu> <%20ju> <%-20ju>", (size_t)1234, (size_t)1234, UINTMAX_MAX, UINTMAX_MAX);
    SAME("<%4c> <%-4c>", 'x', 'x');
    SAME("<%12x> <%-12x>", 0xabcu, 0xabcu);
    SAME("<%20p> <%-20p>", (void *)(uintptr_t)4096, (void *)(uintptr_t)4096);
    SAME("<%100s>", "far to the right");
}

static void null_pointer_is_a_number(void **state)
{
    (void)state;
    char text[16];
    print_to_buffer(text, sizeof text, "%p", NULL);
    assert_string_equal(text, "0x0");
}

/* An unknown conversion shows its letter, and a format may end in the middle of one. */
static void odd_formats(void **state)
{
    (void)state;
    static const struct {
        const char *format, *expected;
    } cases[] = {{"a%", "a"}, {"a%-12", "a"}, {"a%z", "a"}, {"%y", "y"}, {"%5%.", "    %."}, {"", ""}};
    void (*anything)(char *, size_t, const char *, ...) = print_to_buffer; /* the compiler is not to look */
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[32];
        anything(text, sizeof text, cases[i].format);
        assert_string_equal(text, cases[i].expected);
    }
}

static void cut_to_the_buffer(void **state)
{
    (void)state;
    char whole[2000], text[2100];
    memset(whole, 'w', sizeof whole - 1);
    whole[sizeof whole - 1] = '\0';
    for (size_t size = 1; size <= 2050; size = size < 20 ? size + 1 : size + 203) {
        memset(text, '#', sizeof text);
        print_to_buffer(text, size, "%s", whole);
        size_t expected = size - 1 < 1999 ? size - 1 : 1999;
        CHECK_EQ(strlen(text), expected);
        CHECK(strspn(text, "w") == expected);
        for (size_t i = size; i < sizeof text; i++)
            CHECKF(text[i] == '#', "byte %zu of %zu is written", i, size);
    }
    print_to_buffer(text, 4, "%d", -123456);
    assert_string_equal(text, "-12");
}

/* ---- Sinks --------------------------------------------------------------------------------------- */

struct sunk {
    char text[8192];
    size_t used;
    unsigned calls, fail_at; /* 0: never */
};

static bool sink(void *context, const char *text, size_t size)
{
    struct sunk *sunk = context;
    CHECK(size > 0);
    if (++sunk->calls == sunk->fail_at)
        return false;
    CHECK(sunk->used + size < sizeof sunk->text);
    memcpy(sunk->text + sunk->used, text, size);
    sunk->used += size;
    return true;
}

/* Text of every length around the buffer's size reaches the sink whole and in order. */
static void buffers_flush_when_full(void **state)
{
    (void)state;
    static struct sunk sunk;
    struct printer p;
    for (size_t pieces = 1; pieces < 300; pieces += 7) {
        char expected[8192];
        size_t length = 0;
        memset(&sunk, 0, sizeof sunk);
        printer_init(&p, sink, &sunk);
        for (size_t i = 0; i < pieces; i++) {
            print(&p, "%zu:%-7s", i, "ab");
            length += (size_t)sprintf(expected + length, "%zu:%-7s", i, "ab");
        }
        CHECK(printer_flush(&p));
        CHECK_EQ(sunk.used, length);
        CHECK(memcmp(sunk.text, expected, length) == 0);
        CHECK_EQ(sunk.calls, (length + sizeof p.buffer - 1) / sizeof p.buffer);
    }
    CHECK(printer_flush(&p));
}

static void a_failed_sink_gets_nothing_more(void **state)
{
    (void)state;
    static struct sunk sunk;
    struct printer p;
    for (unsigned fail_at = 1; fail_at <= 3; fail_at++) {
        memset(&sunk, 0, sizeof sunk);
        sunk.fail_at = fail_at;
        printer_init(&p, sink, &sunk);
        for (int i = 0; i < 2000; i++)
            print(&p, "x");
        CHECK(!printer_flush(&p) && p.failed);
        CHECK_EQ(sunk.calls, fail_at);
        CHECK_EQ(sunk.used, (fail_at - 1) * sizeof p.buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_conversion),
        cmocka_unit_test(widths),
        cmocka_unit_test(null_pointer_is_a_number),
        cmocka_unit_test(odd_formats),
        cmocka_unit_test(cut_to_the_buffer),
        cmocka_unit_test(buffers_flush_when_full),
        cmocka_unit_test(a_failed_sink_gets_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
