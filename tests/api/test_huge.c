// timeout: 60
// serial: measures time and memory
// sanitize: no
/* test_huge.c - blocks of a tebibyte and more: what they cost besides address space is little memory and time, and a
 * limit of the address space ends in NULL. */
#include "api.h"

#define TIB ((size_t)1 << 40)

/* Mapped without reservation; only the strictest overcommitment refuses that. */
static int system_gives(size_t size)
{
    void *got = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return got != MAP_FAILED && munmap(got, size) == 0;
}

static char *allocate(size_t size)
{
    char *block = malloc(size);
    CHECKF(block != NULL, "malloc of %zu bytes", size);
    CHECK(malloc_usable_size(block) >= size);
    block[0] = block[size / 2] = block[size - 1] = 1;
    return block;
}

static void task_a_tebibyte(void)
{
    free(malloc(100)); /* the first arena is a small one */
    cairn_stats before = stats_checked();
    double begin = check_now();
    for (int i = 0; i < 3; i++) {
        char *block = allocate(TIB), *other = allocate(TIB / 4);
        cairn_stats now = stats_checked();
        CHECKF(now.metadata < before.metadata + 200 * MIB, "%llu bytes of metadata",
               (unsigned long long)now.metadata);
        char *larger = realloc(block, TIB + TIB / 2);
        CHECK(larger != NULL && larger[0] == 1 && larger[TIB - 1] == 1);
        free(larger);
        free(other);
    }
    double seconds = check_now() - begin;
    cairn_stats after = stats_checked();
    CHECKF(seconds < check_scale(20), "three rounds took %.1f s", seconds);
    CHECK_EQ(after.live, before.live);
    CHECKF(after.committed < before.committed + 2 * MIB, "%llu bytes stay committed",
           (unsigned long long)after.committed);
    CHECKF(after.reserved < TIB, "%llu bytes are still reserved", (unsigned long long)after.reserved);
}

static void task_under_a_limit(void)
{
    struct rlimit limit = {TIB + TIB / 2, TIB + TIB / 2};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (int i = 0; i < 3; i++) {
        char *block = allocate(TIB);
        errno = 0;
        CHECK(malloc(TIB) == NULL && errno == ENOMEM);
        CHECK(realloc(block, 2 * TIB) == NULL && errno == ENOMEM && block[TIB - 1] == 1);
        void *small = malloc(100000);
        CHECK(small != NULL);
        free(small);
        free(block);
    }
    stats_checked();
}

static void a_tebibyte(void **state)
{
    (void)state;
    if (system_gives(3 * TIB))
        check_task_ok("a_tebibyte", NULL);
    else
        CHECK(malloc(3 * TIB) == NULL && errno == ENOMEM);
}

static void under_a_limit(void **state)
{
    (void)state;
    if (system_gives(TIB))
        check_task_ok("under_a_limit", NULL);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {
        {"a_tebibyte", task_a_tebibyte}, {"under_a_limit", task_under_a_limit}, {NULL, NULL}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_tebibyte), cmocka_unit_test(under_a_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
