/* out.c - see out.h. */
#include "out.h"

#include <errno.h>
#include <libpmemcto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX 1024
#define LINE_MAX_BYTES (MESSAGE_MAX + 128)

int pmemcto_out_level;

static FILE *file; /* NULL: standard error; set while the library is loaded */
static _Thread_local char message[MESSAGE_MAX];

static void print_default(const char *text)
{
    fputs(text, file != NULL ? file : stderr);
}

static struct {
    void *(*malloc)(size_t size);
    void (*free)(void *block);
    void *(*realloc)(void *block, size_t size);
    char *(*strdup)(const char *text);
    void (*print)(const char *text);
} functions = {malloc, free, realloc, strdup, print_default};

void pmemcto_set_funcs(void *(*malloc_func)(size_t size), void (*free_func)(void *ptr),
                       void *(*realloc_func)(void *ptr, size_t size), char *(*strdup_func)(const char *s),
                       void (*print_func)(const char *s))
{
    functions.malloc = malloc_func != NULL ? malloc_func : malloc;
    functions.free = free_func != NULL ? free_func : free;
    functions.realloc = realloc_func != NULL ? realloc_func : realloc;
    functions.strdup = strdup_func != NULL ? strdup_func : strdup;
    functions.print = print_func != NULL ? print_func : print_default;
}

const char *pmemcto_errormsg(void)
{
    return message;
}

void *pmemcto_out_malloc(size_t size)
{
    return functions.malloc(size);
}

void *pmemcto_out_realloc(void *block, size_t size)
{
    return functions.realloc(block, size);
}

void pmemcto_out_free(void *block)
{
    functions.free(block);
}

static void print_line(enum out_level level, const char *function, const char *text)
{
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "<libpmemcto>: <%d> [%s] %s\n", (int)level, function, text);
    functions.print(line);
}

void pmemcto_out_error(const char *function, const char *format, ...)
{
    int saved = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (pmemcto_out_level >= OUT_ERROR)
        print_line(OUT_ERROR, function, message);
    errno = saved;
}

void pmemcto_out_log(enum out_level level, const char *function, const char *format, ...)
{
    char text[MESSAGE_MAX];
    int saved = errno;
    if (pmemcto_out_level < (int)level)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_line(level, function, text);
    errno = saved;
}

void pmemcto_out_print(const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    functions.print(text);
}

__attribute__((constructor)) static void start(void)
{
    const char *level = secure_getenv("PMEMCTO_LOG_LEVEL"), *name = secure_getenv("PMEMCTO_LOG_FILE");
    char path[4096];
    if (level != NULL)
        pmemcto_out_level = (int)strtol(level, NULL, 10);
    if (name == NULL || name[0] == 0)
        return;
    int used =
        snprintf(path, sizeof path, name[strlen(name) - 1] == '-' ? "%s%d" : "%s", name, (int)getpid());
    file = used < (int)sizeof path ? fopen(path, "we") : NULL;
    if (file == NULL) {
        fprintf(stderr, "libpmemcto: PMEMCTO_LOG_FILE: cannot open %s: %s\n", path, strerror(errno));
        abort();
    }
    setvbuf(file, NULL, _IOLBF, 0);
}
