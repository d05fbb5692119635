/* profile.h - where the process heap's memory goes: a profile of allocations by call stack, for programs that know
 * nothing of it.
 *
 * Stands alone, compiles as C11 and C++17.  All calls are safe in any thread at any time, in signal handlers too, and
 * beside dlopen and fork in other threads; none allocates from a heap.  On failure they return -1 with errno set, and
 * cairn_errormsg() in <cairn/cairn.h> has the words.
 *
 * What is measured.  While a profile is on, one block in so many bytes is sampled, at random: each byte that is asked
 * for is as likely as any other.  A sample notes the stack that asked for it, and its end.  From the samples the
 * profile estimates, for each stack, blocks and bytes allocated since it was started, and those of them that are
 * still live; the estimates are right on the average for all sizes.  Their error falls with the number of samples:
 * about 1 / sqrt(n) for a stack with n of them, so 5 % with 400, which is 200 MiB at the default interval.
 * Blocks that were there before are not known.  A realloc counts as the end of one block and a new one of the whole
 * size.  Pools are not in it.
 *
 * What it costs: nothing while it is off; while on, some 27 instructions more for each allocation, and for a sample
 * a walk up the stack, a page of memory while it lives, and 48 bytes.  Stacks are walked by unwind tables, and by frame
 * pointers in code that has none.
 *
 * Without a change of the program: CAIRN_CONF=profile:on, or `cairn run --profile FILE -- PROGRAM`; `cairn profile`
 * shows what was written.  docs/profiling.md has more. */
#ifndef CAIRN_PROFILE_H
#define CAIRN_PROFILE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CAIRN_API
#define CAIRN_API __attribute__((visibility("default")))
#endif

/* The mean distance of samples, in bytes, when none is given. */
#define CAIRN_PROFILE_INTERVAL ((size_t)512 << 10)

typedef enum cairn_profile_format {
    CAIRN_PROFILE_PPROF =
        0, /* the protocol buffer that pprof reads, not compressed, with mappings and build ids */
    CAIRN_PROFILE_TEXT = 1 /* the heap profile of gperftools, which google-pprof reads */
} cairn_profile_format;

/* Starts a profile with one sample in `interval` bytes on the average; 0: the default.  Below 4096 every block is a
 * sample: exact figures, at some microseconds for each call.  A profile that is on, or was, is forgotten.
 * EBUSY: another thread is starting or sampling at this moment, try again.  ENOMEM: no place for one more observer. */
CAIRN_API int cairn_profile_start(size_t interval);

/* Stops sampling; what was collected stays, and can be written.  Does nothing when none is on. */
CAIRN_API void cairn_profile_stop(void);

/* 1 if a profile is on. */
CAIRN_API int cairn_profile_on(void);

/* Writes the profile that is on, or the last one, to the file descriptor, as of now: threads go on allocating
 * meanwhile.  errno as of write(2); EINVAL: no such format.  Takes time in proportion to the number of stacks. */
CAIRN_API int cairn_profile_write(int fd, cairn_profile_format format);

#ifdef __cplusplus
}
#endif

#endif
