/* library.c - see library.h. */
#include "library.h"

#include "cli.h"

#include <cairn/cairn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "libcairn.so"
#define SEPARATORS " :" /* of LD_PRELOAD, which knows no quoting */

/* CAIRN_LIBRARY_FOLDER comes from the build: where libraries are installed, as seen from the command. */
static char *beside_command(void)
{
    static const char *const folders[] = {"", CAIRN_LIBRARY_FOLDER "/"};
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (length <= 0) {
        complain("/proc/self/exe: %s; set CAIRN_LIBRARY to the path of " NAME, strerror(errno));
        return NULL;
    }
    folder[length] = 0;
    *strrchr(folder, '/') = 0;
    for (size_t i = 0; i < 2 * sizeof folders / sizeof folders[0]; i++) {
        char *file = i % 2 == 0 ? text_of("%s/%s" NAME, folder, folders[i / 2])
                                : text_of("%s/%s" NAME ".%d", folder, folders[i / 2], CAIRN_VERSION_MAJOR);
        char *absolute = realpath(file, NULL);
        free(file);
        if (absolute != NULL)
            return absolute;
    }
    complain("there is no " NAME " in %s or %s/%s; set CAIRN_LIBRARY to its path", folder, folder,
             CAIRN_LIBRARY_FOLDER);
    return NULL;
}

static bool usable(const char *file, struct elf *elf)
{
    enum elf_result result = elf_read(file, elf);
    if (result == ELF_UNREADABLE)
        complain("%s: %s", file, strerror(errno));
    else if (result == ELF_NOT_ELF)
        complain("%s is no shared library", file);
    else if (strpbrk(file, SEPARATORS) != NULL)
        complain("%s: LD_PRELOAD cannot hold a path with a space or a colon", file);
    else
        return true;
    return false;
}

char *library_find(struct elf *elf)
{
    const char *named = getenv("CAIRN_LIBRARY");
    char *file = NULL;
    if (named == NULL || *named == 0)
        file = beside_command();
    else if ((file = realpath(named, NULL)) == NULL)
        complain("CAIRN_LIBRARY=%s: %s", named, strerror(errno));
    if (file != NULL && !usable(file, elf)) {
        free(file);
        file = NULL;
    }
    return file;
}

static bool is_cairn(const char *entry, size_t length, const char *library)
{
    if (strlen(library) == length && memcmp(entry, library, length) == 0)
        return true;
    const char *slash = memrchr(entry, '/', length);
    const char *name = slash != NULL ? slash + 1 : entry;
    return strncmp(name, NAME, sizeof NAME - 1) == 0 && name + sizeof NAME - 1 <= entry + length;
}

char *library_removed(const char *preload, const char *library)
{
    char *kept = allocate(1, preload != NULL ? strlen(preload) + 1 : 1);
    char *end = kept;
    for (const char *at = preload; at != NULL && *at != 0;) {
        at += strspn(at, SEPARATORS);
        size_t length = strcspn(at, SEPARATORS);
        if (length > 0 && !is_cairn(at, length, library)) {
            if (end != kept)
                *end++ = ':';
            end = mempcpy(end, at, length);
        }
        at += length;
    }
    return kept;
}
