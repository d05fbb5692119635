/* args.c - keyword arguments. */
#include "impl.h"

#define MPS_FILE "args.c"

#define KEY(NAME) const struct mps_key_s _mps_key_##NAME = {#NAME}

KEY(ARGS_END);
KEY(ARENA_SIZE);
KEY(ARENA_GRAIN_SIZE);
KEY(ARENA_ZONED);
KEY(ARENA_CL_BASE);
KEY(ARENA_EXTENDED);
KEY(ARENA_CONTRACTED);
KEY(VMW3_TOP_DOWN);
KEY(COMMIT_LIMIT);
KEY(SPARE_COMMIT_LIMIT);
KEY(PAUSE_TIME);
KEY(SPARE);
KEY(EXTEND_BY);
KEY(MIN_SIZE);
KEY(MEAN_SIZE);
KEY(MAX_SIZE);
KEY(ALIGN);
KEY(POOL_DEBUG_OPTIONS);
KEY(MVFF_SLOT_HIGH);
KEY(MVFF_ARENA_HIGH);
KEY(MVFF_FIRST_FIT);
KEY(MFS_UNIT_SIZE);
KEY(MVT_MIN_SIZE);
KEY(MVT_MAX_SIZE);
KEY(MVT_RESERVE_DEPTH);
KEY(MVT_FRAG_LIMIT);

mps_arg_s mps_args_none[] = {{.key = MPS_KEY_ARGS_END}};

void _mps_args_set_key(mps_arg_s args[MPS_ARGS_MAX], unsigned i, mps_key_t key)
{
    if (MUST(i < MPS_ARGS_MAX, "i < MPS_ARGS_MAX"))
        args[i].key = key;
}

bool arg_pick(mps_arg_s *arg, mps_arg_s args[], mps_key_t key)
{
    size_t i = 0;
    while (args[i].key != key) {
        if (args[i].key == MPS_KEY_ARGS_END)
            return false;
        i++;
    }
    *arg = args[i];
    for (; args[i].key != MPS_KEY_ARGS_END; i++)
        args[i] = args[i + 1];
    return true;
}
