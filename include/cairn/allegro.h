/* allegro.h - installs Cairn into the Allegro 5 library: every block of that library comes from Cairn, with the place in the
 * library that asked for it, through the interfaces of <cairn/hooks.h>.
 *
 *     #include <allegro5/allegro.h>                      the real library's header, first
 *     #include <cairn/allegro.h>
 *
 *     cairn_allegro_install();                           before al_init, al_install_system and any other call
 *
 * A program that cannot be changed gets the same by LD_PRELOAD=libcairn-allegro-adapter.so.
 * The functions of <cairn/hooks.h> have the arguments of Allegro's interface, so there is nothing in between.
 *
 *   threads    before other threads use Allegro
 *   ownership  blocks that Allegro hands out are freed by al_free, as ever; cairn_free takes them, too, as long as no
 *              interface has blocks of its own
 *
 * Allegro keeps the pointer that it is given; the structure here is static, one in each file that installs it.
 * Not installing it again, but al_set_memory_interface(NULL), while blocks are live is an error of the program: the
 * library would free them elsewhere.
 * This header declares nothing, so it compiles without Allegro, as C11 and as C++17.  MIT licence.
 */
#ifndef CAIRN_ALLEGRO_H
#define CAIRN_ALLEGRO_H

#include "cairn/hooks.h"

/* The fields of an ALLEGRO_MEMORY_INTERFACE: mi_malloc, mi_free, mi_realloc, mi_calloc. */
#define CAIRN_ALLEGRO_INTERFACE                                                                              \
    {                                                                                                        \
        cairn_malloc_at, cairn_free_at, cairn_realloc_at, cairn_calloc_at                                    \
    }

#define cairn_allegro_install()                                                                              \
    do {                                                                                                     \
        static ALLEGRO_MEMORY_INTERFACE cairn_allegro_interface = CAIRN_ALLEGRO_INTERFACE;                   \
        al_set_memory_interface(&cairn_allegro_interface);                                                   \
    } while (0)

#endif
