/* large - a few buffers of many megabytes, replaced at random and written all over.
 *
 * Origin: the malloc-large test of the mimalloc-bench suite (20 buffers of 5 to 25 MiB), which came from a
 * report of slow big buffers in a real program.
 * Ours: the same pattern with buffers of 1 to 24 MiB; every page is written with its own stamp, by memset
 * around it, and checked when the buffer goes.
 *
 * Arguments: replacements (200), buffers held (20).
 */
#include "load.h"

enum { MIN_SIZE = 1 << 20, MAX_SIZE = 24 << 20, PAGE = 4096 };

typedef struct buffer {
    unsigned char *bytes;
    size_t size;
    unsigned tag;
} buffer;

static void buffer_fill(buffer *b, size_t size, unsigned tag)
{
    b->bytes = load_malloc(size);
    b->size = size;
    b->tag = tag;
    memset(b->bytes, (int)(tag & 0xff), size);
    for (size_t at = 0; at + PAGE <= size; at += PAGE) {
        load_stamp(b->bytes + at, PAGE, tag + at);
    }
}

static void buffer_drop(buffer *b)
{
    for (size_t at = 0; b->bytes != NULL && at + PAGE <= b->size; at += PAGE) {
        load_check(b->bytes + at, PAGE, b->tag + at);
    }
    free(b->bytes);
    b->bytes = NULL;
}

int main(int argc, char **argv)
{
    unsigned turns = load_argument(argc, argv, 1, 200, 1000000);
    unsigned held = load_argument(argc, argv, 2, 20, 10000);

    load_random random = {.state = 42};
    buffer *buffers = load_array(held, sizeof *buffers);
    for (unsigned turn = 0; turn < turns; turn++) {
        buffer *b = &buffers[load_random_below(&random, held)];
        buffer_drop(b);
        buffer_fill(b, load_random_between(&random, MIN_SIZE, MAX_SIZE), turn);
    }
    for (unsigned i = 0; i < held; i++) {
        buffer_drop(&buffers[i]);
    }
    free(buffers);
    load_done(turns);
    return 0;
}
