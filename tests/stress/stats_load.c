// timeout: 60
/* stats_load.c - statistics, trimming and limits asked for all the time while six threads work: figures are
 * plausible each by itself and never negative. */
#include "stress.h"

enum { THREADS = 8, SLOTS = 2000 };
static _Atomic(struct stress_block *) slots[SLOTS];

static void look(int null_fd)
{
    const uint64_t most = 64 * GIB; /* a negative number would be far above */
    cairn_stats s = stress_stats();
    CHECKF(s.live < most && s.cached < most && s.free < most && s.metadata < most && s.committed < most,
           "live %lld cached %lld free %lld metadata %lld committed %lld", (long long)s.live,
           (long long)s.cached, (long long)s.free, (long long)s.metadata, (long long)s.committed);
    CHECK(s.reserved < most && s.live_blocks < most && s.live_large < most && s.spans < most);
    CHECK(s.threads <= THREADS + 1 && s.committed_peak >= s.live_large);
    CHECK(cairn_stats_print(null_fd, CAIRN_STATS_TEXT) == 0);
    CHECK(cairn_stats_print(null_fd, CAIRN_STATS_JSON) == 0);
}

static void *body(void *number)
{
    uint64_t seed = stress_seed(number);
    int null_fd = open("/dev/null", O_WRONLY);
    CHECK(null_fd >= 0);
    while (stress_goes_on()) {
        if ((intptr_t)number == 0) {
            look(null_fd);
        } else if ((intptr_t)number == 1) {
            cairn_trim(check_below(&seed, 8 * MIB));
            CHECK(cairn_limit_set(SIZE_MAX, 4 * MIB + check_below(&seed, 32 * MIB)) == 0);
            check_sleep(0.0005);
        } else {
            for (int step = 0; step < 100; step++)
                stress_free(atomic_exchange(&slots[check_below(&seed, SLOTS)],
                                            stress_new(&seed, step == 0 ? MIB : 8000)));
        }
    }
    close(null_fd);
    return NULL;
}

int main(void)
{
    uint64_t before = stress_stats().live_blocks;
    stress_for(2.5);
    stress_threads(THREADS, body);
    for (int i = 0; i < SLOTS; i++)
        stress_free(slots[i]);
    stress_at_rest(before + 4 * THREADS);
    return 0;
}
