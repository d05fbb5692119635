/* symbols.c - which function an address is in, read from the file that its code was loaded from.  See os.h.
 *
 * Not dladdr: that takes the dynamic linker's lock, which another thread may hold while it runs a library's constructors
 * and these wait for us; and it knows no static functions, nor those of most programs. */
#define _GNU_SOURCE
#include "os/os.h"

#include "base/print.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A file as it is mapped. */
struct image {
    const char *bytes;
    size_t size;
};

/* By the bare system calls: those of the C library are cancellation points, and malloc is none. */
static struct image image_map(const char *path)
{
    struct image image = {NULL, 0};
    struct stat status;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return image;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes != MAP_FAILED)
            image = (struct image){bytes, (size_t)status.st_size};
    }
    (void)syscall(SYS_close, fd);
    return image;
}

/* `count` things of `each` bytes at `offset`, or NULL if they are not all in the file. */
static const void *part(const struct image *image, uint64_t offset, uint64_t count, uint64_t each)
{
    uint64_t size;
    if (__builtin_mul_overflow(count, each, &size) || offset > image->size || size > image->size - offset)
        return NULL;
    return image->bytes + offset;
}

/* The larger table of symbols, which has static functions too, if the file was not stripped of it. */
static const ElfW(Shdr) * symbol_table(const ElfW(Shdr) * sections, unsigned count)
{
    const ElfW(Shdr) *found = NULL;
    for (unsigned i = 0; i < count; i++)
        if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && found == NULL))
            found = &sections[i];
    return found;
}

static bool is_function_around(const ElfW(Sym) * symbol, uintptr_t at)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && symbol->st_shndx != SHN_UNDEF &&
           at >= symbol->st_value && at - symbol->st_value < symbol->st_size;
}

/* Without what a compiler puts behind a copy that it made of the function: "f.isra.0". */
static void copy_name(char *out, const char *name, size_t room)
{
    size_t length = strnlen(name, room);
    const char *suffix = length > 1 ? memchr(name + 1, '.', length - 1) : NULL;
    if (suffix != NULL)
        length = (size_t)(suffix - name);
    memcpy(out, name, length);
    out[length] = 0;
}

/* Fills in the function that is at `at` in the file's own addresses. */
static bool find_function(const struct image *image, uintptr_t at, struct os_symbol *out)
{
    const ElfW(Ehdr) *head = part(image, 0, 1, sizeof *head);
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64)
        return false;
    if (head->e_shoff % sizeof(uint64_t) != 0)
        return false;
    const ElfW(Shdr) *sections = part(image, head->e_shoff, head->e_shnum, sizeof *sections);
    const ElfW(Shdr) *table = sections != NULL ? symbol_table(sections, head->e_shnum) : NULL;
    if (table == NULL || table->sh_link >= head->e_shnum || table->sh_offset % sizeof(uint64_t) != 0)
        return false;
    const ElfW(Shdr) *strings = &sections[table->sh_link];
    uint64_t count = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbols = part(image, table->sh_offset, count, sizeof *symbols);
    const char *names = part(image, strings->sh_offset, strings->sh_size, 1);
    if (symbols == NULL || names == NULL)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (!is_function_around(&symbols[i], at) || symbols[i].st_name >= strings->sh_size)
            continue;
        size_t room = size_min(sizeof out->function - 1, strings->sh_size - symbols[i].st_name);
        copy_name(out->function, names + symbols[i].st_name, room);
        out->offset = at - symbols[i].st_value;
        return true;
    }
    return false;
}

#ifdef DLFO_EH_SEGMENT_TYPE
/* The name of what is loaded there, and where its addresses begin; "": nothing is. */
static uintptr_t object_around(const void *address, struct os_symbol *out)
{
    struct dl_find_object found;
    if (_dl_find_object((void *)(uintptr_t)address, &found) != 0 || found.dlfo_link_map == NULL)
        return 0;
    print_to_buffer(out->object, sizeof out->object, "%s", found.dlfo_link_map->l_name);
    if (out->object[0] == 0) { /* the program */
        ssize_t length = readlink("/proc/self/exe", out->object, sizeof out->object - 1);
        out->object[length > 0 ? length : 0] = 0;
    }
    return found.dlfo_link_map->l_addr;
}
#else
static uintptr_t object_around(const void *address, struct os_symbol *out)
{
    Dl_info info;
    if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
        return 0;
    print_to_buffer(out->object, sizeof out->object, "%s", info.dli_fname);
    return (uintptr_t)info.dli_fbase;
}
#endif

void os_symbol_before(const void *address, struct os_symbol *out)
{
    int saved = errno;
    out->function[0] = out->object[0] = 0;
    const char *inside = (const char *)address - 1;
    uintptr_t base = object_around(inside, out);
    out->offset = (uintptr_t)inside - base;
    if (out->object[0] != 0) {
        struct image image = image_map(out->object);
        if (image.bytes != NULL) {
            (void)find_function(&image, (uintptr_t)inside - base, out);
            (void)munmap((void *)(uintptr_t)image.bytes, image.size);
        }
    }
    out->offset++;
    errno = saved;
}
