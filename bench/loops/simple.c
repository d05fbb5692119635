/* simple - the bare cost of malloc and free: groups of equal blocks, size by size.
 *
 * Origin: bench-malloc-simple of the GNU C library's benchtests.
 * Ours: the same sizes and group lengths; group length 1 is the pair loop that a thread cache answers
 * best, the long ones leave the cache.  A group holds 32 KB at most, so that the row speaks of malloc and
 * free, not of giving memory back to the system.  Every second group is freed in reverse.
 *
 * Arguments: blocks per size and group length, in thousands (1200).
 */
#include "load.h"

static const unsigned SIZES[] = {16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const unsigned GROUPS[] = {1, 25, 100, 400, 1600};

enum {
    SIZE_COUNT = sizeof SIZES / sizeof SIZES[0],
    GROUP_COUNT = sizeof GROUPS / sizeof GROUPS[0],
    LONGEST_GROUP = 1600,
    GROUP_BYTES = 32000
};

static void group_turn(void *blocks[], unsigned length, unsigned size, uint64_t tag)
{
    for (unsigned i = 0; i < length; i++) {
        blocks[i] = load_malloc_stamped(size, tag + i);
    }
    for (unsigned i = 0; i < length; i++) {
        unsigned k = tag % 2 == 0 ? i : length - 1 - i;
        load_free_checked(blocks[k], size, tag + k);
    }
}

int main(int argc, char **argv)
{
    uint64_t count = UINT64_C(1000) * load_argument(argc, argv, 1, 1200, 1000000);

    void **blocks = load_array(LONGEST_GROUP, sizeof *blocks);
    uint64_t ops = 0;
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        for (unsigned s = 0; s < SIZE_COUNT; s++) {
            unsigned most = GROUP_BYTES / SIZES[s];
            unsigned length = GROUPS[g] < most ? GROUPS[g] : most;
            for (uint64_t turn = 0; turn < count / length; turn++) {
                group_turn(blocks, length, SIZES[s], turn);
                ops += length;
            }
        }
    }
    free(blocks);
    load_done(ops);
    return 0;
}
