/* print.c - see print.h. */
#include "base/print.h"

#include <stdarg.h>
#include <string.h>

void printer_init(struct printer *p, print_sink *sink, void *context)
{
    p->sink = sink;
    p->context = context;
    p->failed = false;
    p->used = 0;
}

bool printer_flush(struct printer *p)
{
    if (p->used > 0 && !p->failed && !p->sink(p->context, p->buffer, p->used))
        p->failed = true;
    p->used = 0;
    return !p->failed;
}

static void put(struct printer *p, const char *text, size_t size)
{
    while (size > 0) {
        if (p->used == sizeof p->buffer)
            printer_flush(p);
        size_t part = size_min(size, sizeof p->buffer - p->used);
        memcpy(p->buffer + p->used, text, part);
        p->used += part;
        text += part;
        size -= part;
    }
}

static void put_padded(struct printer *p, const char *text, size_t size, size_t width, bool left)
{
    if (left)
        put(p, text, size);
    for (size_t i = size; i < width; i++)
        put(p, " ", 1);
    if (!left)
        put(p, text, size);
}

/* Writes the number's digits so that they end before `end`; returns where they begin. */
static char *digits(char *end, uint64_t value, unsigned base)
{
    do {
        *--end = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    return end;
}

static uint64_t unsigned_argument(va_list *args, char length)
{
    if (length == 'j')
        return va_arg(*args, uint64_t);
    return length != 0 ? va_arg(*args, size_t) : va_arg(*args, unsigned);
}

static void put_conversion(struct printer *p, char kind, char length, size_t width, bool left, va_list *args)
{
    char room[24];
    char *end = room + sizeof room;
    char *text = end;
    if (kind == 's') {
        const char *s = va_arg(*args, const char *);
        put_padded(p, s, strlen(s), width, left);
        return;
    }
    if (kind == 'c') {
        *--text = (char)va_arg(*args, int);
    } else if (kind == 'd') {
        int64_t value = va_arg(*args, int);
        text = digits(end, (uint64_t)(value < 0 ? -value : value), 10);
        if (value < 0)
            *--text = '-';
    } else if (kind == 'u') {
        text = digits(end, unsigned_argument(args, length), 10);
    } else if (kind == 'x') {
        text = digits(end, unsigned_argument(args, length), 16);
    } else if (kind == 'p') {
        text = digits(end, (uintptr_t)va_arg(*args, void *), 16);
        *--text = 'x';
        *--text = '0';
    } else {
        *--text = kind;
    }
    put_padded(p, text, (size_t)(end - text), width, left);
}

static void print_arguments(struct printer *p, const char *format, va_list *args)
{
    while (*format != 0) {
        const char *stop = strchr(format, '%');
        size_t plain = stop != NULL ? (size_t)(stop - format) : strlen(format);
        put(p, format, plain);
        format += plain;
        if (*format == 0)
            return;
        format++;
        bool left = *format == '-';
        if (left)
            format++;
        size_t width = 0;
        while (*format >= '0' && *format <= '9')
            width = width * 10 + (size_t)(*format++ - '0');
        char length = 0;
        while (*format == 'z' || *format == 'l' || *format == 'j')
            length = *format++;
        if (*format == 0)
            return;
        put_conversion(p, *format++, length, width, left, args);
    }
}

void print(struct printer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_arguments(p, format, &args);
    va_end(args);
}

struct bounded {
    char *out;
    size_t room; /* bytes left, the terminator's not counted */
};

static bool to_bounded(void *context, const char *text, size_t size)
{
    struct bounded *b = context;
    size_t part = size_min(size, b->room);
    memcpy(b->out, text, part);
    b->out += part;
    b->room -= part;
    return true;
}

void print_to_buffer_arguments(char *out, size_t size, const char *format, va_list *args)
{
    struct bounded b = {out, size - 1};
    struct printer p;
    printer_init(&p, to_bounded, &b);
    print_arguments(&p, format, args);
    printer_flush(&p);
    *b.out = 0;
}

void print_to_buffer(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_to_buffer_arguments(out, size, format, &args);
    va_end(args);
}
