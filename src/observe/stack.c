/* stack.c - see stack.h. */
#include "observe/stack.h"

#include "observe/cfi.h"
#include "os/os.h"

#define FRAME_MAX ((uintptr_t)16 * MiB) /* no function's frame is larger */

/* By the frame pointer: it points to the caller's, next to which is the return address. */
static bool step_by_frame_pointer(struct frame *frame)
{
    uintptr_t at = frame->registers[CPU_FRAME_POINTER], sp = frame->registers[CPU_STACK_POINTER];
    uintptr_t next, caller;
    struct os_object object;
    if (at % sizeof at != 0 || at - sp > FRAME_MAX) /* nor below sp */
        return false;
    if (!frame_read(frame, at, &next) || !frame_read(frame, at + sizeof at, &caller))
        return false;
    bool goes_on = next > at && next - at <= FRAME_MAX;
    if (caller == 0 || (!goes_on && !os_object_at(caller - 1, &object)))
        return false;
    frame->registers[CPU_FRAME_POINTER] = next;
    frame->registers[CPU_STACK_POINTER] = at + 2 * sizeof at;
    frame->pc = caller;
    frame->is_exact = false;
    return true;
}

/* What is loaded at the frame, looked up only where the last answer does not serve. */
static bool object_of(const struct frame *frame, struct os_object *object)
{
    uintptr_t at = frame->pc - !frame->is_exact;
    return (at >= object->start && at < object->end) || os_object_at(at, object);
}

static bool step(struct frame *frame, struct os_object *object)
{
    uintptr_t sp = frame->registers[CPU_STACK_POINTER];
    enum cfi_result result = CFI_NONE;
    if (object_of(frame, object) && object->unwind_table != NULL)
        result = cfi_step(frame, object->unwind_table);
    if (result == CFI_END || (result == CFI_NONE && !step_by_frame_pointer(frame)))
        return false;
    /* Stacks grow down; a signal handler's may be anywhere. */
    return frame->pc != 0 && (frame->registers[CPU_STACK_POINTER] > sp || frame->is_exact);
}

NOINLINE unsigned stack_capture(uintptr_t *callers, unsigned max)
{
    struct frame frame = {{0}, 0, true, 0};
    struct os_object object = {0, 0, NULL, false}, own = {0, 0, NULL, false};
    unsigned count = 0;
    cpu_registers_here(frame.registers);
    frame.pc = frame.registers[CPU_RETURN_ADDRESS];
    if (!os_object_at(frame.pc, &own) || own.is_program)
        own.start = own.end = 0;
    for (unsigned depth = 0; count < max && depth < 2 * STACK_DEPTH_MAX && step(&frame, &object); depth++)
        if (frame.pc < own.start || frame.pc >= own.end || count > 0)
            callers[count++] = frame.pc;
    return count;
}
