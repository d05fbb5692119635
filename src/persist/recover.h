/* recover.h - a pool whose process died: interrupted calls are brought to an end, and what the process kept is freed. */
#ifndef PERSIST_RECOVER_H
#define PERSIST_RECOVER_H

#include "persist/file.h"

/* On a file just mapped that nobody uses yet.  Fills file->recovery.  False with *trouble: the file is damaged; it is as
 * it was, but for interrupted calls.  May be killed and run again at any point. */
bool recover(struct pool_file *file, struct trouble *trouble);

#endif
