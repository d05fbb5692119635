/* input.c - see input.h. */
#include "input.h"

#include "cli.h"
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool trouble(void)
{
    complain("standard input: %s", strerror(errno));
    return false;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
    }
    return true;
}

/* A signal ends it: what sends the data may never end. */
static bool copy_input(int to)
{
    char data[1 << 14];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, data, sizeof data);
        if (got == 0)
            return true;
        if (got < 0 && (errno != EINTR || launch_interrupted()))
            return false;
        if (got > 0 && !write_all(to, data, (size_t)got))
            return false;
    }
}

/* Puts a file with the same contents in the place of standard input. */
static bool spool(const char *folder)
{
    char *file = text_of("%s/input.XXXXXX", folder);
    int fd = mkostemp(file, O_CLOEXEC);
    bool good = fd >= 0 && unlink(file) == 0 && copy_input(fd) && lseek(fd, 0, SEEK_SET) == 0 &&
                dup2(fd, STDIN_FILENO) == STDIN_FILENO;
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    free(file);
    errno = why;
    return good ? true : trouble();
}

bool input_prepare(struct input *input, const char *folder)
{
    struct stat status;
    *input = (struct input){INPUT_AS_IT_IS, 0};
    if (fstat(STDIN_FILENO, &status) != 0)
        return true; /* closed: so it is for the program */
    if (S_ISREG(status.st_mode)) {
        input->begin = lseek(STDIN_FILENO, 0, SEEK_CUR);
        input->way = INPUT_REWIND;
        return input->begin >= 0 ? true : trouble();
    }
    if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
        input->way = INPUT_REWIND;
        return spool(folder);
    }
    if (isatty(STDIN_FILENO))
        input->way = INPUT_ONCE;
    return true;
}

bool input_again(const struct input *input)
{
    if (input->way == INPUT_REWIND && lseek(STDIN_FILENO, input->begin, SEEK_SET) != input->begin)
        return trouble();
    if (input->way == INPUT_ONCE) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || dup2(fd, STDIN_FILENO) != STDIN_FILENO)
            return trouble();
        (void)close(fd);
    }
    return true;
}
