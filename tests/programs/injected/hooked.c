/* hooked.c - linked to a test of tests/api with --wrap: what it calls of the heap, or takes the address of, goes through
 * <cairn/hooks.h>, so that the fault injector finds it. */
#include <cairn/hooks.h>

#define PLACE __LINE__, "hooked.c", __func__

/* Under its own name and the standard one. */
#define BOTH(type, name, arguments, body)                                                                    \
    type __wrap_##name arguments;                                                                            \
    type __wrap_cairn_##name arguments;                                                                      \
    type __wrap_##name arguments body type __wrap_cairn_##name arguments body

BOTH(void *, malloc, (size_t size), { return cairn_malloc_at(size, PLACE); })
BOTH(void *, calloc, (size_t count, size_t size), { return cairn_calloc_at(count, size, PLACE); })
BOTH(void *, realloc, (void *block, size_t size), { return cairn_realloc_at(block, size, PLACE); })
BOTH(void *, reallocarray, (void *block, size_t count, size_t size),
     { return cairn_reallocarray_at(block, count, size, PLACE); })
BOTH(void *, aligned_alloc, (size_t alignment, size_t size),
     { return cairn_aligned_alloc_at(alignment, size, PLACE); })
BOTH(char *, strdup, (const char *string), { return cairn_strdup_at(string, PLACE); })
BOTH(void, free, (void *block), { cairn_free_at(block, PLACE); })
