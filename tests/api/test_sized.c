// timeout: 60
// sanitize: no
/* test_sized.c - free_sized, free_aligned_sized: right sizes are accepted whatever the block's way was, wrong
 * ones are named and end the process; and the small calls around them: good_size, strdup, errormsg. */
#include "api.h"

/* "free_sized(p, n)" with the n that was asked for, through every size class and far beyond */
static void right_sizes_are_accepted(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t size = 0; size < 50 * MIB; size = size < 20000 ? size + 1 : size + size / 9) {
            f->free_sized(f->malloc(size), size);
            f->free_sized(f->calloc(1, size), size);
            f->free_sized(f->realloc(f->malloc(size / 3), size), size == 0 ? 0 : size);
            if (size > 0)
                f->free_sized(f->realloc(f->malloc(size * 2), size), size);
        }
        f->free_sized(NULL, 100);
        f->free_aligned_sized(NULL, 64, 100);
    }
}

/* "free_aligned_sized(p, a, n)" with what aligned_alloc or posix_memalign was asked for */
static void right_alignments_are_accepted(void **state)
{
    (void)state;
    FOR_FACES(f)
    {
        for (size_t a = 1; a <= 256 * MIB; a *= 2)
            for (size_t size = 1; size < 3 * MIB; size = size * 3 + 1) {
                void *p = f->aligned_alloc(a, size), *q = NULL;
                CHECK(p != NULL);
                f->free_aligned_sized(p, a, size);
                if (a >= sizeof(void *)) {
                    CHECK(f->posix_memalign(&q, a, size) == 0);
                    f->free_aligned_sized(q, a, size);
                }
            }
    }
}

/* "A size that the block could not have had is named on standard error, then the process aborts": too large,
 * and too small by more than rounding. */
static void task_wrong_size(void)
{
    const char *value = getenv("WRONG_SIZE");
    unsigned long face_number = 0, aligned = 0, had = 0, told = 0;
    CHECK(value != NULL && sscanf(value, "%lu,%lu,%lu,%lu", &face_number, &aligned, &had, &told) == 4);
    const face *f = &faces[face_number];
    void *p = f->malloc(had);
    CHECK(p != NULL);
    dprintf(1, "%p\n", p);
    if (aligned == 2) { /* the size is right, the alignment is not: no block of malloc's is at 4096 + 16 */
        while (((uintptr_t)p & 4095) == 0)
            p = f->malloc(had);
        f->free_aligned_sized(p, 4096, told);
    } else if (aligned == 1)
        f->free_aligned_sized(p, 16, told);
    else
        f->free_sized(p, told);
}

static void wrong_sizes_are_reported(void **state)
{
    (void)state;
    static const struct {
        unsigned long had, told;
    } cases[] = {
        /* a block may have shrunk to half its size in place, so what is told is below that, or above all */
        {64, 65},           {64, 128},          {64, 20},       {64, 1},
        {64, MIB},          {1000, 2000},       {1000, 100},    {10000, 20000},
        {10000, 100},       {100000, 200000},   {100000, 1000}, {8388608, 100},
        {8388608, 9000000}, {8388608, 1048576}, {64, ~0ul},
    };
    for (unsigned long face_number = 0; face_number < 2; face_number++)
        for (unsigned long aligned = 0; aligned < 2; aligned++)
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                static check_run run;
                char setting[100], expected[200], pointer[40];
                snprintf(setting, sizeof setting, "WRONG_SIZE=%lu,%lu,%lu,%lu", face_number, aligned,
                         cases[i].had, cases[i].told);
                const char *const env[] = {setting, NULL};
                memset(&run, 0, sizeof run);
                run.env = env;
                check_task_run(&run, "wrong_size");
                CHECKF(!check_run_ok(&run), "%s passes", setting);
                CHECK(sscanf(run.out, "%39s", pointer) == 1);
                snprintf(expected, sizeof expected, "^cairn: (cairn_)?%s: wrong size .*%s",
                         aligned ? "free_aligned_sized" : "free_sized", pointer);
                check_run_aborted(&run, expected);
            }
    static check_run run;
    const char *const env[] = {"WRONG_SIZE=0,2,64,64", NULL};
    run.env = env;
    check_task_run(&run, "wrong_size");
    check_run_aborted(&run, "^cairn: free_aligned_sized: .*0x[0-9a-f]+");
}

/* "The usable size that cairn_malloc(size) would give" */
static void good_size_is_what_malloc_gives(void **state)
{
    (void)state;
    for (size_t size = 0; size < 100 * MIB; size = size < 40000 ? size + 1 : size + size / 17) {
        void *p = cairn_malloc(size);
        CHECK(p != NULL);
        size_t usable = cairn_usable_size(p), good = cairn_good_size(size);
        CHECKF(usable == good, "size %zu: usable %zu, good %zu", size, usable, good);
        CHECK(good >= size && cairn_good_size(good) == good);
        cairn_free(p);
    }
}

/* strdup, strndup: copies of their own, always terminated */
static void strings_are_copied(void **state)
{
    (void)state;
    static char text[70000];
    memset(text, 'x', sizeof text - 1);
    for (size_t length = 0; length < sizeof text - 1; length = length * 2 + 1) {
        text[length] = '\0';
        char *a = cairn_strdup(text), *b = cairn_strndup(text, length / 2),
             *c = cairn_strndup(text, SIZE_MAX);
        CHECK(a != NULL && b != NULL && c != NULL && a != text);
        CHECK(strcmp(a, text) == 0 && strcmp(c, text) == 0);
        CHECK(strlen(b) == length / 2 && strncmp(b, text, length / 2) == 0);
        CHECK(cairn_usable_size(a) >= length + 1 && cairn_usable_size(b) >= length / 2 + 1);
        cairn_free(a);
        cairn_free(b);
        cairn_free(c);
        text[length] = 'x';
    }
    /* no more than `max` bytes are read: the string ends at the border of a page that can't be read */
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
    memset(page, 'y', 4096);
    char *d = cairn_strndup(page + 4086, 10);
    CHECK(d != NULL && strcmp(d, "yyyyyyyyyy") == 0);
    cairn_free(d);
    munmap(page, 8192);
}

static void *other_thread(void *argument)
{
    (void)argument;
    CHECK(cairn_errormsg() != NULL && cairn_errormsg()[0] == '\0');
    return NULL;
}

/* "The calling thread's last failure in words, "" before the first one" */
static void task_errors_in_words(void)
{
    CHECK(cairn_errormsg() != NULL && cairn_errormsg()[0] == '\0');
    cairn_free(cairn_malloc(10));
    CHECK(cairn_errormsg()[0] == '\0');
    CHECK(cairn_malloc(check_opaque_size(SIZE_MAX)) == NULL);
    CHECK(strlen(cairn_errormsg()) > 5 && strlen(cairn_errormsg()) < 500);
    CHECK(strchr(cairn_errormsg(), '\n') == NULL);
    char first[500];
    strcpy(first, cairn_errormsg());
    CHECK(cairn_aligned_alloc(check_opaque_size(3), 10) == NULL);
    CHECKF(strcmp(first, cairn_errormsg()) != 0, "a wrong alignment is also \"%s\"", first);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK(cairn_limit_set(1, 2) == -1 && errno == EINVAL);
    CHECK(strstr(cairn_errormsg(), "limit") != NULL);
}

static void errors_in_words(void **state)
{
    (void)state;
    check_task_ok("errors_in_words", NULL);
}

static void version_is_that_of_the_header(void **state)
{
    (void)state;
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", CAIRN_VERSION_MAJOR, CAIRN_VERSION_MINOR,
             CAIRN_VERSION_PATCH);
    assert_string_equal(cairn_version(), expected);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"wrong_size", task_wrong_size}, {"errors_in_words", task_errors_in_words}, {NULL, NULL}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_sizes_are_accepted),
        cmocka_unit_test(right_alignments_are_accepted),
        cmocka_unit_test(wrong_sizes_are_reported),
        cmocka_unit_test(good_size_is_what_malloc_gives),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(errors_in_words),
        cmocka_unit_test(version_is_that_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
