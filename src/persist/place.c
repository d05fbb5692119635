/* place.c - addresses for pool files: high, and far apart by chance, so that two pools seldom want the same.
 *
 * A pool asks for the same address ever after.  So it is chosen where neither the loader nor mmap puts things of their
 * own accord: slots of 1 GiB between LOWEST and HIGHEST, by the pool's uuid.  With 65,000 slots two pools of 1 GiB meet
 * once in 65,000 times; creating looks further when they do.  A tool that takes these addresses for itself (valgrind, the
 * thread sanitizer) leaves a smaller range. */
#include "os/file.h"
#include "os/os.h"
#include "persist/file.h"

#include <string.h>

#define SLOT GiB
#define TRIES 64

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
#define LOWEST ((uintptr_t)64 * GiB) /* all that the sanitizer allows besides the loader's places */
#define HIGHEST ((uintptr_t)448 * GiB)
#else
#define LOWEST ((uintptr_t)0x200000000000) /* 32 TiB: above the shadow of the address sanitizer's low half */
#define HIGHEST ((uintptr_t)0x500000000000)
#endif
#define LOW_LOWEST ((uintptr_t)32 * GiB) /* where addresses have 39 or 36 bits */
#define LOW_HIGHEST ((uintptr_t)120 * GiB)

static char *choose_between(const uint8_t uuid[16], size_t size, uintptr_t lowest, uintptr_t highest)
{
    uint8_t seed[17];
    if (size > highest - lowest)
        return NULL;
    uint64_t slots = (highest - lowest - size) / SLOT + 1;
    memcpy(seed, uuid, 16);
    for (unsigned i = 0; i < TRIES; i++) {
        seed[16] = (uint8_t)i;
        uint64_t hash = format_hash(seed, sizeof seed);
        char *got = os_reserve((void *)(lowest + (hash ^ hash >> 32) % slots * SLOT), size, SLOT);
        if (got != NULL)
            return got;
    }
    return NULL;
}

char *place_choose(const uint8_t uuid[16], size_t size)
{
    char *got = choose_between(uuid, size, LOWEST, HIGHEST);
    if (got == NULL)
        got = choose_between(uuid, size, LOW_LOWEST, LOW_HIGHEST);
    return got != NULL ? got : os_reserve(NULL, size, 2 * MiB);
}

char *place_again(uint64_t address, size_t size, bool relocatable)
{
    char *got = os_reserve((void *)(uintptr_t)address, size, 2 * MiB);
    return got != NULL || !relocatable ? got : os_reserve(NULL, size, 2 * MiB);
}
