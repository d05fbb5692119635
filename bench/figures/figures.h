/* figures.h - for programs that measure one part of Cairn against another, or against what it is to beat, inside
 * one process: interleaved rounds, and the median of the ratios of each round.
 *
 * A program prints one line for each figure, fields separated by tabs:
 *     name  value  asked  unit  what is compared
 * where `asked` is "<=1.5" or ">=20", the bound that the figure is to keep, or "-".  bench/figures.py collects them.
 *
 * They link libcairn; libc's own heap is called by its inner names (libc_malloc, libc_free). */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void *__libc_malloc(size_t size);
extern void __libc_free(void *block);
#define libc_malloc __libc_malloc
#define libc_free __libc_free

#define FIGURE_ROUNDS 11
#define FIGURE_SHORT_ROUNDS                                                                                  \
    101 /* of a millisecond or so: other load then hits few of them, and both sides alike */

static inline double figure_now(void) /* ns */
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* What the calling thread itself has computed: other load on the machine does not count, nor does waiting. */
static inline double figure_cpu_now(void) /* ns */
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The compiler is to believe that the block is used. */
static inline void figure_use(void *block)
{
    __asm__ volatile("" : : "r"(block) : "memory");
}

static inline int figure_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double figure_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, figure_compare);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* One measurement: ns for one operation. */
typedef double figure_measure(void);

/* The median over the rounds of ours / theirs, at most FIGURE_SHORT_ROUNDS of them; *ns_ours and *ns_theirs (if not NULL)
 * get the medians of each. */
static inline double figure_ratio_of(size_t rounds, figure_measure *ours, figure_measure *theirs,
                                     double *ns_ours, double *ns_theirs)
{
    double a[FIGURE_SHORT_ROUNDS], b[FIGURE_SHORT_ROUNDS], ratio[FIGURE_SHORT_ROUNDS];
    (void)ours(), (void)theirs(); /* warm */
    for (size_t i = 0; i < rounds; i++) {
        if (i % 2 == 0)
            a[i] = ours(), b[i] = theirs();
        else
            b[i] = theirs(), a[i] = ours();
        ratio[i] = a[i] / b[i];
    }
    if (ns_ours != NULL)
        *ns_ours = figure_median(a, rounds);
    if (ns_theirs != NULL)
        *ns_theirs = figure_median(b, rounds);
    return figure_median(ratio, rounds);
}

static inline double figure_ratio(figure_measure *ours, figure_measure *theirs, double *ns_ours,
                                  double *ns_theirs)
{
    return figure_ratio_of(FIGURE_ROUNDS, ours, theirs, ns_ours, ns_theirs);
}

static inline void figure_print(const char *name, double value, const char *asked, const char *unit,
                                const char *what)
{
    printf("%s\t%.3g\t%s\t%s\t%s\n", name, value, asked, unit, what);
    fflush(stdout);
}

#endif
