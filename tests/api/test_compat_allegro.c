// compat: allegro
/* The memory routines of Allegro by their own names, over Cairn and over an interface that is set. */
#include <allegro5/allegro.h>

#include "api.h"

static void without_interface_it_is_cairn(void **state)
{
    (void)state;
    al_set_memory_interface(NULL);
    uint64_t before = stats_now().live_blocks;
    char *p = al_malloc(100);
    CHECK(p != NULL && cairn_usable_size(p) >= 100);
    check_fill(p, 100, 1);
    p = al_realloc(p, 5000);
    CHECK(p != NULL);
    CHECK_FILLED(p, 100, 1);
    char *z = al_calloc(30, 7);
    CHECK(z != NULL && check_nonzero(z, 210) == 210);
    CHECK(al_calloc(SIZE_MAX / 2, 3) == NULL);
    CHECK_EQ(stats_now().live_blocks, before + 2);
    al_free(p);
    al_free(z);
    al_free(NULL);
    CHECK_EQ(stats_now().live_blocks, before);
    p = al_realloc(NULL, 10);
    CHECK(p != NULL);
    al_free(p);
}

/* ---- An interface that notes what it is called with ---------------------------------------------- */

static struct {
    const char *what, *file, *func;
    int line, calls;
} seen;

static void note(const char *what, int line, const char *file, const char *func)
{
    seen.what = what;
    seen.file = file;
    seen.func = func;
    seen.line = line;
    seen.calls++;
}

static void *my_malloc(size_t n, int line, const char *file, const char *func)
{
    note("malloc", line, file, func);
    return cairn_malloc(n);
}

static void my_free(void *ptr, int line, const char *file, const char *func)
{
    note("free", line, file, func);
    cairn_free(ptr);
}

static void *my_realloc(void *ptr, size_t n, int line, const char *file, const char *func)
{
    note("realloc", line, file, func);
    return cairn_realloc(ptr, n);
}

static void *my_calloc(size_t count, size_t n, int line, const char *file, const char *func)
{
    note("calloc", line, file, func);
    return cairn_calloc(count, n);
}

#define CHECK_SEEN(call, where)                                                                              \
    do {                                                                                                     \
        CHECKF(strcmp(seen.what, call) == 0, "saw %s", seen.what);                                           \
        CHECK_EQ(seen.line, where);                                                                          \
        CHECK(strcmp(seen.file, __FILE__) == 0 && strcmp(seen.func, __func__) == 0);                         \
    } while (0)

static void an_interface_sees_every_call(void **state)
{
    (void)state;
    static ALLEGRO_MEMORY_INTERFACE mine = {my_malloc, my_free, my_realloc, my_calloc};
    al_set_memory_interface(&mine);
    void *p = al_malloc(10);
    CHECK_SEEN("malloc", __LINE__ - 1);
    p = al_realloc(p, 20);
    CHECK_SEEN("realloc", __LINE__ - 1);
    al_free(p);
    CHECK_SEEN("free", __LINE__ - 1);
    p = al_calloc(2, 8);
    CHECK_SEEN("calloc", __LINE__ - 1);
    al_free_with_context(p, 77, "other.c", "other");
    CHECK_EQ(seen.line, 77);
    CHECK(strcmp(seen.file, "other.c") == 0 && strcmp(seen.func, "other") == 0);
    CHECK_EQ(seen.calls, 5);

    al_set_memory_interface(NULL);
    al_free(al_malloc(10));
    CHECK_EQ(seen.calls, 5);
}

/* The pointer is kept: what is written into the structure later counts. */
static void the_structure_is_not_copied(void **state)
{
    (void)state;
    static ALLEGRO_MEMORY_INTERFACE mine;
    al_set_memory_interface(&mine);
    mine = (ALLEGRO_MEMORY_INTERFACE){my_malloc, my_free, my_realloc, my_calloc};
    int before = seen.calls;
    al_free(al_malloc(1));
    CHECK_EQ(seen.calls, before + 2);
    al_set_memory_interface(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_interface_it_is_cairn),
        cmocka_unit_test(an_interface_sees_every_call),
        cmocka_unit_test(the_structure_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
