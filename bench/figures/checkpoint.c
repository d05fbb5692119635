/* checkpoint.c - a checkpoint of 1 GB of which 1 % of the pages changed, against writing all of it to a file and flushing
 * that; by the journal, which works on any file system, and by clones where the file system has them.  The files lie in
 * TMPDIR: with that on a disk the figure is of that disk.
 *
 * Rounds of both in turn, and the median of the ratios.  Every fourteenth checkpoint or so finds the journal full and
 * brings it into the copy; there are rounds enough for one of those, and the whole time of all rounds is compared, too. */
#include "figures.h"

#include <cairn/persist.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { JOURNAL_ROUNDS = 15, CLONE_ROUNDS = 5 };
#define POOL_BYTES ((size_t)1 << 30)
#define PAGE ((size_t)4096)

static cairn_pool *pool;
static unsigned char *block;
static size_t block_size;
static char path[256], plain[256];
static uint64_t dice = 1;

static void die(const char *what)
{
    fprintf(stderr, "checkpoint: %s: %s: %s\n", what, cairn_errormsg(), strerror(errno));
    exit(1);
}

static void change_pages(size_t pages)
{
    for (size_t i = 0; i < pages; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        block[(dice >> 16) % (block_size / PAGE) * PAGE + 8] = (unsigned char)(dice >> 56);
    }
}

static double checkpoint(void)
{
    change_pages(block_size / PAGE / 100);
    double start = figure_now();
    if (cairn_pool_checkpoint(pool) != 0)
        die("checkpoint");
    return figure_now() - start;
}

/* What was written before is not to be written to the disk while something is measured. */
static void settle(const char *name)
{
    int fd = open(name, O_RDWR);
    if (fd < 0 || fdatasync(fd) != 0)
        die(name);
    close(fd);
}

/* What a program without checkpoints does: the whole to another file, flushed. */
static double write_all(void)
{
    int fd = open(plain, O_WRONLY | O_CREAT, 0600);
    double start = figure_now();
    for (size_t at = 0; at < block_size;) {
        ssize_t done = write(fd, block + at, block_size - at < (1 << 20) ? block_size - at : 1 << 20);
        if (done <= 0)
            die("write");
        at += (size_t)done;
    }
    if (fdatasync(fd) != 0)
        die("fdatasync");
    double time = figure_now() - start;
    close(fd);
    return time;
}

static void measure(cairn_checkpoint_way way, const char *name, size_t rounds)
{
    double ratios[JOURNAL_ROUNDS], all_ours = 0, all_theirs = 0;
    cairn_checkpoint_stats stats = {.struct_size = sizeof stats};
    if (cairn_pool_checkpoint_way(pool, way) != 0)
        die("way");
    if (cairn_pool_checkpoint(pool) != 0) { /* the first one, which may copy the pool */
        if (way == CAIRN_CHECKPOINT_REFLINK && errno == ENOTSUP)
            return;
        die("first checkpoint");
    }
    (void)write_all(); /* the file has its room */
    settle(path);
    for (size_t i = 0; i < rounds; i++) {
        double ours = checkpoint(), theirs = write_all();
        ratios[i] = theirs / ours;
        all_ours += ours;
        all_theirs += theirs;
    }
    if (cairn_pool_checkpoint_stats(pool, &stats) != 0)
        die("statistics");
    int asked = stats.is_tracked && way == CAIRN_CHECKPOINT_JOURNAL;
    printf("%s\t%.3g\t%s\ttimes\twriting 1 GB and flushing it / a checkpoint of 1 %% changed pages%s\n", name,
           figure_median(ratios, rounds), asked ? ">=10" : "-",
           way == CAIRN_CHECKPOINT_JOURNAL && !asked ? " (compared: this kernel tracks no pages)" : "");
    printf("%s, all rounds\t%.3g\t-\ttimes\tthe same, by the time of %zu rounds\n", name,
           all_theirs / all_ours, rounds);
}

static void tidy(void)
{
    static const char *const endings[] = {"", ".ckpt", ".ckpt0", ".ckpt1"};
    for (size_t i = 0; i < 4; i++) {
        char name[300];
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)unlink(name);
    }
    (void)unlink(plain);
}

int main(void)
{
    const char *folder = getenv("TMPDIR");
    folder = folder != NULL && strlen(folder) < 200 ? folder : "/tmp";
    (void)snprintf(path, sizeof path, "%s/figures.%d.pool", folder, (int)getpid());
    (void)snprintf(plain, sizeof plain, "%s/figures.%d.plain", folder, (int)getpid());
    cairn_file_config config = {.struct_size = sizeof config, .size = POOL_BYTES};
    pool = cairn_pool_create_at(path, &config);
    if (pool == NULL)
        die(path);
    (void)atexit(tidy);
    block_size = (size_t)900 << 20;
    block = cairn_pool_malloc(pool, block_size);
    if (block == NULL)
        die("block");
    for (size_t at = 0; at < block_size; at++)
        block[at] = (unsigned char)(at >> 12 ^ at);
    measure(CAIRN_CHECKPOINT_JOURNAL, "checkpoint 1 % of 1 GB, journal", JOURNAL_ROUNDS);
    measure(CAIRN_CHECKPOINT_REFLINK, "checkpoint 1 % of 1 GB, clone", CLONE_ROUNDS);
    return cairn_pool_close(pool) != 0;
}
