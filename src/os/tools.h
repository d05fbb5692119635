/* tools.h - telling valgrind and the address sanitizer what a pool's memory is, through their public interfaces.
 *
 * Valgrind: the client requests of <valgrind/memcheck.h>, built in where that header is; a few instructions that do
 * nothing outside of valgrind.  The sanitizer: the functions of <sanitizer/asan_interface.h>, looked for by name in the
 * running program, so that a library built without it serves a program built with it.  Nothing is linked.
 *
 * Without such a tool tools_present() is false, and nothing else here is called. */
#ifndef OS_TOOLS_H
#define OS_TOOLS_H

#include "base/base.h"

/* A tool watches this process.  The answer never changes; asked first with no lock held. */
bool tools_present(void);

/* A pool begins and ends; by then none of its memory may be out of bounds. */
void tools_pool_begin(const void *pool);
void tools_pool_end(const void *pool);

/* The program has a block, with contents or without. */
void tools_block_begin(const void *pool, void *block, size_t size, bool has_contents);

/* The program has it no more: from now on each access is an error. */
void tools_block_end(const void *pool, void *block, size_t size);

/* The memory is the allocator's again, to be read and written. */
void tools_memory_ours(void *memory, size_t size);

#endif
