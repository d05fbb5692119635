/* numbers.c - see numbers.h. */
#include "numbers.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

void number_of_bytes(char cell[NUMBER_MAX], uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    if (bytes < 1024)
        (void)snprintf(cell, NUMBER_MAX, "%" PRIu64 " bytes", bytes);
    else
        (void)snprintf(cell, NUMBER_MAX, "%.1f %s", value, units[unit]);
}

void number_of_seconds(char cell[NUMBER_MAX], double seconds)
{
    if (seconds < 0.1)
        (void)snprintf(cell, NUMBER_MAX, "%.*f ms", seconds < 0.001 ? 2 : 1, seconds * 1000);
    else
        (void)snprintf(cell, NUMBER_MAX, "%.*f s", seconds < 100 ? 3 : 1, seconds);
}

void number_of_count(char cell[NUMBER_MAX], uint64_t count)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *at = cell;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = 0;
}
