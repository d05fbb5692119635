// timeout: 240
// serial: it mounts file systems, and its moments are random
// sanitize: no
/* test_power_cut_disk.c - the real thing: a file system on a loop device whose backing file is copied at random moments,
 * while a process stores to a mapped file and takes checkpoints.  What the copy holds is what a disk holds when the
 * power goes.  It is mounted, the file restored, and compared with the states that the process went through.
 *
 * The backing file lies on an XFS of its own (another loop device), so that it can be copied as of one moment, by a clone.
 * Needs root and loop devices; without them it says so and is skipped. */
#include "unit/unit.h"

#include "persist/checkpoint.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PAGE CHECKPOINT_PAGE
#define PAGES 1024
#define LENGTH (PAGES * PAGE)
#define STATES_MAX 100000u

static char root[64];
static uint64_t seed; /* of the states */
static uint64_t dice; /* of the moments */
static pid_t child;

/* Shared with the process that stores. */
static struct progress {
    uint32_t begun, returned, way;
} * progress;

__attribute__((format(printf, 1, 2))) static int shell(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    (void)strncat(command, " >/dev/null 2>&1", sizeof command - strlen(command) - 1);
    return system(command); /* NOLINT: fixed commands on paths of our own */
}

/* ---- States --------------------------------------------------------------------------------------- */

/* The states follow from the seed: page p holds what state last[p] wrote there. */
struct model {
    uint64_t dice;
    uint32_t state;
    uint32_t last[PAGES];
};

static void model_step(struct model *model)
{
    size_t pages = 1 + check_below(&model->dice, check_below(&model->dice, 20) == 0 ? PAGES : 40);
    model->state++;
    for (size_t i = 0; i < pages; i++)
        model->last[check_below(&model->dice, PAGES)] = model->state;
    model->last[0] = model->state;
}

static void store_state(const struct model *model, unsigned char *base)
{
    for (size_t page = 0; page < PAGES; page++)
        if (model->last[page] == model->state)
            check_fill(base + page * PAGE, PAGE, (uint64_t)model->state * PAGES + page);
}

static bool is_state(const struct model *model, const unsigned char *base)
{
    for (size_t page = 0; page < PAGES; page++) {
        const unsigned char *at = base + page * PAGE;
        if (model->last[page] == 0
                ? check_nonzero(at, PAGE) != PAGE
                : check_differs(at, PAGE, (uint64_t)model->last[page] * PAGES + page) != PAGE)
            return false;
    }
    return true;
}

static void store_forever(const char *path, enum checkpoint_wish wish)
{
    static struct checkpoint checkpoint;
    struct model model = {.dice = seed};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && posix_fallocate(fd, 0, LENGTH) == 0);
    unsigned char *base = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(base != MAP_FAILED);
    struct checkpoint_target target = {.path = path,
                                       .fd = fd,
                                       .base = (char *)base,
                                       .length = LENGTH,
                                       .head = 2 * PAGE,
                                       .id = "on a disk",
                                       .parts = {{0, LENGTH}},
                                       .part_count = 1};
    CHECK(checkpoint_begin(&checkpoint, &target, 0) == NULL);
    checkpoint.wish = wish;
    while (model.state < STATES_MAX) {
        model_step(&model);
        store_state(&model, base);
        __atomic_store_n(&progress->begun, model.state, __ATOMIC_SEQ_CST);
        const char *trouble = checkpoint_take(&checkpoint, target.parts, 1);
        CHECKF(trouble == NULL, "%s (errno %d)", trouble, errno);
        __atomic_store_n(&progress->way, checkpoint.slot.way, __ATOMIC_SEQ_CST);
        __atomic_store_n(&progress->returned, model.state, __ATOMIC_SEQ_CST);
    }
    _exit(0);
}

/* ---- Disks ---------------------------------------------------------------------------------------- */

static bool make_outer(void)
{
    return geteuid() == 0 && shell("truncate -s 3G %s/outer.img", root) == 0 &&
           shell("mkfs.xfs -q %s/outer.img", root) == 0 &&
           shell("mkdir %s/outer %s/disk %s/after", root, root, root) == 0 &&
           shell("mount -o loop %s/outer.img %s/outer", root, root) == 0;
}

static int remove_all(void **state)
{
    (void)state;
    (void)shell("umount -l %s/after; umount -l %s/disk; umount -l %s/outer", root, root, root);
    return shell("rm -rf %s", root);
}

/* A clone of the backing file: what is on the disk at this moment. */
static void take_disk(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/outer/disk.img", root);
    int from = open(path, O_RDONLY);
    (void)snprintf(path, sizeof path, "%s/outer/after.img", root);
    (void)unlink(path);
    int to = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(from >= 0 && to >= 0);
    CHECKF(ioctl(to, FICLONE, from) == 0, "%s", strerror(errno));
    close(from), close(to);
}

static void leave_head(void *head, size_t size, void *context)
{
    (void)head, (void)size, (void)context;
}

/* Restores what the taken disk holds, and says which state it is: one of [from, to]. */
static void restore_disk(uint32_t from, uint32_t to, const char *options)
{
    char path[128];
    struct checkpoint_found found;
    CHECK(shell("mount -o loop%s %s/outer/after.img %s/after", options, root, root) == 0);
    (void)snprintf(path, sizeof path, "%s/after/pool", root);
    const char *trouble = checkpoint_find(path, NULL, &found);
    CHECKF(trouble == NULL || from == 0, "after checkpoint %u: %s", from, trouble);
    if (trouble == NULL) {
        int fd = open(path, O_RDWR);
        CHECK(fd >= 0);
        trouble = checkpoint_restore(path, fd, &found, 2 * PAGE, leave_head, NULL);
        CHECKF(trouble == NULL, "%s", trouble);
        unsigned char *base = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(base != MAP_FAILED);
        struct model model = {.dice = seed};
        bool matches = false;
        while (model.state < to && !matches) {
            model_step(&model);
            matches = model.state >= from && is_state(&model, base);
        }
        CHECKF(matches, "neither of the states %u to %u", from, to);
        CHECK(munmap(base, LENGTH) == 0);
        close(fd);
    }
    CHECK(shell("umount %s/after", root) == 0);
}

static void cut_power(const char *make, const char *size, const char *options, enum checkpoint_way expected)
{
    char path[128];
    CHECK(shell("rm -f %s/outer/disk.img; truncate -s %s %s/outer/disk.img", root, size, root) == 0);
    CHECK(shell("%s %s/outer/disk.img", make, root) == 0);
    CHECK(shell("mount -o loop %s/outer/disk.img %s/disk", root, root) == 0);
    (void)snprintf(path, sizeof path, "%s/disk/pool", root);
    *progress = (struct progress){0, 0, 0};
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        check_in_task = 1;
        store_forever(path,
                      expected == CHECKPOINT_REFLINK ? CHECKPOINT_WISH_REFLINK : CHECKPOINT_WISH_JOURNAL);
    }
    for (int i = 0; i < (check_long() ? 200 : 10); i++) {
        check_sleep(0.05 + (double)check_below(&dice, 1000) / 4000);
        uint32_t from = __atomic_load_n(&progress->returned, __ATOMIC_SEQ_CST);
        take_disk();
        uint32_t to = __atomic_load_n(&progress->begun, __ATOMIC_SEQ_CST);
        restore_disk(from, to, options);
    }
    int status;
    CHECKF(waitpid(child, &status, WNOHANG) == 0, "the process that stores has ended: status %d", status);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    child = 0;
    CHECK_EQ(progress->way, expected);
    CHECK(progress->returned > 10);
    print_message("%u checkpoints\n", progress->returned);
    CHECK(shell("umount %s/disk", root) == 0);
}

static void test_xfs(void **state)
{
    (void)state;
    cut_power("mkfs.xfs -q", "400M", ",nouuid", CHECKPOINT_REFLINK);
}

static void test_xfs_journal(void **state)
{
    (void)state;
    cut_power("mkfs.xfs -q", "400M", ",nouuid", CHECKPOINT_JOURNAL);
}

static void test_btrfs(void **state)
{
    (void)state;
    cut_power("mkfs.btrfs -q", "256M", "", CHECKPOINT_REFLINK);
}

static void test_ext4(void **state)
{
    (void)state;
    cut_power("mkfs.ext4 -q", "128M", "", CHECKPOINT_JOURNAL);
}

static int clean_up(void **state)
{
    (void)state;
    if (child > 0 && kill(child, SIGKILL) == 0)
        (void)waitpid(child, NULL, 0);
    child = 0;
    (void)shell("umount -l %s/after", root);
    (void)shell("umount -l %s/disk", root);
    return 0;
}

int main(void)
{
    seed = dice = check_seed();
    const char *base = getenv("TMPDIR");
    (void)snprintf(root, sizeof root, "%s/disk.XXXXXX", base != NULL && strlen(base) < 40 ? base : "/tmp");
    CHECK(mkdtemp(root) != NULL);
    progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(progress != MAP_FAILED);
    if (!make_outer()) {
        print_message("skipped: no right to mount loop devices, or no mkfs.xfs\n");
        return remove_all(NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_xfs, clean_up),
        cmocka_unit_test_teardown(test_xfs_journal, clean_up),
        cmocka_unit_test_teardown(test_btrfs, clean_up),
        cmocka_unit_test_teardown(test_ext4, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
