/* numbers.h - numbers as people read them, for tables. */
#ifndef CLI_NUMBERS_H
#define CLI_NUMBERS_H

#include <stdint.h>

#define NUMBER_MAX 40 /* bytes that a number may take */

void number_of_bytes(char cell[NUMBER_MAX], uint64_t bytes);   /* 1.5 MiB */
void number_of_seconds(char cell[NUMBER_MAX], double seconds); /* 1.234 s, 12.3 ms */
void number_of_count(char cell[NUMBER_MAX], uint64_t count);   /* 1,234,567 */

#endif
