/* allegro5/memory.h - the memory routines of Allegro 5 on Cairn: same names, same arguments.
 *
 * A program that uses these routines, and nothing else of Allegro, compiles against this header and links
 * libcairn-allegro in place of the library.  A program that uses the real library leaves this header alone and
 * installs Cairn there: see <cairn/allegro.h>.
 *
 * As long as no interface is set, each call is the one of <cairn/hooks.h> of the same purpose, so whatever is
 * pushed there (a leak tracker, a fault injector) sees it, with the caller's line, file and function.
 *
 *   threads     any thread may call anything at any time
 *   failure     NULL with errno set
 *   ownership   what was allocated here is freed here: al_free, al_realloc
 */
#ifndef CAIRN_COMPAT_ALLEGRO5_MEMORY_H
#define CAIRN_COMPAT_ALLEGRO5_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Four functions that stand in for those below of the same name.  `line`, `file` and `func` say where the
 * macro was written. */
typedef struct ALLEGRO_MEMORY_INTERFACE {
    void *(*mi_malloc)(size_t n, int line, const char *file, const char *func);
    void (*mi_free)(void *ptr, int line, const char *file, const char *func);
    void *(*mi_realloc)(void *ptr, size_t n, int line, const char *file, const char *func);
    void *(*mi_calloc)(size_t count, size_t n, int line, const char *file, const char *func);
} ALLEGRO_MEMORY_INTERFACE;

/* Routes all that follows through `iface`; NULL goes back to Cairn.  As in Allegro, the pointer is kept, not
 * a copy: the structure has to live as long as it is set, and as long as a call that began before may run, so
 * it is best static.  A block is to be freed through the interface that gave it. */
void al_set_memory_interface(ALLEGRO_MEMORY_INTERFACE *iface);

/* n bytes, undefined.  n = 0 gives a block, too, unless the interface set has it otherwise. */
void *al_malloc_with_context(size_t n, int line, const char *file, const char *func);

/* Gives a block back; NULL does nothing (Cairn's part; a set interface gets it as it is). */
void al_free_with_context(void *ptr, int line, const char *file, const char *func);

/* Changes a block's size and perhaps its place; NULL as `ptr` is al_malloc.  On failure the block stays. */
void *al_realloc_with_context(void *ptr, size_t n, int line, const char *file, const char *func);

/* count * n bytes of zeros; NULL also when the product overflows (Cairn's part). */
void *al_calloc_with_context(size_t count, size_t n, int line, const char *file, const char *func);

/* The same with the caller's place filled in. */
#define al_malloc(n) (al_malloc_with_context((n), __LINE__, __FILE__, __func__))
#define al_free(p) (al_free_with_context((p), __LINE__, __FILE__, __func__))
#define al_realloc(p, n) (al_realloc_with_context((p), (n), __LINE__, __FILE__, __func__))
#define al_calloc(count, n) (al_calloc_with_context((count), (n), __LINE__, __FILE__, __func__))

#ifdef __cplusplus
}
#endif
#endif
