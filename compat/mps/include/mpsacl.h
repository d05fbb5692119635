/* mpsacl.h - the client arena class: an arena inside memory that the program has.
 *
 *   keyword                      default    meaning
 *   MPS_KEY_ARENA_CL_BASE        required   where the memory begins
 *   MPS_KEY_ARENA_SIZE           required   and its size in bytes
 *   MPS_KEY_ARENA_GRAIN_SIZE     8192       a power of two, at least that
 *   MPS_KEY_COMMIT_LIMIT, MPS_KEY_SPARE, MPS_KEY_PAUSE_TIME: as in mpsavm.h */
#ifndef mpsacl_h
#define mpsacl_h

#include "mps.h"

#ifdef __cplusplus
extern "C" {
#endif

extern mps_arena_class_t mps_arena_class_cl(void);

#ifdef __cplusplus
}
#endif
#endif
