/* statistics.h - a heap's statistics as text, JSON and XML.  Nothing here allocates. */
#ifndef OBSERVE_STATISTICS_H
#define OBSERVE_STATISTICS_H

#include "base/print.h"
#include "engine/statistics.h"

void statistics_print_text(struct printer *p, const struct statistics *s);
void statistics_print_json(struct printer *p, const struct statistics *s);
void statistics_print_xml(struct printer *p, const struct statistics *s);

#endif
