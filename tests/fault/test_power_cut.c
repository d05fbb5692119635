// timeout: 180
// link: -Wl,--wrap=open -Wl,--wrap=close -Wl,--wrap=pwrite -Wl,--wrap=ftruncate -Wl,--wrap=posix_fallocate
// link: -Wl,--wrap=fdatasync -Wl,--wrap=fsync -Wl,--wrap=unlink -Wl,--wrap=ioctl
/* test_power_cut.c - the machine dies at every call that writes, and what the disk holds then is put together at random.
 *
 * Every write, change of size, clone and sync of the checkpoint module is recorded.  For each file the harness keeps what
 * is on the disk for certain (all that was synced), and the writes since.  A power cut leaves the certain state with any
 * subset of those writes, each torn at sectors of 512 bytes; the pool file itself is torn together from all states that
 * it ever had.  Such images are made at every recorded call, restored, and compared: each must be exactly the last
 * checkpoint whose call had returned, or the one whose call had begun.
 *
 * The same with calls that fail (EIO, after which any part of what was to be synced is lost; ENOSPC), with processes that
 * die in the middle (the call never returns, and the next process goes on), and with power cuts during the
 * restoring. */
#include "unit/unit.h"

#include "os/os.h"
#include "persist/checkpoint.h"

#include <linux/fs.h>
#include <sys/stat.h>

#define PAGE CHECKPOINT_PAGE
#define SECTOR 512
#define FILE_PAGES 96
#define LENGTH (FILE_PAGES * PAGE)
#define HEAD (2 * PAGE)
#define STATES_MAX 512
#define MARK UINT64_C(0x5354414d50454421)

/* ---- Files and what is on the disk ---------------------------------------------------------------- */

enum file { LIVE, CONTROL, COPY0, COPY1, FILES };

static const char *const endings[FILES] = {"", ".ckpt", ".ckpt0", ".ckpt1"};

struct image {
    bool exists;
    size_t size;
    unsigned char *bytes;
    size_t room;
};

enum kind { WRITE, RESIZE, CLONE, UNLINK };

/* Not yet synced. */
struct change {
    enum kind kind;
    size_t offset, size;
    unsigned char *bytes;
    struct change *next;
};

static struct disk {
    struct image certain[FILES];
    struct change *first[FILES], **last[FILES];
} disk;

static char folder[64], scratch[64];
static int file_of[1024]; /* by descriptor, + 1; 0: none of ours */
static bool recording;
static void (*at_change)(void);
static unsigned fail_one_in; /* 0: nothing fails */
static bool clones;          /* the file system has them */
static uint64_t dice;
static unsigned long events, images;

static void image_size(struct image *image, size_t size)
{
    if (size > image->room) {
        image->room = size * 2;
        image->bytes = realloc(image->bytes, image->room);
        CHECK(image->bytes != NULL);
    }
    if (size > image->size)
        memset(image->bytes + image->size, 0, size - image->size);
    image->size = size;
}

static void image_copy(struct image *to, const struct image *from)
{
    to->exists = from->exists;
    to->size = 0;
    image_size(to, from->size);
    if (from->size > 0)
        memcpy(to->bytes, from->bytes, from->size);
}

/* Of every 100 sectors, so many come to the disk. */
static void apply(struct image *image, const struct change *change, unsigned percent)
{
    if (change->kind == UNLINK || change->kind == RESIZE) {
        if (check_below(&dice, 100) >= percent)
            return;
        image->exists = change->kind == RESIZE;
        image_size(image, change->kind == RESIZE ? change->size : 0);
        return;
    }
    size_t unit = change->kind == CLONE ? PAGE : SECTOR;
    if (change->kind == CLONE && check_below(&dice, 100) < percent)
        image_size(image, change->size);
    for (size_t at = 0; at < change->size; at += unit) {
        size_t end = change->offset + at + unit;
        if (check_below(&dice, 100) >= percent)
            continue;
        image->exists = true;
        if (end > image->size)
            image_size(image, end);
        memcpy(image->bytes + end - unit, change->bytes + at, unit);
    }
}

static void forget(enum file file)
{
    for (struct change *change = disk.first[file]; change != NULL;) {
        struct change *next = change->next;
        free(change->bytes);
        free(change);
        change = next;
    }
    disk.first[file] = NULL;
    disk.last[file] = &disk.first[file];
}

static void settle(enum file file, unsigned percent)
{
    for (struct change *change = disk.first[file]; change != NULL; change = change->next)
        apply(&disk.certain[file], change, percent);
    forget(file);
}

static void note(enum file file, enum kind kind, size_t offset, const void *bytes, size_t size)
{
    struct change *change = calloc(1, sizeof *change);
    CHECK(change != NULL);
    *change = (struct change){.kind = kind, .offset = offset, .size = size};
    if (bytes != NULL) {
        change->bytes = malloc(size + SECTOR);
        CHECK(change->bytes != NULL);
        memcpy(change->bytes, bytes, size);
    }
    *disk.last[file] = change;
    disk.last[file] = &change->next;
}

static void event(void)
{
    events++;
    if (at_change != NULL)
        at_change();
}

static bool fails(void)
{
    return recording && fail_one_in != 0 && check_below(&dice, fail_one_in) == 0;
}

/* ---- The calls ------------------------------------------------------------------------------------ */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);
int __real_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate(int fd, off_t offset, off_t size);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

static int file_by_name(const char *path)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0 || strncmp(path + length, "/pool", 5) != 0)
        return -1;
    for (int file = LIVE; file < FILES; file++)
        if (strcmp(path + length + 5, endings[file]) == 0)
            return file;
    return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = va_arg(arguments, int);
    va_end(arguments);
    int file = file_by_name(path);
    bool is_new = file >= 0 && (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    int fd = __real_open(path, flags, mode);
    CHECK(fd < 1024);
    if (fd < 0)
        return fd;
    file_of[fd] = file + 1;
    if (recording && is_new) {
        note((enum file)file, RESIZE, 0, NULL, 0);
        event();
    }
    return fd;
}

int __wrap_close(int fd)
{
    if (fd >= 0 && fd < 1024)
        file_of[fd] = 0;
    return __real_close(fd);
}

static int recorded(int fd)
{
    return recording && fd >= 0 && fd < 1024 ? file_of[fd] - 1 : -1;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    int file = recorded(fd);
    if (file >= 0 && fails()) {
        if (check_below(&dice, 2) == 0) {
            errno = check_below(&dice, 2) == 0 ? ENOSPC : EIO;
            return -1;
        }
        if (size > SECTOR) /* less than asked for, which is no failure */
            size = (1 + check_below(&dice, size / SECTOR - 1)) * SECTOR;
    }
    ssize_t done = __real_pwrite(fd, bytes, size, offset);
    if (file >= 0 && done > 0) {
        CHECK(offset % SECTOR == 0 && done % SECTOR == 0);
        note((enum file)file, WRITE, (size_t)offset, bytes, (size_t)done);
        event();
    }
    return done;
}

int __wrap_ftruncate(int fd, off_t size)
{
    int file = recorded(fd);
    if (file >= 0 && fails()) {
        errno = EIO;
        return -1;
    }
    int result = __real_ftruncate(fd, size);
    if (file >= 0 && result == 0) {
        note((enum file)file, RESIZE, 0, NULL, (size_t)size);
        event();
    }
    return result;
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t size)
{
    int file = recorded(fd);
    if (file >= 0 && fails())
        return ENOSPC;
    int result = __real_posix_fallocate(fd, offset, size);
    if (file >= 0 && result == 0) {
        struct stat status;
        CHECK(fstat(fd, &status) == 0);
        note((enum file)file, RESIZE, 0, NULL, (size_t)status.st_size);
        event();
    }
    return result;
}

/* A failed sync leaves any part of it on the disk, and nothing of the rest will come there by itself. */
int __wrap_fdatasync(int fd)
{
    int file = recorded(fd);
    if (file < 0)
        return 0; /* of files that only this test has: no machine will go down */
    event();      /* the cut comes before the call is through */
    if (fails()) {
        settle((enum file)file, (unsigned)check_below(&dice, 101));
        errno = EIO;
        return -1;
    }
    settle((enum file)file, 100);
    event();
    return 0;
}

int __wrap_fsync(int fd)
{
    if (recorded(fd) >= 0)
        return __wrap_fdatasync(fd);
    if (recording && fails()) {
        errno = EIO;
        return -1;
    }
    return 0;
}

int __wrap_unlink(const char *path)
{
    int file = file_by_name(path);
    int result = __real_unlink(path);
    if (recording && file >= 0 && result == 0) {
        note((enum file)file, UNLINK, 0, NULL, 0);
        event();
    }
    return result;
}

static unsigned char *contents(int fd, size_t offset, size_t size)
{
    unsigned char *bytes = malloc(size + SECTOR);
    CHECK(bytes != NULL && pread(fd, bytes, size, (off_t)offset) == (ssize_t)size);
    return bytes;
}

/* A clone is of one moment, but comes to the disk in pieces. */
static int clone_range(int to, int from, size_t offset, size_t size)
{
    if (!clones) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (fails()) {
        errno = check_below(&dice, 2) == 0 ? ENOSPC : EIO;
        return -1;
    }
    unsigned char *bytes = contents(from, offset, size);
    CHECK(__real_pwrite(to, bytes, size, (off_t)offset) == (ssize_t)size);
    if (recorded(to) >= 0) {
        note((enum file)recorded(to), CLONE, offset, bytes, size);
        event();
    }
    free(bytes);
    return 0;
}

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    if (request == FICLONE)
        return clone_range(fd, (int)(intptr_t)argument, 0, LENGTH);
    if (request == FICLONERANGE) {
        const struct file_clone_range *range = argument;
        return clone_range(fd, (int)range->src_fd, range->src_offset, range->src_length);
    }
    return __real_ioctl(fd, request, argument);
}

/* ---- Images --------------------------------------------------------------------------------------- */

/* What the pool was at each checkpoint that was begun; [0]: in the beginning. */
static unsigned char *states[STATES_MAX];
static unsigned begun, returned;

static void make_folder(char *name, const char *what)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(name, 64, "%s/%s.XXXXXX", base != NULL && strlen(base) < 40 ? base : "/tmp", what);
    CHECK(mkdtemp(name) != NULL);
}

static void path_in(char *out, const char *where, enum file file)
{
    (void)snprintf(out, 128, "%s/pool%s", where, endings[file]);
}

static void write_image(const char *where, enum file file, const struct image *image)
{
    char path[128];
    path_in(path, where, file);
    (void)__real_unlink(path);
    if (!image->exists)
        return;
    int fd = __real_open(path, O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0 && __real_pwrite(fd, image->bytes, image->size, 0) == (ssize_t)image->size);
    (void)__real_close(fd);
}

/* The pool file after the cut: any sector from any state that it ever had. */
static void tear_live(struct image *image)
{
    image->exists = true;
    image_size(image, LENGTH);
    unsigned mixed = (unsigned)check_below(&dice, 3);
    for (size_t at = 0; at < LENGTH; at += SECTOR) {
        unsigned state = mixed == 0 ? 0 : mixed == 1 ? begun : (unsigned)check_below(&dice, begun + 1);
        memcpy(image->bytes + at, states[state] + at, SECTOR);
    }
}

static void cut(struct image after[FILES], bool live_too)
{
    static const unsigned shares[] = {0, 100, 50, 10, 90, 99};
    for (enum file file = LIVE; file < FILES; file++) {
        if (file == LIVE && !live_too)
            continue;
        unsigned percent = shares[check_below(&dice, COUNT_OF(shares))];
        image_copy(&after[file], &disk.certain[file]);
        for (struct change *change = disk.first[file]; change != NULL; change = change->next)
            apply(&after[file], change, percent);
    }
}

static void stamp(void *head, size_t size, void *context)
{
    (void)context;
    CHECK_EQ(size, HEAD);
    uint64_t mark = MARK;
    memcpy((char *)head + 8, &mark, sizeof mark); /* bytes that no state uses */
}

/* The state number that `bytes` are, -1: none of the allowed. */
static int state_of(const unsigned char *bytes, unsigned from, unsigned to)
{
    for (unsigned state = to + 1; state-- > from;)
        if (memcmp(bytes, states[state], 8) == 0 && memcmp(bytes + 16, states[state] + 16, LENGTH - 16) == 0)
            return (int)state;
    return -1;
}

/* Restores the pool in a folder.  The state that it is in then, -1 for none; `message` says what was wrong. */
static int restore_in(const char *where, unsigned from, unsigned to, const char **message)
{
    struct checkpoint_found found;
    char path[128];
    path_in(path, where, LIVE);
    *message = checkpoint_find(path, NULL, &found);
    if (*message != NULL)
        return -1;
    int fd = __wrap_open(path, O_RDWR, 0);
    CHECK(fd >= 0);
    *message = checkpoint_restore(path, fd, &found, HEAD, stamp, NULL);
    int state = -1;
    if (*message == NULL) {
        unsigned char *bytes = contents(fd, 0, LENGTH);
        uint64_t mark;
        memcpy(&mark, bytes + 8, sizeof mark);
        CHECK_EQ(mark, MARK);
        state = state_of(bytes, from, to);
        if (state < 0)
            *message = "a mixture";
        free(bytes);
    }
    (void)__wrap_close(fd);
    return state;
}

static void write_images(const char *where, const struct image after[FILES])
{
    for (enum file file = LIVE; file < FILES; file++)
        write_image(where, file, &after[file]);
}

/* The power is cut now: some of the disks that this can leave must all open as they should. */
static void cut_now(void)
{
    static struct image after[FILES];
    bool was = recording;
    recording = false;
    cut(after, false);
    tear_live(&after[LIVE]);
    write_images(scratch, after);
    const char *message = NULL;
    int state = restore_in(scratch, returned, begun, &message);
    CHECKF(state >= 0 || (returned == 0 && strcmp(message, "a mixture") != 0),
           "after %u of %u checkpoints (event %lu): %s", returned, begun, events, message);
    images++;
    recording = was;
}

/* ---- The process under test ------------------------------------------------------------------------ */

static struct pool {
    int fd;
    unsigned char *base;
    struct checkpoint checkpoint;
    size_t grown; /* pages of the middle part */
    bool compare; /* the kernel says nothing */
    enum checkpoint_wish wish;
} pool;

static jmp_buf killed;
static unsigned kill_one_in;

static void maybe_kill(void)
{
    cut_now();
    if (kill_one_in != 0 && check_below(&dice, kill_one_in) == 0)
        longjmp(killed, 1);
}

static unsigned parts_now(struct checkpoint_part *parts)
{
    parts[0] = (struct checkpoint_part){0, 8 * PAGE};
    parts[1] = (struct checkpoint_part){16 * PAGE, pool.grown * PAGE};
    parts[2] = (struct checkpoint_part){48 * PAGE, 48 * PAGE};
    return 3;
}

static void begin(uint64_t same_as)
{
    char path[128];
    static char kept[128];
    path_in(path, folder, LIVE);
    memcpy(kept, path, sizeof kept);
    struct checkpoint_target target = {.path = kept,
                                       .fd = pool.fd,
                                       .base = (char *)pool.base,
                                       .length = LENGTH,
                                       .head = HEAD,
                                       .id = "the pool's own"};
    target.part_count = parts_now(target.parts);
    unsigned failing = fail_one_in;
    fail_one_in = 0;
    const char *trouble = checkpoint_begin(&pool.checkpoint, &target, same_as);
    CHECKF(trouble == NULL, "%s", trouble);
    fail_one_in = failing;
    pool.checkpoint.cannot_watch = pool.compare;
    pool.checkpoint.wish = pool.wish;
    pool.checkpoint.journal_limit = 40 * PAGE;
}

static void remap(void)
{
    if (pool.base != NULL)
        CHECK(munmap(pool.base, LENGTH) == 0);
    pool.base = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, pool.fd, 0);
    CHECK(pool.base != MAP_FAILED);
}

/* Stores as a program makes them: single words, runs, pages that become zero or what they were before. */
static void store_something(void)
{
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    unsigned count = parts_now(parts);
    size_t stores = check_below(&dice, 30);
    for (size_t i = 0; i < stores; i++) {
        const struct checkpoint_part *part = &parts[check_below(&dice, count)];
        if (part->size == 0)
            continue;
        size_t at = part->offset + check_below(&dice, part->size / 64) * 64;
        if (at < 64)
            at = 64;
        if (check_below(&dice, 10) == 0) {
            size_t page = at / PAGE * PAGE;
            if (page > 0 && check_below(&dice, 2) == 0)
                memset(pool.base + page, 0, PAGE);
            else if (page > 0)
                memcpy(pool.base + page, states[check_below(&dice, begun + 1)] + page, PAGE);
        } else
            check_fill(pool.base + at, 64, check_random(&dice));
    }
    if (check_below(&dice, 8) == 0 && pool.grown < 32)
        pool.grown += 1 + check_below(&dice, 32 - pool.grown);
}

static void keep_state(void)
{
    CHECK(++begun < STATES_MAX);
    memcpy(pool.base, &begun, sizeof begun); /* no two states are alike */
    if (states[begun] == NULL)
        states[begun] = malloc(LENGTH);
    CHECK(states[begun] != NULL);
    memcpy(states[begun], pool.base, LENGTH);
}

/* The process is gone: its descriptors are closed, what it wrote is in the file. */
static void die(void)
{
    dirty_watch_end(&pool.checkpoint.watch);
    if (pool.checkpoint.control >= 0)
        (void)__wrap_close(pool.checkpoint.control);
    if (pool.checkpoint.copy >= 0)
        (void)__wrap_close(pool.checkpoint.copy);
    for (int fd = 3; fd < 1024; fd++) /* what it had open in the middle of something */
        if (file_of[fd] > 1)
            (void)__wrap_close(fd);
    remap();
}

static void one_checkpoint(void)
{
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    store_something();
    keep_state();
    if (setjmp(killed) != 0) {
        at_change = cut_now;
        die();
        begin(0);
        return;
    }
    at_change = maybe_kill;
    const char *trouble = checkpoint_take(&pool.checkpoint, parts, parts_now(parts));
    at_change = cut_now;
    CHECKF(trouble == NULL || fail_one_in != 0, "%s (errno %d)", trouble, errno);
    if (trouble == NULL)
        returned = begun;
    cut_now();
    if (trouble != NULL) { /* a failed one may still come to the disk, until the next one has returned */
        if (kill_one_in != 0 && check_below(&dice, 3) == 0) {
            die();
            begin(0);
        }
        return;
    }
    if (check_below(&dice, 6) == 0 && checkpoint_settle(&pool.checkpoint) == NULL) {
        uint64_t generation = check_below(&dice, 2) == 0 ? pool.checkpoint.generation : 0;
        checkpoint_end(&pool.checkpoint);
        remap();
        begin(generation);
    }
}

static void reset(void)
{
    char path[128];
    recording = false;
    at_change = NULL;
    for (enum file file = LIVE; file < FILES; file++) {
        path_in(path, folder, file);
        (void)__real_unlink(path);
        forget(file);
        disk.certain[file].exists = false;
        disk.certain[file].size = 0;
    }
    path_in(path, folder, LIVE);
    pool.fd = __wrap_open(path, O_RDWR | O_CREAT, 0600);
    CHECK(pool.fd >= 0 && __real_ftruncate(pool.fd, LENGTH) == 0);
    pool.base = NULL;
    pool.grown = 0;
    remap();
    begun = returned = 0;
    if (states[0] == NULL)
        states[0] = calloc(1, LENGTH);
}

static void run_pool(unsigned checkpoints)
{
    unsigned fail = fail_one_in;
    reset();
    recording = true;
    at_change = cut_now;
    fail_one_in = 0;
    begin(0);
    fail_one_in = fail;
    for (unsigned i = 0; i < checkpoints; i++)
        one_checkpoint();
    recording = false;
    at_change = NULL;
    fail_one_in = 0;
    checkpoint_end(&pool.checkpoint);
    (void)__wrap_close(pool.fd);
    CHECK(munmap(pool.base, LENGTH) == 0);
    CHECK(returned > 0);
}

static unsigned rounds(void)
{
    return check_long() ? 400 : 40;
}

static void run_way(bool has_clones, enum checkpoint_wish wish, bool compare)
{
    unsigned long before = images;
    clones = has_clones;
    pool.wish = wish;
    pool.compare = compare;
    for (unsigned variant = 0; variant < 4; variant++) {
        fail_one_in = (variant & 1) != 0 ? 20 : 0;
        kill_one_in = (variant & 2) != 0 ? 40 : 0;
        run_pool(rounds());
    }
    print_message("%lu images\n", images - before);
}

static void test_journal(void **state)
{
    (void)state;
    run_way(false, CHECKPOINT_WISH_BEST, false);
}

static void test_journal_compared(void **state)
{
    (void)state;
    run_way(false, CHECKPOINT_WISH_BEST, true);
}

static void test_clones(void **state)
{
    (void)state;
    run_way(true, CHECKPOINT_WISH_REFLINK, false);
}

/* From one way to the other and back, as when room runs out and comes back. */
static unsigned switched;

static void switch_now(void)
{
    pool.checkpoint.wish = switched++ % 5 < 3 ? CHECKPOINT_WISH_JOURNAL : CHECKPOINT_WISH_REFLINK;
}

static void test_both(void **state)
{
    (void)state;
    clones = true;
    for (unsigned variant = 0; variant < 4; variant++) {
        fail_one_in = (variant & 1) != 0 ? 20 : 0;
        kill_one_in = (variant & 2) != 0 ? 40 : 0;
        unsigned fail = fail_one_in;
        reset();
        recording = true;
        at_change = cut_now;
        fail_one_in = 0;
        begin(0);
        fail_one_in = fail;
        for (unsigned i = 0; i < rounds(); i++) {
            switch_now();
            one_checkpoint();
        }
        recording = false;
        at_change = NULL;
        fail_one_in = 0;
        checkpoint_end(&pool.checkpoint);
        (void)__wrap_close(pool.fd);
        CHECK(munmap(pool.base, LENGTH) == 0);
    }
}

/* ---- Power cuts while restoring --------------------------------------------------------------------- */

static int wanted_state;
static struct image first_cut[FILES];

/* In the middle of restoring: cut again, restore that. */
static void cut_again(void)
{
    static struct image after[FILES];
    const char *message;
    recording = false;
    cut(after, true);
    uint64_t mark = 0, magic = 0;
    if (after[LIVE].size >= 16)
        memcpy(&magic, after[LIVE].bytes, sizeof magic);
    if (after[LIVE].size >= 16)
        memcpy(&mark, after[LIVE].bytes + 8, sizeof mark);
    if (mark == MARK) /* it counts as restored: so it must be, wholly */
        CHECK_EQ(state_of(after[LIVE].bytes, (unsigned)wanted_state, (unsigned)wanted_state), wanted_state);
    else if (magic !=
             RESTORING_MAGIC) /* nothing says that it is being restored: so nothing may have been changed */
        CHECK_EQ(memcmp(after[LIVE].bytes, first_cut[LIVE].bytes, LENGTH), 0);
    write_images(scratch, after);
    int got = restore_in(scratch, (unsigned)wanted_state, (unsigned)wanted_state, &message);
    CHECKF(got == wanted_state, "restored again: %s", message);
    images++;
    recording = true;
}

/* Restores the folder itself with every call recorded, from the disk of a cut. */
static void restore_with_cuts(void)
{
    const char *message = NULL;
    at_change = NULL;
    recording = false;
    write_images(scratch, first_cut);
    wanted_state = restore_in(scratch, returned, begun, &message);
    CHECKF(wanted_state >= 0, "%s", message);
    write_images(folder, first_cut);
    for (enum file file = LIVE; file < FILES; file++) {
        forget(file);
        image_copy(&disk.certain[file], &first_cut[file]);
    }
    recording = true;
    at_change = cut_again;
    int got = restore_in(folder, (unsigned)wanted_state, (unsigned)wanted_state, &message);
    recording = false;
    at_change = NULL;
    CHECKF(got == wanted_state, "%s", message);
}

static unsigned countdown;

static void cut_some(void)
{
    if (countdown == 0 || --countdown > 0)
        return;
    recording = false;
    cut(first_cut, false);
    tear_live(&first_cut[LIVE]);
    longjmp(killed, 1);
}

/* A checkpoint that is cut off somewhere, and what that leaves restored with cuts. */
static void cut_and_restore(bool has_clones)
{
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    clones = has_clones;
    pool.wish = has_clones ? CHECKPOINT_WISH_REFLINK : CHECKPOINT_WISH_BEST;
    reset();
    recording = true;
    begin(0);
    for (unsigned k = 0; k < 3; k++)
        one_checkpoint();
    CHECK_EQ(returned, 3);
    store_something();
    keep_state();
    countdown = 1 + (unsigned)check_below(&dice, 4);
    at_change = cut_some;
    if (setjmp(killed) == 0) {
        (void)checkpoint_take(&pool.checkpoint, parts, parts_now(parts));
        recording = false;
        cut(first_cut, false);
        tear_live(&first_cut[LIVE]);
    }
    at_change = NULL;
    die();
    restore_with_cuts();
    (void)__wrap_close(pool.fd);
    CHECK(munmap(pool.base, LENGTH) == 0);
}

static void test_cuts_while_restoring(void **state)
{
    (void)state;
    pool.wish = CHECKPOINT_WISH_BEST;
    pool.compare = false;
    fail_one_in = kill_one_in = 0;
    for (unsigned i = 0; i < (check_long() ? 600u : 60u); i++)
        cut_and_restore(i % 2 == 1);
    print_message("%lu images in all, %lu calls\n", images, events);
}

/* Without a wish: the journal where pages are tracked, else a clone, else the journal. */
static void test_choice(void **state)
{
    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
        clones = (variant & 1) != 0;
        pool.compare = (variant & 2) != 0;
        pool.wish = CHECKPOINT_WISH_BEST;
        fail_one_in = kill_one_in = 0;
        reset();
        begin(0);
        for (unsigned i = 0; i < 3; i++)
            CHECK(checkpoint_take(&pool.checkpoint, parts, parts_now(parts)) == NULL);
        bool tracked = !pool.checkpoint.cannot_watch;
        CHECK(!(tracked && pool.compare));
        CHECK_EQ(pool.checkpoint.slot.way, clones && !tracked ? CHECKPOINT_REFLINK : CHECKPOINT_JOURNAL);
        CHECK_EQ(pool.checkpoint.generation, 3);
        pool.checkpoint.wish = CHECKPOINT_WISH_REFLINK;
        const char *trouble = checkpoint_take(&pool.checkpoint, parts, parts_now(parts));
        CHECK(clones ? trouble == NULL : errno == ENOTSUP);
        pool.checkpoint.wish = CHECKPOINT_WISH_BEST;
        pool.checkpoint.restless = true;
        CHECK(checkpoint_take(&pool.checkpoint, parts, parts_now(parts)) == NULL);
        CHECK_EQ(pool.checkpoint.slot.way, clones ? CHECKPOINT_REFLINK : CHECKPOINT_JOURNAL);
        checkpoint_end(&pool.checkpoint);
        (void)__wrap_close(pool.fd);
        CHECK(munmap(pool.base, LENGTH) == 0);
    }
}

/* ---- Threads that keep storing ----------------------------------------------------------------------- */

static uint32_t stop;

/* Two counters in different pages, b <= a <= b + 1 at any moment. */
static void *count_up_both(void *context)
{
    uint64_t *a = (uint64_t *)(void *)(pool.base + 50 * PAGE),
             *b = (uint64_t *)(void *)(pool.base + 90 * PAGE);
    (void)context;
    for (uint64_t i = 1; load_relaxed(&stop) == 0; i++) {
        __atomic_store_n(a, i, __ATOMIC_RELEASE);
        __atomic_store_n(b, i, __ATOMIC_RELEASE);
        if (i % 64 == 0)
            check_sleep(0.0002);
    }
    return NULL;
}

/* While a thread stores, a checkpoint is of one moment or fails with EAGAIN. */
static void test_stores_meanwhile(void **state)
{
    (void)state;
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    clones = false;
    pool.wish = CHECKPOINT_WISH_BEST;
    pool.compare = false;
    fail_one_in = kill_one_in = 0;
    reset();
    begin(0);
    CHECK(checkpoint_take(&pool.checkpoint, parts, parts_now(parts)) == NULL);
    if (pool.checkpoint.cannot_watch)
        skip(); /* an older kernel: stores meanwhile are not noticed, as documented */
    pthread_t thread;
    store_relaxed(&stop, 0);
    CHECK(pthread_create(&thread, NULL, count_up_both, NULL) == 0);
    unsigned good = 0;
    double end = check_now() + check_scale(1.0);
    while (check_now() < end) {
        const char *trouble = checkpoint_take(&pool.checkpoint, parts, parts_now(parts));
        CHECKF(trouble == NULL || errno == EAGAIN, "%s", trouble);
        good += trouble == NULL;
        if (trouble == NULL && good % 4 == 0) /* the copy is that checkpoint then */
            CHECK(checkpoint_settle(&pool.checkpoint) == NULL);
        uint64_t a, b;
        CHECK(pread(pool.checkpoint.copy, &a, 8, 50 * PAGE) == 8 &&
              pread(pool.checkpoint.copy, &b, 8, 90 * PAGE) == 8);
        CHECKF(a == b || a == b + 1, "%llu and %llu", (unsigned long long)a, (unsigned long long)b);
    }
    store_relaxed(&stop, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    print_message("%u checkpoints, %llu rounds again\n", good,
                  (unsigned long long)pool.checkpoint.counts.again);
    CHECK(good > 0);
    CHECK(checkpoint_take(&pool.checkpoint, parts, parts_now(parts)) == NULL);
    CHECK(checkpoint_settle(&pool.checkpoint) == NULL);
    CHECK_EQ(memcmp(pool.base, contents(pool.checkpoint.copy, 0, LENGTH), LENGTH), 0);
    checkpoint_end(&pool.checkpoint);
    (void)__wrap_close(pool.fd);
    CHECK(munmap(pool.base, LENGTH) == 0);
}

static int tidy(void **state)
{
    char path[128];
    (void)state;
    for (enum file file = LIVE; file < FILES; file++) {
        path_in(path, folder, file);
        (void)__real_unlink(path);
        path_in(path, scratch, file);
        (void)__real_unlink(path);
    }
    return rmdir(folder) | rmdir(scratch);
}

int main(void)
{
    dice = check_seed();
    make_folder(folder, "cut");
    make_folder(scratch, "after");
    for (enum file file = LIVE; file < FILES; file++)
        disk.last[file] = &disk.first[file];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_journal_compared),
        cmocka_unit_test(test_clones),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_stores_meanwhile),
        cmocka_unit_test(test_cuts_while_restoring),
    };
    return cmocka_run_group_tests(tests, NULL, tidy);
}
