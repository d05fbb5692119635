/* lib.c - the assertion handler, streams, clocks, ranks, and telemetry that is accepted and not written. */
#include "impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print_and_abort(const char *file, unsigned line, const char *condition)
{
    fflush(stdout);
    fprintf(stderr, "%s:%u: MPS ASSERTION FAILED: %s\n", file, line, condition);
    fflush(stderr);
    abort();
}

static mps_lib_assert_fail_t handler = print_and_abort; /* atomic */

void mps_lib_assert_fail(const char *file, unsigned line, const char *condition)
{
    __atomic_load_n(&handler, __ATOMIC_ACQUIRE)(file, line, condition); /* pairs with install's release */
}

mps_lib_assert_fail_t mps_lib_assert_fail_install(mps_lib_assert_fail_t new_handler)
{
    return __atomic_exchange_n(&handler, new_handler != NULL ? new_handler : print_and_abort,
                               __ATOMIC_ACQ_REL);
}

bool mps_impl_failed(const char *file, unsigned line, const char *text)
{
    mps_lib_assert_fail(file, line, text);
    return false;
}

/* ---- Streams and memory ---------------------------------------------------------------------------- */

int mps_lib_get_EOF(void)
{
    return EOF;
}

mps_lib_FILE *mps_lib_get_stderr(void)
{
    return (mps_lib_FILE *)stderr;
}

mps_lib_FILE *mps_lib_get_stdout(void)
{
    return (mps_lib_FILE *)stdout;
}

int mps_lib_fputc(int character, mps_lib_FILE *stream)
{
    return fputc(character, (FILE *)stream);
}

int mps_lib_fputs(const char *text, mps_lib_FILE *stream)
{
    return fputs(text, (FILE *)stream);
}

void *mps_lib_memset(void *block, int value, size_t size)
{
    return memset(block, value, size);
}

void *mps_lib_memcpy(void *to, const void *from, size_t size)
{
    return memcpy(to, from, size);
}

int mps_lib_memcmp(const void *one, const void *other, size_t size)
{
    return memcmp(one, other, size);
}

/* ---- Clocks, ranks --------------------------------------------------------------------------------- */

mps_clock_t mps_clock(void)
{
    return (mps_clock_t)clock();
}

mps_clock_t mps_clocks_per_sec(void)
{
    return (mps_clock_t)CLOCKS_PER_SEC;
}

mps_rank_t mps_rank_ambig(void)
{
    return 0;
}

mps_rank_t mps_rank_exact(void)
{
    return 1;
}

mps_rank_t mps_rank_weak(void)
{
    return 2;
}

/* ---- Telemetry ------------------------------------------------------------------------------------- */

static mps_word_t telemetry_kinds; /* atomic; what was asked for, to be told again */
static mps_word_t telemetry_labels;

mps_word_t mps_telemetry_control(mps_word_t reset, mps_word_t flip)
{
    mps_word_t old = __atomic_load_n(&telemetry_kinds, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&telemetry_kinds, &old, (old & ~reset) ^ flip, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    return old;
}

void mps_telemetry_set(mps_word_t kinds)
{
    (void)mps_telemetry_control(kinds, kinds);
}

void mps_telemetry_reset(mps_word_t kinds)
{
    (void)mps_telemetry_control(kinds, 0);
}

mps_word_t mps_telemetry_get(void)
{
    return mps_telemetry_control(0, 0);
}

mps_word_t mps_telemetry_intern(const char *label)
{
    (void)label;
    return __atomic_add_fetch(&telemetry_labels, 1, __ATOMIC_RELAXED);
}

void mps_telemetry_label(mps_addr_t address, mps_word_t label)
{
    (void)address, (void)label;
}

void mps_telemetry_flush(void) {}

unsigned long mps_lib_telemetry_control(void)
{
    return 0;
}
