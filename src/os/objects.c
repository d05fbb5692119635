/* objects.c - what is loaded in the process: libraries, and all mappings.  See os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

/* ---- By address ---------------------------------------------------------------------------------- */

#ifdef DLFO_EH_SEGMENT_TYPE
bool os_object_at(uintptr_t address, struct os_object *object)
{
    struct dl_find_object found;
    if (_dl_find_object((void *)address, &found) != 0)
        return false;
    *object = (struct os_object){
        .start = (uintptr_t)found.dlfo_map_start,
        .end = (uintptr_t)found.dlfo_map_end,
        .unwind_table = found.dlfo_eh_frame,
        .is_program = found.dlfo_link_map == NULL || found.dlfo_link_map->l_name[0] == 0,
    };
    return true;
}
#else
bool os_object_at(uintptr_t address, struct os_object *object)
{
    (void)address;
    (void)object;
    return false;
}
#endif

/* ---- All mappings -------------------------------------------------------------------------------- */

static const char *read_number(const char *at, unsigned base, uint64_t *value)
{
    *value = 0;
    for (;; at++) {
        unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
                         : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a' + 10)
                                                    : base;
        if (digit >= base)
            return at;
        *value = *value * base + digit;
    }
}

/* "start-end rwxp offset device inode   name" */
static bool parse_line(const char *line, struct os_mapping *mapping)
{
    uint64_t start, end;
    const char *at = read_number(line, 16, &start);
    if (*at++ != '-')
        return false;
    at = read_number(at, 16, &end);
    if (*at++ != ' ' || strlen(at) < 5)
        return false;
    mapping->is_code = at[2] == 'x';
    at = read_number(at + 5, 16, &mapping->offset);
    for (int field = 0; field < 2; field++) { /* device, inode */
        at += *at == ' ';
        while (*at != ' ' && *at != 0)
            at++;
    }
    while (*at == ' ')
        at++;
    mapping->start = start;
    mapping->end = end;
    mapping->name = at;
    mapping->line = line;
    return true;
}

bool os_mappings(void (*visit)(void *context, const struct os_mapping *mapping), void *context)
{
    char text[8192]; /* longer than any line */
    size_t used = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    for (;;) {
        ssize_t got = read(fd, text + used, sizeof text - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        used += got > 0 ? (size_t)got : 0;
        text[used] = 0;
        char *line = text, *stop;
        for (; (stop = memchr(line, '\n', used - (size_t)(line - text))) != NULL; line = stop + 1) {
            struct os_mapping mapping;
            *stop = 0;
            if (parse_line(line, &mapping))
                visit(context, &mapping);
        }
        used -= (size_t)(line - text);
        memmove(text, line, used);
        if (got <= 0 || used == sizeof text - 1)
            break;
    }
    os_close(fd); /* keeps errno, which may be the visitor's */
    return true;
}

/* ---- Build ids ----------------------------------------------------------------------------------- */

static size_t id_in_notes(const char *at, const char *end, const uint8_t **id)
{
    enum { ID_MAX = 64 };
    while ((size_t)(end - at) > sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)(const void *)at;
        const char *name = at + sizeof *note;
        const char *body = name + align_up(note->n_namesz, 4);
        if (note->n_namesz > (size_t)(end - name) || body > end || note->n_descsz > (size_t)(end - body))
            return 0;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0 &&
            note->n_descsz <= ID_MAX) {
            *id = (const uint8_t *)body;
            return note->n_descsz;
        }
        at = body + align_up(note->n_descsz, 4);
    }
    return 0;
}

size_t os_build_id(uintptr_t start, uintptr_t end, const uint8_t **id)
{
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)start;
    if (end - start < 4096 || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_phoff + head->e_phnum * sizeof(ElfW(Phdr)) > end - start)
        return 0;
    const ElfW(Phdr) *segments = (const ElfW(Phdr) *)(start + head->e_phoff);
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (segments[i].p_type != PT_NOTE || segments[i].p_offset > end - start ||
            segments[i].p_filesz > end - start - segments[i].p_offset)
            continue;
        const char *notes = (const char *)start + segments[i].p_offset;
        size_t size = id_in_notes(notes, notes + segments[i].p_filesz, id);
        if (size > 0)
            return size;
    }
    return 0;
}
