/* file.c - see file.h: making, opening, closing and growing.  The stores into the state are steps 26 to 33 of protocol.h.
 *
 * An open for writing flushes the state (open, owner) before anything else is written, so that what the disk has after a
 * power cut says itself that the pool was open; a close writes `closed` only when everything else is on the disk. */
#include "persist/file.h"

#include "os/file.h"
#include "os/os.h"
#include "os/storage.h"
#include "persist/check.h"
#include "persist/durable.h"
#include "persist/protocol.h"
#include "persist/recover.h"

#include <errno.h>
#include <string.h>

bool file_trouble(struct trouble *trouble, int code, const char *text)
{
    *trouble = (struct trouble){code, text};
    return false;
}

/* ---- Words ---------------------------------------------------------------------------------------- */

uint64_t file_word(const struct pool_file *file, enum file_word word)
{
    uint64_t value;
    return format_unseal(load_relaxed(&file->state->words[word]), word, &value) ? value : 0;
}

void file_set_word(struct pool_file *file, enum file_word word, uint64_t value)
{
    file_store(&file->state->words[word], format_seal(value & SEAL_MASK, word));
}

bool file_owner_now(struct file_owner *owner)
{
    uint8_t boot[16] = {0};
    bool known = os_boot_id(boot) || errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    memset(owner, 0, sizeof *owner);
    owner->pid = os_process_id();
    owner->started = os_process_started() & SEAL_MASK;
    memcpy(&owner->boot_low, boot, 6);
    memcpy(&owner->boot_high, boot + 10, 6);
    return known;
}

static void write_owner(struct pool_file *file)
{
    file_set_word(file, WORD_PID, file->self.pid);
    file_set_word(file, WORD_STARTED, file->self.started);
    file_set_word(file, WORD_BOOT_LOW, file->self.boot_low);
    file_set_word(file, WORD_BOOT_HIGH, file->self.boot_high);
    file_set_word(file, WORD_DEVICE, file->device);
    file_set_word(file, WORD_INODE, file->inode);
    file_set_word(file, WORD_MAPPED, (uintptr_t)file->base);
}

/* ---- The structure --------------------------------------------------------------------------------- */

#define FILE_BYTES align_up(sizeof(struct pool_file), 64 * KiB)

static struct pool_file *make_file(const struct file_request *request, struct trouble *trouble)
{
    size_t length = strlen(request->path);
    if (length == 0 || length >= FILE_PATH_MAX) {
        file_trouble(trouble, length == 0 ? ENOENT : ENAMETOOLONG, "the path is empty or too long");
        return NULL;
    }
    struct pool_file *file = os_map(NULL, FILE_BYTES);
    if (file == NULL) {
        file_trouble(trouble, ENOMEM, "the system has no memory");
        return NULL;
    }
    os_name(file, FILE_BYTES, "cairn pool file");
    file->fd = -1;
    if (!file_owner_now(&file->self)) {
        file_trouble(trouble, errno, "the system could not say which boot this is");
        (void)os_unmap(file, FILE_BYTES);
        return NULL;
    }
    file->read_only = (request->flags & (CAIRN_FILE_READ_ONLY | CAIRN_FILE_UNLOCKED)) != 0;
    file->names_lock.rank = LOCK_RANK_HEAP;
    file->grow_lock.rank = LOCK_RANK_START;
    memcpy(file->path, request->path, length + 1);
    return file;
}

/* Gives back what there is of it; keeps errno. */
static void drop_file(struct pool_file *file)
{
    durable_end(file);
    if (file->base != NULL)
        (void)os_unmap(file->base, file->reserved);
    if (file->fd >= 0)
        os_close(file->fd);
    (void)os_unmap(file, FILE_BYTES);
}

static bool take_status(struct pool_file *file, uint64_t *size, struct trouble *trouble)
{
    struct os_file_status status;
    if (!os_file_status(file->fd, &status))
        return file_trouble(trouble, errno, "the file cannot be looked at");
    if (!status.regular)
        return file_trouble(trouble, EINVAL, "a pool lies in a regular file, and this is none");
    file->device = status.device & SEAL_MASK;
    file->inode = status.inode & SEAL_MASK;
    file->in_memory = status.in_memory;
    *size = status.size;
    return true;
}

static uint64_t length_for(const struct file_header *header, uint64_t capacity)
{
    return header->pages + capacity * PAGE_SIZE;
}

/* Bytes of addresses that the pool may come to need. */
static size_t reserve_for(const struct file_header *header)
{
    return align_up(length_for(header, header->max_pages), size_max(os_page_size(), FORMAT_ALIGN));
}

/* Maps the file, `capacity` pages of it, where base has been reserved; sets every pointer. */
static bool map(struct pool_file *file, const struct file_header *header, uint64_t capacity, enum os_map how,
                struct trouble *trouble)
{
    file->mapped = align_up(length_for(header, capacity), os_page_size());
    if (!os_file_map(file->base, file->mapped, file->fd, 0, how))
        return file_trouble(trouble, errno, "the pool cannot be mapped");
    file->header = (const struct file_header *)file->base;
    file->state = (struct file_state *)(file->base + FORMAT_STATE);
    file->names = (struct file_name *)(file->base + FORMAT_NAMES_AT);
    file->intents = (struct file_intent *)(file->base + FORMAT_INTENTS_AT);
    file->descriptors = (uint64_t *)(file->base + header->descriptors);
    file->marks = (uint8_t *)(file->base + header->marks);
    file->pages = file->base + header->pages;
    file->max_pages = header->max_pages;
    file->touched = file_word(file, WORD_TOUCHED);
    store_relaxed(&file->capacity, capacity);
    return true;
}

/* ---- Creating -------------------------------------------------------------------------------------- */

/* Fills the header's sizes; false: the request makes no sense. */
static bool plan(const struct file_request *request, uint64_t size, struct file_header *header,
                 uint64_t *capacity, struct trouble *trouble)
{
    size_t max_size = request->max_size != 0 ? request->max_size : size;
    if (size < CAIRN_FILE_SIZE_MIN)
        return file_trouble(trouble, EINVAL,
                            "a pool needs at least 1 MiB: size is below CAIRN_FILE_SIZE_MIN");
    if (max_size < size)
        return file_trouble(trouble, EINVAL, "max_size is below size");
    uint64_t most =
        max_size / (PAGE_SIZE + FORMAT_MARKS_PER_PAGE + sizeof(uint64_t)); /* a few too many or too few */
    if (most > FORMAT_PAGES_MAX + 1)
        most = FORMAT_PAGES_MAX + 1; /* refused below: the sums are not to go round */
    while (format_places(most).pages + most * PAGE_SIZE > max_size)
        most--;
    while (most <= FORMAT_PAGES_MAX && format_places(most + 1).pages + (most + 1) * PAGE_SIZE <= max_size)
        most++;
    if (most > FORMAT_PAGES_MAX)
        return file_trouble(trouble, EINVAL, "a pool has at most 8 TiB of pages: max_size is above that");
    header->max_pages = most;
    header->max_size = max_size;
    *capacity = max_size == size ? most : format_pages_for(most, size);
    return true;
}

static bool name_layout(const struct file_request *request, struct file_header *header,
                        struct trouble *trouble)
{
    const char *layout = request->layout != NULL ? request->layout : "";
    size_t length = strlen(layout);
    if (length >= FORMAT_LAYOUT_MAX)
        return file_trouble(trouble, EINVAL, "layout has CAIRN_LAYOUT_MAX bytes or more");
    memcpy(header->layout, layout, length);
    return true;
}

/* Whether the disk can have room for pages [from, to): what cannot be had is refused before anything is taken, or the
 * disk would be full for everybody until the system gives up.  What the file has already counts for it. */
static bool has_room(int fd, const struct file_header *header, uint64_t from, uint64_t to)
{
    uint64_t whole = format_disk_size(header->max_pages, to), taken = storage_taken(fd);
    uint64_t more = (to - from) * (PAGE_SIZE + FORMAT_MARKS_PER_PAGE + sizeof(uint64_t));
    uint64_t missing = whole > taken ? whole - taken : 0;
    if ((missing < more ? missing : more) <= storage_room(fd))
        return true;
    errno = ENOSPC;
    return false;
}

/* Disk space for the areas of pages [from, to).  The pages come first: what does not fit fails before much is taken. */
static bool allocate(int fd, const struct file_header *header, uint64_t from, uint64_t to)
{
    if (!has_room(fd, header, from, to))
        return false;
    uint64_t each[][2] = {{header->pages, PAGE_SIZE},
                          {header->marks, FORMAT_MARKS_PER_PAGE},
                          {header->descriptors, sizeof(uint64_t)}};
    if (from == 0 && !storage_reserve(fd, 0, FORMAT_DESCRIPTORS))
        return false;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (!storage_reserve(fd, each[i][0] + from * each[i][1], (to - from) * each[i][1]))
            return false;
    return true;
}

static bool is_zero(const char *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* A file that was there: its first 64 KiB must be zero, the metadata are made so. */
static bool clear_given(int fd, const struct file_header *header, struct trouble *trouble)
{
    static const char zeros[4096];
    char piece[4096];
    for (uint64_t at = 0; at < FORMAT_ALIGN; at += sizeof piece) {
        if (os_file_read_at(fd, piece, sizeof piece, at) != (ptrdiff_t)sizeof piece)
            return file_trouble(trouble, EINVAL, "the first 64 KiB of the file cannot be read");
        if (!is_zero(piece, sizeof piece))
            return file_trouble(trouble, EEXIST, "the file is not empty: its first 64 KiB are not zero");
    }
    for (uint64_t at = FORMAT_ALIGN; at < header->pages; at += sizeof zeros)
        if (!storage_write(fd, zeros, sizeof zeros, at))
            return file_trouble(trouble, errno, "the file cannot be written");
    return true;
}

/* Everything but the header, which comes last: without it the file is no pool. */
static void write_state(struct pool_file *file, uint64_t capacity, uint64_t touched)
{
    for (unsigned word = 0; word < WORD_COUNT; word++)
        file_set_word(file, (enum file_word)word, 0);
    file_set_word(file, WORD_CAPACITY, capacity);
    file_set_word(file, WORD_TOUCHED, touched);
    file->touched = touched;
    write_owner(file);
    file_set_word(file, WORD_STATE, STATE_OPEN);
}

static bool sync_new(struct pool_file *file, const struct file_request *request, struct trouble *trouble)
{
    if ((request->flags & CAIRN_FILE_NO_SYNC) != 0 || file->in_memory)
        return true;
    if (!os_map_sync(file->base, FORMAT_DESCRIPTORS) || !storage_sync(file->fd) ||
        !storage_sync_folder(file->path))
        return file_trouble(trouble, errno, "the new pool cannot be flushed to the disk");
    return true;
}

/* With the file open and locked. */
static bool fill_new(struct pool_file *file, const struct file_request *request, uint64_t size, bool given,
                     struct trouble *trouble)
{
    struct file_header header;
    uint64_t capacity = 0;
    memset(&header, 0, sizeof header);
    if (!plan(request, size, &header, &capacity, trouble) || !name_layout(request, &header, trouble))
        return false;
    if (!os_random(header.uuid, sizeof header.uuid))
        return file_trouble(trouble, errno, "the system has no random numbers");
    format_make_header(&header);
    if (given && !clear_given(file->fd, &header, trouble))
        return false;
    if (!allocate(file->fd, &header, 0, capacity))
        return file_trouble(trouble, errno, "there is no room on the disk for the pool");
    file->reserved = reserve_for(&header);
    file->base = place_choose(header.uuid, file->reserved);
    if (file->base == NULL)
        return file_trouble(trouble, ENOMEM, "there is no address range for the pool");
    header.address = (uintptr_t)file->base;
    header.created = os_seconds();
    header.compatible = (request->flags & CAIRN_FILE_RELOCATABLE) != 0 ? FEATURE_RELOCATABLE : 0;
    format_make_header(&header);
    if (!map(file, &header, capacity, OS_MAP_WRITE, trouble))
        return false;
    write_state(file, capacity, given ? capacity : 0);
    memcpy(file->base + sizeof header.magic, (char *)&header + sizeof header.magic,
           sizeof header - sizeof header.magic);
    uint64_t magic;
    memcpy(&magic, header.magic, sizeof magic);
    file_store((uint64_t *)file->base, magic);
    return sync_new(file, request, trouble) && durable_begin(file, 0, trouble);
}

/* Opens or makes the file; *given: it was there, *size is its size. */
static bool open_new(struct pool_file *file, const struct file_request *request, uint64_t *size, bool *given,
                     struct trouble *trouble)
{
    *given = request->size == 0;
    file->fd = *given ? os_file_open(request->path, true)
                      : os_file_create(request->path, request->mode != 0 ? request->mode : 0600);
    if (file->fd < 0) {
        int code = errno;
        return file_trouble(trouble, code,
                            code == EEXIST && !*given ? "the file is there already"
                                                      : "the file cannot be made or opened");
    }
    if (!take_status(file, size, trouble))
        return false;
    if (!*given)
        *size = request->size;
    if (!os_file_lock(file->fd, true))
        return file_trouble(trouble, errno, "the file is open as a pool already");
    return true;
}

struct pool_file *file_create(const struct file_request *request, struct trouble *trouble)
{
    uint64_t size = 0;
    bool given = false;
    if (request->flags & (CAIRN_FILE_READ_ONLY | CAIRN_FILE_UNLOCKED)) {
        file_trouble(trouble, EINVAL, "a new pool cannot be read-only");
        return NULL;
    }
    struct pool_file *file = make_file(request, trouble);
    if (file == NULL)
        return NULL;
    if (open_new(file, request, &size, &given, trouble) && fill_new(file, request, size, given, trouble))
        return file;
    if (!given && file->fd >= 0)
        (void)os_file_remove(request->path);
    drop_file(file);
    return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------------- */

/* The first two pages of the file, read and not mapped: the file may be shorter than it says, or no pool. */
struct beginning {
    struct file_header header;
    struct file_state state;
};

static bool read_beginning(struct pool_file *file, uint64_t size, struct beginning *out,
                           struct trouble *trouble)
{
    const char *text;
    unsigned word;
    memset(out, 0, sizeof *out);
    ptrdiff_t got = os_file_read_at(file->fd, out, sizeof *out, 0);
    if (got < 0)
        return file_trouble(trouble, errno, "the file cannot be read");
    enum header_fault fault = format_check_header(&out->header, file->read_only, &text);
    if (fault != HEADER_FINE)
        return file_trouble(trouble, fault == HEADER_NEWER ? ENOTSUP : EINVAL, text);
    text = format_check_state(&out->header, &out->state, &word);
    if (text != NULL)
        return file_trouble(trouble, EUCLEAN, text);
    if (size < length_for(&out->header, out->state.words[WORD_CAPACITY] & SEAL_MASK))
        return file_trouble(trouble, EUCLEAN, "the file is shorter than the pool in it: it was cut");
    return true;
}

static uint64_t word_of(const struct beginning *beginning, enum file_word word)
{
    return beginning->state.words[word] & SEAL_MASK; /* checked by read_beginning */
}

/* The process died, on this machine since it was started, with this very file open: every store is here. */
static bool only_process_died(const struct pool_file *file, const struct beginning *beginning)
{
    const struct file_owner *now = &file->self;
    return word_of(beginning, WORD_BOOT_LOW) == now->boot_low &&
           word_of(beginning, WORD_BOOT_HIGH) == now->boot_high && (now->boot_low | now->boot_high) != 0 &&
           word_of(beginning, WORD_DEVICE) == file->device && word_of(beginning, WORD_INODE) == file->inode;
}

/* The file says in which boot it was open, and the system does not say which one this is: a process may have died, or the
 * machine. */
static bool cannot_tell(const struct pool_file *file, const struct beginning *beginning)
{
    return (file->self.boot_low | file->self.boot_high) == 0 &&
           (word_of(beginning, WORD_BOOT_LOW) | word_of(beginning, WORD_BOOT_HIGH)) != 0;
}

/* What has to be done about a pool that was not closed: decided here, before anything is mapped. */
static bool judge(struct pool_file *file, const struct file_request *request,
                  const struct beginning *beginning, struct trouble *trouble)
{
    bool beside_writer = (request->flags & CAIRN_FILE_UNLOCKED) != 0 && os_file_is_locked(file->fd);
    file->recovery.found = CAIRN_WAS_CLOSED;
    if (word_of(beginning, WORD_STATE) == STATE_CLOSED || beside_writer)
        return true;
    if ((request->flags & CAIRN_FILE_STRICT) != 0)
        return file_trouble(trouble, EUCLEAN, "inconsistent pool: it was not closed properly");
    file->recovery.owner = word_of(beginning, WORD_PID);
    file->recovery.found = CAIRN_WAS_KILLED;
    if (only_process_died(file, beginning))
        return true;
    if (cannot_tell(file, beginning) && (request->flags & CAIRN_FILE_TRUST) == 0)
        return file_trouble(
            trouble, EUCLEAN,
            "inconsistent pool: it was not closed, and whether the machine went down since cannot be told "
            "(is /proc there?)");
    file->recovery.found = CAIRN_WAS_POWER_CUT;
    if ((request->flags & CAIRN_FILE_TRUST) == 0)
        return !file->read_only ||
               file_trouble(
                   trouble, EUCLEAN,
                   "inconsistent pool: it was open when the machine went down (or is a copy of an open one); "
                   "an open for writing goes back to its last checkpoint");
    file->recovery.found = CAIRN_WAS_TRUSTED;
    return check_trusted(file->fd, trouble);
}

/* The owner and the state are written, and on the disk before anything else can be. */
static bool claim(struct pool_file *file, const struct file_request *request, struct trouble *trouble)
{
    if (file->read_only)
        return !file->is_copy || os_file_protect(file->base, file->mapped) ||
               file_trouble(trouble, errno, "the pool's pages cannot be protected");
    write_owner(file);
    file_set_word(file, WORD_STATE, STATE_OPEN);
    if ((request->flags & CAIRN_FILE_NO_SYNC) == 0 && !file->in_memory &&
        !os_map_sync(file->base, align_up(FORMAT_STATE + sizeof(struct file_state), os_page_size())))
        return file_trouble(trouble, errno, "the pool cannot be flushed to the disk");
    bool closed = file->recovery.found == CAIRN_WAS_CLOSED;
    return durable_begin(file, closed ? file_word(file, WORD_GENERATION) : 0, trouble);
}

static bool open_and_lock(struct pool_file *file, const struct file_request *request, uint64_t *size,
                          struct trouble *trouble)
{
    file->fd = os_file_open(request->path, !file->read_only);
    if (file->fd < 0)
        return file_trouble(trouble, errno, "the file cannot be opened");
    if (!take_status(file, size, trouble))
        return false;
    if ((request->flags & CAIRN_FILE_UNLOCKED) == 0 && !os_file_lock(file->fd, !file->read_only))
        return file_trouble(trouble, errno, "the pool is open already, here or in another process");
    return true;
}

/* The last checkpoint is put back, and what the file says now is read.  `without`: what to say if there is none. */
static bool go_back(struct pool_file *file, const struct file_header *header, struct beginning *beginning,
                    const char *without, struct trouble *trouble)
{
    uint64_t size;
    if (!durable_restore(file, header, &file->recovery.generation, trouble)) {
        if (trouble->code == ENOENT)
            file_trouble(trouble, EUCLEAN, without);
        return false;
    }
    file->recovery.found = CAIRN_WAS_POWER_CUT;
    return take_status(file, &size, trouble) && read_beginning(file, size, beginning, trouble);
}

/* A file whose beginning makes no sense, after *trouble: what a power cut left, if that may be. */
static bool rescue(struct pool_file *file, const struct file_request *request, struct beginning *beginning,
                   struct trouble *trouble)
{
    uint64_t magic;
    memcpy(&magic, beginning->header.magic, sizeof magic);
    bool restoring = magic == RESTORING_MAGIC;
    bool torn = trouble->code == EUCLEAN && word_of(beginning, WORD_STATE) != STATE_CLOSED &&
                !only_process_died(file, beginning) && !cannot_tell(file, beginning);
    if (restoring)
        file_trouble(
            trouble, EUCLEAN,
            "inconsistent pool: putting back its last checkpoint was cut off; an open for writing goes on, with "
            "the checkpoint's files beside it");
    if (file->read_only || (request->flags & CAIRN_FILE_STRICT) != 0 || (!restoring && !torn))
        return false;
    return go_back(file, restoring ? NULL : &beginning->header, beginning, trouble->text, trouble);
}

static bool open_pool(struct pool_file *file, const struct file_request *request, struct trouble *trouble)
{
    struct beginning beginning;
    uint64_t size;
    if (!open_and_lock(file, request, &size, trouble))
        return false;
    bool rescued = !read_beginning(file, size, &beginning, trouble);
    if (rescued && !rescue(file, request, &beginning, trouble))
        return false;
    if (request->layout != NULL && strcmp(request->layout, beginning.header.layout) != 0)
        return file_trouble(trouble, EINVAL, "the pool has another layout");
    if (!rescued && !judge(file, request, &beginning, trouble))
        return false;
    if (!rescued && file->recovery.found == CAIRN_WAS_POWER_CUT &&
        !go_back(
            file, &beginning.header, &beginning,
            "inconsistent pool: it was open when the machine went down (or is a copy of an open one), and "
            "there is no checkpoint",
            trouble))
        return false;
    bool relocatable = (beginning.header.compatible & FEATURE_RELOCATABLE) != 0;
    file->reserved = reserve_for(&beginning.header);
    file->base = place_again(beginning.header.address, file->reserved, relocatable);
    if (file->base == NULL)
        return file_trouble(
            trouble, ENOMEM,
            "the addresses where the pool was made are taken in this process (in a child of fork that "
            "inherited the pool: close that first)");
    file->is_copy = file->read_only && file->recovery.found != CAIRN_WAS_CLOSED;
    enum os_map how = file->is_copy ? OS_MAP_COPY : file->read_only ? OS_MAP_READ : OS_MAP_WRITE;
    if (!map(file, &beginning.header, word_of(&beginning, WORD_CAPACITY), how, trouble))
        return false;
    if (file->recovery.found != CAIRN_WAS_CLOSED && !recover(file, trouble))
        return false;
    return claim(file, request, trouble);
}

struct pool_file *file_open(const struct file_request *request, struct trouble *trouble)
{
    if ((request->flags & CAIRN_FILE_UNLOCKED) != 0 && (request->flags & CAIRN_FILE_READ_ONLY) == 0) {
        file_trouble(trouble, EINVAL, "CAIRN_FILE_UNLOCKED goes with CAIRN_FILE_READ_ONLY");
        return NULL;
    }
    struct pool_file *file = make_file(request, trouble);
    if (file != NULL && !open_pool(file, request, trouble)) {
        drop_file(file);
        file = NULL;
    }
    return file;
}

/* ---- Closing --------------------------------------------------------------------------------------- */

bool file_close(struct pool_file *file, struct trouble *trouble)
{
    bool done = true;
    if (!file->read_only) {
        bool kept = durable_close(file, trouble);
        done = kept && os_map_sync(file->base, file->mapped);
        if (done) {
            file_set_word(file, WORD_PID, 0);
            file_set_word(file, WORD_STATE, STATE_CLOSED);
            done =
                os_map_sync(file->base, align_up(FORMAT_STATE + sizeof(struct file_state), os_page_size()));
            if (!done)
                file_set_word(file, WORD_STATE, STATE_OPEN);
        }
        if (!done && kept)
            file_trouble(trouble, errno,
                         "the pool could not be flushed to the disk: it stays marked as not closed");
    }
    drop_file(file);
    return done;
}

void file_forget(struct pool_file *file)
{
    /* Nothing else is to come where the parent has the pool, or closing what is left here would unmap it, and blocks of
     * another pool would pass for this one's.  Where it cannot be had, it is not ours to unmap. */
    if (os_reserve(file->base, file->mapped, 0) == NULL) {
        file->base += file->mapped;
        file->reserved -= file->mapped;
    }
    os_close(file->fd); /* so that the lock does not outlive the parent */
    if (file->has_checkpoint)
        checkpoint_forget(&file->checkpoint);
    file->has_checkpoint = false;
    file->fd = -1;
}

void file_drop_lost(struct pool_file *file)
{
    drop_file(file);
}

/* ---- Growing --------------------------------------------------------------------------------------- */

bool file_grow(struct pool_file *file, uint64_t pages, struct trouble *trouble)
{
    uint64_t from = load_relaxed(&file->capacity);
    if (!allocate(file->fd, file->header, from, pages)) {
        file_trouble(trouble, errno, "there is no room on the disk for a larger pool");
        (void)storage_resize(file->fd, length_for(file->header, from)); /* what it got goes back */
        return false;
    }
    size_t wanted = align_up(length_for(file->header, pages), os_page_size());
    if (wanted > file->mapped) {
        if (!os_file_map(file->base + file->mapped, wanted - file->mapped, file->fd, file->mapped,
                         OS_MAP_WRITE))
            return file_trouble(trouble, errno, "the larger pool cannot be mapped");
        file->mapped = wanted;
    }
    file_set_word(file, WORD_CAPACITY, pages);
    return true;
}
