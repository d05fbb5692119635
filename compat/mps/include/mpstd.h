/* mpstd.h - what the Memory Pool System's programs ask about the platform. */
#ifndef mpstd_h
#define mpstd_h

#if defined(__x86_64__)
#define MPS_ARCH_I6 1
#define MPS_PF_STRING "lii6gc"
#define MPS_PF_LII6GC 1
#elif defined(__aarch64__)
#define MPS_ARCH_A6 1
#define MPS_PF_STRING "lia6gc"
#define MPS_PF_LIA6GC 1
#else
#define MPS_PF_STRING "linux"
#endif
#define MPS_OS_LI 1
#define MPS_BUILD_GC 1

#define MPS_T_WORD unsigned long
#define MPS_T_ULONGEST unsigned long
#define MPS_WORD_WIDTH __SIZEOF_LONG__ * 8
#define MPS_WORD_SHIFT (__SIZEOF_LONG__ == 8 ? 6 : 5)
#define MPS_PF_ALIGN 8

#endif
