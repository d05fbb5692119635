/* cpu.h - the one file that knows which processor this is. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include "base/base.h"

/* Tells the core that this is a spin loop. */
ALWAYS_INLINE void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

#endif
