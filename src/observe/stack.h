/* stack.h - who called: the return addresses on the calling thread's stack.
 *
 * Each step goes by the unwind tables (cfi.h) where there are any, else by the frame pointer, if what it points to
 * looks like a frame.  So programs built without frame pointers are understood, and so is code that a program made
 * at run time with them.  No locks, no memory, no fault, whatever the stack holds: for signal handlers, and while
 * other threads call dlopen. */
#ifndef OBSERVE_STACK_H
#define OBSERVE_STACK_H

#include "base/base.h"

#define STACK_DEPTH_MAX 128

/* Fills `callers` with at most `max` addresses, the innermost first, and returns how many.  Those inside the library
 * itself are left out, unless it is linked into the program. */
unsigned stack_capture(uintptr_t *callers, unsigned max);

#endif
