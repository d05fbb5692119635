/* memory.c - Allegro's memory routines over Cairn's.  See <allegro5/memory.h>.
 *
 * The pointer that al_set_memory_interface keeps is the only state.  It is published with release order and
 * read with acquire order, so a thread that sees a new interface sees its contents. */
#include <allegro5/memory.h>
#include <cairn/hooks.h>

static ALLEGRO_MEMORY_INTERFACE *current; /* NULL: Cairn */

static ALLEGRO_MEMORY_INTERFACE *interface_now(void)
{
    return __atomic_load_n(&current, __ATOMIC_ACQUIRE); /* pairs with the release below */
}

void al_set_memory_interface(ALLEGRO_MEMORY_INTERFACE *iface)
{
    __atomic_store_n(&current, iface, __ATOMIC_RELEASE);
}

void *al_malloc_with_context(size_t n, int line, const char *file, const char *func)
{
    ALLEGRO_MEMORY_INTERFACE *iface = interface_now();
    return iface != NULL ? iface->mi_malloc(n, line, file, func) : cairn_malloc_at(n, line, file, func);
}

void al_free_with_context(void *ptr, int line, const char *file, const char *func)
{
    ALLEGRO_MEMORY_INTERFACE *iface = interface_now();
    if (iface != NULL)
        iface->mi_free(ptr, line, file, func);
    else
        cairn_free_at(ptr, line, file, func);
}

void *al_realloc_with_context(void *ptr, size_t n, int line, const char *file, const char *func)
{
    ALLEGRO_MEMORY_INTERFACE *iface = interface_now();
    return iface != NULL ? iface->mi_realloc(ptr, n, line, file, func)
                         : cairn_realloc_at(ptr, n, line, file, func);
}

void *al_calloc_with_context(size_t count, size_t n, int line, const char *file, const char *func)
{
    ALLEGRO_MEMORY_INTERFACE *iface = interface_now();
    return iface != NULL ? iface->mi_calloc(count, n, line, file, func)
                         : cairn_calloc_at(count, n, line, file, func);
}
