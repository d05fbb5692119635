/* place.h - the places that calls come from, each once, with a number.
 *
 * A place is (file, line, function) by the addresses of the texts, or the code's address if the caller gave no file: then
 * the function and what it is in are looked up when the place is first seen.  Texts are copied, as the library that they
 * are in may be unloaded.  One table for the process; entries are never removed, so a pointer to one stays good.
 * Finding an entry takes no lock. */
#ifndef OBSERVE_PLACE_H
#define OBSERVE_PLACE_H

#include "base/base.h"
#include "base/print.h"
#include "cairn/hooks.h"

#define PLACES_MAX 65536 /* further ones are all number 0 */

struct place {
    uint32_t id;             /* 1 and up; 0: the one for all that found no room */
    int line;                /* 0: unknown */
    const char *file, *func; /* NULL: unknown */
    const char *object;      /* the library or program, where there is no file; NULL: unknown */
    const void *address;     /* of the code, of the first call that came from there */
    size_t offset;           /* of the address: in the function, else in the object */
    const char *file_key, *func_key;
    struct place *next; /* in its bucket; constant once there */
};

const struct place *place_of(const cairn_call *call);
const struct place *place_by_id(uint32_t id); /* of one that was returned before */

/* "file:line (function)", or "function+offset (object)". */
void place_print(struct printer *p, const struct place *place);

/* The fields as members of an object of JSON: "file": ..., null where unknown. */
void place_print_json(struct printer *p, const struct place *place);

/* A text in quotes, with what JSON wants escaped. */
void place_print_quoted(struct printer *p, const char *text);

void place_before_fork(void);
void place_after_fork(void);

#endif
