/* static_buffer.c - a pool in a static buffer of 64 KiB: a heap for a program that has none.
 *
 * This program defines malloc and its like to abort, and shows at the end that neither the program break nor the
 * amount of mapped memory has changed: every block lies in `room`, and so do the pool's handle and its own data.
 * Suitable where memory is counted out: embedded systems, signal handlers' own memory, shared memory segments.
 */
#include <cairn/pool.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char room[64 << 10];

/* ---- There is no heap ---------------------------------------------------------------------------------- */

static void refuse(void)
{
    static const char text[] = "somebody called malloc\n";
    (void)!write(2, text, sizeof text - 1);
    abort();
}

static int started; /* libraries may allocate before main: from here, and never again */
static char early[16 << 10] __attribute__((aligned(16)));

void *malloc(size_t size)
{
    static size_t used;
    if (started)
        refuse();
    size = (size + 15) & ~(size_t)15;
    if (used + size > sizeof early)
        refuse();
    return early + (used += size) - size;
}
void *calloc(size_t count, size_t size)
{
    return malloc(count * size); /* `early` is zero */
}
void *realloc(void *block, size_t size)
{
    (void)block, (void)size;
    refuse();
    return NULL;
}
void free(void *block)
{
    (void)block;
}

/* ---- Output without stdio, which would allocate its buffers ---------------------------------------------- */

static void say(const char *text)
{
    (void)!write(1, text, strlen(text));
}

static void say_number(const char *before, size_t number, const char *after)
{
    char digits[24], *at = digits + sizeof digits;
    *--at = '\0';
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    say(before), say(at), say(after);
}

/* Pages of address space, from the kernel. */
static size_t mapped_pages(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    (void)!read(fd, text, sizeof text - 1);
    close(fd);
    size_t pages = 0;
    for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
        pages = pages * 10 + (size_t)(*digit - '0');
    return pages;
}

static int is_inside(const void *block)
{
    return (const char *)block >= room && (const char *)block < room + sizeof room;
}

int main(void)
{
    cairn_pool_config config = {
        .struct_size = sizeof config, .pool_class = CAIRN_FIT, .buffer = room, .buffer_size = sizeof room};
    cairn_pool *pool = cairn_pool_create(&config);
    if (pool == NULL)
        return 1;
    started = 1;
    void *brk_before = sbrk(0);
    size_t pages_before = mapped_pages();

    static void *blocks[2000];
    size_t count = 0, rounds = 0, outside = 0;
    for (; rounds < 200; rounds++) {
        for (size_t size = 1; (blocks[count] = cairn_pool_malloc(pool, size)) != NULL;
             size = size * 7 % 499 + 1) {
            memset(blocks[count], (int)count, size);
            outside += !is_inside(blocks[count]);
            count++;
        }
        if (rounds == 0)
            say_number("the buffer is full: ", count > 100, "\n"); /* NULL, and the program goes on */
        while (count > 0)
            cairn_pool_free(pool, blocks[--count]);
    }
    cairn_stats stats = {.struct_size = sizeof stats};
    cairn_pool_stats(pool, &stats);
    say_number("rounds: ", rounds, "\n");
    say_number("more than 20,000 blocks: ", stats.allocations > 20000, "\n");
    say_number("blocks outside of the buffer: ", outside, "\n");
    say_number("the handle is inside: ", (size_t)is_inside(pool), "\n");
    say_number("the program break moved by ", (size_t)((char *)sbrk(0) - (char *)brk_before), " bytes\n");
    say_number("mapped memory grew by ", mapped_pages() - pages_before, " pages\n");
    cairn_pool_destroy(pool);
    return 0;
}
