/* cfi.h - one step up a stack by the tables that compilers write for exceptions (.eh_frame).
 *
 * Reads the tables where they are mapped; takes no lock, no memory, and no word of the stack without asking whether it
 * can be read.  Formats: DWARF 4, section 6.4; Linux Standard Base 5.0, "Exception Frames". */
#ifndef OBSERVE_CFI_H
#define OBSERVE_CFI_H

#include "base/cpu.h"

/* Where a thread is, or was when it called what is below. */
struct frame {
    uintptr_t registers[CPU_REGISTERS]; /* by DWARF's numbers; those that calls destroy are 0 or old */
    uintptr_t pc;
    bool is_exact;     /* pc is where it was interrupted, not the address that a call returns to */
    uintptr_t checked; /* the page that was last found readable */
};

enum cfi_result {
    CFI_STEPPED,
    CFI_NONE, /* the table says nothing about this address, or nothing that is understood */
    CFI_END,  /* the outermost frame */
};

/* `table`: the .eh_frame_hdr of what is loaded at frame->pc.  Leaves the frame as it was unless CFI_STEPPED. */
enum cfi_result cfi_step(struct frame *frame, const void *table);

/* A word of the stack; false if it cannot be read. */
bool frame_read(struct frame *frame, uintptr_t address, uintptr_t *word);

#endif
