/* test_pool_file.c - <cairn/persist.h>: making, opening, closing, growing, roots, refusals, readers, fork. */
#include "api.h"

#include <cairn/persist.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static char path[64], other_path[64];

static cairn_file_config config_of(size_t size)
{
    return (cairn_file_config){.struct_size = sizeof(cairn_file_config), .size = size, .layout = "test"};
}

static cairn_pool *make_sized(size_t size)
{
    cairn_file_config config = config_of(size);
    unlink(path);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    return pool;
}

static cairn_pool *make(void)
{
    return make_sized(8 * MIB);
}

static cairn_pool *open_with(unsigned flags)
{
    return cairn_pool_open(path,
                           &(cairn_file_config){.struct_size = sizeof(cairn_file_config), .flags = flags});
}

static void must_close(cairn_pool *pool)
{
    CHECKF(cairn_pool_close(pool) == 0, "%s", cairn_errormsg());
}

static void must_refuse(cairn_pool *pool, int code, const char *words)
{
    CHECK(pool == NULL);
    CHECKF(errno == code, "errno is %d, not %d: %s", errno, code, cairn_errormsg());
    CHECKF(strstr(cairn_errormsg(), words) != NULL, "\"%s\" is not in: %s", words, cairn_errormsg());
}

/* Runs `body` in a child that is killed at its end. */
static void in_killed_child(void (*body)(void))
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body();
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- Life ---------------------------------------------------------------------------------------- */

struct node {
    struct node *next;
    uint64_t key;
    char text[80];
};

static void blocks_are_there_again(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    struct node *head = NULL;
    for (unsigned i = 0; i < 5000; i++) {
        struct node *node = cairn_pool_malloc(pool, sizeof *node);
        CHECK(node != NULL);
        node->next = head;
        node->key = i;
        check_fill((unsigned char *)node->text, sizeof node->text, i);
        head = node;
    }
    void *large = cairn_pool_malloc(pool, MIB);
    CHECK(large != NULL);
    check_fill(large, MIB, 42);
    CHECK(cairn_pool_set_root(pool, head) == 0);
    CHECK(cairn_pool_set_named_root(pool, "large", large) == 0);
    must_close(pool);
    for (unsigned round = 0; round < 3; round++) {
        pool = open_with(0);
        CHECKF(pool != NULL, "%s", cairn_errormsg());
        cairn_recovery recovery = {.struct_size = sizeof recovery};
        CHECK(cairn_pool_recovery(pool, &recovery) == 0 && recovery.found == CAIRN_WAS_CLOSED);
        unsigned key = 5000;
        for (struct node *node = cairn_pool_root(pool); node != NULL; node = node->next) {
            CHECK(node->key == --key);
            CHECK_FILLED((unsigned char *)node->text, sizeof node->text, key);
            CHECK(cairn_pool_of(node) == pool);
            CHECK(cairn_pool_usable_size(pool, node) >= sizeof *node);
        }
        CHECK(key == 0);
        CHECK_FILLED((unsigned char *)cairn_pool_named_root(pool, "large"), MIB, 42);
        CHECK(cairn_pool_check(pool) == 0);
        must_close(pool);
    }
}

static int count_block(void *block, size_t size, void *context)
{
    (void)block, (void)size;
    ++*(size_t *)context;
    return 0;
}

static size_t count_blocks(cairn_pool *pool)
{
    size_t count = 0;
    CHECK(cairn_pool_walk(pool, count_block, &count) == 0);
    return count;
}

/* However often a pool is opened and closed, nothing leaks, and what is freed is room again for anything. */
static void nothing_leaks_across_opens(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    size_t most = 0;
    for (void *block; (block = cairn_pool_malloc(pool, MIB)) != NULL; most++) {}
    CHECK(errno == ENOMEM);
    cairn_pool_reset(pool);
    CHECK(count_blocks(pool) == 0);
    must_close(pool);
    for (unsigned round = 0; round < 20; round++) {
        void *blocks[200];
        pool = open_with(0);
        CHECK(pool != NULL);
        for (unsigned i = 0; i < COUNT_OF(blocks); i++)
            blocks[i] = cairn_pool_malloc(pool, 16 + 97 * i % 9000);
        CHECK(count_blocks(pool) == COUNT_OF(blocks));
        must_close(pool);
        pool = open_with(0);
        CHECK(pool != NULL && count_blocks(pool) == COUNT_OF(blocks));
        for (unsigned i = 0; i < COUNT_OF(blocks); i++)
            cairn_free(blocks[(i * 7) % COUNT_OF(blocks)]);
        must_close(pool);
    }
    pool = open_with(0);
    CHECK(pool != NULL && count_blocks(pool) == 0);
    size_t again = 0;
    while (cairn_pool_malloc(pool, MIB) != NULL)
        again++;
    CHECKF(again == most, "%zu blocks of 1 MiB fitted a new pool, %zu this one", most, again);
    must_close(pool);
}

/* One block at a time, over many opens: spans with free blocks are used before new pages. */
static void opens_do_not_scatter(void **state)
{
    (void)state;
    must_close(make());
    for (unsigned round = 0; round < 300; round++) {
        cairn_pool *pool = open_with(0);
        CHECK(pool != NULL && cairn_pool_malloc(pool, 64) != NULL);
        must_close(pool);
    }
    cairn_pool *pool = open_with(0);
    cairn_stats stats = {.struct_size = sizeof stats};
    CHECK(cairn_pool_stats(pool, &stats) == 0 && stats.live_blocks == 300);
    CHECKF(stats.live + stats.cached <= 64 * KIB, "300 blocks of 64 bytes take %llu bytes",
           (unsigned long long)(stats.live + stats.cached));
    must_close(pool);
}

/* Free pages grow old, and nothing can be given back: a file has what it has. */
static void old_free_pages_stay(void **state)
{
    (void)state;
    cairn_pool *pool = make_sized(16 * MIB);
    void *early = cairn_pool_malloc(pool, MIB), *between = cairn_pool_malloc(pool, 5 * MIB);
    void *late = cairn_pool_malloc(pool, MIB); /* far enough for another chunk */
    CHECK(early != NULL && between != NULL && late != NULL);
    cairn_pool_free(pool, early);
    usleep(700000); /* the engine purges what has been free for half a second */
    cairn_pool_free(pool, late);
    CHECK(cairn_pool_trim(pool, 0) == 0 && cairn_pool_check(pool) == 0);
    must_close(pool);
}

/* ---- Killed processes ----------------------------------------------------------------------------- */

static void fill_and_die(void)
{
    cairn_pool *pool = open_with(0);
    void **slots = cairn_pool_calloc_to(pool, 10, sizeof *slots, NULL);
    for (unsigned i = 0; i < 10; i++)
        check_fill(cairn_pool_malloc_to(pool, 1000 * (i + 1), &slots[i]), 1000, i);
    CHECK(cairn_pool_free_from(pool, &slots[3]) == 0);
    CHECK(cairn_pool_realloc_to(pool, &slots[4], 100000) != NULL);
}

static void a_killed_process_loses_nothing(void **state)
{
    (void)state;
    must_close(make());
    in_killed_child(fill_and_die);
    CHECK(cairn_pool_check_file(path, "test", NULL) == 0);
    must_refuse(open_with(CAIRN_FILE_STRICT), EUCLEAN, "inconsistent pool");
    for (unsigned round = 0; round < 2; round++) { /* read-only recovers in memory: the file stays as it is */
        cairn_pool *pool = open_with(round == 0 ? CAIRN_FILE_READ_ONLY : 0);
        CHECKF(pool != NULL, "%s", cairn_errormsg());
        cairn_recovery recovery = {.struct_size = sizeof recovery};
        CHECK(cairn_pool_recovery(pool, &recovery) == 0);
        CHECK(recovery.found == CAIRN_WAS_KILLED && recovery.blocks == 10 && recovery.owner != 0);
        void **slots = cairn_pool_root(pool);
        for (unsigned i = 0; i < 10; i++) {
            CHECK((slots[i] == NULL) == (i == 3));
            if (i != 3)
                CHECK_FILLED((unsigned char *)slots[i], 1000, i);
        }
        CHECK(count_blocks(pool) == 10);
        must_close(pool);
        CHECK(cairn_pool_check_file(path, "test", NULL) == (round == 0 ? 0 : 1));
    }
}

static void copy_file(const char *from, const char *to)
{
    static char bytes[64 * KIB];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t got;
    CHECK(in >= 0 && out >= 0);
    while ((got = read(in, bytes, sizeof bytes)) > 0)
        CHECK(write(out, bytes, (size_t)got) == got);
    close(in);
    close(out);
}

/* A copy of an open pool may be a mixture of moments; its inode gives it away. */
static void copies_of_open_pools_are_refused(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    CHECK(cairn_pool_calloc_to(pool, 1, 5000, NULL) != NULL);
    copy_file(path, other_path);
    must_close(pool);
    must_refuse(cairn_pool_open(other_path, NULL), EUCLEAN, "inconsistent pool");
    cairn_pool *trusted =
        cairn_pool_open(other_path, &(cairn_file_config){.struct_size = sizeof(cairn_file_config),
                                                         .flags = CAIRN_FILE_TRUST});
    CHECKF(trusted != NULL, "%s", cairn_errormsg());
    CHECK(count_blocks(trusted) == 1);
    must_close(trusted);
    copy_file(path, other_path); /* but one of a closed pool is as good as the pool */
    trusted = cairn_pool_open(other_path, NULL);
    CHECKF(trusted != NULL, "%s", cairn_errormsg());
    must_close(trusted);
}

/* ---- Refusals -------------------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
    (void)state;
    char layout[CAIRN_LAYOUT_MAX + 1];
    memset(layout, 'x', sizeof layout);
    layout[CAIRN_LAYOUT_MAX] = 0;
    cairn_file_config config = config_of(8 * MIB);
    unlink(path);
    config.size = CAIRN_FILE_SIZE_MIN - 1;
    must_refuse(cairn_pool_create_at(path, &config), EINVAL, "size");
    config = config_of(8 * MIB);
    config.max_size = 4 * MIB;
    must_refuse(cairn_pool_create_at(path, &config), EINVAL, "max_size");
    config = config_of(8 * MIB);
    config.layout = layout;
    must_refuse(cairn_pool_create_at(path, &config), EINVAL, "layout");
    CHECK(access(path, F_OK) != 0); /* nothing is left behind */
    layout[CAIRN_LAYOUT_MAX - 1] = 0;
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    must_close(pool);
    must_refuse(cairn_pool_create_at(path, &config), EEXIST, "there already");
    config.layout = "other";
    must_refuse(cairn_pool_open(path, &config), EINVAL, "another layout");
    must_refuse(cairn_pool_open("/nonexistent/pool", NULL), ENOENT, "");
    must_refuse(cairn_pool_open("/dev/null", NULL), EINVAL, "regular");
    config = config_of(8 * MIB);
    config.flags = CAIRN_FILE_READ_ONLY;
    must_refuse(cairn_pool_create_at(other_path, &config), EINVAL, "flags");
    config.flags = 1u << 30;
    must_refuse(cairn_pool_open(path, &config), EINVAL, "flags");
    CHECK(cairn_pool_check_file(path, "nothing", NULL) == -1 && errno == EINVAL);
    CHECK(cairn_pool_check_file("/nonexistent/pool", NULL, NULL) == -1 && errno == ENOENT);
}

static void one_has_it_open(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    must_refuse(open_with(0), EAGAIN, "open already");
    must_refuse(open_with(CAIRN_FILE_READ_ONLY), EAGAIN, "open already");
    CHECK(cairn_pool_check_file(path, NULL, NULL) == -1 && errno == EAGAIN);
    uint64_t *word = cairn_pool_calloc_to(pool, 1, sizeof *word, NULL);
    *word = 7;
    cairn_file_info info = {.struct_size = sizeof info};
    CHECK(cairn_pool_file_info(path, &info) == 0);
    CHECK(info.is_open && !info.is_closed && info.owner == (uint64_t)getpid() && !info.is_of_other_boot);
    CHECK(strcmp(info.layout, "test") == 0 && info.version == 1);
    must_close(pool);
    CHECK(cairn_pool_file_info(path, &info) == 0 && !info.is_open && info.is_closed && info.owner == 0);
    CHECK(info.address != 0 && info.pages > 1000);
}

/* Any number of processes read; each maps the pool where it was made, so another process is needed. */
static void readers(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    uint64_t *word = cairn_pool_calloc_to(pool, 1, sizeof *word, NULL);
    *word = 7;
    must_close(pool);
    pool = open_with(CAIRN_FILE_READ_ONLY);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    CHECK(*(uint64_t *)cairn_pool_root(pool) == 7);
    CHECK(cairn_pool_malloc(pool, 10) == NULL && errno == EROFS);
    CHECK(cairn_pool_realloc(pool, word, 100) == NULL && errno == EROFS);
    CHECK(cairn_pool_malloc_to(pool, 10, NULL) == NULL && errno == EROFS);
    CHECK(cairn_pool_free_from(pool, NULL) == -1 && errno == EROFS);
    CHECK(cairn_pool_set_root(pool, NULL) == -1 && errno == EROFS);
    CHECK(cairn_pool_grow(pool, 9 * MIB) == -1 && errno == EROFS);
    CHECK(count_blocks(pool) == 1 && cairn_pool_usable_size(pool, word) >= 8);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        (void)cairn_pool_close(pool); /* what fork left of it: the addresses are free then */
        cairn_pool *mine = open_with(CAIRN_FILE_READ_ONLY);
        int fine = mine != NULL && *(uint64_t *)cairn_pool_root(mine) == 7;
        must_refuse(open_with(0), EAGAIN, "open already");
        _exit(fine && cairn_pool_close(mine) == 0 ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    must_close(pool);
}

static void forked_child_has_none(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    void *block = cairn_pool_malloc(pool, 100);
    CHECK(block != NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(cairn_pool_malloc(pool, 100) == NULL && errno == EBADF);
        CHECK(cairn_pool_malloc_to(pool, 100, NULL) == NULL && errno == EBADF);
        CHECK(cairn_pool_set_root(pool, NULL) == -1 && errno == EBADF);
        CHECK(cairn_pool_root(pool) == NULL);
        CHECK(cairn_pool_check(pool) == -1);
        cairn_pool_free(pool, block);
        cairn_free(block);
        CHECK(cairn_pool_close(pool) == 0);
        exit(0); /* the thread's end must not look for blocks either */
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    CHECK(count_blocks(pool) == 1 && cairn_pool_check(pool) == 0);
    must_close(pool);
    CHECK(cairn_pool_check_file(path, NULL, NULL) == 1);
}

/* A child that opens the pool when the parent has closed it: not on top of what it inherited, but after closing that. */
static void forked_child_opens_again(void **state)
{
    (void)state;
    int closed[2];
    char byte;
    cairn_pool *pool = make();
    char *block = cairn_pool_malloc(pool, 100), *large = cairn_pool_malloc(pool, 100000);
    CHECK(block != NULL && large != NULL && pipe(closed) == 0);
    strcpy(block, "kept");
    CHECK(cairn_pool_set_root(pool, block) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(closed[1]);
        CHECK(read(closed[0], &byte, 1) == 0);
        must_refuse(cairn_pool_open(path, NULL), ENOMEM, "inherited");
        CHECK(cairn_pool_close(pool) == 0);
        cairn_pool *mine = cairn_pool_open(path, NULL);
        CHECKF(mine != NULL, "%s", cairn_errormsg());
        CHECK(cairn_pool_root(mine) == block && strcmp(block, "kept") == 0 && cairn_pool_of(block) == mine);
        cairn_pool_free(mine, block);
        cairn_free(large);
        CHECK(count_blocks(mine) == 0 && cairn_pool_check(mine) == 0);
        must_close(mine);
        exit(0);
    }
    must_close(pool);
    close(closed[0]);
    close(closed[1]);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    CHECK(cairn_pool_check_file(path, NULL, NULL) == 1);
}

/* Closing what fork left must not unmap what the child has mapped since: nothing comes to those addresses. */
static void forked_child_keeps_its_memory(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    char *base = cairn_pool_file_base(pool);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        void *mine = mmap(base, 1 << 20, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(mine == MAP_FAILED && errno == EEXIST);
        exit(cairn_pool_close(pool));
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
    must_close(pool);
}

static void *reserve_blocks[4];
static unsigned pressed;

/* Frees one more block at each call, as long as there is one. */
static int give_reserve(cairn_pool *pool, size_t wanted, void *context)
{
    CHECK(wanted > 0 && context == reserve_blocks);
    pressed++;
    for (size_t i = 0; i < COUNT_OF(reserve_blocks); i++) {
        if (reserve_blocks[i] != NULL) {
            cairn_pool_free(pool, reserve_blocks[i]);
            reserve_blocks[i] = NULL;
            return 1;
        }
    }
    return 0;
}

/* The program hears of it before an allocation fails for want of room in the file, whichever call it is. */
static void full_files_press(void **state)
{
    (void)state;
    cairn_file_config config = config_of(4 * MIB);
    config.pressure = give_reserve;
    config.pressure_context = reserve_blocks;
    unlink(path);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    void **slots = cairn_pool_calloc_to(pool, 2, sizeof(void *), NULL);
    void *grows = cairn_pool_malloc(pool, 100000);
    CHECK(slots != NULL && grows != NULL);
    for (size_t i = 0; i < COUNT_OF(reserve_blocks); i++)
        CHECK((reserve_blocks[i] = cairn_pool_malloc(pool, 300000)) != NULL);
    pressed = 0;
    unsigned blocks = 0;
    for (; pressed == 0; blocks++)
        CHECK(cairn_pool_malloc(pool, 100000) != NULL);
    CHECKF(blocks < 40 && reserve_blocks[0] == NULL && reserve_blocks[1] != NULL, "%u blocks", blocks);
    CHECK(cairn_pool_malloc_to(pool, 290000, &slots[0]) != NULL && pressed == 2);
    CHECK(cairn_pool_realloc_to(pool, &slots[0], 299000) != NULL);
    CHECK((grows = cairn_pool_realloc(pool, grows, 280000)) != NULL);
    while (cairn_pool_malloc_to(pool, 50000, &slots[1]) != NULL) {}
    CHECK(errno == ENOMEM && strstr(cairn_errormsg(), "full") != NULL);
    CHECK(pressed >= 5 && reserve_blocks[3] == NULL);
    CHECK(cairn_pool_check(pool) == 0);
    must_close(pool);
    CHECK(cairn_pool_check_file(path, NULL, NULL) == 1);
}

/* Past the soft limit the program hears of it once, by the calls that keep a slot as by the others. */
static void soft_limits_press(void **state)
{
    (void)state;
    cairn_file_config config = config_of(4 * MIB);
    config.pressure = give_reserve;
    config.pressure_context = reserve_blocks;
    unlink(path);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    void **slots = cairn_pool_calloc_to(pool, 12, sizeof(void *), NULL);
    CHECK(slots != NULL && cairn_pool_limit_set(pool, SIZE_MAX, MIB) == 0);
    pressed = 0;
    for (size_t i = 0; i < 4; i++)
        CHECK(cairn_pool_malloc_to(pool, 200000, &slots[i]) != NULL && pressed == 0);
    for (size_t i = 4; i < 8; i++)
        CHECK(cairn_pool_malloc_to(pool, 200000, &slots[i]) != NULL);
    CHECK_EQ(pressed, 1);
    CHECK(cairn_pool_realloc_to(pool, &slots[0], 400000) != NULL);
    CHECK_EQ(pressed, 1);
    for (size_t i = 0; i < 8; i++)
        CHECK(cairn_pool_free_from(pool, &slots[i]) == 0);
    must_close(pool);
}

/* Sizes that cannot be: at once, and with nothing left behind. */
static void impossible_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2, (size_t)1 << 60, (size_t)9 << 40};
    cairn_file_config config = {.struct_size = sizeof config};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unlink(path);
        config.size = sizes[i];
        config.max_size = 0;
        must_refuse(cairn_pool_create_at(path, &config), EINVAL, "8 TiB");
        config.size = CAIRN_FILE_SIZE_MIN;
        config.max_size = sizes[i];
        must_refuse(cairn_pool_create_at(path, &config), EINVAL, "8 TiB");
        CHECK(access(path, F_OK) == -1);
    }
}

/* The lock is the process's: a child that lives on does not hold it when the owner is dead. */
static void a_dead_owner_holds_no_lock(void **state)
{
    (void)state;
    int pipes[2], status;
    must_close(make());
    CHECK(pipe(pipes) == 0);
    pid_t owner = fork();
    CHECK(owner >= 0);
    if (owner == 0) {
        if (open_with(0) == NULL)
            _exit(1);
        pid_t child = fork();
        if (child == 0) {
            char byte;
            close(pipes[1]);
            _exit(read(pipes[0], &byte, 1) == 0 ? 0 : 1);
        }
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(owner, &status, 0) == owner && WIFSIGNALED(status));
    cairn_pool *pool = open_with(0);
    for (int tries = 0; pool == NULL && errno == EAGAIN && tries < 200;
         tries++) { /* the child may just be born */
        usleep(5000);
        pool = open_with(0);
    }
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    must_close(pool);
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- Sizes ---------------------------------------------------------------------------------------- */

static uint64_t disk_bytes(void)
{
    struct stat status;
    CHECK(stat(path, &status) == 0);
    return (uint64_t)status.st_blocks * 512;
}

static void growing(void **state)
{
    (void)state;
    cairn_file_config config = config_of(2 * MIB);
    config.max_size = 64 * MIB;
    unlink(path);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    CHECKF(disk_bytes() <= 2 * MIB, "takes %llu bytes", (unsigned long long)disk_bytes());
    unsigned char *first = cairn_pool_malloc(pool, MIB);
    CHECK(first != NULL && cairn_pool_malloc(pool, MIB) == NULL && errno == ENOMEM);
    check_fill(first, MIB, 1);
    CHECK(cairn_pool_grow(pool, MIB) == -1 && errno == EINVAL);
    CHECK(cairn_pool_grow(pool, 65 * MIB) == -1 && errno == EINVAL);
    CHECKF(cairn_pool_grow(pool, 20 * MIB) == 0, "%s", cairn_errormsg());
    unsigned char *second = cairn_pool_malloc(pool, 16 * MIB);
    CHECK(second != NULL);
    check_fill(second, 16 * MIB, 2);
    CHECK(cairn_pool_set_root(pool, second) == 0);
    must_close(pool);
    pool = open_with(0);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    CHECK_FILLED(first, MIB, 1);
    CHECK_FILLED((unsigned char *)cairn_pool_root(pool), 16 * MIB, 2);
    CHECK(cairn_pool_grow(pool, 64 * MIB) == 0 && cairn_pool_check(pool) == 0);
    CHECK(cairn_pool_malloc(pool, 40 * MIB) != NULL);
    must_close(pool);
    CHECK(cairn_pool_check_file(path, "test", NULL) == 1);
}

static void given_files(void **state)
{
    (void)state;
    cairn_file_config config = config_of(0);
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 512 * 1024) == 0);
    must_refuse(cairn_pool_create_at(path, &config), EINVAL, "size");
    CHECK(ftruncate(fd, 4 << 20) == 0);
    char junk[4096];
    memset(junk, 0x5a, sizeof junk);
    CHECK(pwrite(fd, "x", 1, 50000) == 1);
    must_refuse(cairn_pool_create_at(path, &config), EEXIST, "not empty");
    CHECK(pwrite(fd, "", 1, 50000) == 1);
    for (off_t at = 64 * 1024; at < 4 << 20; at += (off_t)sizeof junk)
        CHECK(pwrite(fd, junk, sizeof junk, at) == (ssize_t)sizeof junk);
    close(fd);
    cairn_pool *pool = cairn_pool_create_at(path, &config);
    CHECKF(pool != NULL, "%s", cairn_errormsg());
    unsigned char *zeros = cairn_pool_calloc(pool, 1, 100000);
    CHECK(zeros != NULL);
    for (size_t i = 0; i < 100000; i++)
        CHECK(zeros[i] == 0);
    CHECK(cairn_pool_check(pool) == 0);
    must_close(pool);
    struct stat status;
    CHECK(stat(path, &status) == 0 && status.st_size == 4 << 20);
    CHECK(cairn_pool_check_file(path, "test", NULL) == 1);
}

/* ---- Roots, slots, relocation ----------------------------------------------------------------------- */

static int count_name(const char *name, void *root, void *context)
{
    CHECK(strncmp(name, "root ", 5) == 0 && root != NULL);
    ++*(unsigned *)context;
    return 0;
}

static void named_roots(void **state)
{
    (void)state;
    char name[CAIRN_ROOT_NAME_MAX + 1];
    cairn_pool *pool = make();
    char *block = cairn_pool_malloc(pool, CAIRN_ROOTS_MAX);
    int outside = 0;
    CHECK(cairn_pool_set_root(pool, &outside) == -1 && errno == EINVAL);
    CHECK(cairn_pool_set_named_root(pool, "", block) == -1 && errno == EINVAL);
    memset(name, 'n', sizeof name);
    name[CAIRN_ROOT_NAME_MAX] = 0;
    CHECK(cairn_pool_set_named_root(pool, name, block) == -1 && errno == EINVAL);
    for (unsigned i = 0; i < CAIRN_ROOTS_MAX; i++) {
        snprintf(name, sizeof name, "root %u", i);
        CHECK(cairn_pool_set_named_root(pool, name, block + i) == 0);
    }
    CHECK(cairn_pool_set_named_root(pool, "root too many", block) == -1 && errno == ENOSPC);
    CHECK(cairn_pool_set_named_root(pool, "root 7", NULL) == 0 &&
          cairn_pool_named_root(pool, "root 7") == NULL);
    CHECK(cairn_pool_set_named_root(pool, "root x", block + 7) == 0);
    must_close(pool);
    pool = open_with(0);
    CHECK(pool != NULL);
    for (unsigned i = 0; i < CAIRN_ROOTS_MAX; i++) {
        snprintf(name, sizeof name, "root %u", i);
        CHECK(cairn_pool_named_root(pool, name) == (i == 7 ? NULL : block + i));
    }
    unsigned count = 0;
    CHECK(cairn_pool_named_roots_walk(pool, count_name, &count) == 0 && count == CAIRN_ROOTS_MAX);
    must_close(pool);
}

static void slots_must_be_inside(void **state)
{
    (void)state;
    cairn_pool *pool = make();
    void *outside = NULL;
    void **slots = cairn_pool_calloc_to(pool, 2, sizeof *slots, NULL);
    CHECK(cairn_pool_malloc_to(pool, 10, &outside) == NULL && errno == EINVAL && outside == NULL);
    CHECK(cairn_pool_malloc_to(pool, 10, (void **)((char *)slots + 4)) == NULL && errno == EINVAL);
    CHECK(cairn_pool_malloc_to(pool, (size_t)1 << 62, &slots[0]) == NULL && errno == ENOMEM &&
          slots[0] == NULL);
    CHECK(cairn_pool_malloc_to(pool, 64 * MIB, &slots[0]) == NULL && errno == ENOMEM && slots[0] == NULL);
    CHECK(cairn_pool_free_from(pool, &slots[0]) == 0); /* NULL: nothing to do */
    CHECK(cairn_pool_realloc_to(pool, &slots[0], 30) == slots[0] && slots[0] != NULL);
    check_fill(slots[0], 30, 9);
    for (size_t size = 30; size < 200000; size += size / 3) {
        CHECK(cairn_pool_realloc_to(pool, &slots[0], size) == slots[0] && slots[0] != NULL);
        CHECK_FILLED((unsigned char *)slots[0], 30, 9);
    }
    CHECK(cairn_pool_realloc_to(pool, &slots[0], 64 * MIB) == NULL && errno == ENOMEM);
    CHECK_FILLED((unsigned char *)slots[0], 30, 9);
    CHECK(cairn_pool_free_from(pool, &slots[0]) == 0 && slots[0] == NULL);
    CHECK(cairn_pool_free_from(pool, NULL) == 0 && cairn_pool_root(pool) == NULL);
    CHECK(count_blocks(pool) == 0);
    cairn_pool *volatile_pool = cairn_pool_create(NULL);
    CHECK(cairn_pool_malloc_to(volatile_pool, 10, NULL) == NULL && errno == EINVAL);
    CHECK(cairn_pool_close(volatile_pool) == -1 && errno == EINVAL);
    cairn_pool_destroy(volatile_pool);
    must_close(pool);
}

struct link {
    cairn_ptr next;
    uint64_t value;
};

static void relocation(void **state)
{
    (void)state;
    for (unsigned relocatable = 0; relocatable < 2; relocatable++) {
        cairn_file_config config = config_of(4 * MIB);
        config.flags = relocatable ? CAIRN_FILE_RELOCATABLE : 0;
        unlink(path);
        cairn_pool *pool = cairn_pool_create_at(path, &config);
        CHECK(pool != NULL);
        struct link *link = cairn_pool_calloc_to(pool, 1, sizeof *link, NULL);
        for (unsigned i = 1; i <= 10; i++) {
            link->value = i;
            link = i < 10 ? cairn_pool_calloc_to_ptr(pool, 1, sizeof *link, &link->next) : NULL;
        }
        must_close(pool);
        cairn_file_info info = {.struct_size = sizeof info};
        CHECK(cairn_pool_file_info(path, &info) == 0 && info.is_relocatable == (int)relocatable);
        void *taken = mmap((void *)(uintptr_t)info.address, 4096, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(taken == (void *)(uintptr_t)info.address);
        pool = open_with(0);
        if (!relocatable) {
            must_refuse(pool, ENOMEM, "addresses");
        } else {
            CHECKF(pool != NULL, "%s", cairn_errormsg());
            unsigned i = 0;
            for (link = cairn_pool_root(pool); link != NULL; link = cairn_ptr_get(&link->next))
                CHECK(link->value == ++i);
            CHECK(i == 10);
            link = cairn_pool_root(pool);
            struct link *second = cairn_ptr_get(&link->next);
            cairn_ptr_set(&link->next, cairn_ptr_get(&second->next));
            cairn_pool_free(pool, second);
            CHECK(cairn_pool_check(pool) == 0 && count_blocks(pool) == 9);
            must_close(pool);
        }
        munmap(taken, 4096);
        pool = open_with(0);
        CHECKF(pool != NULL, "%s", cairn_errormsg());
        must_close(pool);
    }
}

/* ---- Many threads ---------------------------------------------------------------------------------- */

static cairn_pool *threads_pool;

static void *thread_work(void *number)
{
    uint64_t seed = check_seed() + (uint64_t)(intptr_t)number;
    unsigned char *blocks[100] = {NULL};
    size_t sizes[100] = {0};
    for (unsigned i = 0; i < 20000; i++) {
        unsigned at = (unsigned)(check_random(&seed) % COUNT_OF(blocks));
        if (blocks[at] != NULL)
            CHECK_FILLED(blocks[at], sizes[at], at);
        cairn_pool_free(threads_pool, blocks[at]);
        sizes[at] = 1 + check_random(&seed) % 600;
        blocks[at] = cairn_pool_malloc(threads_pool, sizes[at]);
        CHECK(blocks[at] != NULL);
        check_fill(blocks[at], sizes[at], at);
    }
    for (unsigned at = 0; at < COUNT_OF(blocks); at++)
        cairn_pool_free(threads_pool, blocks[at]);
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    threads_pool = make();
    for (intptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, thread_work, (void *)i) == 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(count_blocks(threads_pool) == 0 && cairn_pool_check(threads_pool) == 0);
    must_close(threads_pool);
    CHECK(cairn_pool_check_file(path, NULL, NULL) == 1);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/dev/shm/cairn-file-%d", (int)getpid());
    snprintf(other_path, sizeof other_path, "/dev/shm/cairn-file-%d-copy", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(other_path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_there_again),
        cmocka_unit_test(nothing_leaks_across_opens),
        cmocka_unit_test(opens_do_not_scatter),
        cmocka_unit_test(old_free_pages_stay),
        cmocka_unit_test(a_killed_process_loses_nothing),
        cmocka_unit_test(copies_of_open_pools_are_refused),
        cmocka_unit_test(arguments_are_checked),
        cmocka_unit_test(one_has_it_open),
        cmocka_unit_test(readers),
        cmocka_unit_test(forked_child_has_none),
        cmocka_unit_test(forked_child_opens_again),
        cmocka_unit_test(forked_child_keeps_its_memory),
        cmocka_unit_test(impossible_sizes),
        cmocka_unit_test(full_files_press),
        cmocka_unit_test(soft_limits_press),
        cmocka_unit_test(a_dead_owner_holds_no_lock),
        cmocka_unit_test(growing),
        cmocka_unit_test(given_files),
        cmocka_unit_test(named_roots),
        cmocka_unit_test(slots_must_be_inside),
        cmocka_unit_test(relocation),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
