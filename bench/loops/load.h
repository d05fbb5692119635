/* load.h - what every load shares: arguments, seeded numbers, checked blocks, threads, the line at the end.
 *
 * A load does a fixed amount of work, so that wall time is the measure, and the same work on every run: all
 * numbers come from load_random with fixed seeds.  It uses plain malloc and free, so that LD_PRELOAD
 * chooses the allocator.  It keeps no big tables of its own, so that peak memory speaks of the allocator.
 * Include this header before any other: it asks the system headers for sched_setaffinity.
 */
#ifndef CAIRN_BENCH_LOAD_H
#define CAIRN_BENCH_LOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with status 1 and a reason; the runner then reports the row as failed. */
static inline void load_fail(const char *reason)
{
    (void)fprintf(stderr, "load failed: %s\n", reason);
    exit(1);
}

/* The one line on standard output: how many operations were done, the same number on every run. */
static inline void load_done(uint64_t ops)
{
    if (printf("ops=%" PRIu64 "\n", ops) < 0 || fflush(stdout) != 0) {
        load_fail("cannot write the result");
    }
}

/* Argument `index` as a number between 1 and `max`, or `fallback` if it was not given. */
static inline unsigned load_argument(int argc, char **argv, int index, unsigned fallback, unsigned max)
{
    if (index >= argc) {
        return fallback;
    }
    char *end = NULL;
    unsigned long value = strtoul(argv[index], &end, 10);
    if (end == argv[index] || *end != '\0' || value < 1 || value > max) {
        (void)fprintf(stderr, "argument %d is '%s', not a number from 1 to %u\n", index, argv[index], max);
        exit(2);
    }
    return (unsigned)value;
}

/* ---- Seeded numbers (splitmix64, Steele, Lea and Flood 2014: any seed is a good one) ---------------- */

typedef struct load_random {
    uint64_t state;
} load_random;

static inline uint64_t load_random_next(load_random *random)
{
    uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number from 0 to below - 1. */
static inline unsigned load_random_below(load_random *random, unsigned below)
{
    return (unsigned)(((load_random_next(random) >> 32) * below) >> 32);
}

static inline unsigned load_random_between(load_random *random, unsigned low, unsigned high)
{
    return low + load_random_below(random, high - low + 1);
}

/* ---- Checked blocks --------------------------------------------------------------------------------- */

/* Writes `tag` at both ends of the block, so that overlapping or moved blocks show up in load_check. */
static inline void load_stamp(void *block, size_t size, uint64_t tag)
{
    unsigned char *bytes = (unsigned char *)block;
    if (size >= 2 * sizeof tag) {
        memcpy(bytes, &tag, sizeof tag);
        memcpy(bytes + size - sizeof tag, &tag, sizeof tag);
    } else if (size > 0) {
        bytes[0] = (unsigned char)tag;
        bytes[size - 1] = (unsigned char)tag;
    }
}

static inline void load_check(const void *block, size_t size, uint64_t tag)
{
    const unsigned char *bytes = (const unsigned char *)block;
    bool same = true;
    if (size >= 2 * sizeof tag) {
        uint64_t first = 0;
        uint64_t last = 0;
        memcpy(&first, bytes, sizeof first);
        memcpy(&last, bytes + size - sizeof last, sizeof last);
        same = first == tag && last == tag;
    } else if (size > 0) {
        same = bytes[0] == (unsigned char)tag && bytes[size - 1] == (unsigned char)tag;
    }
    if (!same) {
        load_fail("a block lost its contents");
    }
}

/* malloc that ends the program rather than return NULL. */
static inline void *load_malloc(size_t size)
{
    void *block = malloc(size);
    if (block == NULL) {
        load_fail("malloc returned NULL");
    }
    return block;
}

static inline void *load_malloc_stamped(size_t size, uint64_t tag)
{
    void *block = load_malloc(size);
    load_stamp(block, size, tag);
    return block;
}

static inline void load_free_checked(void *block, size_t size, uint64_t tag)
{
    load_check(block, size, tag);
    free(block);
}

/* An array of `count` zeroed elements, or the end of the program. */
static inline void *load_array(size_t count, size_t size)
{
    void *array = calloc(count, size);
    if (array == NULL) {
        load_fail("calloc returned NULL");
    }
    return array;
}

/* ---- Threads ---------------------------------------------------------------------------------------- */

static inline void load_thread_start(pthread_t *thread, void *(*body)(void *), void *context)
{
    if (pthread_create(thread, NULL, body, context) != 0) {
        load_fail("cannot start a thread");
    }
}

static inline void load_thread_join(pthread_t thread)
{
    if (pthread_join(thread, NULL) != 0) {
        load_fail("cannot join a thread");
    }
}

/* Keeps the calling thread on one of the CPUs that the process may use, the same for equal `index`es modulo
 * their number.  For loads whose point is that threads run side by side: left alone, the scheduler likes to
 * put two threads that wake each other on one CPU, and the load measures that choice. */
static inline void load_pin(unsigned index)
{
    cpu_set_t all;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) == 0) {
        load_fail("cannot read the set of CPUs");
    }
    int skip = (int)(index % (unsigned)CPU_COUNT(&all));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all) || skip-- > 0) {
        cpu++;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) {
        load_fail("cannot pin a thread to a CPU");
    }
}

/* Runs body on `count` threads, each with its own element of the array `contexts`, until all are done. */
static inline void load_threads(unsigned count, void *(*body)(void *), void *contexts, size_t context_size)
{
    pthread_t *threads = (pthread_t *)load_array(count, sizeof *threads);
    for (unsigned i = 0; i < count; i++) {
        load_thread_start(&threads[i], body, (char *)contexts + (size_t)i * context_size);
    }
    for (unsigned i = 0; i < count; i++) {
        load_thread_join(threads[i]);
    }
    free(threads);
}

#endif
