/* os.h - everything that Cairn asks of the system.  os/ is the only place with system headers, so a port
 * is a port of this folder.  No call here allocates from the heap; each leaves errno as it found it
 * unless it says otherwise.  Sizes are multiples of os_page_size() where memory is mapped. */
#ifndef OS_OS_H
#define OS_OS_H

#include "base/base.h"

/* ---- Memory (memory.c) ---- */

size_t os_page_size(void);

/* Private anonymous zero pages, readable and writable, whose use is charged when they are touched.
 * `hint` may be NULL.  NULL when the system refuses. */
void *os_map(void *hint, size_t size);
bool os_unmap(void *address, size_t size);

/* Puts fresh zero pages in place of what is mapped there. */
bool os_map_over(void *address, size_t size);

/* Gives the pages back; they read as zero from then on.  False if the system kept them. */
bool os_purge(void *address, size_t size);

/* Makes the pages readable and writable, or inaccessible.  False: the kernel refused. */
bool os_protect(void *address, size_t size, bool accessible);

/* Moves the pages of `from` over those mapped at `to`; `from` stays mapped and reads as zero.
 * False, with nothing moved, where the kernel cannot. */
bool os_move_pages(void *from, void *to, size_t size);

/* Names a mapping in /proc/self/maps.  Only a hint. */
void os_name(void *address, size_t size, const char *name);

/* Asks for huge pages in the range, or for none.  Only a hint. */
void os_huge_pages(void *address, size_t size, bool wanted);

/* Copies memory that other threads may be writing to at the same time: the kernel does it, so that no code of ours
 * reads what is in motion.  The caller finds out whether the copy is of one moment.  False: the kernel does not. */
bool os_peek(void *to, const void *from, size_t size);

/* Every running thread of the process passes a full memory barrier before this returns, where the kernel can. */
void os_barrier_everywhere(void);

/* Whether the word at `address`, a multiple of its size, can be read.  For signal handlers, too. */
bool os_readable(const void *address);

/* The program break: as sbrk(2), (void *)-1 on failure. */
void *os_sbrk(intptr_t by);

/* ---- Time, threads, files (system.c) ---- */

/* Milliseconds since some fixed moment, cheap and coarse (a few ms). */
uint64_t os_now_ms(void);

/* Nanoseconds: since some fixed moment, and since 1970 (UTC). */
uint64_t os_now_ns(void);
uint64_t os_unix_ns(void);

/* Whether the kernel keeps its own time by the processor's counter, so that the counter can be trusted. */
bool os_clock_is_counter(void);

/* The kernel's number of the calling thread. */
unsigned os_thread_number(void);

void os_futex_wait(uint32_t *word, uint32_t expected);
void os_futex_wake_one(uint32_t *word);
void os_yield(void);
void os_sleep_us(unsigned microseconds);

/* Of the calling thread; the child of a fork has that of the thread that forked. */
uintptr_t os_thread_id(void);

/* Calls `at_exit(value)` when a thread that set a value ends.  One such hook per process. */
bool os_thread_hook(void (*at_exit)(void *value));
void os_thread_value_set(void *value);

/* Around fork: `before` in the parent, then `parent` there and `child` in the child. */
void os_fork_hooks(void (*before)(void), void (*parent)(void), void (*child)(void));

/* Runs `handler` with the address when the program touches memory that it may not, then does what was set up before, as
 * a rule the process's end. */
bool os_on_fault(void (*handler)(uintptr_t address));

/* What the code in front of an address is a part of; texts are "" where it is not known. */
struct os_symbol {
    char function[256]; /* as the linker knows it: of C++ mangled */
    char object[512];   /* file name of the library or program */
    size_t offset;      /* of the address in the function; if that is unknown, in the object */
};

/* Of a call, by the address that it returns to.  Takes no lock and no memory from the heap. */
void os_symbol_before(const void *address, struct os_symbol *out);

/* The arguments that the process was started with, each with its 0 at the end, as far as there is room; the size. */
size_t os_command_line(char *out, size_t size);

/* Runs `handler` on each signal `number`, for as long as the program installs no other. */
bool os_on_signal(int number, void (*handler)(int));

const char *os_environment(const char *name); /* NULL when not set, or not known yet */
bool os_environment_ready(void);

/* For a constructor that runs before the C library's own: the environment that it was called with. */
void os_environment_set(char **entries);
bool os_is_privileged(void); /* set-user-id and the like: the environment is not to be trusted */
unsigned os_process_id(void);

/* A second descriptor for the same file, out of the way of programs that close the standard ones; -1: none. */
int os_duplicate(int fd);

/* Whole buffer or false with errno. */
bool os_write(int fd, const void *data, size_t size);
int os_create_file(const char *path);               /* truncated, mode 0644; -1 with errno */
int os_open_file(const char *path);                 /* for reading; -1 with errno */
ptrdiff_t os_read(int fd, void *data, size_t size); /* as read(2), but not interrupted */
void os_close(int fd);

/* A file's name with %p replaced by the process id, cut to `size`. */
void os_expand_name(char *out, size_t size, const char *name);

/* Writes to a C stream (FILE *) that the caller's program owns. */
bool os_stream_write(void *stream, const void *data, size_t size);

/* What is loaded where an address lies: its whole range, and its table of unwind information (.eh_frame_hdr). */
struct os_object {
    uintptr_t start, end;
    const void *unwind_table; /* NULL: none */
    bool is_program;          /* not a library */
};

/* For signal handlers, and while another thread loads or unloads: no lock, no memory.  False: nothing is loaded
 * there, or the C library cannot tell without a lock (glibc before 2.35). */
bool os_object_at(uintptr_t address, struct os_object *object);

/* A line of /proc/self/maps. */
struct os_mapping {
    uintptr_t start, end;
    uint64_t offset;  /* in the file */
    const char *name; /* "": none */
    const char *line; /* as the kernel wrote it, without its end */
    bool is_code;
};

/* Visits all of them, in rising order; texts last as long as the visit.  False, with errno: they cannot be read. */
bool os_mappings(void (*visit)(void *context, const struct os_mapping *mapping), void *context);

/* The build id of a file whose first bytes are mapped, readable, at [start, end); its size, 0: it has none there. */
size_t os_build_id(uintptr_t start, uintptr_t end, const uint8_t **id);

_Noreturn void os_abort(void);

int os_errno_get(void);
void os_errno_set(int value);

/* The function of that name in the running program, whatever library it is in; NULL if none. */
void *os_symbol(const char *name);

/* The same in the libraries behind this one; NULL if none. */
void *os_next_symbol(const char *name);

#endif
