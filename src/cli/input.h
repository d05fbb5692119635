/* input.h - standard input when the program runs more than once. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <stdbool.h>
#include <sys/types.h>

/* What standard input is decides:
 *   regular file    each run begins where the first one did
 *   pipe, socket    read to its end into a file without name, then the same
 *   terminal        for the first run; the others get /dev/null
 *   anything else   left as it is */
struct input {
    enum { INPUT_AS_IT_IS, INPUT_REWIND, INPUT_ONCE } way;
    off_t begin; /* INPUT_REWIND: where each run begins */
};

/* False after a message.  The file for a pipe's contents is made in `folder`. */
bool input_prepare(struct input *input, const char *folder);

/* To be called before each run but the first; false after a message. */
bool input_again(const struct input *input);

#endif
