/* standard.h - the standard names as this library defines them: the prototypes of C23, POSIX and GNU, own
 * text, because a libc's headers may lack the newest and declare some with attributes that do not fit here. */
#ifndef FRONT_STANDARD_H
#define FRONT_STANDARD_H

#include <stddef.h>

struct mallinfo {
    int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

void *malloc(size_t size);
void free(void *block);
void cfree(void *block);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *reallocarray(void *block, size_t count, size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size);
int posix_memalign(void **out, size_t alignment, size_t size);
void *valloc(size_t size);
void *pvalloc(size_t size);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
size_t malloc_usable_size(void *block);
int malloc_trim(size_t keep);
int mallopt(int parameter, int value);
struct mallinfo mallinfo(void);
struct mallinfo2 mallinfo2(void);
void malloc_stats(void);
int malloc_info(int options, void *stream); /* stream: a FILE * */

#endif
