/* roots.c - see roots.h; steps 28 to 30 of protocol.h.
 *
 * An entry's word seals the root's offset with the name as salt, so it names the entry and checks the name.  Readers take
 * no lock: an entry's name is written only while its word is 0, and the word is checked against the name that was read. */
#include "persist/roots.h"

#include "persist/intent.h"
#include "persist/protocol.h"

#include <string.h>

void *roots_main(const struct pool_file *file)
{
    return intent_load_slot(file, SLOT_ROOT, NULL);
}

void roots_set_main(struct pool_file *file, const void *root)
{
    file_set_word(file, WORD_ROOT, root != NULL ? file_offset(file, root) : 0);
}

uint64_t roots_salt(const char name[FORMAT_NAME_MAX])
{
    return format_hash(name, strnlen(name, FORMAT_NAME_MAX));
}

void *roots_at(const struct pool_file *file, size_t index, char name[FORMAT_NAME_MAX])
{
    const struct file_name *entry = &file->names[index];
    uint64_t offset;
    uint64_t word = load_acquire(&entry->root); /* pairs with set_word */
    if (word == 0)
        return NULL;
    for (size_t i = 0; i < FORMAT_NAME_MAX; i++)
        name[i] = load_relaxed(&entry->name[i]);
    if (memchr(name, 0, FORMAT_NAME_MAX) == NULL || !format_unseal(word, roots_salt(name), &offset))
        return NULL;
    return file_has(file, file_address(file, offset)) ? file_address(file, offset) : NULL;
}

/* The index of the entry with the name, or -1; *free gets that of a free one, or -1. */
static int find(const struct pool_file *file, const char *name, int *free)
{
    char found[FORMAT_NAME_MAX];
    *free = -1;
    for (int i = 0; i < FORMAT_NAMES; i++) {
        if (load_relaxed(&file->names[i].root) == 0)
            *free = *free < 0 ? i : *free;
        else if (roots_at(file, (size_t)i, found) != NULL && strcmp(found, name) == 0)
            return i;
    }
    return -1;
}

void *roots_get(const struct pool_file *file, const char *name)
{
    char found[FORMAT_NAME_MAX];
    for (size_t i = 0; i < FORMAT_NAMES; i++) {
        void *root = roots_at(file, i, found);
        if (root != NULL && strcmp(found, name) == 0)
            return root;
    }
    return NULL;
}

static void set_word(struct file_name *entry, uint64_t word)
{
    file_order();
    store_release(&entry->root, word); /* pairs with roots_at */
    file_order();
}

static void write_name(struct file_name *entry, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < FORMAT_NAME_MAX; i++)
        store_relaxed(&entry->name[i], i < length ? name[i] : 0);
}

bool roots_set(struct pool_file *file, const char *name, const void *root)
{
    int free;
    lock_take(&file->names_lock);
    int index = find(file, name, &free);
    bool done = true;
    if (root == NULL) {
        if (index >= 0)
            set_word(&file->names[index], 0);
    } else if (index < 0 && free < 0) {
        done = false;
    } else {
        struct file_name *entry = &file->names[index >= 0 ? index : free];
        if (index < 0)
            write_name(entry, name);
        set_word(entry, format_seal(file_offset(file, root), roots_salt(entry->name)));
    }
    lock_release(&file->names_lock);
    return done;
}

void roots_clear(struct pool_file *file)
{
    lock_take(&file->names_lock);
    roots_set_main(file, NULL);
    for (size_t i = 0; i < FORMAT_NAMES; i++)
        if (load_relaxed(&file->names[i].root) != 0)
            set_word(&file->names[i], 0);
    lock_release(&file->names_lock);
}
