/* allegro5/allegro.h - for programs that include Allegro's main header for its memory routines alone. */
#ifndef CAIRN_COMPAT_ALLEGRO5_ALLEGRO_H
#define CAIRN_COMPAT_ALLEGRO5_ALLEGRO_H

#include <allegro5/memory.h>

#endif
