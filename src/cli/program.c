/* program.c - see program.h. */
#include "program.h"

#include "cli.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_ORDER ELFDATA2LSB
#else
#define OWN_ORDER ELFDATA2MSB
#endif

/* ---- Finding ------------------------------------------------------------------------------------- */

/* 0 if the file may be executed, else the errno that says why not. */
static int executable(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0)
        return errno;
    if (S_ISDIR(status.st_mode))
        return EISDIR;
    return access(file, X_OK) == 0 ? 0 : errno;
}

static int cannot(const char *name, int why)
{
    if (why == ENOENT || why == ENOTDIR) {
        complain("%s: %s", name, strerror(why));
        return STATUS_NOT_FOUND;
    }
    complain("%s cannot be run: %s", name, strerror(why));
    return STATUS_CANNOT_RUN;
}

/* The first file called `name` that may be executed; one that may not is remembered in *denied. */
static char *search(const char *name, const char *path, char **denied)
{
    for (const char *folder = path;; folder++) {
        size_t length = strcspn(folder, ":");
        char *file = text_of("%.*s%s%s", (int)length, folder, length > 0 ? "/" : "./", name);
        int why = executable(file);
        if (why == 0)
            return file;
        if (why == EACCES && *denied == NULL && access(file, F_OK) == 0)
            *denied = file;
        else
            free(file);
        folder += length;
        if (*folder == 0)
            return NULL;
    }
}

int program_find(const char *name, char **file)
{
    if (strchr(name, '/') != NULL) {
        int why = executable(name);
        if (why != 0)
            return cannot(name, why);
        *file = text_of("%s", name);
        return 0;
    }
    const char *path = getenv("PATH");
    char *denied = NULL;
    *file = *name != 0 ? search(name, path != NULL ? path : "/bin:/usr/bin", &denied) : NULL;
    int status = 0;
    if (*file == NULL && denied != NULL) {
        status = cannot(denied, EACCES);
    } else if (*file == NULL) {
        complain("%s: not found in the folders of PATH", *name != 0 ? name : "''");
        status = STATUS_NOT_FOUND;
    }
    free(denied);
    return status;
}

/* ---- ELF ----------------------------------------------------------------------------------------- */

static bool read_at(int fd, void *to, size_t size, uint64_t offset)
{
    return pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

/* The program headers are `count` entries of `size` bytes; each begins with its type, in both widths. */
static bool has_type(int fd, uint64_t offset, size_t size, size_t count, uint32_t type)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t found = 0;
        if (!read_at(fd, &found, sizeof found, offset + i * size))
            return false;
        if (found == type)
            return true;
    }
    return false;
}

static enum elf_result elf_read_file(int fd, struct elf *out)
{
    union {
        unsigned char ident[EI_NIDENT];
        Elf32_Ehdr narrow;
        Elf64_Ehdr wide;
    } header;
    if (!read_at(fd, &header, sizeof header.narrow, 0) || memcmp(header.ident, ELFMAG, SELFMAG) != 0)
        return ELF_NOT_ELF;
    *out = (struct elf){.width = header.ident[EI_CLASS], .order = header.ident[EI_DATA]};
    out->machine = header.narrow.e_machine; /* at the same place in both */
    if (out->order != OWN_ORDER)
        return ELF_GOOD;
    if (out->width == ELFCLASS32)
        out->has_loader =
            has_type(fd, header.narrow.e_phoff, header.narrow.e_phentsize, header.narrow.e_phnum, PT_INTERP);
    else if (read_at(fd, &header, sizeof header.wide, 0))
        out->has_loader =
            has_type(fd, header.wide.e_phoff, header.wide.e_phentsize, header.wide.e_phnum, PT_INTERP);
    return ELF_GOOD;
}

enum elf_result elf_read(const char *file, struct elf *out)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ELF_UNREADABLE;
    enum elf_result result = elf_read_file(fd, out);
    (void)close(fd); /* only read */
    return result;
}

/* ---- Checking ------------------------------------------------------------------------------------ */

/* Rights that a program gains put the loader into its secure mode, in which it ignores LD_PRELOAD.  What the
 * caller is already is no gain: root may run what is set-user-ID to root, and what has capabilities. */
static const char *gains_rights(const char *file)
{
    struct stat status;
    if (stat(file, &status) != 0)
        return NULL;
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid())
        return "is set-user-ID";
    if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 && status.st_gid != getgid())
        return "is set-group-ID";
    if (getuid() != 0 && getxattr(file, "security.capability", NULL, 0) > 0)
        return "has file capabilities";
    return NULL;
}

static int check_elf(const char *file, const struct elf *elf, const struct elf *library)
{
    if (elf->width != library->width || elf->order != library->order || elf->machine != library->machine) {
        complain("%s is for another kind of machine than libcairn.so%s", file,
                 elf->width == ELFCLASS32 && library->width == ELFCLASS64 ? " (32 bits, not 64)" : "");
        return STATUS_CANNOT_RUN;
    }
    if (!elf->has_loader) {
        complain("%s is statically linked: nothing can be preloaded into it; link it with libcairn.a", file);
        return STATUS_CANNOT_RUN;
    }
    const char *gain = gains_rights(file);
    if (gain != NULL) {
        complain("%s %s: the loader ignores LD_PRELOAD for it; run a copy that gains no rights", file, gain);
        return STATUS_CANNOT_RUN;
    }
    return 0;
}

/* "#!": 0 with the interpreter in *file (to be freed), or the exit status after a message. */
static int interpreter(const char *script, char **file)
{
    char line[PATH_MAX] = "";
    FILE *stream = fopen(script, "re");
    if (stream == NULL)
        return cannot(script, errno);
    if (fgets(line, sizeof line, stream) == NULL)
        line[0] = 0;
    (void)fclose(stream); /* only read */
    if (strncmp(line, "#!", 2) != 0) {
        complain("%s is neither an ELF program nor a script that begins with #!", script);
        return STATUS_CANNOT_RUN;
    }
    char *name = line + 2 + strspn(line + 2, " \t");
    name[strcspn(name, " \t\r\n")] = 0;
    int why = executable(name);
    if (why != 0) {
        complain("%s: its interpreter '%s': %s", script, name, strerror(why));
        return why == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    }
    *file = text_of("%s", name);
    return 0;
}

static int check(const char *file, const struct elf *library, int depth)
{
    struct elf elf;
    switch (elf_read(file, &elf)) {
    case ELF_GOOD: return check_elf(file, &elf, library);
    case ELF_UNREADABLE: return 0; /* it may still be executed: let the system decide */
    case ELF_NOT_ELF: break;
    }
    char *next = NULL;
    if (depth == 0)
        return cannot(file, ELOOP);
    int status = interpreter(file, &next);
    if (status == 0)
        status = check(next, library, depth - 1);
    free(next);
    return status;
}

int program_check(const char *file, const struct elf *library)
{
    return check(file, library, 5); /* the kernel follows as many scripts */
}
