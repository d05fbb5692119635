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

/* The registers by the numbers that DWARF gives them, as far as a call leaves them alone; the return address has a
 * number too.  cpu_registers_here fills in those of its caller, inlined. */
#if defined(__x86_64__)
enum { CPU_REGISTERS = 17, CPU_FRAME_POINTER = 6, CPU_STACK_POINTER = 7, CPU_RETURN_ADDRESS = 16 };

ALWAYS_INLINE void cpu_registers_here(uintptr_t *registers)
{
    __asm__ volatile("movq %%rbx, 24(%0)\n\tmovq %%rbp, 48(%0)\n\tmovq %%rsp, 56(%0)\n\t"
                     "movq %%r12, 96(%0)\n\tmovq %%r13, 104(%0)\n\tmovq %%r14, 112(%0)\n\t"
                     "movq %%r15, 120(%0)\n\tleaq 0(%%rip), %%rax\n\tmovq %%rax, 128(%0)"
                     :
                     : "r"(registers)
                     : "rax", "memory");
}
#elif defined(__aarch64__)
enum { CPU_REGISTERS = 33, CPU_FRAME_POINTER = 29, CPU_STACK_POINTER = 31, CPU_RETURN_ADDRESS = 32 };

ALWAYS_INLINE void cpu_registers_here(uintptr_t *registers)
{
    __asm__ volatile("stp x19, x20, [%0, #152]\n\tstp x21, x22, [%0, #168]\n\tstp x23, x24, [%0, #184]\n\t"
                     "stp x25, x26, [%0, #200]\n\tstp x27, x28, [%0, #216]\n\tstp x29, x30, [%0, #232]\n\t"
                     "mov x9, sp\n\tstr x9, [%0, #248]\n\tadr x9, .\n\tstr x9, [%0, #256]"
                     :
                     : "r"(registers)
                     : "x9", "memory");
}
#else
#error "cpu.h does not know this processor's registers"
#endif

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
