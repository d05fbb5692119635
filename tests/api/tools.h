/* tools.h - what the tests of the ready interfaces share. */
#ifndef CAIRN_TESTS_TOOLS_H
#define CAIRN_TESTS_TOOLS_H

#include "api.h"

#include <cairn/tools.h>

#define TOOL_TEST(name) cmocka_unit_test_setup_teardown(name, nothing_in_place, nothing_in_place)

static inline int nothing_in_place(void **state)
{
    (void)state;
    return cairn_hook_list(NULL, 0) == 0 ? 0 : -1;
}

static inline void stop(cairn_tool *tool)
{
    CHECK(cairn_tool_stop(tool) == 0);
}

/* What a tool prints. */
static inline const char *printed(cairn_tool *tool, cairn_stats_format format)
{
    static char text[1 << 16];
    int file = memfd_create("printed", MFD_CLOEXEC);
    CHECK(file >= 0 && cairn_tool_print(tool, file, format) == 0);
    ssize_t size = pread(file, text, sizeof text - 1, 0);
    CHECK(size >= 0);
    text[size] = 0;
    close(file);
    return text;
}

/* What the leak tracker visits. */
struct seen {
    int count;
    cairn_leak leaks[10];
};

static inline int see(const cairn_leak *leak, void *context)
{
    struct seen *seen = context;
    if (seen->count < 10)
        seen->leaks[seen->count] = *leak;
    seen->count++;
    return 0;
}

static inline struct seen leaks_of(cairn_tool *tool)
{
    struct seen seen = {0};
    CHECK(cairn_leaks_visit(tool, see, &seen) == 0);
    return seen;
}

/* Two threads pass blocks to and fro: by time, the trace is a history that can be. */
static void *ring[64];
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void *pass_on(void *number)
{
    uint64_t seed = check_seed() + (uint64_t)(uintptr_t)number;
    for (int i = 0; i < 20000; i++) {
        void *mine = check_below(&seed, 3) == 0 ? NULL : cairn_malloc_here(check_random_size(&seed, 300));
        size_t slot = check_below(&seed, 64);
        pthread_mutex_lock(&ring_lock);
        void *other = ring[slot];
        ring[slot] = mine;
        pthread_mutex_unlock(&ring_lock);
        if (other != NULL && check_below(&seed, 2) == 0)
            other = cairn_realloc_here(other, check_random_size(&seed, 2000));
        cairn_free_here(other);
    }
    return NULL;
}

static inline void pass_blocks_on(void)
{
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, pass_on, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static inline void drop_ring(void)
{
    for (int i = 0; i < 64; i++) {
        cairn_free_here(ring[i]);
        ring[i] = NULL;
    }
}

#endif
