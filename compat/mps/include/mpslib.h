/* mpslib.h - what the library needs from its surroundings.  Here it brings all of it along; the assertion handler can
 * be replaced. */
#ifndef mpslib_h
#define mpslib_h

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called for misuse: where it was found, and what should have held.  The default prints one line on standard error,
 * "FILE:LINE: MPS ASSERTION FAILED: TEXT", and aborts.  A handler that returns lets the call go on as well as it can: it
 * fails, or does nothing. */
typedef void (*mps_lib_assert_fail_t)(const char *file, unsigned line, const char *condition);
extern void mps_lib_assert_fail(const char *file, unsigned line, const char *condition);

/* Returns the handler before; NULL: the default again. */
extern mps_lib_assert_fail_t mps_lib_assert_fail_install(mps_lib_assert_fail_t handler);

typedef struct mps_lib_stream_s mps_lib_FILE;
extern int mps_lib_get_EOF(void);
#define mps_lib_EOF (mps_lib_get_EOF())
extern mps_lib_FILE *mps_lib_get_stderr(void);
extern mps_lib_FILE *mps_lib_get_stdout(void);
#define mps_lib_stderr (mps_lib_get_stderr())
#define mps_lib_stdout (mps_lib_get_stdout())
extern int mps_lib_fputc(int character, mps_lib_FILE *stream);
extern int mps_lib_fputs(const char *text, mps_lib_FILE *stream);

extern void *mps_lib_memset(void *block, int value, size_t size);
extern void *mps_lib_memcpy(void *to, const void *from, size_t size);
extern int mps_lib_memcmp(const void *one, const void *other, size_t size);

typedef unsigned long mps_clock_t;
extern mps_clock_t mps_clock(void);
extern mps_clock_t mps_clocks_per_sec(void);

extern unsigned long mps_lib_telemetry_control(void);

#ifdef __cplusplus
}
#endif
#endif
