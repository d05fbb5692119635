// timeout: 60
/* aligned_storm.c - eight threads that ask for every alignment up to 4 MiB, mixed with plain blocks, zeroed
 * blocks and sized frees, and free each other's. */
#include "stress.h"

enum { THREADS = 8, SLOTS = 1000 };
static _Atomic(struct stress_block *) slots[SLOTS];

static struct stress_block *aligned_block(uint64_t *seed)
{
    size_t alignment = (size_t)1 << check_below(seed, check_below(seed, 20) == 0 ? 23 : 13);
    size_t size = sizeof(struct stress_block) + check_random_size(seed, 20000);
    void *p = NULL;
    if (check_below(seed, 2) == 0)
        p = cairn_aligned_alloc(alignment, size);
    else if (cairn_posix_memalign(&p, alignment < sizeof p ? sizeof p : alignment, size) != 0)
        p = NULL;
    CHECKF(p != NULL && ((uintptr_t)p & (alignment - 1)) == 0, "alignment %zu size %zu: %p", alignment, size,
           p);
    CHECK(cairn_usable_size(p) >= size);
    stress_fill(p, size, check_random(seed));
    return p;
}

static struct stress_block *zeroed_block(uint64_t *seed)
{
    size_t size = sizeof(struct stress_block) + check_random_size(seed, 30000);
    void *p = cairn_calloc(1, size);
    CHECK(p != NULL);
    size_t at = check_nonzero(p, size);
    CHECKF(at == size, "calloc of %zu: byte %zu is not zero", size, at);
    stress_fill(p, size, check_random(seed));
    return p;
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    while (stress_goes_on()) {
        for (int step = 0; step < 50; step++) {
            size_t choice = check_below(&seed, 4);
            struct stress_block *block = choice == 0   ? zeroed_block(&seed)
                                         : choice == 1 ? stress_new(&seed, 5000)
                                                       : aligned_block(&seed);
            stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)], block));
            size_t size = check_random_size(&seed, 100000);
            void *sized = cairn_malloc(size);
            CHECK(sized != NULL);
            cairn_free_sized(sized, size);
            sized = cairn_aligned_alloc(128, size);
            CHECK(sized != NULL);
            cairn_free_aligned_sized(sized, 128, size);
        }
    }
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(3);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
