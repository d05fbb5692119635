/* observe.c - what <cairn/observe.h> and <cairn/tools.h> add to a call: tags, traces, the tools that see every call.
 * Nanoseconds of a pair of malloc and free of 64 bytes with them, less those without, in turns; of the best rounds, for
 * what else runs on the machine only ever adds. */
#include "figures.h"

#include <cairn/observe.h>
#include <cairn/tools.h>

enum { ROUNDS = 25, PAIRS = 20000 };

static cairn_pool *pool;

static double lower(double a, double b)
{
    return a < b ? a : b;
}

#define NS_OF_EACH(statement)                                                                                \
    do {                                                                                                     \
        double start = figure_cpu_now();                                                                     \
        for (int i = 0; i < PAIRS; i++) {                                                                    \
            statement;                                                                                       \
        }                                                                                                    \
        return (figure_cpu_now() - start) / PAIRS;                                                           \
    } while (0)

static double heap_pair(void)
{
    NS_OF_EACH(void *block = cairn_malloc(64); figure_use(block); cairn_free(block));
}

static double hooked_pair(void)
{
    NS_OF_EACH(void *block = cairn_malloc_here(64); figure_use(block); cairn_free_here(block));
}

static double pool_pair(void)
{
    NS_OF_EACH(void *block = cairn_pool_malloc(pool, 64); figure_use(block); cairn_pool_free(pool, block));
}

static double scope(void)
{
    NS_OF_EACH((void)cairn_tag_push(pool); (void)cairn_tag_pop());
}

static void tag_on(void)
{
    (void)cairn_tag_push(pool);
}

static void tag_off(void)
{
    (void)cairn_tag_pop();
}

static void must(int worked)
{
    if (worked)
        return;
    (void)fprintf(stderr, "%s\n", cairn_errormsg());
    exit(1);
}

static void trace_on(void)
{
    must(cairn_trace_start("/dev/null") == 0);
    cairn_free(cairn_malloc(64)); /* a thread notices by allocating */
}

static void trace_off(void)
{
    must(cairn_trace_stop() == 0);
    cairn_free(cairn_malloc(64));
}

static cairn_tool *tool;

static void leaks_on(void)
{
    must((tool = cairn_leaks_start(NULL)) != NULL);
}

static void faults_on(void)
{
    must((tool = cairn_faults_start(NULL)) != NULL); /* counts, and lets none fail */
}

static void limits_on(void)
{
    cairn_limits_config config = {.struct_size = sizeof config, .bytes = (uint64_t)1 << 40};
    must((tool = cairn_limits_start(&config)) != NULL);
}

static void tracing_on(void)
{
    cairn_tracing_config config = {.struct_size = sizeof config, .output = "/dev/null"};
    must((tool = cairn_tracing_start(&config)) != NULL);
}

static void tool_off(void)
{
    must(cairn_tool_stop(tool) == 0);
}

/* The best of `with` between on and off, and of `without`. */
static void compare(figure_measure *with, figure_measure *without, void on(void), void off(void),
                    double *best_with, double *best_without)
{
    *best_with = *best_without = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        *best_without = lower(*best_without, without());
        on();
        *best_with = lower(*best_with, with());
        off();
    }
}

static void more(const char *name, const char *asked, figure_measure *with, void on(void), void off(void),
                 const char *what)
{
    double best_with, best_without;
    compare(with, heap_pair, on, off, &best_with, &best_without);
    figure_print(name, best_with - best_without, asked, "ns", what);
}

static void nothing(void) {}

int main(void)
{
    double with, without;
    must((pool = cairn_pool_create(NULL)) != NULL);
    compare(scope, heap_pair, nothing, nothing, &with, &without);
    figure_print("tag_scope", with, "<=1000", "ns", "entering the outermost scope of a tag and leaving it");
    more("tag_pair", "<=60", heap_pair, tag_on, tag_off, "malloc and free in a scope of a tag - outside");
    more("trace_pair", "<=200", heap_pair, trace_on, trace_off, "malloc and free with a trace - without");
    more("hooks_none_pair", "<=3", hooked_pair, nothing, nothing,
         "by the macros, no interface - malloc and free");
    more("leaks_pair", "<=200", hooked_pair, leaks_on, tool_off,
         "by the macros, leak tracker - malloc and free");
    more("faults_pair", "<=200", hooked_pair, faults_on, tool_off,
         "by the macros, fault injector - malloc and free");
    more("limits_pair", "<=300", hooked_pair, limits_on, tool_off,
         "by the macros, limits by place - malloc and free");
    more("tracing_pair", "<=200", hooked_pair, tracing_on, tool_off,
         "by the macros, tracing - malloc and free");
    compare(pool_pair, pool_pair, trace_on, trace_off, &with, &without);
    figure_print("trace_pool_pair", with / without, "<=1.1", "x",
                 "malloc and free in a pool with a trace / without");
    cairn_pool_destroy(pool);
    return 0;
}
