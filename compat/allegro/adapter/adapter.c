/* adapter.c - libcairn-allegro-adapter.so: preloaded, it installs Cairn into the Allegro library of a program that knows
 * nothing of it, so that its blocks are seen by the interfaces and options of <cairn/hooks.h>:
 *
 *     LD_PRELOAD=libcairn-allegro-adapter.so CAIRN_CONF=hook_leaks:exit PROGRAM
 *
 * A program without Allegro, or that loads it later, is left alone. */
#include <allegro5/memory.h>
#include <cairn/allegro.h>

#include <dlfcn.h>

/* The loader has brought in every library by now, and no code of the program has run: Allegro has no block yet. */
__attribute__((constructor)) static void install(void)
{
    static ALLEGRO_MEMORY_INTERFACE interface = CAIRN_ALLEGRO_INTERFACE;
    void (*set)(ALLEGRO_MEMORY_INTERFACE *) =
        (void (*)(ALLEGRO_MEMORY_INTERFACE *))dlsym(RTLD_DEFAULT, "al_set_memory_interface");
    if (set != NULL)
        set(&interface);
}
