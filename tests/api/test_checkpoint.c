// timeout: 120
/* test_checkpoint.c - checkpoints of pools in files, through the public calls.
 *
 * A copy of a pool that is open, with its checkpoint files, is to the library what is left after a power cut: the header
 * says that another file was open.  Opening the copy goes back to the last checkpoint. */
#include "api.h"

#include <cairn/persist.h>

#include <sys/stat.h>

static char folder[128], path[160], copy[160];

/* A list with a sum; in order only when both agree. */
struct node {
    struct node *next;
    uint64_t value;
    unsigned char fill[200];
};

struct list {
    struct node *first;
    uint64_t count, sum;
};

static void copy_file(const char *from, const char *to)
{
    static char buffer[1 << 16];
    int in = open(from, O_RDONLY);
    (void)unlink(to);
    if (in < 0)
        return;
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ssize_t got;
    CHECK(out >= 0);
    while ((got = read(in, buffer, sizeof buffer)) > 0)
        CHECK(write(out, buffer, (size_t)got) == got);
    close(in), close(out);
}

static void power_cut(void)
{
    static const char *const endings[] = {"", ".ckpt", ".ckpt0", ".ckpt1"};
    for (size_t i = 0; i < 4; i++) {
        char from[200], to[200];
        (void)snprintf(from, sizeof from, "%s%s", path, endings[i]);
        (void)snprintf(to, sizeof to, "%s%s", copy, endings[i]);
        copy_file(from, to);
    }
}

static cairn_pool *make(size_t size, size_t max_size)
{
    cairn_file_config config = {
        .struct_size = sizeof config, .size = size, .max_size = max_size, .flags = CAIRN_FILE_RELOCATABLE};
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    struct list *list = cairn_pool_calloc(pool, 1, sizeof *list);
    CHECK(list != NULL && cairn_pool_set_root(pool, list) == 0);
    return pool;
}

static void add(cairn_pool *pool, uint64_t value)
{
    struct list *list = cairn_pool_root(pool);
    struct node *node = cairn_pool_malloc(pool, sizeof *node);
    CHECK(node != NULL);
    node->value = value;
    memset(node->fill, (int)value, sizeof node->fill);
    node->next = list->first;
    list->first = node;
    list->count++;
    list->sum += value;
}

static void take_away(cairn_pool *pool)
{
    struct list *list = cairn_pool_root(pool);
    struct node *node = list->first;
    list->first = node->next;
    list->count--;
    list->sum -= node->value;
    cairn_pool_free(pool, node);
}

/* The list as it is where the pool is mapped now: its pointers are of the place where it was made. */
static void check_list(cairn_pool *pool, ptrdiff_t moved, uint64_t count)
{
    const struct list *list = cairn_pool_root(pool);
    uint64_t seen = 0, sum = 0;
    for (const struct node *node = list->first; node != NULL; node = node->next) {
        node = (const struct node *)(const void *)((const char *)node + moved);
        CHECK(node->fill[0] == (unsigned char)node->value && node->fill[199] == (unsigned char)node->value);
        seen++;
        sum += node->value;
    }
    CHECK_EQ(seen, count);
    CHECK_EQ(list->count, count);
    CHECK_EQ(list->sum, sum);
    CHECKF(cairn_pool_check(pool) == 0, "%s", cairn_errormsg());
}

/* The copy opens at a state with `count` nodes, at checkpoint `generation`; and goes on from there. */
static void check_copy(uint64_t count, uint64_t generation)
{
    cairn_recovery found = {.struct_size = sizeof found};
    cairn_file_info info = {.struct_size = sizeof info};
    CHECK(cairn_pool_file_info(copy, &info) == 0);
    cairn_pool *pool = cairn_pool_open(copy, NULL);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    CHECK(cairn_pool_recovery(pool, &found) == 0);
    CHECK_EQ(found.found, CAIRN_WAS_POWER_CUT);
    CHECK_EQ(found.generation, generation);
    ptrdiff_t moved = (ptrdiff_t)((uintptr_t)cairn_pool_file_base(pool) - info.address);
    check_list(pool, moved, count);
    CHECK(cairn_pool_malloc(pool, 100) != NULL);
    CHECKF(cairn_pool_close(pool) == 0, "%s", cairn_errormsg());
    pool = cairn_pool_open(copy, NULL);
    CHECK(pool != NULL && cairn_pool_recovery(pool, &found) == 0);
    CHECK_EQ(found.found, CAIRN_WAS_CLOSED);
    check_list(pool, (ptrdiff_t)((uintptr_t)cairn_pool_file_base(pool) - info.address), count);
    CHECK(cairn_pool_close(pool) == 0);
}

static void checkpoint(cairn_pool *pool)
{
    CHECKF(cairn_pool_checkpoint(pool) == 0, "%s: %s", cairn_errormsg(), strerror(errno));
}

static void test_back_to_the_last(void **state)
{
    (void)state;
    cairn_pool *pool = make(8 * MIB, 0);
    power_cut();
    errno = 0;
    CHECK(cairn_pool_open(copy, NULL) == NULL && errno == EUCLEAN);
    CHECKF(strstr(cairn_errormsg(), "no checkpoint") != NULL, "%s", cairn_errormsg());
    for (uint64_t round = 1; round <= 20; round++) {
        for (uint64_t i = 0; i < 50; i++)
            add(pool, round * 100 + i);
        for (uint64_t i = 0; i < 20; i++)
            take_away(pool);
        checkpoint(pool);
        for (uint64_t i = 0; i < 25; i++) /* what is lost */
            take_away(pool);
        for (uint64_t i = 0; i < 25; i++)
            add(pool, i);
        add(pool, 1);
        if (round % 4 == 0) {
            power_cut();
            check_copy(round * 30 + round - 1, round);
        }
    }
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_close_is_one(void **state)
{
    (void)state;
    cairn_checkpoint_stats stats = {.struct_size = sizeof stats};
    cairn_pool *pool = make(8 * MIB, 0);
    for (uint64_t i = 0; i < 1000; i++)
        add(pool, i);
    checkpoint(pool);
    add(pool, 5);
    CHECK(cairn_pool_close(pool) == 0);
    pool = cairn_pool_open(path, NULL);
    CHECK(pool != NULL);
    add(pool, 6);
    power_cut();
    check_copy(1001, 2);
    checkpoint(pool);
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == 0);
    CHECK_EQ(stats.generation, 3);
    if (stats.is_tracked) { /* after a proper close nothing has to be compared */
        CHECK_EQ(stats.compared_pages, 0);
        CHECKF(stats.way != CAIRN_CHECKPOINT_JOURNAL || stats.last_pages < 30, "%llu pages",
               (unsigned long long)stats.last_pages);
    }
    power_cut();
    check_copy(1002, 3);
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_growing(void **state)
{
    (void)state;
    cairn_pool *pool = make(2 * MIB, 64 * MIB);
    uint64_t count = 0;
    for (size_t size = 2; size <= 32; size *= 2) {
        CHECKF(cairn_pool_grow(pool, size * MIB) == 0, "%s", cairn_errormsg());
        for (uint64_t i = 0; i < size * 2000; i++, count++)
            add(pool, i);
        checkpoint(pool);
        power_cut();
        if (size < 32)
            CHECK(cairn_pool_grow(pool, size * MIB + MIB) == 0);
        add(pool, 1);
        check_copy(count, (uint64_t)__builtin_ctzll(size));
        take_away(pool);
    }
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_cost_follows_changes(void **state)
{
    (void)state;
    cairn_checkpoint_stats stats = {.struct_size = sizeof stats};
    cairn_pool *pool = make(64 * MIB, 0);
    CHECK(cairn_pool_checkpoint_way(pool, CAIRN_CHECKPOINT_JOURNAL) == 0);
    unsigned char *block = cairn_pool_malloc(pool, 48 * MIB);
    CHECK(block != NULL);
    memset(block, 7, 48 * MIB);
    checkpoint(pool);
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == 0);
    CHECK_EQ(stats.way, CAIRN_CHECKPOINT_JOURNAL);
    CHECK(stats.last_pages >= 48 * MIB / 4096);
    if (!stats.is_tracked)
        skip();
    for (size_t i = 0; i < 100; i++)
        block[i * 300000] = 1;
    checkpoint(pool);
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == 0);
    CHECKF(stats.last_pages >= 100 && stats.last_pages < 120, "%llu", (unsigned long long)stats.last_pages);
    CHECK(stats.last_bytes < 150 * 4096);
    checkpoint(pool);
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == 0);
    CHECKF(stats.last_pages < 20, "%llu", (unsigned long long)stats.last_pages);
    CHECK_EQ(stats.taken, 3);
    CHECK(cairn_pool_close(pool) == 0);
}

static void test_rollback(void **state)
{
    (void)state;
    cairn_pool *pool = make(8 * MIB, 0);
    for (uint64_t i = 0; i < 10; i++)
        add(pool, i);
    CHECK(cairn_pool_rollback(path) == -1 && errno == EAGAIN);
    checkpoint(pool);
    CHECK(cairn_pool_close(pool) == 0);
    int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pwrite(fd, "damage", 6, 0) == 6);
    close(fd);
    CHECK(cairn_pool_open(path, NULL) == NULL);
    CHECKF(cairn_pool_rollback(path) == 0, "%s", cairn_errormsg());
    pool = cairn_pool_open(path, NULL);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    check_list(pool, 0, 10);
    CHECK(cairn_pool_close(pool) == 0);
    CHECK(cairn_pool_rollback("/nosuch/file") == -1 && errno == ENOENT);
}

/* A process that takes checkpoints until it is killed. */
static void go_on_until_killed(void)
{
    const char *name = getenv("TEST_POOL");
    cairn_pool *pool = cairn_pool_open(name, NULL);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    for (;;) {
        for (uint64_t i = 0; i < 20; i++)
            add(pool, i);
        checkpoint(pool);
        for (uint64_t i = 0; i < 20; i++)
            take_away(pool);
        checkpoint(pool);
    }
}

static void test_killed(void **state)
{
    (void)state;
    cairn_pool *pool = make(16 * MIB, 0);
    for (uint64_t i = 0; i < 1000; i++)
        add(pool, i);
    checkpoint(pool);
    CHECK(cairn_pool_close(pool) == 0);
    uint64_t dice = check_seed();
    (void)setenv("TEST_POOL", path, 1);
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            (void)execl("/proc/self/exe", "test", "killed", (char *)NULL);
            _exit(127);
        }
        check_sleep(0.01 + (double)check_below(&dice, 40) / 1000);
        CHECK(kill(child, SIGKILL) == 0);
        CHECK(waitpid(child, NULL, 0) == child);
        power_cut();
        cairn_recovery found = {.struct_size = sizeof found};
        pool = cairn_pool_open(copy, NULL);
        CHECKF(pool != NULL, "%s", cairn_errormsg());
        CHECK(cairn_pool_recovery(pool, &found) == 0);
        const struct list *list = cairn_pool_root(pool);
        cairn_file_info info = {.struct_size = sizeof info};
        CHECK(cairn_pool_file_info(copy, &info) == 0);
        CHECKF(list->count == 1000 || list->count == 1020, "%llu", (unsigned long long)list->count);
        check_list(pool, (ptrdiff_t)((uintptr_t)cairn_pool_file_base(pool) - info.address), list->count);
        CHECK(cairn_pool_close(pool) == 0);
        pool = cairn_pool_open(path, NULL); /* in place, where the process was killed */
        CHECKF(pool != NULL, "%s", cairn_errormsg());
        CHECK(cairn_pool_check(pool) == 0);
        struct list *live = cairn_pool_root(pool);
        live->sum = live->count = 0; /* it may have been killed between two stores of its own */
        for (const struct node *node = live->first; node != NULL; node = node->next) {
            live->count++;
            live->sum += node->value;
        }
        while (live->count > 1000)
            take_away(pool);
        checkpoint(pool);
        CHECK(cairn_pool_close(pool) == 0);
    }
}

static void test_wrong_use(void **state)
{
    (void)state;
    cairn_checkpoint_stats stats = {.struct_size = 0};
    cairn_pool *plain = cairn_pool_create(NULL);
    CHECK(plain != NULL);
    CHECK(cairn_pool_checkpoint(plain) == -1 && errno == EINVAL);
    cairn_pool_destroy(plain);
    cairn_pool *pool = make(2 * MIB, 0);
    CHECK(cairn_pool_checkpoint_stats(pool, &stats) == -1 && errno == EINVAL);
    CHECK(cairn_pool_checkpoint_way(pool, (cairn_checkpoint_way)9) == -1 && errno == EINVAL);
    CHECK(cairn_pool_close(pool) == 0);
    cairn_file_config config = {.struct_size = sizeof config, .flags = CAIRN_FILE_READ_ONLY};
    pool = cairn_pool_open(path, &config);
    CHECK(pool != NULL);
    CHECK(cairn_pool_checkpoint(pool) == -1 && errno == EROFS);
    CHECK(cairn_pool_close(pool) == 0);
}

static int tidy(void **state)
{
    static const char *const endings[] = {"", ".ckpt", ".ckpt0", ".ckpt1"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char name[200];
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)unlink(name);
        (void)snprintf(name, sizeof name, "%s%s", copy, endings[i]);
        (void)unlink(name);
    }
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(int argc, char **argv)
{
    static const check_task tasks[] = {{"killed", go_on_until_killed}, {NULL, NULL}};
    if (argc > 1)
        return check_dispatch(argv[1], tasks);
    const char *base = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/checkpoint.XXXXXX",
                   base != NULL && strlen(base) < 60 ? base : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/pool", folder);
    (void)snprintf(copy, sizeof copy, "%s/copy", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_back_to_the_last, tidy),
        cmocka_unit_test_teardown(test_close_is_one, tidy),
        cmocka_unit_test_teardown(test_growing, tidy),
        cmocka_unit_test_teardown(test_cost_follows_changes, tidy),
        cmocka_unit_test_teardown(test_rollback, tidy),
        cmocka_unit_test_teardown(test_killed, tidy),
        cmocka_unit_test_teardown(test_wrong_use, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, remove_folder);
}
