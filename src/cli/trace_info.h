/* trace_info.h - what is in a trace file, for the eye. */
#ifndef CLI_TRACE_INFO_H
#define CLI_TRACE_INFO_H

/* Prints it on standard output; returns the command's exit status. */
int trace_info(const char *name);

#endif
