/* mpscmvt.h - MVT: manual, variable sizes, allocated through allocation points only.
 *
 *   keyword                     default         meaning
 *   MPS_KEY_ALIGN               MPS_PF_ALIGN    as for MVFF
 *   MPS_KEY_MIN_SIZE            MPS_PF_ALIGN    predicted sizes: min <= mean <= max
 *   MPS_KEY_MEAN_SIZE           32
 *   MPS_KEY_MAX_SIZE            8192
 *   MPS_KEY_MVT_RESERVE_DEPTH   1024            a hint
 *   MPS_KEY_MVT_FRAG_LIMIT      0.3             0 to 1 */
#ifndef mpscmvt_h
#define mpscmvt_h

#include "mps.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct mps_key_s _mps_key_MVT_MIN_SIZE;
#define MPS_KEY_MVT_MIN_SIZE (&_mps_key_MVT_MIN_SIZE)
#define MPS_KEY_MVT_MIN_SIZE_FIELD size
extern const struct mps_key_s _mps_key_MVT_MAX_SIZE;
#define MPS_KEY_MVT_MAX_SIZE (&_mps_key_MVT_MAX_SIZE)
#define MPS_KEY_MVT_MAX_SIZE_FIELD size
extern const struct mps_key_s _mps_key_MVT_RESERVE_DEPTH;
#define MPS_KEY_MVT_RESERVE_DEPTH (&_mps_key_MVT_RESERVE_DEPTH)
#define MPS_KEY_MVT_RESERVE_DEPTH_FIELD count
extern const struct mps_key_s _mps_key_MVT_FRAG_LIMIT;
#define MPS_KEY_MVT_FRAG_LIMIT (&_mps_key_MVT_FRAG_LIMIT)
#define MPS_KEY_MVT_FRAG_LIMIT_FIELD d

extern mps_pool_class_t mps_class_mvt(void);

#define mps_mvt_free_size(pool) mps_pool_free_size(pool)
#define mps_mvt_size(pool) mps_pool_total_size(pool)

#ifdef __cplusplus
}
#endif
#endif
