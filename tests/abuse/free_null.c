// expect-exit: 0
// expect-not: .
/* free_null.c - NULL is no misuse for any of the calls */
#include <malloc.h>
#include <stdlib.h>

void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);

int main(void)
{
    void *volatile null = NULL;
    free(null);
    free_sized(null, 10);
    free_aligned_sized(null, 64, 10);
    if (malloc_usable_size(null) != 0)
        return 1;
    free(realloc(null, 10));
    return 0;
}
