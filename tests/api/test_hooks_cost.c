// serial: it measures
/* What the memory interface costs: next to nothing as long as no interface is in place, and with the trace less than
 * 100 ns a call, on a machine where a pair of malloc and free takes 4 ns or less; in proportion on a slower one.  Prints the figures: pairs of malloc and free of 64 bytes, the best of interleaved rounds, so what else
 * runs on the machine hardly counts. */
#include "api.h"

#include <cairn/tools.h>

enum { ROUNDS = 40, PAIRS = 20000 };

static double round_of(int here)
{
    double from = check_now();
    if (here)
        for (int i = 0; i < PAIRS; i++)
            cairn_free_here(check_opaque(cairn_malloc_here(64)));
    else
        for (int i = 0; i < PAIRS; i++)
            cairn_free(check_opaque(cairn_malloc(64)));
    return (check_now() - from) * 1e9 / PAIRS;
}

static double lower(double a, double b)
{
    return a < b ? a : b;
}

/* Nanoseconds of a pair, plain and by the macros, as they are now. */
static void measure(double *plain, double *here)
{
    *plain = *here = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        *plain = lower(*plain, round_of(0));
        *here = lower(*here, round_of(1));
    }
}

static void unset_costs_a_branch(void **state)
{
    (void)state;
    double plain, here;
    measure(&plain, &here);
    printf("no interface: %.2f ns a pair plain, %.2f ns by the macros\n", plain, here);
    CHECKF(here < plain * 1.25 + 1, "%.2f ns plain, %.2f ns by the macros", plain, here);
}

static void interfaces_cost_what_they_do(void **state)
{
    (void)state;
    double plain, here, tracing;
    cairn_interface nothing = {.struct_size = sizeof nothing};
    cairn_hook *hook = cairn_hook_push(&nothing);
    measure(&plain, &here);
    CHECK(cairn_hook_remove(hook) == 0);
    printf("an interface that does nothing: %.1f ns a call more\n", (here - plain) / 2);

    cairn_tool *leaks = cairn_leaks_start(NULL);
    measure(&plain, &here);
    CHECK(cairn_tool_stop(leaks) == 0);
    printf("leak tracker: %.1f ns a call more\n", (here - plain) / 2);

    cairn_tracing_config config = {.struct_size = sizeof config, .output = "/dev/null"};
    cairn_tool *tool = cairn_tracing_start(&config);
    CHECK(tool != NULL);
    measure(&plain, &here);
    CHECK(cairn_tool_stop(tool) == 0);
    tracing = (here - plain) / 2;
    printf("trace: %.1f ns a call more\n", tracing);
    CHECKF(tracing < 25 * (plain > 4 ? plain : 4),
           "a call costs %.1f ns more with the trace; a pair: %.1f ns", tracing, plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unset_costs_a_branch),
        cmocka_unit_test(interfaces_cost_what_they_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
