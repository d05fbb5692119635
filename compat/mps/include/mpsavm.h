/* mpsavm.h - the virtual memory arena class: address space from the system, memory as it is needed.
 *
 *     mps_arena_create_k(&arena, mps_arena_class_vm(), mps_args_none)
 *
 *   keyword                      default    meaning
 *   MPS_KEY_ARENA_SIZE           256 MiB    address space to begin with; rounded up to 64 grains; it grows as needed
 *   MPS_KEY_ARENA_GRAIN_SIZE     a page     unit of what pools get and give back; a power of two
 *   MPS_KEY_COMMIT_LIMIT         none       bytes of memory at most, Cairn's own included
 *   MPS_KEY_SPARE                0.75       part of the committed memory that may be kept unused
 *   MPS_KEY_ARENA_EXTENDED       NULL       void f(mps_arena_t, void *base, size_t size), after address space was added
 *   MPS_KEY_ARENA_CONTRACTED     NULL       the same, before it goes
 *   MPS_KEY_ARENA_ZONED, MPS_KEY_PAUSE_TIME, MPS_KEY_VMW3_TOP_DOWN: accepted, no effect on manual pools */
#ifndef mpsavm_h
#define mpsavm_h

#include "mps.h"

#ifdef __cplusplus
extern "C" {
#endif

extern mps_arena_class_t mps_arena_class_vm(void);

/* How much address space a VM arena adds at a time, and the least that will do. */
extern mps_res_t mps_arena_vm_growth(mps_arena_t arena, size_t desired, size_t minimum);

#ifdef __cplusplus
}
#endif
#endif
