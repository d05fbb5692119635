/* known - does exactly what its arguments say, one after the other, and nothing else through malloc.
 *
 *   blocks=N live=M   allocates N blocks of 100 bytes and frees all but the first M
 *   touch=MIB         allocates and fills as much, and frees it
 *   spin=MS           uses the processor for so long
 *   sleep=MS          waits for so long
 *   out=TEXT err=TEXT writes the text and a line feed to standard output or error
 *   copy=0            copies standard input to standard output
 *   env=NAME          writes the variable's value
 *   catch=SIGNAL      on that signal leaves with status 7
 *   signal=SIGNAL     sends it to itself
 *   exit=N _exit=N    leaves
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *held[100000];
static int held_count;

static void put(int fd, const char *text, size_t size)
{
    if (write(fd, text, size) != (ssize_t)size)
        _exit(99);
}

static void put_line(int fd, const char *text)
{
    put(fd, text, strlen(text));
    put(fd, "\n", 1);
}

static void leave(int number)
{
    (void)number;
    exit(7); /* nothing is going on but nanosleep */
}

static void keep(int live)
{
    while (held_count > live)
        free(held[--held_count]);
}

static void touch(size_t bytes)
{
    char *block = malloc(bytes);
    if (block == NULL)
        _exit(98);
    memset(block, 1, bytes);
    free(block);
}

static void spin(int milliseconds)
{
    while (clock() < (clock_t)milliseconds * (CLOCKS_PER_SEC / 1000)) {}
}

static void copy(void)
{
    char data[4096];
    for (ssize_t got; (got = read(0, data, sizeof data)) > 0;)
        put(1, data, (size_t)got);
}

static void act(const char *name, const char *value)
{
    int number = atoi(value);
    if (strcmp(name, "blocks") == 0)
        while (held_count < number)
            held[held_count++] = malloc(100);
    else if (strcmp(name, "live") == 0)
        keep(number);
    else if (strcmp(name, "touch") == 0)
        touch((size_t)number << 20);
    else if (strcmp(name, "spin") == 0)
        spin(number);
    else if (strcmp(name, "sleep") == 0)
        nanosleep(&(struct timespec){number / 1000, number % 1000 * 1000000L}, NULL);
    else if (strcmp(name, "out") == 0)
        put_line(1, value);
    else if (strcmp(name, "err") == 0)
        put_line(2, value);
    else if (strcmp(name, "copy") == 0)
        copy();
    else if (strcmp(name, "env") == 0)
        put_line(1, getenv(value) != NULL ? getenv(value) : "(unset)");
    else if (strcmp(name, "catch") == 0)
        signal(number, leave);
    else if (strcmp(name, "signal") == 0)
        raise(number);
    else if (strcmp(name, "exit") == 0)
        exit(number);
    else
        _exit(number);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *value = 0;
        act(argv[i], value + 1);
    }
    return 0;
}
