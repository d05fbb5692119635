/* cpu.h - the one file that knows which processor this is. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include "base/base.h"

#if defined(__SANITIZE_THREAD__)
#define CAIRN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAIRN_TSAN 1
#endif
#endif
#ifndef CAIRN_TSAN
#define CAIRN_TSAN 0
#endif

/* 1: all threads see one another's stores in the order in which they were made. */
#if defined(__x86_64__) || defined(__i386__)
#define CPU_KEEPS_STORE_ORDER 1
#else
#define CPU_KEEPS_STORE_ORDER 0
#endif

/* Tells the core that this is a spin loop. */
ALWAYS_INLINE void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* The processor's own clock: steps at a constant rate, the same on every core if the kernel says so
 * (os_clock_is_counter).  Not read before what stands in front of it in the program is done. */
#if defined(__x86_64__)
#define CPU_HAS_TICKS 1
#else
#define CPU_HAS_TICKS 0
#endif

ALWAYS_INLINE uint64_t cpu_ticks(void)
{
#if defined(__x86_64__)
    unsigned core;
    return __builtin_ia32_rdtscp(&core);
#else
    return 0;
#endif
}

/* Adds one to a counter that only this thread writes and others may read: atomic for them, not as a whole.
 * One instruction where the processor has it; compilers make three of a relaxed load and store. */
ALWAYS_INLINE void cpu_increment(uint64_t *counter)
{
#if defined(__x86_64__) && !CAIRN_TSAN
    __asm__("addq $1, %0" : "+m"(*counter) : : "cc");
#else
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
#endif
}

#endif
