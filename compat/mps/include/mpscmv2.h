/* mpscmv2.h - the old name of mpscmvt.h. */
#ifndef mpscmv2_h
#define mpscmv2_h
#include "mpscmvt.h"
#endif
