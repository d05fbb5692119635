/* durable.c - see durable.h; and the calls of <cairn/persist.h> about checkpoints and leaks. */
#include "persist/durable.h"

#include "os/file.h"
#include "os/os.h"
#include "os/storage.h"
#include "persist/file_pool.h"
#include "persist/leaks.h"
#include "pool/thread.h"

#include <errno.h>
#include <string.h>

#define HEAD (FORMAT_STATE + sizeof(struct file_state))

_Static_assert(CHECKPOINT_ID_BYTES == sizeof(((struct file_header *)0)->uuid),
               "checkpoints are named by the uuid");

/* The parts of the file that hold something, as far as the pool has grown. */
static unsigned parts_of(uint64_t descriptors, uint64_t marks, uint64_t pages, uint64_t capacity,
                         struct checkpoint_part parts[CHECKPOINT_PARTS_MAX])
{
    size_t page = size_max(os_page_size(), CHECKPOINT_PAGE);
    parts[0] = (struct checkpoint_part){0, FORMAT_DESCRIPTORS};
    parts[1] = (struct checkpoint_part){descriptors, align_up(capacity * sizeof(uint64_t), page)};
    parts[2] = (struct checkpoint_part){marks, align_up(capacity * FORMAT_MARKS_PER_PAGE, page)};
    parts[3] = (struct checkpoint_part){pages, align_up(capacity * PAGE_SIZE, page)};
    return 4;
}

static unsigned parts_now(const struct pool_file *file, struct checkpoint_part parts[CHECKPOINT_PARTS_MAX])
{
    const struct file_header *header = file->header;
    return parts_of(header->descriptors, header->marks, header->pages, load_relaxed(&file->capacity), parts);
}

/* ---- Restoring ------------------------------------------------------------------------------------ */

/* What the stamp leaves behind. */
struct stamped {
    const struct pool_file *file;
    uint64_t generation;
    struct file_header header;
    uint64_t capacity;
};

static void set_word(struct file_state *state, enum file_word word, uint64_t value)
{
    state->words[word] = format_seal(value & SEAL_MASK, word);
}

/* The pool is as one whose process has just died, here and now: the open that restores it recovers it next. */
static void stamp(void *head, size_t size, void *context)
{
    struct stamped *stamped = context;
    struct file_state *state = (struct file_state *)(void *)((char *)head + FORMAT_STATE);
    const struct file_owner *owner = &stamped->file->self;
    (void)size;
    set_word(state, WORD_STATE, STATE_OPEN);
    set_word(state, WORD_GENERATION, stamped->generation);
    set_word(state, WORD_PID, owner->pid);
    set_word(state, WORD_STARTED, owner->started);
    set_word(state, WORD_BOOT_LOW, owner->boot_low);
    set_word(state, WORD_BOOT_HIGH, owner->boot_high);
    set_word(state, WORD_DEVICE, stamped->file->device);
    set_word(state, WORD_INODE, stamped->file->inode);
    memcpy(&stamped->header, head, sizeof stamped->header);
    stamped->capacity = state->words[WORD_CAPACITY] & SEAL_MASK;
}

/* The file has the length of its pool again, and room for all of it. */
static bool give_room(const struct pool_file *file, const struct stamped *stamped)
{
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    const struct file_header *header = &stamped->header;
    unsigned count = parts_of(header->descriptors, header->marks, header->pages, stamped->capacity, parts);
    if (!storage_resize(file->fd, header->pages + stamped->capacity * PAGE_SIZE))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!storage_reserve(file->fd, parts[i].offset, parts[i].size))
            return false;
    return true;
}

/* The file's own name, without symbolic links: checkpoints lie beside it. */
static bool find_path(struct pool_file *file, struct trouble *trouble)
{
    return storage_path(file->fd, file->checkpoint_path, sizeof file->checkpoint_path) ||
           file_trouble(trouble, os_errno_get(), "the file's path cannot be found out, or is too long");
}

bool durable_restore(struct pool_file *file, const struct file_header *head, uint64_t *generation,
                     struct trouble *trouble)
{
    struct checkpoint_found found;
    struct stamped stamped = {.file = file};
    if (!find_path(file, trouble))
        return false;
    const char *text = checkpoint_find(file->checkpoint_path, head != NULL ? head->uuid : NULL, &found);
    if (text != NULL)
        return file_trouble(trouble, os_errno_get(), text);
    *generation = stamped.generation = found.generation;
    text = checkpoint_restore(file->checkpoint_path, file->fd, &found, HEAD, stamp, &stamped);
    if (text != NULL)
        return file_trouble(trouble, os_errno_get(), text);
    return give_room(file, &stamped) ||
           file_trouble(trouble, os_errno_get(), "there is no room on the disk for the restored pool");
}

int cairn_pool_rollback(const char *path)
{
    struct trouble trouble;
    struct os_file_status status;
    uint64_t generation;
    if (strlen(path) >= FILE_PATH_MAX)
        return thread_fail(ENAMETOOLONG, "the path is too long"), -1;
    struct pool_file *file = os_map(NULL, align_up(sizeof *file, os_page_size()));
    if (file == NULL)
        return thread_fail(ENOMEM, "the system has no memory"), -1;
    file->fd = os_file_open(path, true);
    bool done = file->fd >= 0 && os_file_status(file->fd, &status) && os_file_lock(file->fd, true) &&
                file_owner_now(&file->self);
    if (!done)
        (void)file_trouble(&trouble, os_errno_get(), "the file cannot be opened, or is open as a pool");
    if (done) {
        file->device = status.device & SEAL_MASK;
        file->inode = status.inode & SEAL_MASK;
        done = durable_restore(file, NULL, &generation, &trouble);
    }
    if (file->fd >= 0)
        os_close(file->fd);
    (void)os_unmap(file, align_up(sizeof *file, os_page_size()));
    return done ? 0 : (thread_fail(trouble.code, trouble.text), -1);
}

/* ---- Beginning and ending ------------------------------------------------------------------------- */

bool durable_begin(struct pool_file *file, uint64_t same_as, struct trouble *trouble)
{
    struct checkpoint_target target = {
        .path = file->checkpoint_path,
        .fd = file->fd,
        .base = file->base,
        .length = file->header->pages + file->max_pages * PAGE_SIZE,
        .head = HEAD,
    };
    if (!find_path(file, trouble))
        return false;
    memcpy(target.id, file->header->uuid, sizeof target.id);
    target.part_count = parts_now(file, target.parts);
    const char *text = checkpoint_begin(&file->checkpoint, &target, same_as);
    file->has_checkpoint = text == NULL;
    return text == NULL || file_trouble(trouble, os_errno_get(), text);
}

static const char *take(struct pool_file *file)
{
    struct checkpoint_part parts[CHECKPOINT_PARTS_MAX];
    lock_take(&file->grow_lock); /* so that the parts are those of one size */
    const char *text = checkpoint_take(&file->checkpoint, parts, parts_now(file, parts));
    lock_release(&file->grow_lock);
    if (text == NULL)
        file_set_word(file, WORD_GENERATION, file->checkpoint.generation);
    return text;
}

bool durable_close(struct pool_file *file, struct trouble *trouble)
{
    if (!file->has_checkpoint || !checkpoint_in_use(&file->checkpoint))
        return true;
    const char *text = take(file);
    if (text == NULL)
        text = checkpoint_settle(&file->checkpoint);
    return text == NULL || file_trouble(trouble, os_errno_get(), text);
}

void durable_end(struct pool_file *file)
{
    if (file->has_checkpoint)
        checkpoint_end(&file->checkpoint);
    file->has_checkpoint = false;
}

/* ---- Calls ---------------------------------------------------------------------------------------- */

int cairn_pool_checkpoint(cairn_pool *pool)
{
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL)
        return -1;
    const char *text = take(file);
    return text == NULL ? 0 : (thread_fail(os_errno_get(), text), -1);
}

int cairn_pool_checkpoint_way(cairn_pool *pool, cairn_checkpoint_way way)
{
    struct pool_file *file = file_pool_writable(pool);
    if (file == NULL)
        return -1;
    if (way > CAIRN_CHECKPOINT_JOURNAL)
        return thread_fail(EINVAL, "way: no such way of making checkpoints"), -1;
    lock_take(&file->checkpoint.lock);
    file->checkpoint.wish = (enum checkpoint_wish)way;
    lock_release(&file->checkpoint.lock);
    return 0;
}

_Static_assert((int)CAIRN_CHECKPOINT_REFLINK == (int)CHECKPOINT_WISH_REFLINK &&
                   (int)CAIRN_CHECKPOINT_JOURNAL == (int)CHECKPOINT_WISH_JOURNAL &&
                   (int)CAIRN_CHECKPOINT_REFLINK == (int)CHECKPOINT_REFLINK &&
                   (int)CAIRN_CHECKPOINT_JOURNAL == (int)CHECKPOINT_JOURNAL,
               "the same numbers inside and outside");

int cairn_pool_checkpoint_stats(cairn_pool *pool, cairn_checkpoint_stats *out)
{
    size_t room = out->struct_size;
    struct pool_file *file = file_pool_file(pool);
    if (file == NULL)
        return -1;
    if (room == 0)
        return thread_fail(EINVAL, "struct_size is 0"), -1;
    cairn_checkpoint_stats all = {.struct_size = room};
    struct checkpoint *checkpoint = &file->checkpoint;
    if (file->has_checkpoint) {
        lock_take(&checkpoint->lock);
        all.generation = checkpoint->generation;
        all.taken = checkpoint->counts.taken;
        all.last_pages = checkpoint->counts.last_pages;
        all.last_bytes = checkpoint->counts.last_bytes;
        all.all_bytes = checkpoint->counts.all_bytes;
        all.again = checkpoint->counts.again;
        all.compared_pages = checkpoint->counts.compared_pages;
        all.journal_bytes = checkpoint->journal_end - JOURNAL_START;
        all.way = (cairn_checkpoint_way)checkpoint->slot.way;
        all.is_tracked = checkpoint->known;
        lock_release(&checkpoint->lock);
    }
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

int cairn_pool_leaks(cairn_pool *pool, const cairn_leaks_config *given, cairn_leaks *out)
{
    cairn_leaks_config config = {0};
    cairn_leaks all = {0};
    struct trouble trouble;
    size_t room = out->struct_size;
    struct pool_file *file = file_pool_file(pool);
    if (file == NULL)
        return -1;
    if (room == 0 || (given != NULL && given->struct_size == 0))
        return thread_fail(EINVAL, "struct_size is 0"), -1;
    if (given != NULL)
        memcpy(&config, given, size_min(given->struct_size, sizeof config));
    if (!leaks_find(file, &config, &all, &trouble))
        return thread_fail(trouble.code, trouble.text), -1;
    all.struct_size = room;
    memcpy(out, &all, size_min(room, sizeof all));
    return 0;
}

void *cairn_pool_file_base(const cairn_pool *pool)
{
    const struct pool_file *file = file_pool_file(pool);
    return file != NULL ? file->base : NULL;
}
