/* unit.h - what the unit and fault tests share: cmocka with check.h, and captured output. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* At the start of a test that shows a known defect: skipped until that is mended, then this line goes.
 * CAIRN_TEST_DEFECTS=1 runs it all the same. */
#define KNOWN_DEFECT()                                                                                       \
    do {                                                                                                     \
        if (getenv("CAIRN_TEST_DEFECTS") == NULL)                                                            \
            skip();                                                                                          \
    } while (0)

/* From here to capture_end() what is written to `fd` goes to a file in memory. */
struct capture {
    int fd, saved, file;
};

static inline struct capture capture_begin(int fd)
{
    struct capture capture = {fd, dup(fd), memfd_create("capture", MFD_CLOEXEC)};
    CHECK(capture.saved >= 0 && capture.file >= 0);
    CHECK(dup2(capture.file, fd) == fd);
    return capture;
}

/* The text, cut to `size` - 1 bytes and terminated. */
static inline void capture_end(struct capture *capture, char *text, size_t size)
{
    CHECK(dup2(capture->saved, capture->fd) == capture->fd);
    ssize_t got = pread(capture->file, text, size - 1, 0);
    CHECK(got >= 0);
    text[got] = '\0';
    close(capture->saved);
    close(capture->file);
}

#endif
