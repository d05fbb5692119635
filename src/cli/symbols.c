/* symbols.c - see symbols.h.  The work is done by elfutils' libdwfl. */
#include "symbols.h"

#include "cli.h"

#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct symbols {
    Dwfl *dwfl;
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
};

struct symbols *symbols_open(void)
{
    struct symbols *symbols = allocate(1, sizeof *symbols);
    (void)elf_version(EV_CURRENT);
    symbols->dwfl = dwfl_begin(&callbacks);
    if (symbols->dwfl != NULL)
        dwfl_report_begin(symbols->dwfl);
    else
        complain("no symbols: %s", dwfl_errmsg(-1));
    return symbols;
}

void symbols_close(struct symbols *symbols)
{
    if (symbols->dwfl != NULL)
        dwfl_end(symbols->dwfl);
    free(symbols);
}

/* ---- Files --------------------------------------------------------------------------------------- */

static bool has_build_id(Elf *elf, const char *wanted)
{
    const void *bytes;
    ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
    if (*wanted == 0)
        return true;
    if (size <= 0 || strlen(wanted) != 2 * (size_t)size)
        return false;
    for (ssize_t i = 0; i < size; i++) {
        char digits[3];
        (void)snprintf(digits, sizeof digits, "%02x", ((const unsigned char *)bytes)[i]);
        if (strncmp(wanted + 2 * i, digits, 2) != 0)
            return false;
    }
    return true;
}

/* What is to be added to the file's addresses; false: no segment of it was mapped there. */
static bool find_bias(Elf *elf, uint64_t start, uint64_t offset, GElf_Addr *bias)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)i, &segment) == NULL || segment.p_type != PT_LOAD ||
            (segment.p_flags & PF_X) == 0)
            continue;
        uint64_t begin = segment.p_offset - segment.p_offset % 4096; /* the least page size */
        if (offset < begin || offset >= segment.p_offset + segment.p_filesz)
            continue;
        *bias = start - (segment.p_vaddr - segment.p_offset + offset);
        return true;
    }
    return false;
}

static void report(struct symbols *symbols, Elf *elf, const char *file, const char *build_id, uint64_t start,
                   uint64_t offset)
{
    GElf_Addr bias;
    if (!has_build_id(elf, build_id))
        complain("%s is not the file that was running: no symbols from it", file);
    else if (!find_bias(elf, start, offset, &bias) ||
             dwfl_report_elf(symbols->dwfl, file, file, -1, bias, true) == NULL)
        complain("%s: no symbols from it", file);
}

void symbols_add(struct symbols *symbols, const char *file, const char *build_id, uint64_t start,
                 uint64_t offset)
{
    if (symbols->dwfl == NULL || *file != '/')
        return;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ_MMAP, NULL) : NULL;
    if (elf != NULL && elf_kind(elf) == ELF_K_ELF)
        report(symbols, elf, file, build_id, start, offset);
    if (elf != NULL)
        (void)elf_end(elf);
    if (fd >= 0)
        (void)close(fd);
}

void symbols_ready(struct symbols *symbols)
{
    if (symbols->dwfl != NULL)
        (void)dwfl_report_end(symbols->dwfl, NULL, NULL);
}

/* ---- Addresses ----------------------------------------------------------------------------------- */

void symbols_find(struct symbols *symbols, uint64_t address, char **function, char **source)
{
    Dwfl_Module *module = symbols->dwfl != NULL ? dwfl_addrmodule(symbols->dwfl, address) : NULL;
    GElf_Off offset;
    GElf_Sym symbol;
    int line;
    *function = *source = NULL;
    if (module == NULL)
        return;
    const char *name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
    if (name != NULL)
        *function = text_of("%s", name);
    Dwfl_Line *at = dwfl_module_getsrc(module, address);
    const char *path = at != NULL ? dwfl_lineinfo(at, NULL, &line, NULL, NULL, NULL) : NULL;
    if (path != NULL)
        *source = text_of("%s:%d", path, line);
}
