/* program.h - the program to run: where it is, and whether the loader would preload a library into it. */
#ifndef CLI_PROGRAM_H
#define CLI_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

/* What matters of an ELF header. */
struct elf {
    unsigned char width, order; /* EI_CLASS, EI_DATA */
    uint16_t machine;
    bool has_loader; /* names an interpreter (PT_INTERP): the dynamic loader starts it */
};

enum elf_result { ELF_GOOD, ELF_NOT_ELF, ELF_UNREADABLE /* with errno */ };
enum elf_result elf_read(const char *file, struct elf *out);

/* Looks for `name` as the shell does: with a slash as it is, else in the folders of PATH.
 * 0 with the file in *file (to be freed), or the exit status after a message. */
int program_find(const char *name, char **file);

/* Would the loader preload `library` into it?  Scripts are followed to their interpreter.
 * 0, or the exit status after a message. */
int program_check(const char *file, const struct elf *library);

#endif
