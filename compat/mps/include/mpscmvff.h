/* mpscmvff.h - MVFF: manual, variable sizes, first fit; any part of what is allocated can be freed.
 *
 *   keyword                    default         meaning
 *   MPS_KEY_EXTEND_BY          65536           bytes asked from the arena at a time; at least a grain
 *   MPS_KEY_MEAN_SIZE          32              a hint, at most EXTEND_BY
 *   MPS_KEY_ALIGN              MPS_PF_ALIGN    a power of two from the size of a pointer to a grain
 *   MPS_KEY_SPARE              0.75            part of the pool's memory that may be free before grains go back
 *   MPS_KEY_MVFF_ARENA_HIGH    0               memory from the high end of the address space
 *   MPS_KEY_MVFF_SLOT_HIGH     0               blocks from the high end of a free range
 *   MPS_KEY_MVFF_FIRST_FIT     1               from the first free range that fits, not the last
 *   MPS_KEY_POOL_DEBUG_OPTIONS "POST", "DEAD"  (debug class) fence and free patterns */
#ifndef mpscmvff_h
#define mpscmvff_h

#include "mps.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct mps_key_s _mps_key_MVFF_SLOT_HIGH;
#define MPS_KEY_MVFF_SLOT_HIGH (&_mps_key_MVFF_SLOT_HIGH)
#define MPS_KEY_MVFF_SLOT_HIGH_FIELD b
extern const struct mps_key_s _mps_key_MVFF_ARENA_HIGH;
#define MPS_KEY_MVFF_ARENA_HIGH (&_mps_key_MVFF_ARENA_HIGH)
#define MPS_KEY_MVFF_ARENA_HIGH_FIELD b
extern const struct mps_key_s _mps_key_MVFF_FIRST_FIT;
#define MPS_KEY_MVFF_FIRST_FIT (&_mps_key_MVFF_FIRST_FIT)
#define MPS_KEY_MVFF_FIRST_FIT_FIELD b

extern mps_pool_class_t mps_class_mvff(void);
extern mps_pool_class_t mps_class_mvff_debug(void);

#define mps_mvff_free_size(pool) mps_pool_free_size(pool)
#define mps_mvff_size(pool) mps_pool_total_size(pool)

#ifdef __cplusplus
}
#endif
#endif
