/* check.h - looking at a pool file from outside: whether all of it fits together.  Reads, never maps, never writes. */
#ifndef PERSIST_CHECK_H
#define PERSIST_CHECK_H

#include "persist/file.h"

/* Checks the file behind the descriptor; fills the results in `check` and calls its callback for each fault.  False with
 * *trouble: it cannot be checked (reading failed, no memory). */
bool check_file(int fd, cairn_file_check *check, struct trouble *trouble);

/* For a pool that is to be taken as it is: false with EUCLEAN and the first fault as text if there is one. */
bool check_trusted(int fd, struct trouble *trouble);

/* What the first two pages say.  False with *trouble. */
bool check_info(int fd, cairn_file_info *out, struct trouble *trouble);

#endif
