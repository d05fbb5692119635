/* options.h - CAIRN_CONF="key:value,key:value": one table says which there are, and writes the documentation. */
#ifndef FRONT_OPTIONS_H
#define FRONT_OPTIONS_H

#include "engine/types.h"
#include "observe/profile.h"
#include "observe/report_stats.h"

/* Reads the environment.  Bad keys and values are named on standard error and ignored, or fatal with
 * abort_conf:true.  A set-user-id program ignores the environment. */
void options_load(struct heap_config *heap, struct observe_settings *observe,
                  struct profile_settings *profile);

/* The table: for people, or as the page docs/options.md. */
bool options_print(int fd, bool markdown);

#endif
