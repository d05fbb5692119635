/* roots.h - where the program's data begin: one main root, and some by name. */
#ifndef PERSIST_ROOTS_H
#define PERSIST_ROOTS_H

#include "persist/file.h"

void *roots_main(const struct pool_file *file);
void roots_set_main(struct pool_file *file, const void *root);

/* `root` NULL takes the name away.  False: no room. */
bool roots_set(struct pool_file *file, const char *name, const void *root);
void *roots_get(const struct pool_file *file, const char *name);

/* No roots any more. */
void roots_clear(struct pool_file *file);

/* The named root at `index`, from 0 to FORMAT_NAMES - 1; NULL: the entry is free, or damaged. */
void *roots_at(const struct pool_file *file, size_t index, char name[FORMAT_NAME_MAX]);

/* The salt that seals an entry's root: the name, up to its end. */
uint64_t roots_salt(const char name[FORMAT_NAME_MAX]);

#endif
