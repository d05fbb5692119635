// timeout: 60
/* profile_load.c - profiles started, stopped and written all the time while eight threads work: sampled, and with every
 * block told.  Blocks keep their contents, whatever path they came by, and nothing of them is left in the profile. */
#include "stress.h"

#include <cairn/profile.h>

enum { THREADS = 8, SLOTS = 2000 };
static _Atomic(struct stress_block *) slots[SLOTS];

static void switch_and_write(uint64_t *seed, int null_fd)
{
    static const size_t intervals[] = {1, 4096, 65536, 0};
    if (check_below(seed, 3) == 0)
        cairn_profile_stop();
    else
        CHECK(cairn_profile_start(intervals[check_below(seed, 4)]) == 0 || errno == EBUSY);
    CHECK(cairn_profile_write(null_fd, check_below(seed, 2) ? CAIRN_PROFILE_TEXT : CAIRN_PROFILE_PPROF) == 0);
    check_sleep(0.002);
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    int null_fd = open("/dev/null", O_WRONLY);
    CHECK(null_fd >= 0);
    while (stress_goes_on()) {
        if ((intptr_t)number < 2)
            switch_and_write(&seed, null_fd);
        else
            for (int step = 0; step < 50; step++)
                stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)],
                                            stress_new(&seed, step == 0 ? MIB : 8000)));
    }
    close(null_fd);
    return NULL;
}

int main(void)
{
    char line[100] = "";
    uint64_t before = stress_stats().live_blocks;
    stress_for(2);
    stress_threads(THREADS, body);
    while (cairn_profile_start(1) != 0)
        check_sleep(0.001);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    int file = memfd_create("profile", MFD_CLOEXEC);
    CHECK(file >= 0 && cairn_profile_write(file, CAIRN_PROFILE_TEXT) == 0);
    CHECK(pread(file, line, sizeof line - 1, 0) > 0);
    CHECKF(strncmp(line, "heap profile: 0: 0 [", 20) == 0, "%s", line);
    cairn_profile_stop();
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
